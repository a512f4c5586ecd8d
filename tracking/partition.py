"""Split a graph of tracklets into identities: correlation clustering with pairs that may never meet.

Every pair has a weight, evidence for (positive) or against one identity, or NaN for none. The objective is
the sum of the weights inside the clusters (Bansal, Blum & Chawla 2004). Small problems are solved exactly as
an integer programme over pair variables with triangle inequalities (Grötschel & Wakabayashi 1989); large ones
by agglomeration on the mean weight between clusters, refusing merges that would join a forbidden pair.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
import scipy.optimize
import scipy.sparse
import scipy.sparse.csgraph

from tracking.types import BoolArray, FloatArray, IntArray

__all__ = ["Judgement", "PairJudge", "agglomerate", "components", "solve_exactly"]


class Judgement(NamedTuple):
    """What is held of M pairs.

    Attributes:
        weight: ``(M,)``, NaN where there is no evidence.
        forbidden: ``(M,)`` never one identity.
        direct: ``(M,)`` one may have followed the other with nothing between.
    """

    weight: FloatArray
    forbidden: BoolArray
    direct: BoolArray


PairJudge = Callable[[IntArray, IntArray], Judgement]
"""Judges pairs of rows ``(M,)`` and ``(M,)``."""


def components(count: int, first: IntArray, second: IntArray) -> IntArray:
    """Label the connected components of ``count`` nodes joined by the given edges."""
    graph = scipy.sparse.coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    return np.asarray(scipy.sparse.csgraph.connected_components(graph, directed=False)[1], np.int64)


def solve_exactly(weight: FloatArray, forbidden: BoolArray) -> IntArray:
    """The optimal partition of n nodes.

    Args:
        weight: ``(n, n)`` symmetric; NaN counts as 0.
        forbidden: ``(n, n)`` symmetric.

    Returns:
        ``(n,)`` cluster labels.
    """
    count = len(weight)
    if count < 3:
        return _solve_pair(weight, forbidden)
    pairs = list(combinations(range(count), 2))
    gain = np.array([np.nan_to_num(weight[pair]) for pair in pairs])
    banned = np.array([bool(forbidden[pair]) for pair in pairs])
    # The tiny charge leaves apart what nothing speaks for: one optimum, the same everywhere.
    solution = scipy.optimize.milp(
        -(gain - 1e-6),
        integrality=np.ones(len(pairs)),
        bounds=scipy.optimize.Bounds(0, np.where(banned, 0, 1)),
        constraints=_triangles(count, {pair: number for number, pair in enumerate(pairs)}),
    )
    if solution.x is None:
        raise RuntimeError(f"the integer programme over {count} tracklets failed: {solution.message}")
    joined = np.array(pairs)[solution.x > 0.5].reshape(-1, 2)
    return components(count, joined[:, 0], joined[:, 1])


def _solve_pair(weight: FloatArray, forbidden: BoolArray) -> IntArray:
    joined = len(weight) == 2 and weight[0, 1] > 0 and not forbidden[0, 1]
    return np.zeros(len(weight), np.int64) if joined else np.arange(len(weight))


def _triangles(count: int, number: dict[tuple[int, int], int]) -> scipy.optimize.LinearConstraint:
    """If a is with b and b with c, then a is with c."""
    triples = np.array(
        [(number[a, b], number[b, c], number[a, c]) for a, b, c in combinations(range(count), 3)], np.int64
    )
    columns = np.concatenate([triples, triples[:, [1, 2, 0]], triples[:, [2, 0, 1]]])
    rows = np.repeat(np.arange(len(columns)), 3)
    values = np.tile([1.0, 1.0, -1.0], len(columns))
    matrix = scipy.sparse.csr_array((values, (rows, columns.ravel())), shape=(len(columns), len(number)))
    return scipy.optimize.LinearConstraint(matrix, -np.inf, 1)


def agglomerate(
    nodes: IntArray, edges: IntArray, weight: FloatArray, tier: IntArray, judge: PairJudge
) -> IntArray:
    """Merge clusters joined by an edge, best mean weight first, while the mean is positive.

    A merge is judged on all pairs between the two clusters, not only on the edges, so one lucky pair does not
    chain strangers together; a forbidden pair between them refuses it for good, and it waits for a pair of which one
    may have followed the other.

    Args:
        nodes: ``(n,)`` ids that ``judge`` understands.
        edges: ``(E, 2)`` positions in ``nodes``, each pair once.
        weight: ``(E,)`` their weights, positive; 0 where neither may have followed the other.
        tier: ``(E,)`` lower tiers are merged first (adjacent cameras before the rest).
        judge: evaluates pairs.

    Returns:
        ``(n,)`` cluster labels.
    """
    return _Agglomeration(nodes, edges, weight, tier, judge).run()


class _Agglomeration:
    """Clusters under merge and a heap of scored neighbours; a score that has changed since is stale."""

    def __init__(
        self, nodes: IntArray, edges: IntArray, weight: FloatArray, tier: IntArray, judge: PairJudge
    ) -> None:
        self.judge = judge
        self.members: dict[int, IntArray] = {row: nodes[[row]] for row in range(len(nodes))}
        self.owner = np.arange(len(nodes))
        self.neighbours: dict[int, dict[int, tuple[int, float]]] = {row: {} for row in range(len(nodes))}
        # (tier, -score, a, b): ties fall to the lower rows, which are in time order.
        self.heap: list[tuple[int, float, int, int]] = []
        for (a, b), score, level in zip(edges.tolist(), weight.tolist(), tier.tolist(), strict=True):
            self._offer(a, b, level, score)

    def run(self) -> IntArray:
        while self.heap:
            level, cost, a, b = heapq.heappop(self.heap)
            if self.neighbours.get(a, {}).get(b) == (level, -cost):
                self._merge(a, b)
        return np.unique(self.owner, return_inverse=True)[1].astype(np.int64)

    def _offer(self, a: int, b: int, level: int, score: float) -> None:
        self.neighbours[a][b] = self.neighbours[b][a] = (level, score)
        if score > 0:
            heapq.heappush(self.heap, (level, -score, min(a, b), max(a, b)))

    def _merge(self, a: int, b: int) -> None:
        """``b`` joins ``a``; everything next to either is scored anew."""
        levels = {other: level for other, (level, _) in self.neighbours[a].items()}
        for other, (level, _) in self.neighbours.pop(b).items():
            del self.neighbours[other][b]
            levels[other] = min(level, levels.get(other, level))
        del levels[a], levels[b]
        self.members[a] = np.concatenate([self.members[a], self.members.pop(b)])
        self.owner[self.owner == b] = a
        others = list(levels)
        for other, score in zip(others, self._scores(a, others), strict=True):
            if score is None:
                self._part(a, other)
            else:
                self._offer(a, other, levels[other], score)

    def _part(self, a: int, b: int) -> None:
        self.neighbours[a].pop(b, None)
        self.neighbours[b].pop(a, None)

    def _scores(self, a: int, others: list[int]) -> list[float | None]:
        """Mean weight from ``a`` to each other cluster, at most 0 where no pair between them is direct; None where one is
        forbidden."""
        if not others:
            return []
        mine, sizes = self.members[a], [len(self.members[other]) for other in others]
        theirs = np.concatenate([self.members[other] for other in others])
        weight, forbidden, direct = self.judge(np.tile(mine, len(theirs)), np.repeat(theirs, len(mine)))
        of_pair = np.repeat(np.arange(len(others)), np.array(sizes) * len(mine))
        known = ~np.isnan(weight)
        total = np.bincount(of_pair[known], weights=weight[known], minlength=len(others))
        count = np.bincount(of_pair[known], minlength=len(others))
        barred = np.bincount(of_pair[forbidden], minlength=len(others)) > 0
        mean = np.divide(total, count, out=np.zeros(len(others)), where=count > 0)
        is_waiting = np.bincount(of_pair[direct], minlength=len(others)) == 0
        mean[is_waiting] = np.minimum(mean[is_waiting], 0.0)
        return [None if stop else float(score) for stop, score in zip(barred, mean, strict=True)]
