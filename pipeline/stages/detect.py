"""Detection in one batch across cameras: any detector's boxes, in the run's classes, filtered by the run's rules."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Protocol

import cv2
import numpy as np

from pipeline.config import DetectorConfig
from pipeline.errors import ModelError
from pipeline.packets import DetectedFrame, Frame
from pipeline.roi import RegionOfInterest
from tracking.boxes import iou_matrix
from tracking.types import BoolArray, Detections, FloatArray, FrameRef, IntArray, class_groups_table

_WITHIN = 0.95
"""So much of a box lies within another where it is a part of the same object,"""

_ALIKE = 0.4
"""and so large is their overlap: a distant object before a large one is no part of it."""


class Detector(Protocol):
    """One entry per frame, in order; ``class_id`` indexes the run's classes."""

    def detect(self, frames: Sequence[Frame]) -> Sequence[Detections]: ...


class NetworkDetector(Detector, Protocol):
    """A detector that computes; ``runtime`` is the library that does it."""

    runtime: str


class Recorder(Protocol):
    """Takes down what was detected, for replaying it later."""

    def record(self, frame: FrameRef, detections: Detections) -> None: ...


class DetectStage:
    """Frames in, detected frames out.

    Per class a lowest confidence; boxes of classes that may share an identity suppress each other, so that a van seen
    as car and truck is one; outside the camera's region of interest nothing counts. Boxes are rounded to 0.01 px and
    confidences to 0.0001, which is finer than any detector and lets stored detections replay to the same result.
    """

    def __init__(
        self,
        detector: Detector,
        config: DetectorConfig,
        regions: Mapping[str, RegionOfInterest | None],
        recorder: Recorder | None = None,
    ) -> None:
        self._detector = detector
        self._min_confidence = min_confidence_of(config)
        self._groups = class_groups_of(config)
        self._max_iou = 1.0 if config.backend == "replay" else config.max_iou
        self._regions = regions
        self._recorder = recorder

    def process(self, batch: Sequence[Frame]) -> list[DetectedFrame]:
        if not batch:
            return []
        found = self._detector.detect(batch)
        return [self._finish(frame, detections) for frame, detections in zip(batch, found, strict=True)]

    def flush(self) -> list[DetectedFrame]:
        return []

    def _finish(self, frame: Frame, detections: Detections) -> DetectedFrame:
        kept = detections[detections.confidence >= self._min_confidence[detections.class_id]]
        region = self._regions.get(frame.ref.camera_id)
        if region is not None:
            kept = kept[region.contains(kept.xyxy)]
        kept = rounded(suppressed(kept, self._groups, self._max_iou))
        if self._recorder is not None:
            self._recorder.record(frame.ref, kept)
        return DetectedFrame(frame, kept)


def rounded(detections: Detections) -> Detections:
    """Boxes to 0.01 px, confidences to 0.0001."""
    xyxy = np.round(detections.xyxy.astype(np.float64), 2).astype(np.float32)
    confidence = np.round(detections.confidence.astype(np.float64), 4).astype(np.float32)
    return Detections(xyxy, confidence, detections.class_id)


def suppressed(detections: Detections, groups: IntArray, max_iou: float) -> Detections:
    """Non-maximum suppression within each class group, parts included; what is kept stays in its order."""
    if len(detections) < 2 or max_iou >= 1:
        return detections
    boxes = detections.xyxy.astype(np.float64)
    boxes = np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
    group = groups[detections.class_id].astype(int).tolist()
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), detections.confidence.tolist(), group, 0.0, max_iou)
    left = detections[np.sort(np.asarray(kept, dtype=np.int64).reshape(-1))]
    return left[~parts(left, groups)]


def parts(detections: Detections, groups: IntArray) -> BoolArray:
    """``(N,)`` which boxes lie within a surer one of their class group that is not much larger.

    Of what is half hidden detectors draw both the whole and the part in view, which overlap too little for non-maximum
    suppression to take them for one. Two that stand behind one another are seldom so exactly within each other.
    """
    boxes = detections.xyxy.astype(np.float64)
    overlap = iou_matrix(boxes, boxes)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    shared = overlap * (area[:, None] + area) / (1.0 + overlap)
    group = groups[detections.class_id]
    part = (shared > _WITHIN * np.minimum(area[:, None], area)) & (overlap > _ALIKE)
    part &= (group[:, None] == group) & (detections.confidence[:, None] > detections.confidence)
    dropped = np.zeros(len(boxes), np.bool_)
    for row in np.argsort(-detections.confidence, kind="stable"):
        if not dropped[row]:
            dropped |= part[row]
    return dropped


def min_confidence_of(config: DetectorConfig) -> FloatArray:
    """``(num_classes,)``: the lowest confidence kept of each class; a class without its own number keeps 0.1 and up."""
    wanted = config.min_confidence
    if not isinstance(wanted, dict):
        return np.full(len(config.classes), wanted, dtype=np.float32)
    return np.asarray([wanted.get(name, 0.1) for name in config.classes], dtype=np.float32)


def class_groups_of(config: DetectorConfig) -> IntArray:
    """``(num_classes,)``: class to the group whose members may share an identity."""
    groups = [[config.classes.index(name) for name in group] for group in config.class_groups]
    return class_groups_table(len(config.classes), groups)


def class_table(native: Sequence[str], wanted: Sequence[str], owner: str) -> IntArray:
    """``(len(native),)``: a detector's class index to the run's, -1 for those not followed.

    Raises:
        ModelError: a wanted class the detector does not know, with the nearest names it does.
    """
    unknown = [name for name in wanted if name not in native]
    if unknown:
        near = {match for name in unknown for match in difflib.get_close_matches(name, native, n=3)}
        hint = (
            f"; did you mean {', '.join(sorted(near))}?" if near else f"; it knows {', '.join(native[:20])}"
        )
        raise ModelError(f"{owner}: does not detect {', '.join(unknown)}{hint}")
    return np.asarray([wanted.index(name) if name in wanted else -1 for name in native], dtype=np.int64)
