"""How well embeddings find the same identity: CMC, mAP and mINP, and VehicleID's protocol.

Rules of the Market-1501 benchmark (Zheng et al., ICCV 2015): gallery images of the query's identity from the
query's own camera are passed over; a query with nothing left to find is left out. mINP is from Ye et al.,
*Deep learning for person re-identification* (arXiv 2001.04193), section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["AveragePrecision", "RankScores", "cosine_distances", "rank_scores", "vehicle_id_scores"]

AveragePrecision = Literal["precision_sum", "trapezoid"]
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RankScores:
    """Scores over all queries that have something to find, each in [0, 1].

    Attributes:
        cmc: ``(K,)``; ``cmc[k - 1]`` is the share of queries with a match among their first k.
        mean_ap: mean average precision.
        mean_inp: mean inverse negative penalty: matches / rank of the last match.
        num_queries: queries that counted.
    """

    cmc: npt.NDArray[np.float64]
    mean_ap: float
    mean_inp: float
    num_queries: int

    def rank(self, k: int) -> float:
        """``cmc`` at rank k; beyond the gallery's size, its last value."""
        return float(self.cmc[min(k, len(self.cmc)) - 1])

    def summary(self) -> dict[str, float]:
        """``mAP``, ``rank1``, ``rank5``, ``rank10`` and ``mINP``."""
        ranks = {f"rank{k}": self.rank(k) for k in (1, 5, 10)}
        return {"mAP": self.mean_ap, **ranks, "mINP": self.mean_inp}


def cosine_distances(queries: FloatArray, gallery: FloatArray) -> npt.NDArray[np.float32]:
    """``(Q, G)`` float32 in [0, 2] between rows of any non-zero length, normalised here.

    It ranks as the squared Euclidean distance of the unit vectors does, which is twice it.
    """
    units = [
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (queries, gallery)
    ]
    # In place: for MSMT17 the matrix alone takes 3.8 GB.
    distance: npt.NDArray[np.float32] = units[0].astype(np.float32) @ units[1].astype(np.float32).T
    np.subtract(1.0, distance, out=distance)
    return np.clip(distance, 0.0, 2.0, out=distance)


def rank_scores(
    distance: FloatArray,
    query_ids: npt.ArrayLike,
    gallery_ids: npt.ArrayLike,
    query_cameras: npt.ArrayLike | None = None,
    gallery_cameras: npt.ArrayLike | None = None,
    *,
    max_rank: int = 50,
    average_precision: AveragePrecision = "precision_sum",
) -> RankScores:
    """Score a distance matrix.

    Args:
        distance: ``(Q, G)``, small = alike; ties keep the gallery's order.
        query_ids, gallery_ids: identities ``(Q,)`` and ``(G,)``.
        query_cameras, gallery_cameras: cameras; None passes nothing over.
        max_rank: length of the CMC curve, at most G.
        average_precision: ``"precision_sum"`` is the mean of the precisions at the matches;
            ``"trapezoid"`` is the area of Market-1501's own evaluation code.

    Raises:
        ValueError: shapes that disagree, distances that are not finite, or no query with anything to find.
    """
    ids = [np.asarray(values, dtype=np.int64) for values in (query_ids, gallery_ids)]
    cameras = _cameras(query_cameras, gallery_cameras, distance.shape)
    if distance.shape != (len(ids[0]), len(ids[1])):
        raise ValueError(f"distance: expected shape {(len(ids[0]), len(ids[1]))}, got {distance.shape}")
    if not np.isfinite(distance).all():
        raise ValueError("distance: holds NaN or infinity")
    queries = zip(distance, ids[0], cameras[0], strict=True)
    matches = [_match_ranks(row, same, own, ids[1], cameras[1]) for row, same, own in queries]
    ranks = [found for found in matches if len(found)]
    if not ranks:
        raise ValueError("no query has a gallery image of its identity from another camera")
    precision = {"precision_sum": _precision_sum, "trapezoid": _trapezoid}[average_precision]
    first = np.array([found[0] for found in ranks])
    return RankScores(
        cmc=np.array([np.mean(first <= k) for k in range(1, min(max_rank, len(ids[1])) + 1)]),
        mean_ap=float(np.mean([precision(found) for found in ranks])),
        mean_inp=float(np.mean([len(found) / found[-1] for found in ranks])),
        num_queries=len(ranks),
    )


def _cameras(
    query: npt.ArrayLike | None, gallery: npt.ArrayLike | None, shape: tuple[int, ...]
) -> list[IntArray]:
    if (query is None) != (gallery is None):
        raise ValueError("give the cameras of both queries and gallery, or of neither")
    if query is None or gallery is None:
        return [np.zeros(shape[0], dtype=np.int64), np.ones(shape[1], dtype=np.int64)]
    return [np.asarray(query, dtype=np.int64), np.asarray(gallery, dtype=np.int64)]


def _match_ranks(row: FloatArray, identity: int, camera: int, ids: IntArray, cameras: IntArray) -> IntArray:
    """1-based ranks of the matches, after what is passed over has left the list."""
    order = np.argsort(row, kind="stable")
    same = ids[order] == identity
    kept = ~(same & (cameras[order] == camera))
    return np.flatnonzero(same[kept]) + 1


def _precision_sum(ranks: IntArray) -> float:
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def _trapezoid(ranks: IntArray) -> float:
    """Each match's precision averaged with that of the rank before it; before rank 1 it is 1."""
    found = np.arange(1, len(ranks) + 1)
    before = np.where(ranks > 1, (found - 1) / np.maximum(ranks - 1, 1), 1.0)
    return float(np.mean((found / ranks + before) / 2))


def vehicle_id_scores(
    embeddings: FloatArray, ids: npt.ArrayLike, *, trials: int = 10, seed: int = 0
) -> dict[str, float]:
    """VehicleID's protocol: one random image of each identity is the gallery, all others are queries.

    Args:
        embeddings: ``(N, D)`` of the test images.
        ids: their identities, ``(N,)``.
        trials: random galleries to average over.
        seed: decides them.

    Returns:
        ``mAP``, ``rank1``, ``rank5``, ``rank10`` and ``mINP``, averaged.
    """
    identities, draw = np.asarray(ids, dtype=np.int64), np.random.default_rng(seed)
    distance = cosine_distances(embeddings, embeddings)
    totals = []
    for _ in range(trials):
        gallery = np.array([draw.choice(np.flatnonzero(identities == one)) for one in np.unique(identities)])
        query = np.setdiff1d(np.arange(len(identities)), gallery)
        scores = rank_scores(distance[np.ix_(query, gallery)], identities[query], identities[gallery])
        totals.append(scores.summary())
    return {name: float(np.mean([one[name] for one in totals])) for name in totals[0]}
