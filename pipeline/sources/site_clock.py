"""The host's clock as live runs use it: seconds since 1970 that never run backwards.

Wall time decides where a run starts and follows steps forward (a clock set right after booting); a step back is not
followed, since frames already stamped cannot be taken back. Between steps both clocks are slewed alike.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

STEP_S = 0.25


class SiteClock:
    """Wall time over a steady clock; one for all cameras of a process.

    Attributes:
        steps_s: how far the host's wall clock was stepped so far, forward and back, in seconds.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._steady = wall, steady
        self._lock = threading.Lock()
        self._offset_s = self._seen_s = wall() - steady()
        self.steps_s = 0.0

    def now_s(self) -> float:
        """Epoch seconds."""
        steady_s = self._steady()
        offset_s = self._wall() - steady_s
        if abs(offset_s - self._seen_s) > STEP_S:
            self._step(offset_s)
        return steady_s + self._offset_s

    def _step(self, offset_s: float) -> None:
        with self._lock:
            self.steps_s += offset_s - self._seen_s
            self._seen_s = offset_s
            self._offset_s = max(self._offset_s, offset_s)


SITE_CLOCK = SiteClock()
