"""Motion of the camera: measured from pictures, and taken out of the tracks by the stage."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.config import Config
from pipeline.packets import DetectedFrame, Frame
from pipeline.sources.opening import needs_pixels
from pipeline.stages.camera_motion import BackgroundFlow
from pipeline.stages.track import TrackStage
from tracking.motion import check_affine
from tracking.tracker import TrackerConfig
from tracking.types import Detections, FrameRef

NOTHING = np.zeros((0, 4), np.float32)


def textured(seed=0):
    """A still scene with structure at every scale, as real ones have it."""
    rng = np.random.default_rng(seed)
    noise = [rng.uniform(0, 85, (600 // cell, 900 // cell)).astype(np.float32) for cell in (10, 30, 100)]
    scales = [cv2.resize(one, (900, 600), interpolation=cv2.INTER_CUBIC) for one in noise]
    return cv2.cvtColor(np.clip(sum(scales), 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def view(scene, x, y=100):
    return np.ascontiguousarray(scene[y : y + 400, x : x + 600])


def test_a_pan_is_measured():
    scene, flow = textured(), BackgroundFlow()
    np.testing.assert_array_equal(flow.estimate(view(scene, 100), NOTHING), np.eye(2, 3))
    np.testing.assert_allclose(
        flow.estimate(view(scene, 112, 95), NOTHING), [[1, 0, -12], [0, 1, 5]], atol=0.5
    )


def test_what_moves_inside_a_box_does_not_count():
    scene, flow = textured(), BackgroundFlow()
    before, after = view(scene, 100), view(scene, 100)
    before[50:350, 100:400] = textured(1)[50:350, 100:400]
    after[50:350, 130:430] = before[50:350, 100:400]
    flow.estimate(before, np.array([[100, 50, 400, 350]], np.float32))
    still = flow.estimate(after, np.array([[130, 50, 430, 350]], np.float32))
    np.testing.assert_allclose(still, np.eye(2, 3), atol=0.3)


@pytest.mark.parametrize("picture", ["blank", "cut", "resized"])
def test_where_nothing_can_be_measured_nothing_moves(picture):
    flow = BackgroundFlow()
    flow.estimate(view(textured(), 100), NOTHING)
    after = {
        "blank": np.zeros((400, 600, 3), np.uint8),
        "cut": view(textured(5), 100),
        "resized": textured()[:200, :300],
    }[picture]
    moved = flow.estimate(np.ascontiguousarray(after), NOTHING)
    if picture != "cut":
        np.testing.assert_array_equal(moved, np.eye(2, 3))
    assert np.isfinite(check_affine(moved)).all()


@pytest.mark.parametrize("moving", [False, True])
def test_a_camera_that_is_said_to_move_keeps_its_ids(moving):
    """The camera jerks by 40 px: a bystander keeps the id only where that is known."""
    scene = textured()
    stage = TrackStage(TrackerConfig(), np.array([0]), lambda camera: BackgroundFlow() if moving else None)
    ids = []
    for i in range(20):
        x = 100 if i < 15 else 140
        box = np.array([[400 - x, 150, 430 - x, 230]], np.float32)
        frame = Frame(FrameRef("a", i, i / 10), view(scene, x))
        (tracked,) = stage.process([DetectedFrame(frame, Detections(box, [0.95], [0]))])
        ids += tracked.local_id.tolist()
    assert (len(set(ids)) == 1) == moving


def test_a_camera_that_moves_needs_its_pictures_even_in_a_replay():
    camera = {"id": "a", "source": "a.mp4"}
    plain = {"detector": {"backend": "replay", "detections": "{camera}.txt"}, "embedder": {"backend": "off"}}
    assert not needs_pixels(Config.model_validate({**plain, "cameras": [camera]}))
    assert needs_pixels(Config.model_validate({**plain, "cameras": [{**camera, "moving": True}]}))
