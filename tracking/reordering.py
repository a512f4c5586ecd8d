"""Let neighbours decide between like distances without moving the threshold.

Re-ranking gives distances on a scale of its own. Here only its order counts: each re-ranked distance becomes the cosine
distance of the same rank among the candidate pairs, and is averaged with the pair's own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tracking.evidence import Evidence
from tracking.types import FloatArray, IntArray

__all__ = ["Reordering", "Rerank"]

PairDistance = Callable[[IntArray, IntArray], FloatArray]
Rerank = Callable[[FloatArray], PairDistance]
"""From unit embeddings ``(N, D)`` to a distance ``(M,)`` for rows ``(M,)`` and ``(M,)``, on any scale."""


class Reordering:
    """Replaces half of each distance by the one of its rank.

    Args:
        distance: re-ranked distance of any pair of rows.
        evidence: of the candidate pairs, whose ranks set the scale.
    """

    def __init__(self, distance: PairDistance, evidence: Evidence) -> None:
        self._distance = distance
        known = np.flatnonzero(~np.isnan(evidence.cosine))
        self._ranked = np.sort(distance(evidence.first[known], evidence.second[known]))
        self._cosine = np.sort(evidence.cosine[known])

    def apply(self, cosine: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        """Distances ``(M,)`` of rows ``(M,)`` and ``(M,)``, reordered; NaN stays."""
        if not len(self._cosine) or not len(first):
            return cosine
        ranked = self._distance(first, second)
        # Ties (nothing in common) share the middle of their ranks.
        low, high = (np.searchsorted(self._ranked, ranked, side) for side in ("left", "right"))
        rank = np.minimum((low + np.maximum(high - 1, low)) // 2, len(self._cosine) - 1)
        return np.asarray(0.5 * (cosine + self._cosine[rank]), np.float32)
