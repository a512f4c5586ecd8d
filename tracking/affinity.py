"""How well detections fit tracks: the cost of every pair within reach, from several views of the same boxes.

Overlap alone forgets how sure a prediction is, and a Mahalanobis distance alone forgets what overlap says of
size; their sum does better than either. Terms follow ByteTrack (overlap times confidence, arXiv 2110.06864),
C-BIoU (buffered boxes, 2211.14317), BoostTrack (shape and Mahalanobis terms, 2408.13003) and OC-SORT (direction
of the observed motion, 2203.14360).

Most pairs of a crowded frame are nowhere near each other. Which could be within the limit is told by comparing
intervals; only for those is anything computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracking.types import BoolArray, IntArray

Array = npt.NDArray[np.float64]

__all__ = ["CostWeights", "Pairs", "appearance_cost", "association_pairs", "overlap_pairs"]

_CHI2_95 = 9.488
"""95 % of true pairs have a squared Mahalanobis distance below it (four degrees of freedom)."""

_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class CostWeights:
    """What counts when a detection is compared with a track; the overlap itself counts 1.

    Attributes:
        buffer: boxes are grown by this part of their size on each side before their overlap is taken, so that
            fast and small objects still touch their prediction.
        size: per relative difference in width plus that in height.
        motion: for a detection at the edge of what the motion model allows (twice that at most).
        direction: half the difference between going on straight ahead and turning back.
        direction_memory_s: the motion so far is taken over about this long.
    """

    buffer: float = 0.14
    size: float = 0.34
    motion: float = 0.27
    direction: float = 0.24
    direction_memory_s: float = 0.65

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"CostWeights.{name}: expected 0 or more, got {value}")
        if self.direction_memory_s == 0:
            raise ValueError("CostWeights.direction_memory_s: expected a positive number, got 0")


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """K pairs that may belong together, by track, then detection.

    Attributes:
        track: ``(K,)`` rows of the tracks.
        detection: ``(K,)`` rows of the detections.
        cost: ``(K,)``.
    """

    track: IntArray
    detection: IntArray
    cost: Array

    def __getitem__(self, index: BoolArray) -> Pairs:
        return Pairs(self.track[index], self.detection[index], self.cost[index])


def association_pairs(
    predicted: Array,
    variance: Array,
    heading: Array,
    seen: Array,
    detected: Array,
    confidence: Array,
    weights: CostWeights,
    max_cost: float,
) -> Pairs:
    """Every pair that costs ``max_cost`` or less, and some that cost more.

    The cost is about 0 for a perfect fit, 1 for boxes that just do not touch, more beyond.

    Args:
        predicted: ``(N, 4)`` center-size boxes of the tracks at this frame's time, px.
        variance: ``(N, 4)`` of a measurement around them, px squared.
        heading: ``(N, 2)`` unit vectors of the motion observed so far, or zeros where there is none.
        seen: ``(N, 2)`` centers where the tracks were last detected.
        detected: ``(M, 4)`` center-size boxes.
        confidence: ``(M,)`` how much of the overlap counts.
        weights: of the terms.
        max_cost: what is asked for.
    """
    reach = np.maximum(
        (0.5 + weights.buffer) * predicted[:, 2:], _stray(weights, max_cost) * np.sqrt(variance[:, :2])
    )
    track, detection = _within(predicted, reach, detected, weights.buffer)
    ours, theirs = _rows(predicted, track), _rows(detected, detection)
    offset = np.abs(theirs - ours)
    cost = 1.0 - confidence[detection] * _overlap(ours, theirs, offset, weights.buffer)
    larger = np.maximum(ours[2:], theirs[2:])
    unlike = offset[2:] / larger
    cost += weights.size * (unlike[0] + unlike[1])
    each = offset * offset / _rows(variance, track)
    squared = each[0] + each[1] + each[2] + each[3]
    cost += (0.5 * weights.motion / _CHI2_95) * np.minimum(squared, 2.0 * _CHI2_95)
    if weights.direction:
        step = theirs[:2] - _rows(seen, track)
        cost -= (0.5 * weights.direction) * _straightness(_rows(heading, track), step)
    return Pairs(track, detection, cost)


def overlap_pairs(first: Array, second: Array) -> Pairs:
    """One minus overlap of every pair of center-size boxes, ``(N, 4)`` and ``(M, 4)``, that touch."""
    i, j = _within(first, 0.5 * first[:, 2:], second, 0.0)
    ours, theirs = _rows(first, i), _rows(second, j)
    return Pairs(i, j, 1.0 - _overlap(ours, theirs, np.abs(theirs - ours), 0.0))


def appearance_cost(tracks: Array, detections: Array, pairs: Pairs) -> Array:
    """``(K,)`` cosine distances of unit ``(N, D)`` and ``(M, D)``; 0 where either is all zeros, unknown."""
    if tracks.shape[1] != detections.shape[1]:
        return np.zeros(len(pairs.track))
    known = np.any(tracks[pairs.track], axis=1) & np.any(detections[pairs.detection], axis=1)
    alike = (tracks @ detections.T)[pairs.track, pairs.detection]
    return np.asarray(np.where(known, 1.0 - alike, 0.0))


def _stray(weights: CostWeights, max_cost: float) -> float:
    """How many standard deviations along an axis a box may be off and still cost ``max_cost`` without overlap."""
    slack = max_cost - 1.0 + 0.5 * weights.direction
    if slack < 0.0:
        return 0.0
    return math.inf if slack >= weights.motion else math.sqrt(2.0 * _CHI2_95 * slack / weights.motion)


def _within(first: Array, reach: Array, second: Array, buffer: float) -> tuple[IntArray, IntArray]:
    """Rows of the pairs where the grown ``second`` box meets what is within ``(N, 2)`` reach of the first's center."""
    half = (0.5 + buffer) * second[:, 2:]
    low, high = first[:, :2] - reach, first[:, :2] + reach
    near = (low[:, :1] <= second[:, 0] + half[:, 0]) & (high[:, :1] >= second[:, 0] - half[:, 0])
    near &= (low[:, 1:] <= second[:, 1] + half[:, 1]) & (high[:, 1:] >= second[:, 1] - half[:, 1])
    i, j = np.nonzero(near)
    return i, j


def _rows(values: Array, index: IntArray) -> Array:
    """``(D, K)``: the rows ``index`` of ``(N, D)``, coordinates first."""
    return np.asarray(values.take(index, axis=0).T)


def _overlap(ours: Array, theirs: Array, offset: Array, buffer: float) -> Array:
    """``(K,)`` intersection over union of ``(4, K)`` center-size boxes made ``1 + 2 * buffer`` times as large."""
    grown = 1.0 + 2.0 * buffer
    shared: Array = (0.5 * grown) * (ours[2:] + theirs[2:]) - offset[:2]
    # Where one box lies within the other along an axis, what they share is the smaller one's extent.
    np.minimum(shared, grown * np.minimum(ours[2:], theirs[2:]), out=shared)
    np.maximum(shared, 0.0, out=shared)
    overlap = shared[0] * shared[1]
    area = grown * grown * (ours[2] * ours[3] + theirs[2] * theirs[3])
    return np.asarray(overlap / np.maximum(area - overlap, _TINY))


def _straightness(heading: Array, step: Array) -> Array:
    """``(K,)`` cosine between ``(2, K)`` motion so far and the step to the detection; 0 without motion."""
    along = heading[0] * step[0] + heading[1] * step[1]
    return np.asarray(along / np.maximum(np.sqrt(step[0] * step[0] + step[1] * step[1]), _TINY))
