"""What is to be seen in a camera at a frame: boxes of identities, and the way they came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.export.record import RunRecord
from tracking.types import Tracklet

TRAIL_S = 3.0
_LEAP, _LEAP_PER_S = 0.06, 1.2
"""Shares of a box's height that a foot moves at once by jitter, and in a second by walking briskly."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One box of one frame.

    Attributes:
        xyxy: ``(4,)`` px.
        is_seen: False where the box lies between two frames with a detection.
        trail: ``(N, 2)`` px, foot points of the last seconds, oldest first; NaN where the line is broken.
    """

    global_id: int
    class_name: str
    xyxy: npt.NDArray[np.float64]
    is_seen: bool
    trail: npt.NDArray[np.float64]


class CameraScene:
    """Everything that was followed in one camera, by frame; frames are asked for in ascending order."""

    def __init__(self, record: RunRecord, camera_id: str) -> None:
        names = record.header.classes
        found = [
            (tracklet, stored.global_id, names[stored.class_id])
            for stored in record.trajectories
            for tracklet in stored.tracklets
            if tracklet.camera_id == camera_id
        ]
        self._waiting = sorted(found, key=lambda one: int(one[0].frame_index[0]), reverse=True)
        self._active: list[tuple[Tracklet, int, str]] = []
        self._past: dict[int, Tracklet] = {}

    def at(self, frame: int) -> list[Shown]:
        """The boxes of ``frame``, farthest first: the lower a foot, the nearer it is."""
        while self._waiting and self._waiting[-1][0].frame_index[0] <= frame:
            self._active.append(self._waiting.pop())
        for tracklet, global_id, _ in self._active:
            if tracklet.frame_index[-1] < frame:
                self._past[global_id] = tracklet
        self._active = [one for one in self._active if one[0].frame_index[-1] >= frame]
        shown = [self._shown(tracklet, gid, name, frame) for tracklet, gid, name in self._active]
        return sorted(shown, key=lambda one: float(one.xyxy[3]))

    def _shown(self, tracklet: Tracklet, global_id: int, class_name: str, frame: int) -> Shown:
        index = tracklet.frame_index
        at = int(np.searchsorted(index, frame))
        if index[at] == frame:
            box, is_seen = tracklet.xyxy[at].astype(np.float64), not tracklet.interpolated[at]
        else:
            part = (frame - index[at - 1]) / (index[at] - index[at - 1])
            box, is_seen = (1 - part) * tracklet.xyxy[at - 1] + part * tracklet.xyxy[at], False
        now_s = float(np.interp(frame, index, tracklet.timestamp_s))
        steps = np.concatenate([self._before(global_id, now_s), _steps(tracklet, now_s)])
        trail = _trail(steps, float(box[3] - box[1]))
        return Shown(global_id, class_name, box, bool(is_seen), trail)

    def _before(self, global_id: int, now_s: float) -> npt.NDArray[np.float64]:
        """The end of the identity's tracklet before this one, if it is recent."""
        past = self._past.get(global_id)
        return _steps(past, now_s) if past is not None else np.zeros((0, 3))


def _steps(tracklet: Tracklet, now_s: float) -> npt.NDArray[np.float64]:
    """``(N, 3)`` foot point and time of the last seconds."""
    times = tracklet.timestamp_s
    rows = slice(
        int(np.searchsorted(times, now_s - TRAIL_S)), int(np.searchsorted(times, now_s, side="right"))
    )
    boxes = tracklet.xyxy[rows].astype(np.float64)
    return np.stack([0.5 * (boxes[:, 0] + boxes[:, 2]), boxes[:, 3], times[rows]], axis=1)


def _trail(steps: npt.NDArray[np.float64], height_px: float) -> npt.NDArray[np.float64]:
    """``(N, 2)`` foot points, with a row of NaN where the foot leaps because something hides it or shows it again."""
    if len(steps) < 2:
        return steps[:, :2]
    moves = np.diff(steps, axis=0)
    leaps = np.hypot(moves[:, 0], moves[:, 1]) > height_px * (_LEAP + _LEAP_PER_S * moves[:, 2])
    return np.insert(steps[:, :2], np.flatnonzero(leaps) + 1, np.nan, axis=0)
