"""A source without pixels: the frames of a stored detections file, so that nothing needs decoding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.config import CameraConfig
from pipeline.errors import SourceError
from pipeline.packets import Frame
from pipeline.sources.source import Selection, SourceInfo, site_origin_s
from pipeline.stages.detection_files import StoredDetections
from tracking.types import FrameRef

_NO_PIXELS = np.zeros((0, 0, 3), dtype=np.uint8)


class ReplaySource:
    """Frames of ``stored`` with times from the file, or from the camera's ``fps`` where it has none (MOT text).

    Raises:
        SourceError: a MOT text file and no ``fps``.
    """

    def __init__(self, camera: CameraConfig, stored: StoredDetections) -> None:
        self.camera_id = camera.id
        self.frames_skipped = 0
        self.truncated = stored.truncated
        self._origin_s = site_origin_s(camera)
        self._selection = Selection(camera)
        self._stored = stored
        self._positions = self._positions_s(camera)
        fps = camera.fps or stored.fps
        expected = self._selection.expected(len(self._positions), fps)
        self.info = SourceInfo(stored.width, stored.height, self._selection.rate(fps), expected)

    def _positions_s(self, camera: CameraConfig) -> list[float]:
        if self._stored.position_s is not None:
            return [float(position) for position in self._stored.position_s]
        if camera.fps is None:
            raise SourceError(f"camera {camera.id}: {self._stored.path}: has no clock: give the camera's fps")
        return [round(int(index) / camera.fps, 6) for index in self._stored.frame_index]

    def __iter__(self) -> Iterator[Frame]:
        for index, position_s in zip(self._stored.frame_index, self._positions, strict=True):
            if self._selection.is_over(position_s):
                return
            if self._selection.wants(position_s):
                yield Frame(FrameRef(self.camera_id, int(index), self._origin_s + position_s), _NO_PIXELS)

    def close(self) -> None:
        """Nothing is open."""
