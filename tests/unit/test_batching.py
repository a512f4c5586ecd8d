"""Frames of many cameras in time order, whatever their rates, lengths and the readers' speed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batching import aligned, batches
from pipeline.packets import CameraEnd, Frame
from tracking.types import FrameRef

PIXELS = np.zeros((1, 1, 3), np.uint8)


class Feed:
    """A camera at given times; sometimes late."""

    def __init__(self, camera_id: str, times: Sequence[float], rng: random.Random | None = None) -> None:
        self.camera_id = camera_id
        self._items: list[Frame | CameraEnd] = [
            Frame(FrameRef(camera_id, index, time_s), PIXELS) for index, time_s in enumerate(times)
        ]
        self._items.append(CameraEnd(camera_id, len(times), None, 0, False))
        self._rng = rng

    def next(self, timeout_s: float) -> Frame | CameraEnd | None:
        if self._rng is not None and self._rng.random() < 0.4:
            return None
        return self._items.pop(0) if self._items else None


def told(item: Frame | CameraEnd) -> tuple[str, float]:
    return (item.ref.camera_id, item.ref.timestamp_s) if isinstance(item, Frame) else (item.camera_id, -1.0)


def run(feeds: Sequence[Feed], tolerance_s: float = 0.05) -> list[tuple[str, float]]:
    return [told(item) for item in aligned(feeds, tolerance_s, threading.Event())]


def test_different_rates_and_lengths():
    order = run([Feed("b", [0.0, 0.2, 0.4]), Feed("a", [0.0, 0.1, 0.2])])
    assert order == [("a", 0), ("b", 0), ("a", 0.1), ("a", 0.2), ("b", 0.2), ("a", -1), ("b", 0.4), ("b", -1)]


def test_frames_within_the_tolerance_share_a_moment_by_camera_name():
    assert run([Feed("b", [0.0]), Feed("a", [0.04])])[:2] == [("a", 0.04), ("b", 0.0)]
    assert run([Feed("b", [0.0]), Feed("a", [0.06])]) == [("b", 0.0), ("b", -1), ("a", 0.06), ("a", -1)]


times = st.lists(st.integers(1, 50), max_size=12).map(lambda steps: [float(sum(steps[:n])) / 100 for n in range(len(steps))])


@given(st.lists(times, min_size=1, max_size=4), st.integers(0, 1000), st.sampled_from([0.0, 0.05]))
def test_order_depends_on_neither_speed_nor_order_of_cameras(cameras: list[list[float]], seed: int, tolerance_s: float):
    named = list(enumerate(cameras))
    calm = run([Feed(f"cam{number}", one) for number, one in named], tolerance_s)
    rng = random.Random(seed)
    rng.shuffle(named)
    hasty = run([Feed(f"cam{number}", one, rng) for number, one in named], tolerance_s)
    frames = [item for item in calm if item[1] >= 0]
    assert frames == [item for item in hasty if item[1] >= 0]
    assert len(frames) == sum(map(len, cameras))
    for number, one in enumerate(cameras):
        assert [time_s for camera, time_s in calm if camera == f"cam{number}"] == [*one, -1.0]


@pytest.mark.parametrize("size", [1, 3, 8])
def test_batches_cut_the_same_sequence(size: int):
    def feeds() -> list[Feed]:
        return [Feed("a", [0.0, 0.1, 0.2, 0.3]), Feed("b", [0.0, 0.15, 0.3])]

    cut = list(batches(feeds(), size, 0.05, threading.Event()))
    counts = [sum(isinstance(item, Frame) for item in batch) for batch in cut]
    assert all(count <= size for count in counts)
    assert [told(item) for batch in cut for item in batch] == run(feeds())


class Silent(Feed):
    def next(self, timeout_s: float) -> None:
        time.sleep(min(timeout_s, 0.01))


def test_stop_ends_the_wait_for_a_silent_camera():
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    assert list(aligned([Silent("dead", [])], 0.05, stop)) == []
