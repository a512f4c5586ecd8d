"""How well each detection fits each track: one cost matrix per frame, from several views of the same boxes.

Overlap alone forgets how sure a prediction is, and a Mahalanobis distance alone forgets what overlap says of
size; their sum does better than either. Terms follow ByteTrack (overlap times confidence, arXiv 2110.06864),
C-BIoU (buffered boxes, 2211.14317), BoostTrack (shape and Mahalanobis terms, 2408.13003) and OC-SORT (direction
of the observed motion, 2203.14360).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

__all__ = ["CostWeights", "appearance_cost", "association_cost", "iou_cost"]

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


def association_cost(
    predicted: Array,
    variance: Array,
    heading: Array,
    seen: Array,
    detected: Array,
    confidence: Array,
    weights: CostWeights,
) -> Array:
    """Cost of every pair: about 0 for a perfect fit, 1 for boxes that just do not touch, more beyond.

    Args:
        predicted: ``(N, 4)`` center-size boxes of the tracks at this frame's time, px.
        variance: ``(N, 4)`` of a measurement around them, px squared.
        heading: ``(N, 2)`` unit vectors of the motion observed so far, or zeros where there is none.
        seen: ``(N, 2)`` centers where the tracks were last detected.
        detected: ``(M, 4)`` center-size boxes.
        confidence: ``(M,)``.

    Returns:
        ``(N, M)``.
    """
    # Coordinates first, detections last: the innermost loop is the long one.
    tracks, detections = predicted.T[:, :, None], detected.T[:, None, :]
    offset = np.abs(detections - tracks)
    cost = 1.0 - confidence * _buffered_iou(tracks, detections, offset, weights.buffer)
    larger = np.maximum(tracks[2:], detections[2:])
    cost += weights.size * (offset[2] / larger[0] + offset[3] / larger[1])
    squared = np.einsum("knm,nk->nm", np.square(offset), 1.0 / variance)
    cost += (0.5 * weights.motion) * np.minimum(squared / _CHI2_95, 2.0)
    if weights.direction:
        cost -= (0.5 * weights.direction) * _straightness(heading, seen, detections)
    return np.asarray(cost)


def iou_cost(first: Array, second: Array) -> Array:
    """One minus overlap of every pair of center-size boxes, ``(N, 4)`` and ``(M, 4)``: ``(N, M)``."""
    tracks, detections = first.T[:, :, None], second.T[:, None, :]
    return np.asarray(1.0 - _buffered_iou(tracks, detections, np.abs(detections - tracks), 0.0))


def appearance_cost(tracks: Array, detections: Array) -> Array:
    """``(N, M)`` cosine distances of unit ``(N, D)`` and ``(M, D)``; 0 where either is all zeros, unknown."""
    if tracks.shape[1] != detections.shape[1]:
        return np.zeros((len(tracks), len(detections)))
    known = tracks.any(axis=1).reshape(-1, 1) & detections.any(axis=1)
    return np.asarray(np.where(known, 1.0 - tracks @ detections.T, 0.0))


def _buffered_iou(tracks: Array, detections: Array, offset: Array, buffer: float) -> Array:
    """Overlap of boxes that are ``1 + 2 * buffer`` times as large, from their center-size forms."""
    grown = 1.0 + 2.0 * buffer
    shared: Array = (0.5 * grown) * (tracks[2:] + detections[2:]) - offset[:2]
    # Where one box lies within the other along an axis, what they share is the smaller one's extent.
    np.minimum(shared, grown * np.minimum(tracks[2:], detections[2:]), out=shared)
    np.maximum(shared, 0.0, out=shared)
    overlap = shared[0] * shared[1]
    area = grown * grown * (tracks[2] * tracks[3] + detections[2] * detections[3])
    return np.asarray(overlap / np.maximum(area - overlap, _TINY))


def _straightness(heading: Array, seen: Array, detections: Array) -> Array:
    """``(N, M)`` cosine between the motion so far and the step to the detection; 0 without motion."""
    step = detections[:2] - seen.T[:, :, None]
    along = heading[:, :1] * step[0] + heading[:, 1:] * step[1]
    return np.asarray(along / np.maximum(np.hypot(step[0], step[1]), _TINY))
