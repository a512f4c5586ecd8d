"""How long to wait before the next attempt: twice as long each time, up to a limit, and never in step with others."""

from __future__ import annotations

import random

FIRST_S = 0.5
STEADY_S = 10.0
SPREAD = (0.4, 0.8)
"""Of the longest wait; the rest of it is for opening the stream and for its next key frame."""


class Backoff:
    """Exponential back-off with jitter: 0.4 to 0.8 of 0.5, 1, 2 ... ``max_s`` seconds.

    An attempt that had to time out has waited already: what it took counts. A connection that held for ten seconds
    begins anew; a refusal that will not pass by itself (wrong password, no such stream) goes to ``max_s`` at once, so
    that no camera locks its account or floods its log because of us.
    """

    def __init__(self, max_s: float, rng: random.Random | None = None) -> None:
        self._max_s = max_s
        self._next_s = min(FIRST_S, max_s)
        self._rng = rng or random.Random()

    def wait_s(self, held_s: float, *, tried_s: float = 0.0, is_refused: bool = False) -> float:
        """Seconds to wait after a connection that held for ``held_s`` seconds, or was tried in vain for ``tried_s``."""
        if held_s > STEADY_S:
            self._next_s = min(FIRST_S, self._max_s)
        limit_s = self._max_s if is_refused else self._next_s
        self._next_s = min(2 * limit_s, self._max_s)
        return max(0.0, limit_s * self._rng.uniform(*SPREAD) - tried_s)
