"""H.264 recordings with true times: any frame rate, gaps where frames were dropped (the only importer of PyAV here)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
import numpy.typing as npt

TICKS = 90_000


class VideoWriter:
    """Writes BGR frames with their times; a context manager.

    Args:
        target: file, or a URL with ``container`` (``mpegts`` for udp and tcp).
        size: ``(width, height)`` px, both even.
        fps: nominal rate; may be fractional.
        crf: x264 quality, 18 (fine) .. 35 (coarse).
    """

    def __init__(
        self,
        target: Path | str,
        size: tuple[int, int],
        fps: float,
        crf: int = 23,
        container: str | None = None,
    ) -> None:
        if isinstance(target, Path):
            target.parent.mkdir(parents=True, exist_ok=True)
        self._file = av.open(str(target), "w", format=container)
        rate = Fraction(fps).limit_denominator(1001)
        options = {"crf": str(crf), "preset": "medium", "threads": "1", "x264-params": "scenecut=0"}
        if container == "mpegts":
            options |= {"preset": "veryfast", "tune": "zerolatency"}
        self._stream = self._file.add_stream("libx264", rate=rate, options=options)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, TICKS)
        self._stream.codec_context.gop_size = max(1, round(4 * fps))

    def write(self, image: npt.NDArray[np.uint8], position_s: float) -> None:
        """Append a frame shown at ``position_s`` of the recording; positions must rise."""
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts = round(position_s * TICKS)
        frame.time_base = Fraction(1, TICKS)
        self._file.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._file.mux(self._stream.encode(None))
        self._file.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
