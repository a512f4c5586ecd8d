"""Offline repair: fragments are joined, gaps are filled and marked, nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest

from tracking.repair import RepairConfig, collect, interpolate, repair, stitch
from tracking.tracker import CameraTracker
from tracking.types import Detections, FrameRef, Tracklet, TrackletKey

FPS = 10.0


def tracklet(local_id, frames, speed=20.0, looks=(), camera="cam", x0=0.0, y0=0.0, confidence=0.95):
    """A box of 20 x 50 px on the move; ``looks`` are indices of unit vectors, one crop per frame."""
    frames = np.asarray(frames)
    left = x0 + speed * frames / FPS
    top = np.full(len(frames), y0)
    crops = np.eye(8, dtype=np.float32)[list(looks)] if len(looks) else np.zeros((0, 0), np.float32)
    return Tracklet(
        key=TrackletKey(camera, local_id),
        class_id=0,
        frame_index=frames,
        timestamp_s=frames / FPS,
        xyxy=np.stack((left, top, left + 20, top + 50), axis=1),
        confidence=np.full(len(frames), confidence),
        interpolated=np.zeros(len(frames), np.bool_),
        ground_xy=None,
        embeddings=crops,
        embedding_quality=np.ones(len(crops)),
        embedding_timestamp_s=frames[: len(crops)] / FPS,
        as_of_s=float(frames[-1] / FPS),
        is_final=True,
    )


def test_a_gap_is_filled_with_a_straight_line_and_marked():
    whole = tracklet(1, range(11))
    broken = tracklet(1, [0, 1, 2, 6, 7, 10])
    filled = interpolate(broken, 0.4)
    np.testing.assert_allclose(filled.xyxy, whole.xyxy, atol=1e-4)
    assert filled.frame_index.tolist() == list(range(11))
    assert np.flatnonzero(filled.interpolated).tolist() == [3, 4, 5, 8, 9]
    assert interpolate(filled, 0.4).interpolated.tolist() == filled.interpolated.tolist()


def test_a_longer_gap_stays_open():
    assert interpolate(tracklet(1, [0, 1, 6, 7]), 0.4).frame_index.tolist() == [0, 1, 6, 7]


def test_fragments_that_lead_to_each_other_are_joined():
    config = RepairConfig()
    parts = [tracklet(1, range(10)), tracklet(2, range(14, 24)), tracklet(3, range(14, 24), y0=300.0)]
    joined = stitch(parts, config)
    assert {t.key.local_id for t in joined} == {1, 3}
    assert joined[0].frame_index.tolist() == [*range(10), *range(14, 24)]
    (filled, other) = repair(parts, config)
    assert np.flatnonzero(filled.interpolated).tolist() == [10, 11, 12, 13]
    assert not other.interpolated.any()


@pytest.mark.parametrize(
    "later",
    [tracklet(2, range(30, 40)), tracklet(2, range(5, 15)), tracklet(2, range(12, 22), x0=200.0)],
    ids=["too late", "both at once", "too far"],
)
def test_fragments_of_different_people_are_not(later):
    assert len(stitch([tracklet(1, range(10)), later], RepairConfig())) == 2


def test_gaps_of_what_was_never_sure_stay_open():
    broken = [tracklet(k, [0, 1, 2, 6, 7], y0=300.0 * k, confidence=c) for k, c in enumerate((0.95, 0.8))]
    sure, unsure = repair(broken, RepairConfig(min_fill_confidence=0.9))
    assert np.flatnonzero(sure.interpolated).tolist() == [3, 4, 5]
    assert unsure.frame_index.tolist() == [0, 1, 2, 6, 7]


def test_cameras_are_not_mixed():
    with pytest.raises(ValueError, match=r"one camera.*\ba\b.*\bb\b"):
        repair([tracklet(1, range(3), camera="a"), tracklet(1, range(3), camera="b")])


def test_collected_tracklets_begin_before_they_were_confirmed():
    tracker = CameraTracker("cam")
    outputs = []
    for i in range(12):
        detections = Detections([[10 + i, 0, 50 + i, 100]], [0.9], [0])
        outputs.append(tracker.update(FrameRef("cam", i, i / FPS), detections))
    assert not outputs[0].confirmed.any()
    (found,) = collect(outputs)
    assert found.frame_index.tolist() == list(range(12))
    (late,) = collect(outputs, min_early_confidence=0.95)
    first = next(i for i, output in enumerate(outputs) if output.confirmed.any())
    assert late.frame_index.tolist() == list(range(first, 12))


@pytest.mark.parametrize(
    "wrong", [{"max_gap_s": -1.0}, {"max_stitch_gap_s": float("nan")}]
)
def test_configuration_is_checked(wrong):
    with pytest.raises(ValueError, match=rf"RepairConfig\.{next(iter(wrong))}"):
        RepairConfig(**wrong)
