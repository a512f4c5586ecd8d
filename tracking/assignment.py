"""One-to-one assignment of rows to columns at least total cost. The only module that knows ``lap``."""

from __future__ import annotations

from typing import Any

import lap
import numpy as np
import numpy.typing as npt

from tracking.types import IntArray

__all__ = ["assign", "assign_pairs"]

_MARGIN = 1e-9
"""What a pair at the limit gains over staying alone."""


def assign(cost: npt.NDArray[np.floating[Any]], max_cost: float) -> tuple[IntArray, IntArray]:
    """Match rows to columns so that the sum of ``max_cost - cost`` over the matched pairs is greatest.

    Staying alone gains nothing, and so does a pair above the limit: with such pairs at zero, the problem is
    square, dense and free of large numbers, which Jonker and Volgenant's method (1987) likes best.

    Args:
        cost: ``(N, M)``, finite or ``inf`` where a pair is impossible.
        max_cost: pairs above it are never matched; a pair equal to it may be.

    Returns:
        Row and column indices of the matched pairs, each ``(K,)`` int64, ascending by row.
    """
    rows, columns = cost.shape
    loss = np.zeros((max(rows, columns),) * 2)
    block = loss[:rows, :columns]
    np.subtract(cost, max_cost + _MARGIN, out=block)
    np.minimum(block, 0.0, out=block)
    if not block.any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    column_of, _ = lap.lapjv(loss, return_cost=False)
    chosen = column_of[:rows].astype(np.int64)
    matched = np.flatnonzero(chosen < columns)
    matched = matched[block[matched, chosen[matched]] < 0.0]
    return matched, chosen[matched]


def assign_pairs(
    rows: IntArray, columns: IntArray, cost: npt.NDArray[np.floating[Any]], max_cost: float
) -> IntArray:
    """``assign`` for the few pairs that are possible at all: what has no rival is matched without further ado.

    Args:
        rows: ``(K,)`` of the pairs, from 0.
        columns: ``(K,)`` of the pairs, from 0; every pair once.
        cost: ``(K,)``.
        max_cost: pairs above it are never matched; a pair equal to it may be.

    Returns:
        Indices of the matched pairs, int64.
    """
    possible: IntArray = (cost <= max_cost).nonzero()[0]
    if not len(possible):
        return possible
    rows, columns = rows[possible], columns[possible]
    taken = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    crowd = (~taken).nonzero()[0]
    if not len(crowd):
        return possible
    row_of, column_of = _numbered(rows[crowd]), _numbered(columns[crowd])
    dense = np.full((row_of.max() + 1, column_of.max() + 1), np.inf)
    dense[row_of, column_of] = cost[possible[crowd]]
    partner = np.full(len(dense), -1)
    matched, chosen = assign(dense, max_cost)
    partner[matched] = chosen
    taken[crowd] = partner[row_of] == column_of
    return np.asarray(possible[taken])


def _numbered(values: IntArray) -> IntArray:
    """The same values, numbered from 0 without gaps."""
    present = np.zeros(values.max() + 1, np.bool_)
    present[values] = True
    return np.asarray(np.cumsum(present)[values] - 1)
