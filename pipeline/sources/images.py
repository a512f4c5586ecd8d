"""Image folders and globs: one file per frame, in natural order, at a configured rate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from glob import glob
from pathlib import Path

import cv2
import numpy as np

from pipeline.config import CameraConfig
from pipeline.errors import SourceError
from pipeline.packets import Frame, Image
from pipeline.sources.source import Selection, SourceInfo, site_origin_s
from tracking.types import FrameRef

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def is_images(source: str) -> bool:
    """Whether ``source`` names a folder or a glob."""
    return any(mark in source for mark in "*?[") or Path(source).is_dir()


class ImageSource:
    """A folder of images, or a glob.

    Raises:
        SourceError: no image matches, or the camera has no ``fps``.
    """

    def __init__(self, camera: CameraConfig) -> None:
        self.camera_id = camera.id
        self.frames_skipped = 0
        self.truncated = False
        self._origin_s = site_origin_s(camera)
        self._selection = Selection(camera)
        self._paths = _image_paths(camera.source)
        if not self._paths:
            raise SourceError(f"camera {camera.id}: {camera.source}: no images there")
        if camera.fps is None:
            raise SourceError(
                f"camera {camera.id}: {camera.source}: images have no clock: give the camera's fps"
            )
        self._fps = camera.fps
        height, width = self._first_size()
        expected = self._selection.expected(len(self._paths), self._fps)
        self.info = SourceInfo(width, height, self._selection.rate(self._fps), expected)

    def _first_size(self) -> tuple[int, int]:
        for path in self._paths:
            image = read_image(path)
            if image is not None:
                return image.shape[0], image.shape[1]
        raise SourceError(f"camera {self.camera_id}: {self._paths[0].parent}: not one image can be read")

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            position_s = round(index / self._fps, 6)
            if self._selection.is_over(position_s):
                return
            if not self._selection.wants(position_s):
                continue
            image = read_image(path)
            if image is None:
                self.frames_skipped += 1
            else:
                yield Frame(FrameRef(self.camera_id, index, self._origin_s + position_s), image)

    def close(self) -> None:
        """Nothing stays open between two images."""


def read_image(path: Path) -> Image | None:
    """``(H, W, 3)`` BGR uint8, or None where the file is no readable image."""
    data = np.fromfile(path, dtype=np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    return None if image is None else np.asarray(image, dtype=np.uint8)


def _image_paths(source: str) -> list[Path]:
    found = Path(source).iterdir() if Path(source).is_dir() else map(Path, glob(source, recursive=True))
    return sorted((path for path in found if path.suffix.lower() in SUFFIXES), key=_natural)


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """``img2`` before ``img10``: digits count as numbers."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]
