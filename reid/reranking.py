"""k-reciprocal re-ranking (Zhong et al., CVPR 2017, arXiv 1701.08398), in float32 and bounded memory.

Two images that are among each other's nearest are likely one identity; the distance of two images is then how
little their sets of such neighbours overlap (Jaccard), blended with the original distance. Only the nearest
neighbours of each image are kept, so no matrix of all pairs is ever built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["re_rank", "reciprocal_distances"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

ROWS_AT_ONCE = 1024


def re_rank(
    queries: npt.NDArray[np.floating[Any]],
    gallery: npt.NDArray[np.floating[Any]],
    *,
    k1: int = 20,
    k2: int = 6,
    original_weight: float = 0.3,
) -> FloatArray:
    """Distances that account for the neighbours.

    Args:
        queries: ``(Q, D)`` of unit norm.
        gallery: ``(G, D)`` of unit norm.
        k1: how many neighbours are asked to be reciprocal.
        k2: over how many neighbours the sets are averaged; 1 = not.
        original_weight: share of the original distance, lambda in the paper.

    Returns:
        ``(Q, G)`` float32, about [0, 1].

    Raises:
        ValueError: k1 or k2 below 1, or a weight outside [0, 1].
    """
    if k1 < 1 or k2 < 1 or not 0.0 <= original_weight <= 1.0:
        raise ValueError(f"re_rank: impossible k1={k1}, k2={k2}, original_weight={original_weight}")
    points = np.concatenate([queries, gallery]).astype(np.float32)
    nearest, farthest = _neighbours(points, min(k1 + 1, len(points)))
    weights = _expanded_weights(points, nearest, farthest, k1)
    if k2 > 1:
        weights = _averaged(weights, nearest[:, :k2])
    count = len(queries)
    original = _squared(points[:count], points[count:]) / farthest[:count, None]
    blended = (1.0 - original_weight) * _jaccard(weights, count) + original_weight * original
    return blended.astype(np.float32)


def reciprocal_distances(
    points: npt.NDArray[np.floating[Any]], *, k1: int = 20, k2: int = 6
) -> Callable[[IntArray, IntArray], FloatArray]:
    """How little the neighbourhoods of two points overlap, for any pairs of rows.

    Args:
        points: ``(N, D)`` of unit norm; rows of zeros have no neighbours.
        k1, k2: as in :func:`re_rank`; never more than N - 1.

    Returns:
        A function of rows ``(M,)`` and ``(M,)`` that gives Jaccard distances ``(M,)`` float32 in [0, 1].
    """
    rows = np.asarray(points, np.float32)
    k1 = min(k1, max(len(rows) - 1, 1))
    nearest, farthest = _neighbours(rows, min(k1 + 1, len(rows)))
    weights = _expanded_weights(rows, nearest, farthest, k1)
    if k2 > 1:
        weights = _averaged(weights, nearest[:, :k2]).tocsr()

    def distance(first: IntArray, second: IntArray) -> FloatArray:
        found = [np.zeros(0, np.float32)]
        for start in range(0, len(first), 8192):
            part = slice(start, start + 8192)
            shared = np.asarray(weights[first[part]].minimum(weights[second[part]]).sum(axis=1)).ravel()
            found.append((1.0 - shared / np.maximum(2.0 - shared, 1e-12)).astype(np.float32))
        return np.concatenate(found)

    return distance


def _squared(rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Squared Euclidean distances of unit vectors."""
    distance: FloatArray = np.maximum(2.0 - 2.0 * (rows @ columns.T), 0.0, dtype=np.float32)
    return distance


def _neighbours(points: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """The ``count`` nearest of each point, itself first, and the distance to its farthest."""
    nearest = np.empty((len(points), count), dtype=np.int64)
    farthest = np.empty(len(points), dtype=np.float32)
    for start in range(0, len(points), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(points)))
        distance = _squared(points[rows], points)
        farthest[rows] = distance.max(axis=1)
        distance[np.arange(len(rows)), rows] = -1.0
        found = np.sort(np.argpartition(distance, count - 1, axis=1)[:, :count], axis=1)
        order = np.argsort(np.take_along_axis(distance, found, axis=1), axis=1, kind="stable")
        nearest[rows] = np.take_along_axis(found, order, axis=1)
    return nearest, farthest


def _reciprocal(nearest: IntArray, k: int) -> list[IntArray]:
    """For each point those of its k nearest (and itself) that have it among their k nearest."""
    close = nearest[:, : k + 1]
    mutual = (close[close] == np.arange(len(close))[:, None, None]).any(axis=2)
    return [row[keep] for row, keep in zip(close, mutual, strict=True)]


def _expanded_weights(
    points: FloatArray, nearest: IntArray, farthest: FloatArray, k1: int
) -> sparse.csr_matrix:
    """Each point's reciprocal neighbours and those they agree on, weighted by exp(-distance), sum 1."""
    strict, loose = _reciprocal(nearest, k1), _reciprocal(nearest, round(k1 / 2))
    rows, columns, values = [], [], []
    for index, own in enumerate(strict):
        # A neighbour's own set joins where more than two thirds of it are already in this one.
        joined = [loose[near] for near in own if 3 * np.isin(loose[near], own).sum() > 2 * len(loose[near])]
        members = np.unique(np.concatenate([own, *joined]))
        weight = np.exp(-_squared(points[index : index + 1], points[members])[0] / farthest[index])
        rows.append(np.full(len(members), index))
        columns.append(members)
        values.append(weight / weight.sum())
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=(len(points), len(points)), dtype=np.float32)


def _averaged(weights: sparse.csr_matrix, nearest: IntArray) -> sparse.csr_matrix:
    count, k2 = nearest.shape
    entries = (
        np.full(nearest.size, 1.0 / k2, dtype=np.float32),
        (np.repeat(np.arange(count), k2), nearest.ravel()),
    )
    return sparse.csr_matrix(entries, shape=(count, count)) @ weights


def _jaccard(weights: sparse.csr_matrix, num_queries: int) -> FloatArray:
    """1 - overlap / union of each query's weights with each gallery image's, both summing to 1."""
    by_member = weights[num_queries:].tocsc()
    distance = np.ones((num_queries, by_member.shape[0]), dtype=np.float32)
    for query in range(num_queries):
        overlap = np.zeros(by_member.shape[0], dtype=np.float32)
        start, end = weights.indptr[query : query + 2]
        for member, weight in zip(weights.indices[start:end], weights.data[start:end], strict=True):
            column = slice(*by_member.indptr[member : member + 2])
            overlap[by_member.indices[column]] += np.minimum(weight, by_member.data[column])
        distance[query] = 1.0 - overlap / (2.0 - overlap)
    return distance
