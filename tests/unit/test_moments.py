"""Live cameras in moments: nobody waits for the silent, the slow or the wrong."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.config import RunConfig
from pipeline.moments import LiveMoments
from pipeline.packets import CameraEnd, Frame, Silence
from pipeline.sources.source import SourceInfo
from tracking.types import FrameRef

PIXELS = np.zeros((0, 0, 3), np.uint8)
SETTINGS = RunConfig(align_tolerance_s=0.03, align_wait_s=0.1, max_lateness_s=0.6, batch_size=8)


class Camera:
    """A feed filled by hand."""

    def __init__(self, camera_id: str, is_live: bool = True) -> None:
        self.camera_id, self.info = camera_id, SourceInfo(0, 0, None, None, is_live)
        self.items: deque[tuple[Frame | CameraEnd, float]] = deque()
        self.frames_late = 0
        self.came = 0.0

    def give(self, time_s: float) -> None:
        self.items.append((Frame(FrameRef(self.camera_id, 0, time_s), PIXELS), time.monotonic()))

    def end(self) -> None:
        self.items.append((CameraEnd(self.camera_id, 0, None, 0, truncated=False), time.monotonic()))

    def next(self, timeout_s: float) -> Frame | CameraEnd | None:
        if not self.items:
            return None
        item, self.came = self.items.popleft()
        return item

    def late(self) -> None:
        self.frames_late += 1


def moments_of(*cameras: Camera, stop: threading.Event | None = None) -> LiveMoments:
    return LiveMoments(cameras, SETTINGS, stop or threading.Event())


def names(batch: list[Frame | CameraEnd | Silence]) -> list[str]:
    return [item.ref.camera_id for item in batch if isinstance(item, Frame)]


Batches = Iterator[tuple[float, list[Frame | CameraEnd | Silence]]]


def live(cameras: dict[Camera, float], moments: LiveMoments, seconds: float, fps: float = 10) -> Batches:
    """Cameras at ``fps``, each with its delay in the network; yields when each batch came and what it holds."""
    began, due = time.time(), dict.fromkeys(cameras, 0)

    def deliver() -> None:
        while time.time() - began < seconds:
            for camera, delay_s in cameras.items():
                while time.time() - began >= due[camera] / fps + delay_s:
                    camera.give(began + due[camera] / fps)
                    due[camera] += 1
                    moments.arrived.set()
            time.sleep(0.002)
        for camera in cameras:
            camera.end()
        moments.arrived.set()

    thread = threading.Thread(target=deliver)
    thread.start()
    for batch in moments:
        yield time.time(), batch
    thread.join()


def test_frames_of_a_moment_come_together_although_they_arrive_one_after_the_other():
    one, other = Camera("a"), Camera("b")
    batches = [names(batch) for _, batch in live({one: 0.0, other: 0.04}, moments_of(one, other), 1.5)]
    moments = [batch for batch in batches if batch]
    assert moments.count(["a", "b"]) > 5, "all but the first, on a machine that is not held up"


def test_a_dead_camera_is_passed_over_and_delays_nobody():
    alive, dead = Camera("alive"), Camera("dead")
    moments, delays, silences = moments_of(alive, dead), [], []
    for now, batch in live({alive: 0.0}, moments, 1.5):
        delays += [now - item.ref.timestamp_s for item in batch if isinstance(item, Frame)]
        silences += [(now, item) for item in batch if isinstance(item, Silence)]
        if any(isinstance(item, CameraEnd) for item in batch):
            break
    assert len(delays) >= 14
    assert np.median(delays) < 0.05
    assert {item.camera_id for _, item in silences} == {"dead"}
    behind = [now - item.time_s for now, item in silences]
    assert min(behind) >= SETTINGS.max_lateness_s
    assert max(behind) < SETTINGS.max_lateness_s + 0.3, "its watermark keeps up with the present"


def test_a_camera_that_goes_silent_costs_the_others_one_wait_at_most():
    steady, gone = Camera("a"), Camera("b")
    moments = moments_of(steady, gone)
    gone.give(time.time())
    delays = [
        now - item.ref.timestamp_s
        for now, batch in _until_end(live({steady: 0.0}, moments, 1.2), "a")
        for item in batch
        if isinstance(item, Frame) and item.ref.camera_id == "a"
    ]
    assert sum(delay > 0.06 for delay in delays) <= 2
    assert max(delays) < SETTINGS.align_wait_s + 0.1


def _until_end(batches: Batches, camera_id: str) -> Batches:
    for now, batch in batches:
        yield now, batch
        if any(isinstance(item, CameraEnd) and item.camera_id == camera_id for item in batch):
            return


def test_a_slow_camera_is_not_lost_and_a_late_one_is_dropped_and_counted():
    quick, slow, late = Camera("quick"), Camera("slow"), Camera("late")
    seen = [
        item.ref.camera_id
        for _, batch in live({quick: 0.0, slow: 0.3, late: 1.0}, moments_of(quick, slow, late), 2.0)
        for item in batch
        if isinstance(item, Frame)
    ]
    assert seen.count("quick") >= 19
    assert seen.count("slow") >= 16
    assert seen.count("late") == 0
    assert late.frames_late >= 9
    assert quick.frames_late == slow.frames_late == 0


def test_waiting_for_one_frame_does_not_hold_up_the_next():
    """A camera that is always 0.3 s behind: the quick one waits in vain, but its frames wait side by side."""
    quick, slow = Camera("quick"), Camera("slow")
    delays = [
        now - item.ref.timestamp_s
        for now, batch in _until_end(
            live({quick: 0.0, slow: 0.3}, moments_of(quick, slow), 2.0, fps=30), "quick"
        )
        for item in batch
        if isinstance(item, Frame) and item.ref.camera_id == "quick"
    ]
    assert len(delays) >= 58
    assert np.median(delays[-20:]) < SETTINGS.align_wait_s + 0.05


def test_waiting_frames_are_cut_into_batches_of_the_configured_size():
    camera, now = Camera("a"), time.time()
    for step in range(20):
        camera.give(now + step / 10)
    batches = iter(moments_of(camera))
    assert [len(names(next(batches))) for _ in range(3)] == [8, 8, 4]


def test_cameras_come_and_go():
    first, second = Camera("a"), Camera("b")
    stop = threading.Event()
    moments = moments_of(first, stop=stop)
    assert not moments.join(Camera("a")), "the earlier one of that name has not ended"
    assert moments.join(second)
    batches = iter(moments)
    first.end()
    second.give(time.time())
    ended = [item.camera_id for _ in range(3) for item in next(batches) if isinstance(item, CameraEnd)]
    assert ended == ["a"]
    again = Camera("a")
    assert moments.join(again)
    again.give(time.time())
    assert any(names(next(batches)) == ["a"] for _ in range(3))
    stop.set()
    assert next(batches, None) is None


@pytest.mark.parametrize("is_live", [True, False])
def test_recorded_cameras_are_never_late(is_live: bool):
    camera = Camera("a", is_live=is_live)
    moments = moments_of(camera)
    batches = iter(moments)
    next(batches)
    camera.give(1000.0)
    camera.end()
    seen = [names(batch) for batch in batches]
    assert (["a"] in seen) is not is_live
    assert camera.frames_late == is_live
