"""Hypotheses of many tracks side by side, and the likeliest choice among them that uses no box twice.

Track-oriented multiple hypothesis tracking: Reid (1979), Poore and Gadaleta (2006).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.sparse

from tracking.types import BoolArray, IntArray

__all__ = ["COST_OF_A_TRACK", "Box", "Forest", "Node", "Track", "compatible", "likeliest"]

Array = npt.NDArray[np.float64]


Box = tuple[str, int]

COST_OF_A_TRACK = 5.0
"""Head start of a new track, which it loses where leaving it out explains the boxes better."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """What one hypothesis said of one instant."""

    time_s: float
    state: Array
    doubt: Array
    boxes: tuple[Box, ...]


@dataclass(slots=True, eq=False)
class Forest:
    """Hypotheses of all tracks side by side, those of one track together, likeliest first.

    Attributes:
        owner: ``(L,)`` position of the track.
        state: ``(L, 5)`` x, y, vx, vy (metres, seconds) and height; doubt: ``(L, 5, 5)``.
        score: ``(L,)`` log-likelihood ratio since the track began.
        boxes: taken at this instant; path: the last instants.
    """

    owner: IntArray
    state: Array
    doubt: Array
    score: Array
    boxes: list[tuple[Box, ...]]
    path: list[tuple[Node, ...]]

    def __len__(self) -> int:
        return len(self.owner)

    @classmethod
    def empty(cls) -> Forest:
        return cls(np.zeros(0, np.int64), np.zeros((0, 5)), np.zeros((0, 5, 5)), np.zeros(0), [], [])

    def take(self, rows: IntArray) -> Forest:
        return Forest(
            self.owner[rows],
            self.state[rows],
            self.doubt[rows],
            self.score[rows],
            [self.boxes[row] for row in rows],
            [self.path[row] for row in rows],
        )

    def add(self, owner: int, node: Node) -> None:
        """A new track's only hypothesis."""
        self.owner = np.append(self.owner, owner)
        self.state = np.concatenate([self.state, node.state[None]])
        self.doubt = np.concatenate([self.doubt, node.doubt[None]])
        self.score = np.append(self.score, COST_OF_A_TRACK)
        self.boxes.append(node.boxes)
        self.path.append((node,))


@dataclass(slots=True, eq=False)
class Track:
    """What is settled of one track.

    Attributes:
        now: the chosen hypothesis' latest instant; path: its last instants.
        score: of the chosen hypothesis; belief: what the last instants say for the track being real.
    """

    now: Node
    path: tuple[Node, ...]
    seen_s: float
    score: float = COST_OF_A_TRACK
    belief: float = 0.0
    global_id: int | None = None
    close_for: int = 0
    settled: list[Node] = field(default_factory=list)


def likeliest(total: Array, forest: Forest, count: int, chosen: set[int]) -> tuple[IntArray, IntArray]:
    """The likeliest continuations of each track: row of the hypothesis, and column (0 = miss, 1 + box).

    What was chosen last stays, with no box at this instant: those of all tracks agree, so there is always a
    way.
    """
    rows, columns = np.nonzero(np.isfinite(total))
    order = np.lexsort((columns, rows, -total[rows, columns], forest.owner[rows]))
    rows, columns = rows[order], columns[order]
    owner = forest.owner[rows]
    rank = np.arange(len(rows)) - np.searchsorted(owner, owner)
    way_out = np.array(
        [id(path[-1]) in chosen and not boxes for path, boxes in zip(forest.path, forest.boxes, strict=True)]
    )
    kept = (rank < count) | (way_out[rows] & (columns == 0))
    return rows[kept], columns[kept]


def compatible(forest: Forest, optional: BoolArray) -> dict[int, int]:
    """The likeliest choice of hypotheses in which no box is used twice, by track; optional tracks may be left
    out.

    Args:
        optional: ``(tracks,)`` bool; their scores count from the cost of a new track.
    """
    score = forest.score - np.where(optional, COST_OF_A_TRACK, 0.0)[forest.owner]
    first = np.unique(forest.owner, return_index=True)[1]
    used = [box for row in first for box in _claims(forest, row)]
    if len(set(used)) == len(used) and (score[first] > 0).all():
        return {int(forest.owner[row]): int(row) for row in first}
    number: dict[tuple[float, Box], int] = {}
    pairs = [
        (number.setdefault(box, len(number)), row)
        for row in range(len(forest))
        for box in _claims(forest, row)
    ]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    count = len(forest)
    one_each = scipy.sparse.csr_array((np.ones(count), (forest.owner, np.arange(count))))
    once = scipy.sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(max(len(number), 1), count))
    solution = scipy.optimize.milp(
        -score,
        integrality=np.ones(count),
        bounds=scipy.optimize.Bounds(0, 1),
        constraints=[
            scipy.optimize.LinearConstraint(one_each, np.where(optional, 0, 1), 1),
            scipy.optimize.LinearConstraint(once, -np.inf, 1),
        ],
    )
    if solution.x is None:
        raise RuntimeError(f"no consistent choice among {count} hypotheses: {solution.message}")
    return {int(forest.owner[row]): int(row) for row in np.flatnonzero(solution.x > 0.5)}


def _claims(forest: Forest, row: int) -> list[tuple[float, Box]]:
    return [(node.time_s, box) for node in forest.path[row] for box in node.boxes]
