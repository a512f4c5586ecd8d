"""When was this frame of a live stream taken? The camera's own clock where it gives one, arrival otherwise.

An RTSP camera's RTCP sender reports tie its media clock to its wall clock (RFC 3550, section 6.4.1). Cameras' wall clocks
are often wrong, so they are held against arrival: a constant error, a jump or a drift is measured, reported and, where it
is too large, taken out. Without reports the media clock is tied to arrival by the fastest packets, which waited
least in the network (the minimum filter of RFC 5905, section 10).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from pipeline.sources.health import ClockKind

FLOOR_S = 60
DRIFT_S = 600
DRIFT_BUCKET_S = 10
LEAST_DRIFT_S = 120
PROOF_S = 10.0
"""A stream that is late by more than a jump for so long has been set back; for less, the network was slow."""


@dataclass(slots=True)
class StreamClock:
    """Turns a stream's times into site times, strictly ascending.

    Attributes:
        latency_s: how long a frame takes from the lens to us where the stream does not say.
        max_error_s: a camera clock further from arrival than this is wrong and is corrected by the difference.
        jump_s: a step by more than this is a jump of the camera's clock.
        kind: where the times come from.
        error_s: how far the camera's clock is ahead of ours, arrival and ``latency_s`` taken as the truth.
        is_corrected: whether that error is being taken out.
    """

    latency_s: float = 0.0
    max_error_s: float = 2.0
    jump_s: float = 0.5
    kind: ClockKind = "arrival"
    error_s: float = 0.0
    is_corrected: bool = False
    jumps: int = 0
    _camera_minus_media_s: float | None = None
    _delays: Delays = field(default_factory=lambda: Delays())
    _last_media_s: float = float("-inf")
    _last_s: float = float("-inf")

    def site_time_s(self, media_s: float, arrival_s: float, camera_s: float | None) -> float:
        """Site time of one frame.

        Args:
            media_s: presentation time in the stream.
            arrival_s: host time right after the read, epoch seconds.
            camera_s: the camera's wall clock for this frame, epoch seconds, where it reported one.
        """
        if camera_s is not None:
            self._report(camera_s - media_s)
        stamp_s = media_s + (self._camera_minus_media_s or 0.0)
        self._hold_against(media_s, arrival_s, arrival_s - stamp_s)
        time_s = stamp_s + self._correction()
        # A camera that stands still or steps back must not turn time round.
        self._last_s = max(time_s, self._last_s + 1e-3)
        return self._last_s

    def _report(self, camera_minus_media_s: float) -> None:
        """A sender report: the camera's wall clock against its media clock, which only a jump changes by much."""
        before_s = self._camera_minus_media_s
        self._camera_minus_media_s = camera_minus_media_s
        if before_s is None:
            self.kind = "rtcp"
            self._delays.clear()
        elif abs(camera_minus_media_s - before_s) > self.jump_s:
            self._jumped()

    def _hold_against(self, media_s: float, arrival_s: float, delay_s: float) -> None:
        """Note how long this frame took. With sender reports the camera's clock speaks for itself; without, a step of
        the delay is one of the media clock, where it cannot be the network's."""
        if self.kind == "arrival" and self._delays.span_s > 0:
            self._find_jump(media_s, delay_s)
        self._delays.add(arrival_s, delay_s)
        self._last_media_s = media_s

    def _find_jump(self, media_s: float, delay_s: float) -> None:
        if media_s < self._last_media_s - self.jump_s:
            self._jumped()
        elif delay_s < self._delays.floor_s - self.jump_s:
            # Soon after the start it is only the backlog of a new connection running dry.
            self.jumps += self._delays.span_s > PROOF_S
            self._delays.clear()
        elif self._delays.latest_s(PROOF_S) > self._delays.floor_s + self.jump_s:
            self._jumped()

    def _jumped(self) -> None:
        self.jumps += 1
        self._delays.clear()

    def _correction(self) -> float:
        """Seconds to add to the camera's times."""
        delay_s = self._delays.floor_s
        if self.kind == "arrival":
            return delay_s - self.latency_s
        self.error_s = self.latency_s - delay_s
        # Once taken out, an error stays out until it is clearly gone: no stepping to and fro at the limit.
        limit_s = self.max_error_s / 2 if self.is_corrected else self.max_error_s
        self.is_corrected = abs(self.error_s) > limit_s
        return -self.error_s if self.is_corrected else 0.0

    @property
    def drift_ppm(self) -> float:
        """How much faster (+) than ours the stream's clock runs, parts per million; 0 until it can be told."""
        return -1e6 * self._delays.slope()

    def restart(self) -> None:
        """A new connection: its media clock has nothing to do with the last one's."""
        self._delays.clear()
        self._camera_minus_media_s = None
        self.kind = "arrival"


class Delays:
    """Differences between arrival and stamp: the smallest of every second, for ten minutes."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[float, float]] = deque(maxlen=DRIFT_S)
        self.floor_s = float("inf")

    @property
    def span_s(self) -> float:
        """From the first second remembered to the last."""
        return self._seconds[-1][0] - self._seconds[0][0] if self._seconds else 0.0

    def add(self, arrival_s: float, delay_s: float) -> None:
        second_s = float(np.floor(arrival_s))
        if self._seconds and self._seconds[-1][0] >= second_s:
            self._seconds[-1] = (self._seconds[-1][0], min(self._seconds[-1][1], delay_s))
            self.floor_s = min(self.floor_s, delay_s)
            return
        self._seconds.append((second_s, delay_s))
        self.floor_s = self.latest_s(FLOOR_S)

    def latest_s(self, window_s: float) -> float:
        """The smallest of the last ``window_s`` seconds; -inf while there is no older second to hold it against."""
        last_s = self._seconds[-1][0]
        if window_s < FLOOR_S and self.span_s <= window_s:
            return float("-inf")
        return min(delay_s for second_s, delay_s in self._seconds if second_s > last_s - window_s)

    def slope(self) -> float:
        """Seconds per second by which the delay grows: least squares over the smallest of every ten seconds.

        0 in the first two minutes, and where it is not three times its own standard error: a busy network is no drift.
        """
        seconds = np.asarray(tuple(self._seconds))
        if len(seconds) < 2 or seconds[-1, 0] - seconds[0, 0] < LEAST_DRIFT_S:
            return 0.0
        at_s = seconds[:, 0] - seconds[0, 0]
        starts = np.unique((at_s // DRIFT_BUCKET_S).astype(np.int64), return_index=True)[1]
        floors = np.minimum.reduceat(seconds[:, 1], starts)
        (slope, _), covariance = np.polyfit(at_s[starts], floors, 1, cov=True)
        return float(slope) if abs(slope) > 3 * float(np.sqrt(covariance[0, 0])) else 0.0

    def clear(self) -> None:
        self._seconds.clear()
        self.floor_s = float("inf")
