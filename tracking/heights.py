"""Swaps undone by height: whoever met goes on as the one who is as tall as before.

One box measures a person's height to some five centimetres, those of several views over two seconds to two;
a tracker that looks a second ahead cannot know. Where two people met, their ends are exchanged if both are then of one
height from beginning to end, and clearly more so than before. Offline: it needs to know what comes after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tracking.types import IntArray

__all__ = ["Walk", "told_apart"]

Array = npt.NDArray[np.float64]

_MET_M = 0.8
"""Who came no nearer than this was not mistaken for the other."""

_MEMORY_S = 2.0
"""Heights measured within it err together: a stride, a bow, a corner of the room."""

_SPREAD_M = 0.02
"""Standard deviation of a height measured over so long, of one person."""

_MIN_EVIDENCE = 2.0
"""Log-odds at which an exchange is believed: the tracker had its reasons."""


class Walk(NamedTuple):
    """One track: ``(T,)`` nodes by number, ``(T,)`` seconds, ``(T, 2)`` metres, ``(T,)`` measured heights or NaN."""

    node: IntArray
    time_s: Array
    xy: Array
    height_m: Array


def told_apart(walks: Sequence[Walk]) -> list[IntArray]:
    """The nodes of each walk after exchanges, best first, for as long as one is believed."""
    paths, meetings = _Paths(walks), _meetings(walks)
    while len(meetings):
        evidence = paths.evidence(meetings)
        best = int(evidence.argmax())
        if evidence[best] <= _MIN_EVIDENCE:
            break
        paths.exchange(*meetings[best].tolist())
    return paths.nodes


class _Paths:
    """The walks as they are exchanged, and sums of their heights up to every node."""

    def __init__(self, walks: Sequence[Walk]) -> None:
        self.nodes = [walk.node for walk in walks]
        count = sum(len(walk.node) for walk in walks)
        self._weight, self._moment = np.zeros(count), np.zeros(count)
        self._owner, self._position = np.zeros(count, np.int64), np.zeros(count, np.int64)
        # The sums up to a node, the node included, and those of the whole walk.
        self._until, self._whole = np.zeros((count, 2)), np.zeros((len(walks), 2))
        for walk in walks:
            self._weight[walk.node] = np.where(np.isnan(walk.height_m), 0.0, _weight(walk))
            self._moment[walk.node] = self._weight[walk.node] * np.nan_to_num(walk.height_m)
        for number in range(len(walks)):
            self._sum(number)

    def _sum(self, number: int) -> None:
        nodes = self.nodes[number]
        self._owner[nodes], self._position[nodes] = number, np.arange(len(nodes))
        self._until[nodes] = np.cumsum(np.column_stack([self._weight[nodes], self._moment[nodes]]), axis=0)
        self._whole[number] = self._until[nodes[-1]]

    def evidence(self, meetings: IntArray) -> Array:
        """``(M,)`` log-odds of an exchange just after each meeting ``(M, 2)``: how much less heights then vary.

        The sum of squares about each walk's own mean is that of all squares, which no exchange changes, less what
        ``_explained`` gives.
        """
        first, second = self._until[meetings[:, 0]], self._until[meetings[:, 1]]
        whole, other = self._whole[self._owner[meetings[:, 0]]], self._whole[self._owner[meetings[:, 1]]]
        after = _explained(first + other - second) + _explained(second + whole - first)
        return np.asarray((after - _explained(whole) - _explained(other)) / (2.0 * _SPREAD_M**2))

    def exchange(self, node: int, other: int) -> None:
        """What follows two nodes changes places."""
        one, two = int(self._owner[node]), int(self._owner[other])
        head, tail = np.split(self.nodes[one], [self._position[node] + 1])
        before, after = np.split(self.nodes[two], [self._position[other] + 1])
        self.nodes[one], self.nodes[two] = np.concatenate([head, after]), np.concatenate([before, tail])
        self._sum(one)
        self._sum(two)


def _explained(sums: Array) -> Array:
    """``(M,)`` of ``(M, 2)`` weights and weighted heights: the part of the squares that one mean accounts for."""
    return np.asarray(sums[:, 1] ** 2 / np.maximum(sums[:, 0], 1e-9))


def _meetings(walks: Sequence[Walk]) -> IntArray:
    """``(M, 2)`` pairs of nodes at which two people were nearest to each other, and near."""
    found = [np.zeros((0, 2), np.int64)]
    for number, walk in enumerate(walks):
        for other in walks[number + 1 :]:
            if walk.time_s[0] <= other.time_s[-1] and other.time_s[0] <= walk.time_s[-1]:
                found.append(_nearest(walk, other))
    return np.concatenate(found)


def _nearest(walk: Walk, other: Walk) -> IntArray:
    _, at, where = np.intersect1d(walk.time_s, other.time_s, assume_unique=True, return_indices=True)
    apart = np.linalg.norm(walk.xy[at] - other.xy[where], axis=1)
    around = np.pad(apart, 1, constant_values=np.inf)
    least = (apart < _MET_M) & (apart <= around[:-2]) & (apart < around[2:])
    return np.column_stack([walk.node[at[least]], other.node[where[least]]])


def _weight(walk: Walk) -> Array:
    """How much an instant adds to what is known of the height: its share of the memory."""
    return np.minimum(np.diff(walk.time_s, prepend=walk.time_s[0] - _MEMORY_S), _MEMORY_S) / _MEMORY_S
