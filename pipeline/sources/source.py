"""The contract of every source, and which frames of a recording are wanted and when they were taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Protocol

from pipeline.config import CameraConfig
from pipeline.packets import Frame


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says of itself before its first frame.

    Attributes:
        width, height: pixels of a full-resolution frame; 0 where the source has no pixels.
        fps: nominal frames per second after every_nth and max_fps, or None where it declares none.
        frames_declared: frames that iterating will give if nothing is missing, or None if unknown.
        is_live: frames come at their own pace, forever; a full buffer drops the oldest.
    """

    width: int
    height: int
    fps: float | None
    frames_declared: int | None
    is_live: bool = False


class Source(Protocol):
    """Iterates one camera's frames in strictly ascending time order.

    Opening (the constructor) raises :class:`SourceError` where the source cannot be read at all. Iterating skips
    corrupt frames, counting them in ``frames_skipped``, and raises :class:`SourceError` only where nothing more can
    come. ``truncated`` is valid once the iteration has ended. ``close`` may be called twice and from another thread's
    ``finally``. A live source reconnects by itself, inside its iteration.
    """

    camera_id: str
    info: SourceInfo

    @property
    def frames_skipped(self) -> int: ...

    @property
    def truncated(self) -> bool: ...

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...


def site_origin_s(camera: CameraConfig) -> float:
    """Site time of the first moment of a recording: ``start_time + start_offset_s``, epoch seconds."""
    start = camera.start_time or datetime.fromtimestamp(0, timezone.utc)
    if start.tzinfo is None:
        start = start.replace(tzinfo=timezone.utc)
    return start.timestamp() + camera.start_offset_s


class Selection:
    """Which frames of a recording are wanted: ``start_s``, ``end_s``, ``every_nth``, ``max_fps``.

    Ask for every frame in order; the answer depends on the frames before.
    """

    def __init__(self, camera: CameraConfig) -> None:
        self.start_s = camera.start_s
        self._end_s = float("inf") if camera.end_s is None else camera.end_s
        self._every_nth = camera.every_nth
        self._period_s = 1.0 / camera.max_fps if camera.max_fps else 0.0
        self._seen = 0
        self._due_s = float("-inf")

    def wants(self, position_s: float) -> bool:
        """Whether the frame at ``position_s`` of the recording is used."""
        if position_s < self.start_s - 1e-9:
            return False
        self._seen += 1
        if (self._seen - 1) % self._every_nth or position_s < self._due_s - 1e-6:
            return False
        self._due_s += self._period_s
        if self._due_s <= position_s:
            self._due_s = position_s + self._period_s
        return True

    def is_over(self, position_s: float) -> bool:
        """Whether this frame and all later ones lie behind the wanted range."""
        return position_s >= self._end_s - 1e-9

    def is_everything(self) -> bool:
        """Whether no frame is left out."""
        return (
            self.start_s == 0 and self._end_s == float("inf") and self._every_nth == 1 and not self._period_s
        )

    def expected(self, frames: int | None, fps: float | None) -> int | None:
        """How many of ``frames`` at ``fps`` will be wanted, for progress bars."""
        if self.is_everything() or frames is None or fps is None:
            return frames
        seconds = max(0.0, min(frames / fps, self._end_s) - self.start_s)
        return math.ceil(seconds * (self.rate(fps) or fps) - 1e-6)

    def rate(self, fps: float | None) -> float | None:
        """Wanted frames per second of a recording at ``fps``."""
        if fps is None:
            return None
        rate = fps / self._every_nth
        return min(rate, 1.0 / self._period_s) if self._period_s else rate
