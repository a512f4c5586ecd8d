"""H.264 that every browser plays: yuv420p, true times, the index in front. Each video is encoded in a thread of its own."""

from __future__ import annotations

import queue
import threading
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2

from pipeline.errors import ExportError
from pipeline.packets import Image

_TICKS = 90_000
_WAITING = 2


class BrowserVideo:
    """Writes BGR pictures with their times; the file appears under its name once it is whole.

    Pictures are encoded behind the caller's back, while it draws the next ones: do not draw on one that was written.

    Args:
        path: an ``.mp4``.
        width, height: of the pictures; an odd row or column is cut.
        fps: nominal rate.

    Raises:
        ExportError: the file cannot be written.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self.path = path
        self._part = path.with_name(f".{path.stem}.part.mp4")
        self._last_pts = -1
        self._size = (width // 2 * 2, height // 2 * 2)
        try:
            self._file = av.open(str(self._part), "w", options={"movflags": "faststart"})
        except (OSError, av.FFmpegError) as error:
            raise ExportError(f"{path}: cannot be written: {error}") from error
        options = {
            "crf": "23",
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x264-params": "deblock=0,0",
        }
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = self._file.add_stream("libx264", rate=rate, options=options)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._stream.codec_context.gop_size = max(1, round(2 * fps))
        self._stream.codec_context.thread_count = 1  # there are as many encoders as videos
        self._waiting: queue.Queue[tuple[Image, int] | None] = queue.Queue(_WAITING)
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._encode_all, name=f"video-{path.stem}", daemon=True)

    def write(self, image: Image, position_s: float) -> None:
        """Append a picture shown at ``position_s`` of the video; two at one time are one tick apart."""
        self._check()
        self._last_pts = max(self._last_pts + 1, round(position_s * _TICKS))
        self._waiting.put((image, self._last_pts))

    def _encode_all(self) -> None:
        for image, pts in iter(self._waiting.get, None):
            if self._fault is not None:
                continue  # the caller must not wait for a queue that nobody empties
            try:
                self._encode(image, pts)
            except Exception as error:  # an edge of a thread: told to whoever writes next or closes
                self._fault = error

    def _encode(self, image: Image, pts: int) -> None:
        width, height = self._size
        planes = cv2.cvtColor(image[:height, :width], cv2.COLOR_BGR2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = pts, Fraction(1, _TICKS)
        self._file.mux(self._stream.encode(frame))

    def _check(self) -> None:
        """Tell the caller what went wrong in the thread."""
        if isinstance(self._fault, OSError | av.FFmpegError):
            raise ExportError(f"{self.path}: cannot be written: {self._fault}") from self._fault
        if self._fault is not None:
            raise self._fault

    def __enter__(self) -> BrowserVideo:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join()
        try:
            if kind is None:
                self._check()
            self._finish(is_whole=kind is None and self._last_pts >= 0)
        except (OSError, av.FFmpegError) as fault:
            raise ExportError(f"{self.path}: cannot be written: {fault}") from fault
        finally:
            self._part.unlink(missing_ok=True)

    def _finish(self, *, is_whole: bool) -> None:
        try:
            if is_whole:
                self._file.mux(self._stream.encode(None))
        finally:
            self._file.close()
        if is_whole:
            self._part.replace(self.path)


def fitted(image: Image, width: int, height: int) -> Image:
    """The picture as large as it fits into ``width`` x ``height``, on black."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    if size == (width, height) == image.shape[1::-1]:
        return image
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    sides = (top, height - size[1] - top, left, width - size[0] - left)
    framed: Image = cv2.copyMakeBorder(small, *sides, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return framed
