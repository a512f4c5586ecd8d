"""Event-time merge: one order, however the cameras' messages interleave."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.merge import EventTimeMerge
from pipeline.packets import Watermark
from tracking.types import Tracklet, TrackletKey


def tracklet(camera: str, local_id: int, as_of_s: float) -> Tracklet:
    one, zero = np.ones(1), np.zeros((1, 4))
    none = np.zeros(0)
    return Tracklet(
        TrackletKey(camera, local_id), 0, one, one * as_of_s, zero, one, one, None, np.zeros((0, 0)), none, none, as_of_s, True
    )


def released(messages: list[Tracklet | Watermark], cameras: list[str]) -> list[TrackletKey]:
    merge, out = EventTimeMerge(cameras), []
    for message in messages:
        if isinstance(message, Tracklet):
            merge.push(message)
        else:
            out += merge.advance(message)
    return [one.key for one in out]


def test_nothing_is_released_before_every_camera_has_passed():
    merge = EventTimeMerge(["a", "b"])
    merge.push(tracklet("a", 1, 1.0))
    assert merge.advance(Watermark("a", 5.0)) == []
    assert [one.key for one in merge.advance(Watermark("b", 1.0))] == []
    assert [one.key for one in merge.advance(Watermark("b", 1.1))] == [("a", 1)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20)), max_size=20), st.integers(0, 99))
def test_the_order_is_by_time_and_key_whatever_the_interleaving(moments: list[tuple[str, int]], seed: int):
    by_camera: dict[str, list[Tracklet | Watermark]] = {camera: [] for camera in "abc"}
    keys = []
    for local_id, (camera, time_s) in enumerate(sorted(moments, key=lambda one: one[1])):
        by_camera[camera] += [tracklet(camera, local_id, time_s), Watermark(camera, time_s)]
        keys.append((time_s, camera, local_id))
    for camera, messages in by_camera.items():
        messages.append(Watermark(camera, float("inf")))
    rng, shuffled = random.Random(seed), []
    while any(by_camera.values()):
        shuffled.append(by_camera[rng.choice([c for c in "abc" if by_camera[c]])].pop(0))
    assert released(shuffled, list("abc")) == [(camera, local_id) for _, camera, local_id in sorted(keys)]
