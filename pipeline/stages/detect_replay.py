"""Stored detections in place of a detector, so that tracking and association can be re-run without pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.packets import Frame
from pipeline.stages.detection_files import StoredDetections, class_rows
from tracking.types import Detections


class ReplayDetector:
    """Looks every frame up by camera and frame number; classes the run does not follow are left out."""

    def __init__(self, stored: Mapping[str, StoredDetections], classes: Sequence[str]) -> None:
        self._stored = stored
        self._classes = classes

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        return [self._of(frame) for frame in frames]

    def _of(self, frame: Frame) -> Detections:
        camera = frame.ref.camera_id
        stored = self._stored[camera]
        found, known = stored.of(frame.ref.frame_index), class_rows(stored, self._classes)
        kept = found[np.asarray([int(c) in known for c in found.class_id], dtype=np.bool_)]
        classes = np.asarray([known[int(c)] for c in kept.class_id], dtype=np.int64)
        return Detections(kept.xyxy, kept.confidence, classes)
