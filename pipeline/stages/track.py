"""Tracking inside each camera: one tracker per camera, nothing shared between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.packets import DetectedFrame
from tracking.motion import CameraMotion
from tracking.tracker import CameraTracker, TrackerConfig
from tracking.types import Detections, FloatArray, FrameRef, IntArray, TrackedFrame


class TrackStage:
    """Detected frames in, tracked frames out. A camera's end is one more tracked frame, without boxes: all end."""

    def __init__(
        self,
        config: TrackerConfig,
        class_groups: IntArray,
        motion_of: Callable[[str], CameraMotion | None] = lambda camera_id: None,
        confidence_gain: float = 1.0,
    ) -> None:
        """Track with one configuration.

        Args:
            config: of every camera's tracker.
            class_groups: ``(num_classes,)`` class to group.
            motion_of: gives a camera that moves something to measure that with.
            confidence_gain: see `believed`.
        """
        self._config = config
        self._gain = confidence_gain
        self._groups = class_groups
        self._motion_of = motion_of
        self._trackers: dict[str, CameraTracker] = {}
        self._motions: dict[str, CameraMotion | None] = {}
        self._last: dict[str, FrameRef] = {}
        self._next_ids: dict[str, int] = {}

    def process(self, batch: Sequence[DetectedFrame]) -> list[TrackedFrame]:
        return [self._update(detected) for detected in batch]

    def _update(self, detected: DetectedFrame) -> TrackedFrame:
        ref = detected.frame.ref
        if ref.camera_id not in self._trackers:
            first_id = self._next_ids.get(ref.camera_id, 1)
            tracker = CameraTracker(ref.camera_id, self._config, self._groups, first_id=first_id)
            self._trackers[ref.camera_id] = tracker
            self._motions[ref.camera_id] = self._motion_of(ref.camera_id)
        self._last[ref.camera_id] = ref
        motion = self._motions[ref.camera_id]
        moved = None if motion is None else motion.estimate(detected.frame.image, detected.detections.xyxy)
        seen = detected.detections
        tracked = self._trackers[ref.camera_id].update(ref, believed(seen, self._gain), camera_motion=moved)
        return replace(tracked, confidence=seen.confidence[tracked.detection_index])

    def end(self, camera_id: str) -> list[TrackedFrame]:
        """What ends with a camera; nothing where it never gave a frame. Should it come back, its local ids go on."""
        tracker = self._trackers.pop(camera_id, None)
        self._motions.pop(camera_id, None)
        if tracker is None:
            return []
        self._next_ids[camera_id] = tracker.next_id
        return [_nothing_seen(self._last.pop(camera_id), tracker.flush())]

    def silent(self, camera_id: str, time_s: float) -> list[TrackedFrame]:
        """End the tracks of a camera that gave nothing until ``time_s``, once they could not go on anyway."""
        last = self._last.get(camera_id)
        if last is None or time_s - last.timestamp_s <= self._config.max_lost_s:
            return []
        ended = self._trackers[camera_id].flush()
        return [_nothing_seen(FrameRef(camera_id, last.frame_index, time_s), ended)] if ended else []

    def flush(self) -> list[TrackedFrame]:
        return [tracked for camera_id in sorted(self._trackers) for tracked in self.end(camera_id)]


def believed(detections: Detections, gain: float) -> Detections:
    """Detections with the confidence the tracker should have in them: ``1 - (1 - confidence)^gain``.

    Detectors differ in what their numbers mean. A box of which a two-stage network says 0.6 is as likely false as one
    of which a YOLO says 0.3: its 0.3 weighs as much as ``gain`` independent ones of a detector that means what it says.
    """
    if gain == 1.0:
        return detections
    confidence = -np.expm1(gain * np.log1p(-np.clip(detections.confidence.astype(np.float64), 0.0, 1.0 - 1e-9)))
    return Detections(detections.xyxy, confidence.astype(np.float32), detections.class_id)


def _nothing_seen(ref: FrameRef, ended: tuple[int, ...]) -> TrackedFrame:
    count: IntArray = np.zeros(0, dtype=np.int64)
    share: FloatArray = np.zeros(0, dtype=np.float32)
    return TrackedFrame(ref, count, share.reshape(0, 4), share, count, count, count.astype(np.bool_), ended)
