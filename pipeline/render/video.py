"""H.264 that every browser plays: yuv420p, true times, the index in front."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2

from pipeline.errors import ExportError
from pipeline.packets import Image

_TICKS = 90_000


class BrowserVideo:
    """Writes BGR pictures with their times; the file appears under its name once it is whole.

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
        options = {"crf": "23", "preset": "superfast", "tune": "zerolatency"}
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = self._file.add_stream("libx264", rate=rate, options=options)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._stream.codec_context.gop_size = max(1, round(2 * fps))

    def write(self, image: Image, position_s: float) -> None:
        """Append a picture shown at ``position_s`` of the video; two at one time are one tick apart."""
        width, height = self._size
        if image.shape[:2] != (height, width):
            image = image[:height, :width]
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        self._last_pts = max(self._last_pts + 1, round(position_s * _TICKS))
        frame.pts, frame.time_base = self._last_pts, Fraction(1, _TICKS)
        self._mux(frame)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            self._file.mux(self._stream.encode(frame))
        except (OSError, av.FFmpegError) as error:
            raise ExportError(f"{self.path}: cannot be written: {error}") from error

    def __enter__(self) -> BrowserVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._last_pts >= 0:
                self._mux(None)
            self._file.close()
            if kind is None and self._last_pts >= 0:
                self._part.replace(self.path)
        except (OSError, av.FFmpegError) as fault:
            raise ExportError(f"{self.path}: cannot be written: {fault}") from fault
        finally:
            self._part.unlink(missing_ok=True)


def fitted(image: Image, width: int, height: int) -> Image:
    """The picture as large as it fits into ``width`` x ``height``, on black."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    sides = (top, height - size[1] - top, left, width - size[0] - left)
    framed: Image = cv2.copyMakeBorder(small, *sides, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    return framed
