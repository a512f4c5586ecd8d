"""Tracklets: what is released when, gaps, embeddings, snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeline.export.lines import tracklet_line
from pipeline.linking import thinned
from pipeline.packets import EmbeddedCrop
from pipeline.stages.tracklets import MAX_EMBEDDINGS, TrackletStage
from tracking.association import AssociationConfig, associate
from tracking.types import PIECE, FloatArray, FrameRef, TrackedFrame, Tracklet, TrackletKey


def tracked(
    index: int, ids: Sequence[int], confirmed: Sequence[bool], ended: tuple[int, ...] = (), camera: str = "a"
) -> TrackedFrame:
    count = len(ids)
    boxes = [[10 * i + index, 0, 10 * i + index + 5, 20] for i in ids]
    return TrackedFrame(
        FrameRef(camera, index, index / 10),
        np.asarray(ids, np.int64),
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.full(count, 0.5 + index / 100, np.float32),
        np.asarray([i % 2 for i in ids], np.int64),
        np.arange(count),
        np.asarray(confirmed, np.bool_),
        ended,
    )


def crop(local_id: int, index: int, quality: float = 0.5) -> EmbeddedCrop:
    vector = np.zeros(4, np.float32)
    vector[index % 4] = 1
    return EmbeddedCrop(TrackletKey("a", local_id), index / 10, index, vector, quality)


def split(given: Sequence[TrackedFrame | Tracklet]) -> tuple[list[TrackedFrame], list[Tracklet]]:
    return [one for one in given if isinstance(one, TrackedFrame)], [
        one for one in given if isinstance(one, Tracklet)
    ]


def test_tentative_observations_are_released_on_confirmation_and_dropped_otherwise():
    stage = TrackletStage({}, None)
    frames, _ = split(stage.process(tracked(0, [1, 2], [False, False]), []))
    assert [len(one) for one in frames] == [0]
    frames, _ = split(stage.process(tracked(1, [1, 2], [False, False]), []))
    assert [len(one) for one in frames] == [0]
    frames, tracklets = split(stage.process(tracked(2, [1], [True], ended=(2,)), []))
    assert [one.frame.frame_index for one in frames] == [0, 1, 2]
    assert [one.local_id.tolist() for one in frames] == [[1], [1], [1]]
    assert all(one.confirmed.all() for one in frames)
    assert tracklets == []
    _, tracklets = split(stage.process(tracked(9, [], [], ended=(1,)), []))
    assert [one.key for one in tracklets] == [("a", 1)]
    assert tracklets[0].frame_index.tolist() == [0, 1, 2]
    assert (tracklets[0].as_of_s, tracklets[0].is_final) == (0.9, True)


def test_gaps_are_filled_by_straight_lines_and_marked():
    stage = TrackletStage({}, None)
    for index in (0, 1, 2, 3, 4, 5, 6):
        ids = [1] if index in (0, 1, 4) else []
        stage.process(tracked(index, ids, [True] * len(ids)), [])
    _, (tracklet,) = split(stage.process(tracked(7, [], [], ended=(1,)), []))
    assert tracklet.frame_index.tolist() == [0, 1, 2, 3, 4]
    assert tracklet.interpolated.tolist() == [False, False, True, True, False]
    assert tracklet.xyxy[:, 0].tolist() == pytest.approx([10, 11, 12, 13, 14], abs=1e-4)
    assert tracklet.confidence[2] == pytest.approx(0.51)


def test_the_class_is_the_majority():
    stage = TrackletStage({}, None)
    for index, kind in enumerate([0, 1, 1]):
        one = tracked(index, [1], [True])
        stage.process(
            TrackedFrame(
                one.frame,
                one.local_id,
                one.xyxy,
                one.confidence,
                np.array([kind]),
                one.detection_index,
                one.confirmed,
            ),
            [],
        )
    _, (tracklet,) = split(stage.process(tracked(3, [], [], ended=(1,)), []))
    assert tracklet.class_id == 1


def test_cameras_do_not_share_tracks():
    stage = TrackletStage({}, None)
    for camera in ("a", "b"):
        stage.process(tracked(0, [1], [True], camera=camera), [])
    _, (tracklet,) = split(stage.process(tracked(1, [], [], ended=(1,), camera="a"), []))
    assert tracklet.key == ("a", 1)
    _, (tracklet,) = split(stage.process(tracked(1, [], [], ended=(1,), camera="b"), []))
    assert tracklet.key == ("b", 1)


def test_early_snapshot_comes_once_with_enough_crops():
    stage = TrackletStage({}, 2)
    told = []
    for index in range(6):
        crops = [crop(1, index)] if index % 2 == 0 else []
        told.append(split(stage.process(tracked(index, [1], [index > 0]), crops))[1])
    assert [len(one) for one in told] == [0, 0, 1, 0, 0, 0]
    snapshot = told[2][0]
    assert (snapshot.is_final, len(snapshot.timestamp_s), len(snapshot.embedding_quality)) == (False, 3, 2)
    _, (final,) = split(stage.process(tracked(6, [], [], ended=(1,)), [crop(1, 5)]))
    assert final.embedding_timestamp_s.tolist() == [0.0, 0.2, 0.4, 0.5]


def test_embeddings_are_bounded_and_the_better_neighbour_stays():
    stage = TrackletStage({}, None)
    count = MAX_EMBEDDINGS + 1
    for index in range(count):
        stage.process(tracked(index, [1], [True]), [crop(1, index, 0.9 if index % 2 else 0.1)])
    _, (tracklet,) = split(stage.process(tracked(count, [], [], ended=(1,)), []))
    assert len(tracklet.embeddings) <= MAX_EMBEDDINGS // 2 + 1
    assert tracklet.embedding_quality[:-1].min() == np.float32(0.9)


def test_ground_positions_come_from_the_cameras_projection():
    def standing(xyxy: FloatArray, class_id: int) -> FloatArray:
        return xyxy[:, 2:] * 2

    stage = TrackletStage({"a": standing}, None)
    stage.process(tracked(0, [1], [True]), [])
    _, (tracklet,) = split(stage.process(tracked(1, [], [], ended=(1,)), []))
    assert tracklet.ground_xy is not None
    assert tracklet.ground_xy.tolist() == [[30, 40]]


def test_embedded_crops_are_recorded_with_their_box():
    taken = []

    class Recorder:
        def record(self, crop: EmbeddedCrop, xyxy: FloatArray) -> None:
            taken.append((crop.frame_index, xyxy.tolist()))

    stage = TrackletStage({}, None, Recorder())
    stage.process(tracked(0, [1], [True]), [])
    stage.process(tracked(1, [1], [True]), [crop(1, 0), crop(1, 1)])
    assert taken == [(0, [10, 0, 15, 20]), (1, [11, 0, 16, 20])]


def test_thinning_keeps_ends_and_embeddings():
    stage = TrackletStage({}, None)
    for index in range(100):
        stage.process(tracked(index, [1], [True]), [crop(1, index)] if index < 5 else [])
    _, (tracklet,) = split(stage.process(tracked(100, [], [], ended=(1,)), []))
    thin = thinned(tracklet, 10)
    assert len(thin.timestamp_s) == 10
    assert (thin.start_s, thin.end_s) == (tracklet.start_s, tracklet.end_s)
    assert len(thin.embeddings) == 5
    assert thinned(tracklet, 100) is tracklet


def test_a_car_that_stays_parked_for_days_takes_bounded_memory():
    stage = TrackletStage({}, None)
    stage.max_observations = 64
    for index in range(2000):
        frames, _ = split(stage.process(tracked(index, [1], [True]), []))
        assert [one.frame.frame_index for one in frames] == [index], "what is written while running is whole"
    _, (tracklet,) = split(stage.process(tracked(2000, [], [], ended=(1,)), []))
    kept = tracklet.frame_index.tolist()
    assert len(kept) <= 64
    assert kept[0] == 0
    assert kept[-32:] == list(range(1968, 2000))
    assert tracklet.timestamp_s.tolist() == pytest.approx([index / 10 for index in kept])
    assert tracklet.xyxy[:, 0].tolist() == pytest.approx([10 + index for index in kept])


def crossing(early_crops: int | None) -> list[Tracklet]:
    """Two people who pass through each other while the tracker takes each for the other."""
    stage, given = TrackletStage({}, early_crops), []
    for index in range(30):  # first somebody alone, from whom it learns how much looks change by themselves
        look = np.array([0.0, 0, 1, 0.1 * (index % 2)], np.float32)
        one = replace(tracked(index, [9], [True], ended=(9,) if index == 29 else ()), frame=FrameRef("b", index, index / 10))
        stage.process(one, [EmbeddedCrop(TrackletKey("b", 9), index / 10, index, look / np.linalg.norm(look), 0.8)])
    for index in range(21):
        left = np.array([[10.0 * index, 0], [200.0 - 10 * index, 0]])  # of person 0 and 1
        taken = [0, 1] if index < 10 else [1, 0]  # the person whose box local ids 1 and 2 got
        boxes = np.hstack((left[taken], left[taken] + (40.0, 100.0)))
        frame = FrameRef("a", index, index / 10)
        ends = (1, 2) if index == 20 else ()
        both = np.arange(2)
        one = TrackedFrame(frame, both + 1, boxes, np.full(2, 0.9), both * 0, both, both >= 0, ends)
        looks = np.eye(4, dtype=np.float32)[taken]
        crops = [
            EmbeddedCrop(TrackletKey("a", row + 1), index / 10, index, looks[row], 0.8) for row in (0, 1)
        ]
        given += stage.process(one, crops if index % 3 == 0 else [])
    return [one for one in given if isinstance(one, Tracklet) and one.is_final]


def test_the_end_of_a_track_on_which_another_began_is_a_tracklet_of_its_own():
    stage, given = TrackletStage({}, None), []
    for index in range(30):
        ids = [1] if index < 20 else [1, 2] if index < 26 else [2]
        seen = tracked(index, ids, [True] * len(ids), (1,) if index == 26 else (2,) if index == 29 else ())
        shift = np.array([[0.0], [-8.0]], np.float32)
        given += split(stage.process(replace(seen, xyxy=seen.xyxy + shift[: len(ids)]), []))[1]
    assert [(one.key.whole.local_id, len(one.frame_index)) for one in given] == [(1, 20), (1, 6), (2, 10)]


def test_two_people_who_swapped_boxes_are_cut_and_linked_to_themselves():
    pieces = crossing(None)
    assert [one.key.whole.local_id for one in pieces] == [1, 1, 2, 2]
    assert [(one.frame_index[0], one.frame_index[-1]) for one in pieces] == [(0, 8), (10, 20)] * 2
    found = associate(pieces, AssociationConfig(max_cosine_distance=0.3))
    people = {frozenset(one.tracklets) for one in found}
    names = [[TrackletKey("a", local_id), TrackletKey("a", PIECE + 3 - local_id)] for local_id in (1, 2)]
    assert people == {frozenset(pair) for pair in names}
    assert [tracklet_line(one).get("split_from") for one in pieces] == [None, 1, None, 2]


def test_what_was_told_of_early_is_not_cut():
    assert [one.key.local_id for one in crossing(3)] == [1, 2]
