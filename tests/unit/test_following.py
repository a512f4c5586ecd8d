"""People followed over several views whose boxes all lie a little off, in a room that is known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.test_multiview import FPS, VIEWS, boxes, walks
from tracking.following import Instant, follow, ground_tracks
from tracking.multiview import MultiViewConfig, MultiViewTracker, smoothed
from tracking.offsets import TakenBoxes, box_offsets
from tracking.types import Detections

FRAMES = 50
OFFSET = np.array([0.05, -0.03, 0.04])
"""Of middle, top and bottom, in parts of the body's height."""


def moved(seen: Detections) -> Detections:
    """The boxes as a detector draws them that errs always alike."""
    size = seen.xyxy[:, 3] - seen.xyxy[:, 1]
    shift = np.column_stack([OFFSET[0] * size, OFFSET[1] * size, OFFSET[0] * size, OFFSET[2] * size])
    return Detections(seen.xyxy + shift, seen.confidence, seen.class_id)


@pytest.fixture(scope="module")
def instants() -> list[Instant]:
    rng, paths = np.random.default_rng(0), walks(FRAMES)
    return [
        (frame / FPS, {name: moved(boxes(view, paths[frame], rng, 0.1)) for name, view in VIEWS.items()})
        for frame in range(FRAMES)
    ]


def test_a_camera_s_offset_is_found_and_taken_off(instants: list[Instant]) -> None:
    tracker = MultiViewTracker(VIEWS)
    for time_s, seen in instants:
        tracker.update(time_s, seen)
    people = tracker.believed()
    nodes = [node for path in people.values() for node in path]
    states = np.concatenate([smoothed(path, tracker.config)[0] for path in people.values()])
    found = box_offsets(TakenBoxes.by_camera(nodes, states, VIEWS, instants))
    assert sorted(found) == ["a", "b", "c"]
    # What moves every view the same way moves the person too; height and floor share what is left.
    assert np.mean([offset[0] for offset in found.values()]) == pytest.approx(OFFSET[0], abs=0.02)
    error = {name: position_error(name, instants) for name in ("as given", "offsets taken off")}
    assert error["offsets taken off"] < 0.9 * error["as given"]


def position_error(how: str, instants: list[Instant]) -> float:
    """Metres, the mean distance to the nearest person."""
    if how == "as given":
        tracker = MultiViewTracker(VIEWS)
        for time_s, seen in instants:
            tracker.update(time_s, seen)
        tracks = tracker.finish()
    else:
        tracks = ground_tracks(follow(VIEWS, instants))
    paths = walks(FRAMES)
    away = [
        np.linalg.norm(paths[round(time_s * FPS)] - xy, axis=1).min()
        for track in tracks
        for time_s, xy in zip(track.time_s, track.xy, strict=True)
    ]
    return float(np.mean(away))


def test_few_boxes_say_nothing_of_a_camera(instants: list[Instant]) -> None:
    people = follow(VIEWS, instants[:8], MultiViewConfig())
    nodes = [node for path in people.values() for node in path]
    states = np.stack([node.state for node in nodes])  # somebody is there, but too few boxes of anybody
    assert box_offsets(TakenBoxes.by_camera(nodes, states, VIEWS, instants)) == {}


def test_nobody_is_followed_where_nobody_is() -> None:
    empty = [(frame / FPS, dict.fromkeys(VIEWS, Detections.empty())) for frame in range(5)]
    assert follow(VIEWS, empty) == {}
    assert ground_tracks({}) == ()
