"""The tracker as its users see it: scenario tables, boundaries, isolation between cameras."""

from __future__ import annotations

import numpy as np
import pytest

from tracking.tracker import CameraTracker, TrackerConfig
from tracking.types import Detections, FrameRef, class_groups_table

SIZE = np.array([40.0, 100.0])


def box(x, y=300.0, size=SIZE):
    return np.array([x, y, x + size[0], y + size[1]])


def seen(*boxes, confidence=0.95, class_id=0):
    count = len(boxes)
    confidences = np.broadcast_to(np.asarray(confidence, float), count)
    classes = np.broadcast_to(np.asarray(class_id), count)
    return Detections(np.array(boxes).reshape(-1, 4), confidences, classes)


def run(frames, config=None, camera="cam", **kwargs):
    """Feed ``(time, detections)`` pairs; returns the tracker and its output per frame."""
    tracker = CameraTracker(camera, config, **kwargs)
    return tracker, [tracker.update(FrameRef(camera, i, t), d) for i, (t, d) in enumerate(frames)]


def path_ids(outputs, truth):
    """Confirmed ids each object carried, in order."""
    carried: dict[str, list[int]] = {}
    for out, objects in zip(outputs, truth, strict=True):
        names = list(objects)
        for row in np.flatnonzero(out.confirmed):
            ids = carried.setdefault(names[out.detection_index[row]], [])
            if not ids or ids[-1] != out.local_id[row]:
                ids.append(int(out.local_id[row]))
    return carried


def scene(times, objects):
    """Frames and truth of named objects, each a function of time giving a box or None."""
    truth = [{n: b for n, f in objects.items() if (b := f(t)) is not None} for t in times]
    return [(t, seen(*at.values())) for t, at in zip(times, truth, strict=True)], truth


def walker(x0, speed, y=300.0, hidden=(9e9, 9e9)):
    return lambda t: None if hidden[0] <= t < hidden[1] else box(x0 + speed * t, y)


def regular(fps, seconds):
    return np.arange(int(fps * seconds)) / fps


def irregular(fps, seconds, seed=0):
    rng = np.random.default_rng(seed)
    times = regular(fps, seconds) + rng.uniform(0, 0.4 / fps, int(fps * seconds))
    return times[rng.random(len(times)) > 0.3]


SCENES = {
    "one walks": (regular(25, 3), {"a": walker(100, 80)}),
    "one stands": (regular(25, 3), {"a": walker(100, 0)}),
    "two side by side": (regular(25, 3), {"a": walker(100, 60), "b": walker(150, 60)}),
    "two cross": (regular(25, 4), {"a": walker(100, 120), "b": walker(580, -120, y=320)}),
    "hidden for half a second": (regular(25, 4), {"a": walker(100, 60, hidden=(1.5, 2.0))}),
    "hidden while another passes": (
        regular(25, 4),
        {"a": walker(300, 0, hidden=(1.6, 2.1)), "b": walker(100, 120, y=310)},
    ),
    "frames dropped and late": (irregular(25, 4), {"a": walker(100, 80), "b": walker(600, -60, y=500)}),
    "five frames a second": (regular(5, 5), {"a": walker(100, 60), "b": walker(600, -50, y=450)}),
    "fifty frames a second": (regular(50, 2), {"a": walker(100, 60), "b": walker(600, -50, y=450)}),
    "from five to thirty frames a second": (
        np.concatenate((regular(5, 2), 2 + regular(30, 2))),
        {"a": walker(100, 60)},
    ),
}


@pytest.mark.parametrize("name", SCENES)
def test_everyone_keeps_one_id(name):
    times, objects = SCENES[name]
    frames, truth = scene(times, objects)
    _, outputs = run(frames)
    carried = path_ids(outputs, truth)
    assert {n: len(ids) for n, ids in carried.items()} == dict.fromkeys(objects, 1), carried
    assert len({ids[0] for ids in carried.values()}) == len(objects)


def test_confirmed_soon_and_followed_to_the_end():
    frames, _ = scene(regular(25, 2), {"a": walker(100, 50)})
    _, outputs = run(frames)
    followed = [bool(out.confirmed.any()) for out in outputs]
    assert all(followed[10:])


def test_a_slow_camera_may_miss_a_frame_before_it_confirms():
    frames, _ = scene(np.arange(6) / 4, {"a": walker(100, 30, hidden=(0.4, 0.6))})
    _, outputs = run(frames)
    assert outputs[-1].confirmed.tolist() == [True]
    assert outputs[-1].local_id.tolist() == [1]


def test_one_object_seen_twice_is_confirmed_later_than_two_side_by_side():
    def frames_until_second(offset):
        both = [(t, seen(box(100), box(100 + offset), confidence=[0.95, 0.8])) for t in regular(10, 4)]
        alone = [(t - 1.0, seen(box(100))) for t in regular(10, 1)]
        _, outputs = run([*alone, *both])
        return next(i for i, out in enumerate(outputs[10:]) if out.confirmed.sum() == 2)

    beside, half_over = frames_until_second(45.0), frames_until_second(10.0)
    assert 2 <= beside <= 8
    assert half_over >= 2 * beside


def test_what_one_detection_after_another_tells_is_counted_by_the_clock():
    """Fifty frames a second show the same five times as often as ten; it is not five times as sure to be there."""

    def confirmed_after_s(fps):
        _, outputs = run([(t, seen(box(100), confidence=0.8)) for t in regular(fps, 4)])
        return next(out.frame.timestamp_s for out in outputs if out.confirmed.any())

    assert confirmed_after_s(50) > 0.45 * confirmed_after_s(10)
    assert confirmed_after_s(25) > 0.45 * confirmed_after_s(10)


def test_gone_for_too_long_is_someone_new():
    lost = TrackerConfig().max_lost_s
    frames, truth = scene(regular(25, 4 + lost), {"a": walker(100, 0, hidden=(2.0, 2.2 + lost))})
    _, outputs = run(frames)
    first, second = path_ids(outputs, truth)["a"]
    assert first != second
    ended = [i for out in outputs for i in out.ended]
    assert ended == [first]


def test_a_single_false_detection_never_becomes_a_track():
    frames = [(t, seen(box(100)) if i == 5 else seen()) for i, t in enumerate(regular(25, 3))]
    tracker, outputs = run(frames)
    assert not any(out.confirmed.any() for out in outputs)
    assert [len(out) for out in outputs].count(1) == 1  # shown once, as tentative
    assert [i for out in outputs for i in out.ended] == [1]
    assert len(tracker) == 0


def test_flush_ends_everything_once():
    tracker, outputs = run([(0.0, seen(box(0), box(300))), (0.04, seen(box(0), box(300)))])
    assert set(tracker.flush()) == set(outputs[-1].local_id.tolist()) == {1, 2}
    assert tracker.flush() == ()
    assert len(tracker) == 0


def test_ids_go_on_after_a_flush():
    tracker, _ = run([(0.0, seen(box(0)))])
    tracker.flush()
    assert tracker.update(FrameRef("cam", 1, 1.0), seen(box(0))).local_id.tolist() == [2]


# --- thresholds ---------------------------------------------------------------------------------


def following(confidence, config):
    """Whether a track that was seen confidently goes on with a detection of ``confidence``."""
    _, outputs = run(
        [(i / 25, seen(box(100))) for i in range(20)] + [(0.8, seen(box(100), confidence=confidence))], config
    )
    return len(outputs[-1]) == 1


def test_confidence_equal_to_a_threshold_counts_as_above():
    config = TrackerConfig(min_confidence=0.25, min_strong_confidence=0.5)
    assert following(0.25, config)
    assert not following(np.nextafter(np.float32(0.25), np.float32(0)), config)
    starts = run([(0.0, seen(box(100), confidence=0.5))], config)[1][0]
    assert len(starts) == 1
    below = run([(0.0, seen(box(100), confidence=np.nextafter(np.float32(0.5), np.float32(0))))], config)[1][
        0
    ]
    assert len(below) == 0


def test_weak_detections_start_nothing():
    frames = [(i / 25, seen(box(100), confidence=0.3)) for i in range(25)]
    tracker, outputs = run(frames)
    assert sum(len(out) for out in outputs) == len(tracker) == 0


@pytest.mark.parametrize(("share", "started"), [(0.4, False), (0.0, True)])
def test_what_is_strong_depends_on_what_is_usual(share, started):
    """Of a detector that gives 0.98 to people, 0.7 (0.3 of the evidence) starts nothing, though 0.6 is the least."""
    people = [box(100 * i) for i in range(5)]
    usual = [(i / 25, seen(*people, confidence=0.98)) for i in range(60)]
    late = seen(*people, box(900), confidence=[*[0.98] * 5, 0.7])
    tracker, _ = run([*usual, (60 / 25, late)], TrackerConfig(strong_share=share))
    assert len(tracker) == 5 + started


@pytest.mark.parametrize(("share", "told"), [(0.6, 5), (0.0, 6)])
def test_what_is_never_as_sure_as_the_others_is_not_told(share, told):
    """A shadow that scores 0.85 in every frame is followed, but kept to oneself among people that score 0.98."""
    frame = seen(*(box(100 * i) for i in range(6)), confidence=[*[0.98] * 5, 0.85])
    tracker, outputs = run([(i / 25, frame) for i in range(100)], TrackerConfig(told_share=share))
    assert len(tracker) == 6
    assert np.count_nonzero(outputs[-1].confirmed) == told


def test_a_detector_that_is_never_sure_is_measured_by_itself():
    frame = seen(*(box(100 * i) for i in range(4)), confidence=0.65)
    _, outputs = run([(i / 25, frame) for i in range(60)])
    assert outputs[-1].confirmed.all()


def test_boxes_without_area_are_ignored():
    flat = np.array([10.0, 10.0, 10.0, 50.0])
    _, outputs = run([(0.0, seen(flat, box(100)))])
    assert outputs[0].detection_index.tolist() == [1]


@pytest.mark.parametrize(("gap_s", "followed"), [(0.1, False), (0.4, True)])
def test_less_has_to_fit_after_a_long_gap(gap_s, followed):
    """A box that turned half as wide is another one a tenth of a second later, the same one after half a second."""
    turned = box(110, size=np.array([16.0, 100.0]))
    frames = [(i * gap_s, seen(box(100))) for i in range(12)] + [(12 * gap_s, seen(turned))]
    _, outputs = run(frames, TrackerConfig(max_cost=0.9))
    assert (outputs[-1].local_id.tolist() == [1]) == followed


# --- classes ------------------------------------------------------------------------------------


def flicker(groups):
    frames = [(i / 25, seen(box(100 + i), class_id=[2, 2, 2, 1][i % 4])) for i in range(40)]
    _, outputs = run(frames, class_groups=groups)
    return outputs


def test_classes_of_one_group_share_an_identity():
    outputs = flicker(class_groups_table(4, [(1, 2)]))
    assert {int(i) for out in outputs for i in out.local_id} == {1}
    assert set(outputs[-1].class_id.tolist()) == {2}  # what it was most of the time


def test_classes_of_different_groups_do_not():
    outputs = flicker(None)
    by_class = {(int(c), int(i)) for out in outputs for c, i in zip(out.class_id, out.local_id, strict=True)}
    assert {i for c, i in by_class if c == 1}.isdisjoint({i for c, i in by_class if c == 2})


def test_a_class_outside_the_table_is_named():
    tracker = CameraTracker("cam", class_groups=class_groups_table(2, []))
    with pytest.raises(ValueError, match=r"'cam'.*class 7.*2 classes"):
        tracker.update(FrameRef("cam", 0, 0.0), seen(box(0), class_id=7))


# --- appearance and camera motion ---------------------------------------------------------------


def test_appearance_decides_where_position_cannot():
    """Two people meet, turn back unseen; only their looks tell who is who."""
    red, blue = np.eye(2, 8, dtype=np.float32)
    config = TrackerConfig(appearance_weight=1.0)
    for swapped in (False, True):
        tracker = CameraTracker("cam", config)
        for i in range(30):
            out = tracker.update(FrameRef("cam", i, i / 25), seen(box(200), box(230)), np.stack((red, blue)))
        before = dict(zip(out.detection_index.tolist(), out.local_id.tolist(), strict=True))
        looks = np.stack((blue, red) if swapped else (red, blue))
        out = tracker.update(FrameRef("cam", 40, 1.4), seen(box(212), box(222)), looks)
        after = dict(zip(out.detection_index.tolist(), out.local_id.tolist(), strict=True))
        assert after == ({0: before[1], 1: before[0]} if swapped else before)


def test_missing_embeddings_leave_it_to_position():
    config = TrackerConfig(appearance_weight=1.0)
    tracker = CameraTracker("cam", config)
    nothing = np.full((1, 8), np.nan, np.float32)
    looks = np.eye(1, 8, dtype=np.float32)
    ids = [
        int(
            tracker.update(FrameRef("cam", i, i / 25), seen(box(200)), nothing if i % 3 else looks).local_id[
                0
            ]
        )
        for i in range(12)
    ]
    assert set(ids) == {1}


def test_camera_motion_is_compensated():
    """The camera pans by 150 px between two frames: with the motion known the ids stay."""
    pan = np.array([[1, 0, 150.0], [0, 1, 0]])
    for known in (True, False):
        tracker = CameraTracker("cam")
        for i in range(30):
            tracker.update(FrameRef("cam", i, i / 25), seen(box(200), box(500)))
        motion = pan if known else None
        out = tracker.update(FrameRef("cam", 30, 1.2), seen(box(350), box(650)), camera_motion=motion)
        assert (sorted(out.local_id.tolist()) == [1, 2]) == known


# --- isolation and complaints -------------------------------------------------------------------


def test_cameras_share_nothing():
    """Two cameras fed in turns say exactly what each says alone."""
    scenes = {
        "a": scene(regular(25, 2), {"x": walker(100, 80), "y": walker(500, -80)})[0],
        "b": scene(regular(25, 2), {"z": walker(300, 20)})[0],
    }
    alone = {camera: run(frames, camera=camera)[1] for camera, frames in scenes.items()}
    trackers = {camera: CameraTracker(camera) for camera in scenes}
    for i in range(50):
        for camera, frames in scenes.items():
            time_s, detections = frames[i]
            out = trackers[camera].update(FrameRef(camera, i, time_s), detections)
            expected = alone[camera][i]
            assert out.local_id.tolist() == expected.local_id.tolist()
            np.testing.assert_array_equal(out.xyxy, expected.xyxy)
    assert min(alone["a"][0].local_id) == min(alone["b"][0].local_id) == 1


def test_epoch_time_loses_no_precision():
    frames, _ = scene(regular(25, 3), {"a": walker(100, 80), "b": walker(600, -60)})
    start = 1_700_000_000.0
    _, near = run(frames)
    _, far = run([(t + start, d) for t, d in frames])
    for a, b in zip(near, far, strict=True):
        assert a.local_id.tolist() == b.local_id.tolist()
        np.testing.assert_allclose(a.xyxy, b.xyxy, atol=0.01)


@pytest.mark.parametrize(
    ("frame", "detections", "extra", "complaint"),
    [
        (FrameRef("other", 1, 1.0), seen(), {}, "'cam'.*'other'"),
        (FrameRef("cam", 1, 0.0), seen(), {}, r"'cam'.*frame 1.*not after"),
        (FrameRef("cam", 1, float("nan")), seen(), {}, r"'cam'.*frame 1"),
        (FrameRef("cam", 1, 1.0), seen(box(np.nan)), {}, r"'cam'.*detection 0.*finite"),
        (
            FrameRef("cam", 1, 1.0),
            seen(box(0)),
            {"embeddings": np.zeros((2, 4))},
            r"'cam'.*expected \(1, D\), got \(2, 4\)",
        ),
        (FrameRef("cam", 1, 1.0), seen(box(0)), {"camera_motion": np.eye(3)}, r"\(2, 3\), got \(3, 3\)"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(frame, detections, extra, complaint):
    tracker, _ = run([(0.0, seen(box(0)))])
    with pytest.raises(ValueError, match=complaint):
        tracker.update(frame, detections, **extra)
    out = tracker.update(FrameRef("cam", 1, 0.04), seen(box(0)))
    assert out.local_id.tolist() == [1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_confidence": -0.1},
        {"min_strong_confidence": 1.1},
        {"max_lost_s": -1.0},
        {"max_lost_s": float("nan")},
        {"min_hits": 0},
    ],
)
def test_configuration_is_checked(wrong):
    with pytest.raises(ValueError, match=rf"TrackerConfig\.{next(iter(wrong))}"):
        TrackerConfig(**wrong)
