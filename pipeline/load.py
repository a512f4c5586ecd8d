"""Live footage on a machine that is too slow: use fewer frames, evenly, rather than fall behind.

The work of a frame is measured while running. What comes in times what a frame costs is the load; above one, frames would
queue. Then every camera gives only the share of its frames that fills ``TARGET`` of the time, which keeps the
queues short; what still waits for longer than ``max_latency_s`` is dropped by its reader. One bad window is not
enough: networks are slow the first time they run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

WINDOW_S = 2.0
TARGET = 0.85
TOO_MUCH = 0.95
FASTER = 1.25
LEAST = 0.02
TELL_S = 60.0

log = logging.getLogger(__name__)


class Shedding(Protocol):
    """What a reader offers here."""

    @property
    def frames_offered(self) -> int: ...

    def shed(self, share: float) -> None: ...


class LoadControl:
    """Sets the share of frames that live cameras use.

    Attributes:
        share: of the frames that is used, in (0, 1].
        load: seconds of work that come in per second.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self.share = 1.0
        self.load = 0.0
        self._steady = steady
        self._began = steady()
        self._busy_s = 0.0
        self._frames = 0
        self._offered: int | None = None
        self._is_strained = False
        self._told = float("-inf")
        self._told_share = 1.0

    def worked(self, frames: int, seconds: float, readers: Sequence[Shedding]) -> None:
        """A batch of ``frames`` took ``seconds``; once in two seconds the share is set anew."""
        self._frames += frames
        self._busy_s += seconds
        now = self._steady()
        if now - self._began < WINDOW_S:
            return
        offered = sum(reader.frames_offered for reader in readers)
        if self._offered is not None and self._frames:
            rate = max(0, offered - self._offered) / (now - self._began)
            self._adjust(rate, self._busy_s / self._frames)
            for reader in readers:
                reader.shed(self.share)
        self._began, self._offered, self._busy_s, self._frames = now, offered, 0.0, 0

    def _adjust(self, rate: float, cost_s: float) -> None:
        self.load = rate * cost_s
        was_strained, self._is_strained = self._is_strained, self.load > TOO_MUCH
        if self.share == 1.0 and not (was_strained and self._is_strained):
            return
        wanted = TARGET / max(self.load, 1e-9)
        self.share = max(LEAST, min(1.0, wanted, self.share * FASTER))
        self._tell(rate)

    def _tell(self, rate: float) -> None:
        now, change = self._steady(), abs(self.share - self._told_share)
        begins_or_ends = change and 1.0 in (self.share, self._told_share)
        if not begins_or_ends and (now - self._told < TELL_S or change < 0.1):
            return
        if self.share == 1.0:
            log.info("this machine keeps up again: every frame is used")
        else:
            told = "this machine is too slow for %.1f frames/s: using %.0f %% of them, evenly, to stay up to date"
            log.warning(told, rate, 100 * self.share)
        self._told, self._told_share = now, self.share
