"""What a tracklet looks like: a few prototypes, and the cosine distance between two such sets.

A tracklet's crops are many, alike, and now and then wrong (an occluder, a truncated body). Crops far from the
tracklet's own medoid are left out, the rest are grouped by farthest-point choice into a few prototypes, and
every prototype is the quality-weighted mean of its group: the means of Wieczorek et al. (2021, "On the
Unreasonable Effectiveness of Centroids in Image Retrieval", eq. 3) with more than one view kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracking.types import FloatArray, IntArray

__all__ = ["Appearance", "appearance_of", "set_distances"]

_OUTLIER_DEVIATIONS = 3.0
"""Crops further from the medoid, in robust standard deviations (Iglewicz & Hoaglin 1993), are outliers."""


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """Prototypes of one tracklet.

    Attributes:
        prototypes: ``(P, D)`` float32 unit rows; P = 0 when nothing was embedded.
        weight: ``(P,)`` float32, sums to one: how much good crop material stands behind each.
        mean: ``(D,)`` float32 unit, the quality-weighted mean; zeros when P = 0.
        crops: how many crops were used after outliers were left out.
    """

    prototypes: FloatArray
    weight: FloatArray
    mean: FloatArray
    crops: int


def appearance_of(embeddings: FloatArray, quality: FloatArray, max_prototypes: int) -> Appearance:
    """Condense crops' embeddings ``(K, D)`` with quality ``(K,)`` in (0, 1] to at most ``max_prototypes``."""
    if len(embeddings) == 0:
        dimensions = embeddings.shape[1] if embeddings.ndim == 2 else 0
        empty = np.zeros((0, dimensions), np.float32)
        return Appearance(empty, np.zeros(0, np.float32), np.zeros(dimensions, np.float32), 0)
    keep = _inliers(embeddings, quality)
    kept, worth = embeddings[keep], quality[keep]
    group = _spread_groups(kept, worth, max_prototypes)
    prototypes = np.stack([_unit(worth[group == g] @ kept[group == g]) for g in range(group.max() + 1)])
    weight = np.bincount(group, weights=worth)
    return Appearance(
        prototypes.astype(np.float32),
        (weight / weight.sum()).astype(np.float32),
        _unit(worth @ kept).astype(np.float32),
        len(kept),
    )


def _inliers(embeddings: FloatArray, quality: FloatArray) -> IntArray:
    """Rows near the quality-weighted medoid; with fewer than four crops nothing can be told, all stay."""
    if len(embeddings) < 4:
        return np.arange(len(embeddings))
    distance = 1.0 - embeddings @ embeddings.T
    from_medoid = distance[np.argmin(distance @ quality)]
    centre = np.median(from_medoid)
    scale = 1.4826 * np.median(np.abs(from_medoid - centre))
    return np.flatnonzero(from_medoid <= centre + _OUTLIER_DEVIATIONS * max(scale, 1e-3))


def _spread_groups(embeddings: FloatArray, quality: FloatArray, max_groups: int) -> IntArray:
    """Assign each row to the nearest of the centres chosen by farthest-point traversal (Gonzalez 1985)."""
    first = int(np.argmax(quality))
    nearest = 1.0 - embeddings @ embeddings[first]
    group = np.zeros(len(embeddings), np.int64)
    for index in range(1, min(max_groups, len(embeddings))):
        far = int(np.argmax(nearest * quality))
        if nearest[far] <= 1e-6:
            break
        distance = 1.0 - embeddings @ embeddings[far]
        closer = distance < nearest
        group[closer] = index
        nearest = np.minimum(nearest, distance)
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))


def set_distances(
    prototypes: FloatArray, weight: FloatArray, first: IntArray, second: IntArray, chunk: int = 8192
) -> FloatArray:
    """Cosine distance between prototype sets, for many pairs.

    Each prototype is held against the nearest of the other set, the means of both directions are averaged
    (the modified Hausdorff distance of Dubuisson & Jain 1994, its mean form, weighted by crop quality).

    Args:
        prototypes: ``(N, P, D)`` float32, unit rows, zero rows where a tracklet has fewer.
        weight: ``(N, P)`` float32, zero where padded.
        first, second: ``(M,)`` int64 rows of the two sides.

    Returns:
        ``(M,)`` float32 in [0, 2]; NaN where a side has no prototype.
    """
    result = np.empty(len(first), np.float32)
    for at in range(0, len(first), chunk):
        rows = slice(at, at + chunk)
        result[rows] = _set_distance_block(prototypes, weight, first[rows], second[rows])
    return result


def _products(prototypes: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
    """``(M, P, P)``; many against one, which every decision online is, are one matrix product."""
    if len(second) > 1 and (second == second[0]).all():
        flat = prototypes[first].reshape(-1, prototypes.shape[2]) @ prototypes[second[0]].T
        return np.asarray(flat.reshape(len(first), prototypes.shape[1], -1))
    return np.asarray(np.matmul(prototypes[first], prototypes[second].transpose(0, 2, 1)))


def _set_distance_block(
    prototypes: FloatArray, weight: FloatArray, first: IntArray, second: IntArray
) -> FloatArray:
    distance = 1.0 - _products(prototypes, first, second)
    weight_a, weight_b = weight[first], weight[second]
    absent = (weight_a[:, :, None] == 0) | (weight_b[:, None, :] == 0)
    distance = np.where(absent, np.inf, np.clip(distance, 0.0, 2.0))
    near_a, near_b = distance.min(axis=2), distance.min(axis=1)
    sides = [np.where(w > 0, near, 0.0) for w, near in ((weight_a, near_a), (weight_b, near_b))]
    mean = 0.5 * ((sides[0] * weight_a).sum(axis=1) + (sides[1] * weight_b).sum(axis=1))
    known = (weight_a.sum(axis=1) > 0) & (weight_b.sum(axis=1) > 0)
    return np.where(known, mean, np.nan).astype(np.float32)
