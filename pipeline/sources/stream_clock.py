"""When was this frame of a live stream taken? The camera's own clock where it gives one, arrival otherwise.

An RTSP camera's RTCP sender reports tie its media clock to its wall clock; FFmpeg hands that on as each packet's
producer reference time. Cameras' wall clocks are often wrong, so they are held against arrival: a constant error,
a jump or a drift is measured, reported and taken out. Without reports the media clock is tied to arrival by the
fastest packets, which waited least in the network (the minimum filter of RFC 5905, section 10).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

ClockKind = Literal["rtcp", "arrival"]


@dataclass(slots=True)
class StreamClock:
    """Turns a stream's times into site times, strictly ascending.

    Attributes:
        latency_s: how long a frame takes from the lens to us where the stream does not say.
        max_error_s: a camera clock further from arrival than this is wrong and is corrected by the difference.
        jump_s: a step of the difference by more than this is a jump of the camera's clock.
        window_s: seconds of packets the minimum filter and the drift look back on.
    """

    latency_s: float = 0.0
    max_error_s: float = 2.0
    jump_s: float = 0.5
    window_s: float = 60.0
    kind: ClockKind = "arrival"
    error_s: float = 0.0
    jumps: int = 0
    _delays: deque[tuple[float, float]] = field(default_factory=deque)
    _last_s: float = float("-inf")

    def site_time_s(self, media_s: float, arrival_s: float, camera_s: float | None) -> float:
        """Site time of one frame.

        Args:
            media_s: presentation time in the stream.
            arrival_s: host time right after the read, epoch seconds.
            camera_s: the camera's wall clock for this frame, epoch seconds, where it reported one.
        """
        kind: ClockKind = "arrival" if camera_s is None else "rtcp"
        if kind != self.kind:
            self._delays.clear()
            self.kind = kind
        stamp_s = media_s if camera_s is None else camera_s
        delay_s = self._least_delay(arrival_s, arrival_s - stamp_s)
        time_s = stamp_s + self._correction(delay_s)
        # A camera that stands still or steps back must not turn time round.
        self._last_s = max(time_s, self._last_s + 1e-3)
        return self._last_s

    def _least_delay(self, arrival_s: float, delay_s: float) -> float:
        """The smallest recent difference between arrival and stamp; a jump of the stamps starts afresh."""
        if self._delays and abs(delay_s - self._floor()) > self.jump_s + self._spread():
            self.jumps += 1
            self._delays.clear()
        self._delays.append((arrival_s, delay_s))
        while arrival_s - self._delays[0][0] > self.window_s:
            self._delays.popleft()
        return self._floor()

    def _floor(self) -> float:
        return min(delay for _, delay in self._delays)

    def _spread(self) -> float:
        """How much later than the fastest packet packets have come: network jitter is not a jump."""
        return max(delay for _, delay in self._delays) - self._floor()

    def _correction(self, delay_s: float) -> float:
        if self.kind == "arrival":
            return delay_s - self.latency_s
        self.error_s = self.latency_s - delay_s
        return delay_s - self.latency_s if abs(self.error_s) > self.max_error_s else 0.0

    @property
    def drift_ppm(self) -> float:
        """How much faster (+) than ours the stream's clock runs, in parts per million, over the window."""
        if len(self._delays) < 50:
            return 0.0
        arrival_s, delay_s = np.array(self._delays).T
        return float(-1e6 * np.polyfit(arrival_s - arrival_s[0], delay_s, 1)[0])

    def restart(self) -> None:
        """A new connection: its media clock has nothing to do with the last one's."""
        self._delays.clear()
