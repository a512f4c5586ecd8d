"""How fast anybody is believed to move on the ground, from how fast they are seen to move.

Between two cameras nobody is seen, so how fast they may have come is a guess; that they were not much faster than everybody
is in view is a good one, for walkers as for cars, and needs no number for either.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from tracking.sketch import Sketch
from tracking.types import FloatArray, SecondsArray

__all__ = ["FASTEST_MPS", "SpeedLimits"]

FASTEST_MPS = 10.0
"""Believed where the footage does not tell."""

_SLOWEST_MPS = 3.0
"""Whoever stands may walk."""

_MARGIN = 2.0
_HARDLY_ANYBODY = 0.95
_WINDOW_S = 1.0
_REMEMBERED = 500
_MIN_KNOWN = 10


class SpeedLimits:
    """The speed that nobody exceeds, for each class group: a given one, or twice what hardly anybody seen exceeds.

    Who must have been faster than hardly anybody is, by the straight line, is less likely the same.

    Args:
        given: metres per second for everybody; None learns it.
    """

    def __init__(self, given: float | None) -> None:
        self._given = given
        self._seen: dict[int, deque[float]] = {}

    def observe(self, sketch: Sketch) -> None:
        """Learn from a finished tracklet; without a second on the ground plane it tells nothing."""
        speeds = _speeds(sketch.time_s, sketch.ground_xy)
        if self._given is None and len(speeds):
            known = self._seen.setdefault(sketch.group, deque(maxlen=_REMEMBERED))
            known.append(float(np.quantile(speeds, _HARDLY_ANYBODY)))

    def of(self, group: int) -> tuple[float, float]:
        """What hardly anybody exceeds and what nobody does, metres per second."""
        if self._given is not None:
            return self._given, self._given
        known = self._seen.get(group, ())
        if len(known) < _MIN_KNOWN:
            return FASTEST_MPS, FASTEST_MPS
        fast = float(np.quantile(known, _HARDLY_ANYBODY))
        return fast, max(_MARGIN * fast, _SLOWEST_MPS)


def _speeds(time_s: SecondsArray, ground_xy: FloatArray) -> FloatArray:
    """Over about a second each: shorter steps are mostly noise."""
    later = np.searchsorted(time_s, time_s + _WINDOW_S)
    start = np.flatnonzero(later < len(time_s))
    end = later[start]
    way = np.linalg.norm(ground_xy[end] - ground_xy[start], axis=1)
    return np.asarray(way / (time_s[end] - time_s[start]), np.float32)
