"""What is to be known of one camera at any moment: for metrics, the status table and health checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CameraState = Literal["connecting", "live", "lost", "ended"]
"""``connecting``: not one frame yet; ``lost``: it gave frames or refused, and is tried again; ``ended``: for good."""
PictureState = Literal["live", "frozen", "black"]
ClockKind = Literal["rtcp", "arrival", "recorded"]
"""Where frame times come from: the camera's RTCP reports, the time of arrival, or a recording's own times."""
METER_S = 10


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """One camera's counters and gauges since the run began; a snapshot that never changes.

    Attributes:
        frames_in: pictures decoded from the stream.
        frames_used: frames handed to the detector.
        frames_dropped: frames never used because the machine was too slow: pushed out by newer ones or skipped.
        frames_late: frames dropped because they came after ``max_lateness_s``.
        queued: frames decoded and waiting.
        frames_skipped: pictures that could not be decoded.
        reconnects: times the stream was lost and is or was opened again.
        lag_s: now minus the time the last used frame was taken; 0 before the first.
        silent_s: seconds since the last frame came in; since the start before the first.
        fps_in: frames per second that came in, over the last ten seconds.
        clock_error_s: how far the camera's own clock is ahead (+) of or behind (-) ours.
        clock_jumps: steps of the camera's clock that were noticed and corrected.
        drift_ppm: how much faster (+) than ours the camera's clock runs, parts per million.
        last_error: why the stream was last lost, credentials masked; empty if never.
    """

    camera_id: str
    state: CameraState = "connecting"
    picture: PictureState = "live"
    is_live: bool = True
    frames_in: int = 0
    frames_used: int = 0
    frames_dropped: int = 0
    frames_late: int = 0
    frames_skipped: int = 0
    reconnects: int = 0
    queued: int = 0
    lag_s: float = 0.0
    silent_s: float = 0.0
    fps_in: float = 0.0
    width: int = 0
    height: int = 0
    codec: str = ""
    clock_kind: ClockKind = "arrival"
    clock_error_s: float = 0.0
    clock_jumps: int = 0
    drift_ppm: float = 0.0
    last_error: str = ""


class RateMeter:
    """Events per second over the last ten; written by one thread, read by any."""

    def __init__(self) -> None:
        self._marks: tuple[tuple[float, int], ...] = ()
        self._latest = 0

    def count(self, total: int, now_s: float) -> None:
        """``total`` events have happened; ``now_s`` from a steady clock."""
        self._latest = total
        if not self._marks or now_s - self._marks[-1][0] >= 1.0:
            self._marks = (*self._marks[-METER_S:], (now_s, total))

    def per_second(self, now_s: float) -> float:
        marks = [mark for mark in self._marks if now_s - mark[0] <= METER_S + 1]
        if not marks or now_s <= marks[0][0]:
            return 0.0
        return (self._latest - marks[0][1]) / (now_s - marks[0][0])
