"""Which pairs of tracklets are worth judging: a sparse graph under the cheap gates.

Rows come in order of start. A block of rows is held against the rows that began before it and were seen
recently enough, so cost grows with traffic inside the longest allowed gap, not with the length of the
recording.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tracking.gallery import Gallery
from tracking.sketch import SketchTable
from tracking.types import BoolArray, FloatArray, IntArray

__all__ = ["candidate_pairs"]

_BLOCK = 512


def candidate_pairs(
    table: SketchTable, max_gap_s: float, reach_m: float, neighbours: int, gallery: Gallery | None = None
) -> IntArray:
    """Pairs that look alike or were near each other on the ground.

    Args:
        table: rows in order of start.
        max_gap_s: rows that ended longer before another began are no candidates.
        reach_m: positions on the ground at one time further apart than this are no candidates.
        neighbours: how many look-alikes to keep per row.
        gallery: an empty index that stands in for the exact search; its nearest are gated afterwards, so it
            is asked for more of them.

    Returns:
        ``(E, 2)`` int64 rows, first < second, each pair once, sorted.
    """
    found = [np.zeros((0, 2), np.int64)]
    bounds = _ground_bounds(table)
    for block, earlier in _blocks(table, max_gap_s):
        if gallery is None:
            found.append(_nearest(table, block, earlier, neighbours))
        found.append(_meeting(table, block, earlier, bounds, reach_m))
    if gallery is not None:
        found.extend(_searched(table, max_gap_s, neighbours, gallery))
    pairs = np.concatenate(found)
    return np.asarray(np.unique(pairs, axis=0), np.int64)


def _blocks(table: SketchTable, max_gap_s: float) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows of a block, and the rows up to its end that were still recent when it began."""
    alive = np.zeros(0, np.int64)
    for at in range(0, len(table), _BLOCK):
        block = np.arange(at, min(at + _BLOCK, len(table)))
        alive = alive[table.end_s[alive] >= table.start_s[at] - max_gap_s]
        alive = np.concatenate([alive, block])
        yield block, alive


def _possible(table: SketchTable, block: IntArray, earlier: IntArray) -> BoolArray:
    """The gates that cost nothing: order, class, and one camera at one time."""
    rows, columns = block[:, None], earlier[None, :]
    at_once = (table.camera[rows] == table.camera[columns]) & (table.start_s[rows] <= table.end_s[columns])
    return np.asarray((columns < rows) & (table.group[rows] == table.group[columns]) & ~at_once)


def _nearest(table: SketchTable, block: IntArray, earlier: IntArray, neighbours: int) -> IntArray:
    embedded = table.weight.sum(axis=1) > 0 if table.weight.size else np.zeros(len(table), bool)
    block, earlier = block[embedded[block]], earlier[embedded[earlier]]
    if not len(block):
        return np.zeros((0, 2), np.int64)
    distance: FloatArray = 1.0 - table.mean[block] @ table.mean[earlier].T
    distance[~_possible(table, block, earlier)] = np.inf
    kept = min(neighbours, len(earlier))
    column = np.argpartition(distance, kept - 1, axis=1)[:, :kept]
    row = np.repeat(np.arange(len(block)), kept)
    real = np.isfinite(distance[row, column.ravel()])
    return np.stack([earlier[column.ravel()[real]], block[row[real]]], axis=1)


def _ground_bounds(table: SketchTable) -> FloatArray:
    """``(N, 4)`` metres: x and y from, x and y to; NaN off the ground plane."""
    bounds = np.full((len(table), 4), np.nan, np.float32)
    for row in np.flatnonzero(table.on_ground):
        ground = table.sketches[row].ground_xy
        bounds[row] = *ground.min(axis=0), *ground.max(axis=0)
    return bounds


def _meeting(
    table: SketchTable, block: IntArray, earlier: IntArray, bounds: FloatArray, reach_m: float
) -> IntArray:
    """Pairs on the ground at once whose surroundings touch."""
    block, earlier = block[table.on_ground[block]], earlier[table.on_ground[earlier]]
    if not len(block):
        return np.zeros((0, 2), np.int64)
    a, b = bounds[block][:, None], bounds[earlier][None]
    touch = (a[..., :2] <= b[..., 2:] + reach_m) & (b[..., :2] <= a[..., 2:] + reach_m)
    at_once = table.start_s[block][:, None] <= table.end_s[earlier][None]
    row, column = np.nonzero(touch.all(axis=-1) & at_once & _possible(table, block, earlier))
    return np.stack([earlier[column], block[row]], axis=1)


_SEARCH_FACTOR = 4
"""The gallery knows no gates: this many times more neighbours are asked for, so that enough survive them."""


def _searched(table: SketchTable, max_gap_s: float, neighbours: int, gallery: Gallery) -> Iterator[IntArray]:
    """The same nearest rows from an index that is filled and emptied along time."""
    embedded = table.weight.sum(axis=1) > 0 if table.weight.size else np.zeros(len(table), bool)
    stored = np.zeros(0, np.int64)
    for block, earlier in _blocks(table, max_gap_s):
        alive = earlier[embedded[earlier]]
        gone, new = np.setdiff1d(stored, alive), np.setdiff1d(alive, stored)
        gallery.remove(gone)
        gallery.add(new, table.mean[new])
        stored = alive
        queries = block[embedded[block]]
        if len(queries):
            _, ids = gallery.search(table.mean[queries], min(neighbours * _SEARCH_FACTOR, len(gallery)))
            yield _gated(table, queries, ids, neighbours)


def _gated(table: SketchTable, queries: IntArray, ids: IntArray, neighbours: int) -> IntArray:
    pairs = []
    for query, near in zip(queries, ids, strict=True):
        near = near[near >= 0]
        possible = near[_possible(table, query[None], near)[0]]
        pairs.append(np.stack([possible[:neighbours], np.full(len(possible[:neighbours]), query)], axis=1))
    return np.concatenate(pairs)
