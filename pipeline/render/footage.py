"""The pictures of a finished run, read again from where it read them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from pipeline.config import CameraConfig
from pipeline.errors import SourceError
from pipeline.export.header import CameraInfo
from pipeline.export.record import ObservationTable
from pipeline.packets import CameraEnd, Frame
from pipeline.sources.opening import open_source
from pipeline.sources.reader import Reader
from tracking.types import FrameRef

_MARGIN_S = 2.0
_FALLBACK_FPS = 10.0
_BLANK = (46, 42, 38)
_AHEAD, _WAIT_S = 4, 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Footage:
    """One camera's pictures.

    Attributes:
        missing: why there are none, or None; then frames are blank.
    """

    camera: CameraInfo
    width: int
    height: int
    fps: float
    missing: str | None
    _config: CameraConfig
    _last_frame: int

    def frames(self) -> Iterator[Frame]:
        """Every frame in time order, as the run saw it, a few of them decoded ahead."""
        if self.missing is not None:
            yield from self._blank_frames()
            return
        stop = threading.Event()
        reader = Reader(open_source(self._config), _AHEAD, stop)
        reader.start()
        try:
            while not isinstance(item := reader.next(_WAIT_S), CameraEnd):
                if item is not None:
                    yield item
        finally:
            stop.set()
            reader.join()
        if item.error is not None:
            log.warning("%s", item.error)

    def _blank_frames(self) -> Iterator[Frame]:
        start_s = self.camera.start_s or 0.0
        for index in range(self._last_frame + 1):
            image = np.full((self.height, self.width, 3), _BLANK, np.uint8)
            yield Frame(FrameRef(self.camera.id, index, start_s + index / self.fps), image)


def open_footage(
    camera: CameraInfo, table: ObservationTable, moved: Mapping[str, Path] | None = None
) -> Footage:
    """Find a camera's pictures; where they are gone, or never were, boxes are drawn on blank ones.

    Args:
        table: the camera's observations.
        moved: where footage lies now, by camera, if not where the run found it.
    """
    rate = _source_rate(table) or camera.fps or _FALLBACK_FPS
    path = str((moved or {}).get(camera.id, camera.source))
    start = datetime.fromtimestamp(camera.start_s or 0.0, timezone.utc)
    config = CameraConfig(id=camera.id, source=path, fps=rate, start_time=start)
    width, height, fps, missing = camera.width, camera.height, rate, None
    try:
        if config.is_live:
            raise SourceError(f"camera {camera.id} was live: its pictures are not kept")
        source = open_source(config)
        width, height, fps = source.info.width, source.info.height, source.info.fps or rate
        source.close()
    except SourceError as error:
        missing = str(error)
    if not width or not height:
        width, height = _extent(table)
    last = int(table.frame.max()) if len(table) else 0
    return Footage(camera, width, height, fps, missing, config, last)


def _source_rate(table: ObservationTable) -> float | None:
    """Frames per second of the source, from what was seen when."""
    if not len(table):
        return None
    first, last = int(np.argmin(table.frame)), int(np.argmax(table.frame))
    frames = int(table.frame[last] - table.frame[first])
    return frames / float(table.time_s[last] - table.time_s[first]) if frames else None


def _extent(table: ObservationTable) -> tuple[int, int]:
    if not len(table):
        return 640, 360
    right, bottom = table.xyxy[:, 2:].max(axis=0)
    return int(np.clip(np.ceil(right / 2) * 2, 320, 3840)), int(np.clip(np.ceil(bottom / 2) * 2, 180, 2160))


def shown_range_s(table: ObservationTable) -> tuple[float, float]:
    """Site time from a little before the first observation of all cameras to a little after the last."""
    if not len(table):
        return float("-inf"), float("inf")
    return float(table.time_s.min()) - _MARGIN_S, float(table.time_s.max()) + _MARGIN_S
