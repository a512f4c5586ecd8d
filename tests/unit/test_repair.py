"""Offline repair: a swap is cut, fragments are joined, gaps are filled and marked, nothing else is touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tracking.repair import RepairConfig, collect, interpolate, repair, split, stitch
from tracking.tracker import CameraTracker
from tracking.types import PIECE, Detections, FrameRef, Tracklet, TrackletKey

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


def test_a_swap_is_cut_where_the_looks_change():
    swapped = tracklet(1, range(20), looks=[0] * 8 + [1] * 12)
    first, second = split(swapped, RepairConfig())
    assert first.key == first.key.whole == second.key.whole == ("cam", 1)
    assert second.key.local_id == PIECE + 1
    assert first.frame_index.tolist() == list(range(8))
    assert second.frame_index.tolist() == list(range(8, 20))
    assert first.embeddings[:, 0].all()
    assert second.embeddings[:, 1].all()


@pytest.mark.parametrize(
    "looks",
    [[0] * 20, [0] * 9 + [1] + [0] * 10, [0] * 18 + [1] * 2, []],
    ids=["one person", "one bad crop", "too few crops after", "no crops"],
)
def test_without_a_lasting_change_nothing_is_cut(looks):
    whole = tracklet(1, range(20), looks=looks)
    assert split(whole, RepairConfig()) == [whole]


def turning(crops, degrees):
    """Embeddings of somebody who turns by as much from crop to crop."""
    angle = np.deg2rad(degrees) * np.arange(crops)
    return np.stack((np.cos(angle), np.sin(angle)), axis=1).astype(np.float32)


def test_who_turns_round_step_by_step_is_not_cut():
    whole = replace(tracklet(1, range(9), looks=[0] * 9), embeddings=turning(9, 20.0))
    assert 1 - whole.embeddings[0] @ whole.embeddings[-1] > 1
    assert split(whole, RepairConfig()) == [whole]


def test_a_cut_needs_a_moment_when_another_could_have_taken_over():
    swapped = tracklet(1, range(20), looks=[0] * 8 + [1] * 12)
    doubt = np.zeros(20)
    assert split(swapped, RepairConfig(), doubt) == [swapped]
    doubt[[3, 15]] = 0.9
    assert split(swapped, RepairConfig(), doubt) == [swapped]


def test_both_of_a_swap_are_cut_in_the_frame_where_they_overlap_most():
    doubt = np.zeros(20)
    doubt[[9, 10, 11]] = 0.3, 0.5, 0.2
    for local_id, crops in ((1, [0, 2, 5, 14, 16, 19]), (2, [1, 4, 7, 12, 13, 18])):
        looks = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 1, 1]]
        one = replace(
            tracklet(local_id, range(20), looks=[0] * 6),
            embeddings=looks,
            embedding_timestamp_s=np.array(crops) / FPS,
        )
        first, second = split(one, RepairConfig(), doubt)
        assert (first.frame_index[-1], second.frame_index[0]) == (9, 10)
        assert len(first.embeddings) == len(second.embeddings) == 3


def test_what_was_interpolated_between_two_objects_belongs_to_neither():
    filled = interpolate(tracklet(1, [*range(8), *range(12, 20)], looks=[0] * 6), 1.0)
    looks = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 1, 1]]
    one = replace(filled, embeddings=looks, embedding_timestamp_s=np.array([0, 3, 6, 13, 15, 17]) / FPS)
    first, second = split(one, RepairConfig(), one.interpolated.astype(float))
    assert (first.frame_index[-1], second.frame_index[0]) == (7, 12)


def test_three_objects_in_turn_are_three_pieces():
    looks = np.eye(4, dtype=np.float32)[[0] * 4 + [1] * 5 + [2] * 4]
    one = replace(tracklet(1, range(13), looks=[0] * 13), embeddings=looks)
    pieces = split(one, RepairConfig())
    assert [t.frame_index.tolist() for t in pieces] == [[*range(4)], [*range(4, 9)], [*range(9, 13)]]
    assert len({t.key for t in pieces}) == 3
    assert {t.key.whole.local_id for t in pieces} == {1}


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


def test_pieces_get_ids_never_used_before():
    swapped = tracklet(1, range(20), looks=[0] * 10 + [1] * 10)
    ids = [t.key.local_id for t in repair([swapped, tracklet(9, range(20), y0=400.0)])]
    assert sorted(ids) == [1, 9, PIECE + 1]


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
    "wrong", [{"max_gap_s": -1.0}, {"min_split_distance": float("nan")}, {"min_split_crops": 0}]
)
def test_configuration_is_checked(wrong):
    with pytest.raises(ValueError, match=rf"RepairConfig\.{next(iter(wrong))}"):
        RepairConfig(**wrong)
