"""What holds for any input: ids, indices, finite numbers, bounded state."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tracking.tracker import CameraTracker, TrackerConfig
from tracking.types import Detections, FrameRef


@st.composite
def footage(draw):
    """Irregular frames of a few detections each, some moving smoothly, some noise, some degenerate."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, people = draw(st.integers(1, 40)), draw(st.integers(0, 6))
    start, speed = rng.uniform(0, 800, (people, 2)), rng.normal(0, 200, (people, 2))
    time_s, frames = draw(st.sampled_from([0.0, 1.7e9])), []
    for _ in range(count):
        time_s += float(rng.choice([0.001, 0.04, 0.2, 3.0], p=[0.1, 0.7, 0.15, 0.05]))
        visible = rng.random(people) < 0.8
        corner = (start + speed * (time_s % 1000))[visible]
        noise = rng.uniform(-50, 900, (rng.integers(0, 4), 2))
        corner = np.concatenate((corner, noise))
        size = rng.choice([0.0, 0.5, 30, 400], (len(corner), 2), p=[0.05, 0.05, 0.7, 0.2])
        confidence = rng.choice([0.0, 0.05, 0.1, 0.5, 0.6, 0.9, 1.0], len(corner))
        boxes = np.concatenate((corner, corner + size), axis=1)
        frames.append((time_s, Detections(boxes, confidence, rng.integers(0, 2, len(corner)))))
    return frames


@settings(max_examples=60, deadline=None)
@given(footage())
@example(
    [
        (0.2, Detections(np.array([[600.0, 100, 630, 160]]), np.array([0.6]), np.array([0]))),
        (3.2, Detections(np.array([[100.0, 400, 130, 460]]), np.array([1.0]), np.array([0]))),
    ]
)
def test_invariants(frames):
    config = TrackerConfig()
    tracker = CameraTracker("cam", config)
    ended: set[int] = set()
    known: set[int] = set()
    longest_s = max(config.max_lost_s, config.max_tentative_s)
    last_seen: dict[int, float] = {}
    for i, (time_s, detections) in enumerate(frames):
        out = tracker.update(FrameRef("cam", i, time_s), detections)
        ids = out.local_id.tolist()
        assert len(set(ids)) == len(ids)
        assert not set(ids) & (ended | set(out.ended)), "an ended id came back"
        assert not ended & set(out.ended), "ended twice"
        ended |= set(out.ended)
        fresh = sorted(set(ids) - known)
        assert fresh == list(range(len(known) + 1, len(known) + 1 + len(fresh))), (
            "ids are handed out in order"
        )
        known |= set(ids)
        assert ended <= known
        rows = out.detection_index.tolist()
        assert len(set(rows)) == len(rows)
        assert all(0 <= row < len(detections) for row in rows)
        np.testing.assert_array_equal(out.confidence, detections.confidence[rows])
        assert np.all(out.confidence >= config.min_confidence)
        assert np.all(np.isfinite(out.xyxy))
        assert np.all(out.xyxy[:, 2:] > out.xyxy[:, :2])
        last_seen |= dict.fromkeys(ids, time_s)
        alive = known - ended
        assert len(tracker) == len(alive), "every track is alive or has been said to have ended"
        assert all(time_s - last_seen[i] <= longest_s + 1e-6 for i in alive), "kept for too long"
    assert set(tracker.flush()) == known - ended


@settings(max_examples=20, deadline=None)
@given(footage())
def test_same_input_same_output(frames):
    first, second = CameraTracker("cam"), CameraTracker("cam")
    for i, (time_s, detections) in enumerate(frames):
        ref = FrameRef("cam", i, time_s)
        a, b = first.update(ref, detections), second.update(ref, detections)
        assert a.local_id.tolist() == b.local_id.tolist()
        np.testing.assert_array_equal(a.xyxy, b.xyxy)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_order_of_detections_does_not_matter(seed):
    """The same boxes in another order belong to the same tracks."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0, 1500, (5, 2))
    base[:, 0] = 300 * np.arange(5)
    trackers = CameraTracker("cam"), CameraTracker("cam")
    pairs: set[tuple[int, int]] = set()
    for i in range(12):
        corner = base + 3.0 * i
        boxes = np.concatenate((corner, corner + (40, 90)), axis=1)
        order = rng.permutation(5)
        plain = Detections(boxes, np.full(5, 0.9), np.zeros(5))
        mixed = Detections(boxes[order], np.full(5, 0.9), np.zeros(5))
        outs = [
            t.update(FrameRef("cam", i, i / 10), d) for t, d in zip(trackers, (plain, mixed), strict=True)
        ]
        a = dict(zip(outs[0].detection_index.tolist(), outs[0].local_id.tolist(), strict=True))
        b = dict(zip(order[outs[1].detection_index].tolist(), outs[1].local_id.tolist(), strict=True))
        pairs |= {(a[k], b[k]) for k in a}
    assert len(pairs) == 5, "each object has one id in either run"


def test_state_does_not_grow():
    """Minutes of passers-by leave nothing behind."""
    tracker = CameraTracker("cam")
    held = []
    for i in range(3_000):
        x = (i * 37) % 1800
        boxes = np.array([[x, 100, x + 40, 200], [1800 - x, 400, 1840 - x, 500]], float)
        held.append(len(tracker))
        tracker.update(FrameRef("cam", i, i * 0.1), Detections(boxes, np.full(2, 0.9), np.zeros(2)))
    assert max(held[500:]) <= max(held[:500]) < 60
