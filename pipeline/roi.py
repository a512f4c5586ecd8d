"""Region of interest of one camera: polygons in pixels, or a mask image of the frame's size."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.config import CameraConfig
from pipeline.errors import SourceError
from pipeline.packets import Image
from pipeline.sources.images import read_image
from tracking.types import BoolArray, FloatArray


class RegionOfInterest:
    """Tells whether a box stands inside: its foot point (bottom centre) counts."""

    def __init__(self, polygons: list[FloatArray], mask: Image | None) -> None:
        self._polygons = polygons
        self._mask = mask

    def contains(self, xyxy: FloatArray) -> BoolArray:
        """``(N, 4)`` boxes to ``(N,)``; points on a polygon's border are inside."""
        foot = np.stack([(xyxy[:, 0] + xyxy[:, 2]) / 2, xyxy[:, 3]], axis=1)
        inside = [self._holds(float(x), float(y)) for x, y in foot]
        return np.asarray(inside, dtype=np.bool_)

    def _holds(self, x: float, y: float) -> bool:
        if self._mask is not None:
            height, width = self._mask.shape
            row, column = min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
            return bool(self._mask[row, column])
        return any(cv2.pointPolygonTest(polygon, (x, y), False) >= 0 for polygon in self._polygons)


def region_of(camera: CameraConfig, width: int, height: int) -> RegionOfInterest | None:
    """The camera's region, or None where every place counts.

    Raises:
        SourceError: the mask cannot be read or has another size than the frames (0 x 0: size unknown).
    """
    if camera.roi is not None:
        return RegionOfInterest([np.asarray(polygon, dtype=np.float32) for polygon in camera.roi], None)
    if camera.roi_mask is None:
        return None
    mask = read_image(camera.roi_mask) if camera.roi_mask.is_file() else None
    if mask is None:
        raise SourceError(f"camera {camera.id}: roi_mask {camera.roi_mask}: not a readable image")
    if width and mask.shape[:2] != (height, width):
        found = f"{mask.shape[1]}x{mask.shape[0]}"
        raise SourceError(
            f"camera {camera.id}: roi_mask {camera.roi_mask}: is {found}, frames are {width}x{height}"
        )
    return RegionOfInterest([], mask.max(axis=2))
