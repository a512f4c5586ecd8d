"""Detections and embeddings taken down while running, one file per camera, for replaying them later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.packets import CameraEnd, EmbeddedCrop
from pipeline.stages.detection_files import DetectionWriter
from pipeline.stages.embedding_files import EmbeddingWriter, StoredCrop
from pipeline.stages.stored_lines import next_part
from tracking.types import Detections, FloatArray, FrameRef


class DetectionRecorder:
    """``<folder>/<camera>.jsonl``.

    Args:
        headers: by camera; see `detection_files`.
        origin_s: by camera, site time of its recording's first moment.
    """

    def __init__(
        self, folder: Path, headers: Mapping[str, dict[str, Any]], origin_s: Mapping[str, float]
    ) -> None:
        self._folder = folder
        self._origin_s = dict(origin_s)
        self._headers = dict(headers)
        self._files = {
            camera: DetectionWriter(folder / f"{camera}.jsonl", {"camera": camera, **header})
            for camera, header in headers.items()
        }

    def begin(self, camera: str, origin_s: float) -> None:
        """A camera comes while the run goes on; one that comes back gets a file of its own beside the first."""
        header = self._headers.get(camera) or _like(self._headers)
        self._headers[camera], self._origin_s[camera] = header, origin_s
        self._files[camera] = DetectionWriter(
            next_part(self._folder / f"{camera}.jsonl"), {"camera": camera, **header}
        )

    def record(self, frame: FrameRef, detections: Detections) -> None:
        position_s = frame.timestamp_s - self._origin_s[frame.camera_id]
        self._files[frame.camera_id].write(frame.frame_index, position_s, detections)

    def end(self, end: CameraEnd) -> None:
        """Close a camera's file; what is left open at a crash has no end line and counts as truncated."""
        if end.camera_id in self._files:
            self._files.pop(end.camera_id).close(end.truncated or end.error is not None)


class EmbeddingRecorder:
    """``<folder>/<camera>.jsonl``."""

    def __init__(self, folder: Path, headers: Mapping[str, dict[str, Any]]) -> None:
        self._folder = folder
        self._headers = dict(headers)
        self._files = {
            camera: EmbeddingWriter(folder / f"{camera}.jsonl", {"camera": camera, **header})
            for camera, header in headers.items()
        }

    def begin(self, camera: str, origin_s: float) -> None:
        """As for detections."""
        header = self._headers.get(camera) or _like(self._headers)
        self._headers[camera] = header
        self._files[camera] = EmbeddingWriter(
            next_part(self._folder / f"{camera}.jsonl"), {"camera": camera, **header}
        )

    def record(self, crop: EmbeddedCrop, xyxy: FloatArray) -> None:
        stored = StoredCrop(xyxy, crop.quality, crop.embedding)
        self._files[crop.key.camera_id].write(crop.frame_index, crop.key.local_id, crop.timestamp_s, stored)

    def end(self, end: CameraEnd) -> None:
        if end.camera_id in self._files:
            self._files.pop(end.camera_id).close()


def _like(headers: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """A header for a camera of unknown size, of the networks that all share."""
    header = dict(next(iter(headers.values()), {}))
    return {
        name: None if name == "fps" else 0 if name in ("width", "height") else value
        for name, value in header.items()
    }
