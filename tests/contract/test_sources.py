"""What every source promises, whatever it reads, and what a reader makes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.config import CameraConfig
from pipeline.packets import CameraEnd, Frame
from pipeline.sources.health import CameraHealth
from pipeline.sources.opening import open_source
from pipeline.sources.reader import Reader
from pipeline.sources.source import Source, SourceInfo
from pipeline.stages.detection_files import read_detections
from tracking.types import FrameRef

COUNT = 12
Opened = Callable[..., Source]


@pytest.fixture(params=["video", "images", "replay"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, make_clip: Callable[..., Path]) -> Opened:
    pictures = [np.full((48, 64, 3), 20 * index, np.uint8) for index in range(COUNT)]
    if request.param == "video":
        source, stored = make_clip(tmp_path / "a.mp4", pictures, 10), None
    elif request.param == "images":
        for index, picture in enumerate(pictures):
            cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
        source, stored = tmp_path, None
    else:
        source = tmp_path / "none.mp4"
        (tmp_path / "det.txt").write_text(
            "".join(f"{number},-1,1,1,9,9,1\n" for number in range(1, COUNT + 1))
        )
        stored = read_detections(tmp_path / "det.txt")

    def make(**fields: object) -> Source:
        return open_source(CameraConfig(id="a", source=str(source), fps=10, **fields), stored)

    return make


def test_frames_come_in_strictly_ascending_time_with_their_numbers(opened: Opened):
    frames = list(opened())
    assert [frame.ref.frame_index for frame in frames] == list(range(COUNT))
    assert [frame.ref.timestamp_s for frame in frames] == [index / 10 for index in range(COUNT)]
    assert {frame.ref.camera_id for frame in frames} == {"a"}


def test_info_tells_what_will_come(opened: Opened):
    source = opened(every_nth=2, end_s=0.8)
    frames = list(source)
    assert source.info.frames_declared == len(frames) == 4
    assert source.info.fps == 5
    assert not source.info.is_live
    if source.info.width:
        assert frames[0].image.shape == (source.info.height, source.info.width, 3)
        assert frames[0].image.dtype == np.uint8
    assert (source.frames_skipped, source.truncated) == (0, False)


def test_closing_twice_is_fine(opened: Opened):
    source = opened()
    next(iter(source))
    source.close()
    source.close()


def drained(reader: Reader) -> Iterator[Frame | CameraEnd]:
    while True:
        item = reader.next(5.0)
        assert item is not None, "a reader always ends with its camera's end"
        yield item
        if isinstance(item, CameraEnd):
            return


def test_a_reader_loses_nothing_and_ends(opened: Opened):
    reader = Reader(opened(), 2, threading.Event())
    reader.start()
    *frames, end = drained(reader)
    assert [frame.ref.frame_index for frame in frames if isinstance(frame, Frame)] == list(range(COUNT))
    assert isinstance(end, CameraEnd)
    assert (end.frames_decoded, end.frames_declared, end.truncated, end.error) == (COUNT, COUNT, False, None)
    reader.join()


def test_a_reader_stops_when_told_though_nobody_reads(opened: Opened):
    stop = threading.Event()
    reader = Reader(opened(), 1, stop)
    reader.start()
    stop.set()
    reader.join(5.0)
    assert not any(thread.name == "reader-a" for thread in threading.enumerate())
    assert reader.end().error is None


def test_a_broken_source_ends_its_camera_with_the_reason(opened: Opened):
    source = opened()

    class Broken:
        camera_id, info, frames_skipped, truncated = "a", source.info, 0, False

        def __iter__(self) -> Iterator[Frame]:
            yield from list(source)[:3]
            raise RuntimeError("disk on fire")

        def close(self) -> None:
            source.close()

    reader = Reader(Broken(), 8, threading.Event())
    reader.start()
    *frames, end = drained(reader)
    assert len(frames) == 3
    assert isinstance(end, CameraEnd)
    assert end.error == "camera a: RuntimeError: disk on fire"


class LiveCamera:
    """A live source filled by hand, with what a `Reader` asks of one."""

    def __init__(self, frames: int) -> None:
        self.camera_id, self.info = "a", SourceInfo(0, 0, None, None, is_live=True)
        self.frames_skipped, self.truncated, self.share, self.frames_shed = 0, False, 1.0, 3
        self._frames, self._closed = frames, threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._frames):
            yield Frame(FrameRef("a", index, 1000.0 + index), np.zeros((0, 0, 3), np.uint8))
        self._closed.wait(10)

    def health(self) -> CameraHealth:
        return CameraHealth("a", "live", frames_in=self._frames, frames_dropped=self.frames_shed)

    def close(self) -> None:
        self._closed.set()


def wait_until(told: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not told():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_live_reader_keeps_the_newest_frames_and_counts_the_rest():
    stop = threading.Event()
    reader = Reader(LiveCamera(20), 4, stop)
    assert reader.health().state == "live"
    reader.start()
    wait_until(lambda: reader.frames_decoded == 20 and reader.health().queued == 4)
    given = [reader.next(0.0) for _ in range(5)]
    assert [item.ref.frame_index for item in given if isinstance(item, Frame)] == [16, 17, 18, 19]
    reader.late()
    health = reader.health()
    assert (health.frames_in, health.frames_used, health.frames_dropped, health.frames_late) == (
        20,
        3,
        16 + 3,
        1,
    )
    assert reader.frames_offered == 20 + 3
    assert health.lag_s > 0
    stop.set()
    reader.join(5)
    assert reader.health().state == "ended"


def test_a_live_frame_that_waited_too_long_is_never_given():
    stop, arrived = threading.Event(), threading.Event()
    reader = Reader(LiveCamera(4), 8, stop)
    reader.attend(arrived, 0.05)
    reader.start()
    wait_until(lambda: reader.health().queued == 4)
    assert arrived.is_set()
    time.sleep(0.1)
    assert reader.next(0.0) is None
    assert reader.health().frames_dropped == 4 + 3
    stop.set()
    reader.join(5)


def test_one_live_camera_can_leave_while_the_others_go_on():
    stop = threading.Event()
    reader = Reader(LiveCamera(2), 8, stop)
    reader.start()
    reader.leave()
    *_, end = drained(reader)
    assert isinstance(end, CameraEnd)
    assert end.error is None
    assert not stop.is_set()
    reader.join(5)
