"""Following over several views at once, on a room whose people and cameras are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from tracking.geometry import Calibration
from tracking.multiview import MultiViewConfig, MultiViewTracker, View
from tracking.scoring import Places, score_places, summarise
from tracking.types import Detections

FPS = 5.0
HEIGHT_M = 1.7


def look(place: tuple[float, float, float], at: tuple[float, float, float]) -> View:
    """A camera of 1280 x 720 at ``place`` that looks at a point."""
    forward = np.subtract(at, place) / np.linalg.norm(np.subtract(at, place))
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    intrinsic = np.array([[700.0, 0, 640], [0, 700, 360], [0, 0, 1]])
    return View(Calibration.from_pinhole(intrinsic, np.column_stack([rotation, -rotation @ np.array(place)])), 1280, 720)


VIEWS = {
    "a": look((-1, -1, 3), (3, 3, 0.8)),
    "b": look((7, -1, 3), (3, 3, 0.8)),
    "c": look((3, 8, 3), (3, 3, 0.8)),
}


def walks(frames: int) -> np.ndarray:
    """``(T, 3, 2)`` metres: three people, of whom one passes close behind another."""
    t = np.arange(frames)[:, None] / FPS
    across, along = np.hstack([1 + 0.5 * t, 3 + 0 * t]), np.hstack([3 + 0 * t, 5.6 - 0.5 * t])
    return np.stack([across, along, np.hstack([4.5 + 0.3 * np.sin(t), 1.5 + 0.2 * t])], axis=1)


def boxes(view: View, places: np.ndarray, rng: np.random.Generator, missed: float) -> Detections:
    feet = view.calibration.project(np.column_stack([places, np.zeros(len(places))]))
    head = view.calibration.project(np.column_stack([places, np.full(len(places), HEIGHT_M)]))
    size = feet[:, 1] - head[:, 1]
    middle = (feet[:, 0] + head[:, 0]) / 2 + rng.normal(scale=0.02, size=len(size)) * size
    top, bottom = (edge[:, 1] + rng.normal(scale=0.02, size=len(size)) * size for edge in (head, feet))
    seen = rng.random(len(size)) > missed
    xyxy = np.column_stack([middle - 0.17 * size, top, middle + 0.17 * size, bottom])[seen]
    return Detections(xyxy, np.ones(len(xyxy)), np.zeros(len(xyxy)))


def followed(frames: int, missed: float) -> dict[str, float]:
    rng, paths = np.random.default_rng(0), walks(frames)
    tracker = MultiViewTracker(VIEWS)
    for frame in range(frames):
        tracker.update(frame / FPS, {name: boxes(view, paths[frame], rng, missed) for name, view in VIEWS.items()})
    tracks = tracker.finish()
    found = Places(
        np.concatenate([np.round(track.time_s * FPS) for track in tracks]),
        np.concatenate([np.full(len(track.time_s), track.global_id) for track in tracks]),
        np.concatenate([track.xy for track in tracks]),
    )
    index, who = np.meshgrid(np.arange(frames), np.arange(3), indexing="ij")
    return summarise(score_places(Places(index.ravel(), who.ravel(), paths.reshape(-1, 2)), found, 0.5))


@pytest.mark.parametrize("missed", [0.0, 0.2])
def test_three_people_keep_their_identities_through_a_crossing(missed: float):
    scores = followed(30, missed)
    assert scores["IDF1"] > 0.95
    assert scores["MOTA"] > 0.9
    assert scores["IDSW"] == 0


def test_an_empty_room_has_nobody():
    tracker = MultiViewTracker(VIEWS)
    for frame in range(5):
        tracker.update(frame / FPS, {name: Detections.empty() for name in VIEWS})
    assert tracker.finish() == ()


def test_time_goes_on_and_cameras_are_known():
    tracker = MultiViewTracker(VIEWS, MultiViewConfig())
    tracker.update(1.0, {"a": Detections.empty()})
    with pytest.raises(ValueError, match="not after"):
        tracker.update(1.0, {})
    with pytest.raises(ValueError, match="no view given for camera"):
        tracker.update(2.0, {"z": Detections.empty()})
    with pytest.raises(ValueError, match="knows no heights"):
        View(Calibration.from_homography(np.eye(3)), 1, 1)


def test_an_unseen_walker_slows_down():
    """Motion forgets velocity: after a long step the expected way is no longer than the memory allows."""
    from tracking.multiview import _motion

    config = MultiViewConfig(velocity_memory_s=1.5)
    near, noise = _motion(0.1, config)
    assert near[0, 2] == pytest.approx(0.1, rel=0.05)
    assert _motion(30.0, config)[0][0, 2] == pytest.approx(1.5, rel=1e-3)
    # Two steps of 0.05 s are one of 0.1 s.
    half, half_noise = _motion(0.05, config)
    np.testing.assert_allclose(half @ half, near, atol=1e-12)
    np.testing.assert_allclose(half @ half_noise @ half.T + half_noise, noise, atol=1e-12)
