"""Detections and embeddings taken down while running, one file per camera, for replaying them later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.packets import CameraEnd, EmbeddedCrop
from pipeline.stages.detection_files import DetectionWriter
from pipeline.stages.embedding_files import EmbeddingWriter, StoredCrop
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
        self._origin_s = origin_s
        self._files = {
            camera: DetectionWriter(folder / f"{camera}.jsonl", {"camera": camera, **header})
            for camera, header in headers.items()
        }

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
        self._files = {
            camera: EmbeddingWriter(folder / f"{camera}.jsonl", {"camera": camera, **header})
            for camera, header in headers.items()
        }

    def record(self, crop: EmbeddedCrop, xyxy: FloatArray) -> None:
        stored = StoredCrop(xyxy, crop.quality, crop.embedding)
        self._files[crop.key.camera_id].write(crop.frame_index, crop.key.local_id, crop.timestamp_s, stored)

    def end(self, end: CameraEnd) -> None:
        if end.camera_id in self._files:
            self._files.pop(end.camera_id).close()
