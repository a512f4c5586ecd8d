"""What every recorded source promises, whatever it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.config import CameraConfig
from pipeline.packets import CameraEnd, Frame
from pipeline.sources.opening import open_source
from pipeline.sources.reader import Reader
from pipeline.sources.source import Source
from pipeline.stages.detection_files import read_detections

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
        (tmp_path / "det.txt").write_text("".join(f"{number},-1,1,1,9,9,1\n" for number in range(1, COUNT + 1)))
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
    import threading

    reader = Reader(opened(), 2, threading.Event())
    reader.start()
    *frames, end = drained(reader)
    assert [frame.ref.frame_index for frame in frames if isinstance(frame, Frame)] == list(range(COUNT))
    assert isinstance(end, CameraEnd)
    assert (end.frames_decoded, end.frames_declared, end.truncated, end.error) == (COUNT, COUNT, False, None)
    reader.join()


def test_a_reader_stops_when_told_though_nobody_reads(opened: Opened):
    import threading

    stop = threading.Event()
    reader = Reader(opened(), 1, stop)
    reader.start()
    stop.set()
    reader.join(5.0)
    assert not any(thread.name == "reader-a" for thread in threading.enumerate())
    assert reader.end().error is None


def test_a_broken_source_ends_its_camera_with_the_reason(opened: Opened):
    import threading

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
