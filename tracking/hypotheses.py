"""Hypotheses of many tracks side by side, and the likeliest choice among them that uses no box twice.

Track-oriented multiple hypothesis tracking: Reid (1979), Poore and Gadaleta (2006).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.sparse

from tracking.partition import components
from tracking.types import BoolArray, IntArray

__all__ = ["COST_OF_A_TRACK", "Box", "Forest", "Node", "Track", "compatible", "likeliest"]

Array = npt.NDArray[np.float64]


Box = tuple[str, int]

COST_OF_A_TRACK = 5.0
"""Head start of a new track, which it loses where leaving it out explains the boxes better."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """What one hypothesis said of one instant; ``score`` is its log-likelihood ratio up to then."""

    time_s: float
    state: Array
    doubt: Array
    boxes: tuple[Box, ...]
    score: float = 0.0


@dataclass(slots=True, eq=False)
class Forest:
    """Hypotheses of all tracks side by side, those of one track together, likeliest first.

    Attributes:
        owner: ``(L,)`` position of the track.
        state: ``(L, 5)`` x, y, vx, vy (metres, seconds) and height; doubt: ``(L, 5, 5)``.
        score: ``(L,)`` log-likelihood ratio since the track began.
        boxes: taken at this instant; path: the last instants.
        main: ``(L,)`` bool, of each track what was chosen last, continued; those of all tracks agree.
    """

    owner: IntArray
    state: Array
    doubt: Array
    score: Array
    boxes: list[tuple[Box, ...]]
    path: list[tuple[Node, ...]]
    main: BoolArray

    def __len__(self) -> int:
        return len(self.owner)

    @classmethod
    def empty(cls) -> Forest:
        none = np.zeros(0)
        return cls(
            none.astype(np.int64), np.zeros((0, 5)), np.zeros((0, 5, 5)), none, [], [], none.astype(bool)
        )

    def take(self, rows: IntArray) -> Forest:
        return Forest(
            self.owner[rows],
            self.state[rows],
            self.doubt[rows],
            self.score[rows],
            [self.boxes[row] for row in rows],
            [self.path[row] for row in rows],
            self.main[rows],
        )

    def add(self, owner: int, node: Node) -> None:
        """A new track's only hypothesis."""
        self.owner = np.append(self.owner, owner)
        self.state = np.concatenate([self.state, node.state[None]])
        self.doubt = np.concatenate([self.doubt, node.doubt[None]])
        self.score = np.append(self.score, COST_OF_A_TRACK)
        self.boxes.append(node.boxes)
        self.path.append((node,))
        self.main = np.append(self.main, True)


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


def likeliest(total: Array, forest: Forest, count: int) -> tuple[IntArray, IntArray, BoolArray]:
    """The likeliest continuations of each track: row of the hypothesis, column (0 = miss, 1 + box), and if it is
    the main one.

    The likeliest ones of neighbours may all want the same boxes. So whatever else is dropped, what was chosen last
    goes on, by the best assignment of this camera's boxes to all tracks at once: there is always a good way on that
    the tracks agree upon.
    """
    rows, columns = np.nonzero(np.isfinite(total))
    order = np.lexsort((columns, rows, -total[rows, columns], forest.owner[rows]))
    rows, columns = rows[order], columns[order]
    owner = forest.owner[rows]
    rank = np.arange(len(rows)) - np.searchsorted(owner, owner)
    main = _assigned(total, forest.main)[rows] == columns
    kept = (rank < count) | main
    return rows[kept], columns[kept], main[kept]


def _assigned(total: Array, main: BoolArray) -> IntArray:
    """``(L,)`` column of each main hypothesis, no box twice; -1 for the others."""
    rows = np.flatnonzero(main)
    missed = np.where(np.eye(len(rows), dtype=bool), total[rows, 0], _NEVER)
    gain = np.column_stack([np.maximum(total[rows, 1:], _NEVER), missed])
    at, column = scipy.optimize.linear_sum_assignment(gain, maximize=True)
    taken = np.full(len(total), -1)
    taken[rows[at]] = np.where(column < total.shape[1] - 1, column + 1, 0)
    return taken


_NEVER = -1e9


def compatible(forest: Forest, least: Array, apart_m: float) -> dict[int, int]:
    """The likeliest choice of hypotheses in which no box is used twice and no two stand in one place, by track.

    Args:
        least: ``(tracks,)`` a track whose score does not exceed it is better left out: what it costs to begin one, or
            what was settled of one that is believed, less what it costs to end it. Could none ever be left out, two
            tracks that share one person's boxes would explain them as well as one that has all and one that has none.
        apart_m: no two stand closer.
    """
    score = forest.score - least[forest.owner]
    wanted = [*_boxes_wanted(forest), *_places_wanted(forest, apart_m)]
    chosen: dict[int, int] = {}
    for rows, groups in _problems(forest.owner, wanted):
        taken = _first_choice(forest.owner[rows], score[rows], groups)
        if taken is None:
            taken = _best_choice(score[rows], [*_of_each(forest.owner[rows]), *groups])
        chosen |= {int(forest.owner[row]): int(row) for row in rows[taken]}
    return dict(sorted(chosen.items()))


def _problems(owner: IntArray, wanted: list[IntArray]) -> Iterator[tuple[IntArray, list[IntArray]]]:
    """Rows of tracks that may want the same, and the positions in them of what only one of each group may have."""
    first = np.repeat([group[0] for group in wanted], [len(group) for group in wanted]).astype(np.int64)
    second = np.concatenate([np.zeros(0, np.int64), *wanted])
    label = components(int(owner.max(initial=-1)) + 1, owner[first], owner[second])[owner]
    groups: dict[int, list[IntArray]] = {}
    for group in wanted:
        groups.setdefault(int(label[group[0]]), []).append(group)
    for number in np.unique(label):
        rows = np.flatnonzero(label == number)
        yield rows, [np.searchsorted(rows, group) for group in groups.get(int(number), [])]


def _first_choice(owner: IntArray, score: Array, groups: list[IntArray]) -> IntArray | None:
    """Every track's likeliest hypothesis (they come first), where that is possible and good for all."""
    first = np.unique(owner, return_index=True)[1]
    first = first[score[first] > 0]
    taken = np.zeros(len(owner), bool)
    taken[first] = True
    return None if any(taken[group].sum() > 1 for group in groups) else first


def _best_choice(score: Array, once: list[IntArray]) -> IntArray:
    """The rows of the greatest total score, at most one of each group."""
    solution = scipy.optimize.milp(
        -score,
        integrality=np.ones(len(score)),
        bounds=scipy.optimize.Bounds(0, 1),
        constraints=scipy.optimize.LinearConstraint(_incidence(once, len(score)), -np.inf, 1),
    )
    if solution.x is None:
        raise RuntimeError(f"no consistent choice among {len(score)} hypotheses: {solution.message}")
    return np.flatnonzero(solution.x > 0.5)


def _of_each(owner: IntArray) -> list[IntArray]:
    return [np.flatnonzero(owner == number) for number in np.unique(owner)]


def _boxes_wanted(forest: Forest) -> list[IntArray]:
    """Hypotheses of several tracks that took one box."""
    nodes: dict[int, Node] = {}
    rows: dict[int, list[int]] = {}
    for row, path in enumerate(forest.path):
        for node in path:
            nodes[id(node)] = node
            rows.setdefault(id(node), []).append(row)
    takers: dict[tuple[float, Box], list[int]] = {}
    for name, node in nodes.items():
        for box in node.boxes:
            takers.setdefault((node.time_s, box), []).extend(rows[name])
    owner = forest.owner.tolist()
    return [np.array(who) for who in takers.values() if owner[who[0]] != owner[who[-1]]]


def _places_wanted(forest: Forest, apart_m: float) -> list[IntArray]:
    """Each hypothesis with those of one other track that stand where it stands now."""
    away = forest.state[:, None, :2] - forest.state[None, :, :2]
    near = (away**2).sum(axis=2) < apart_m**2
    row, other = np.nonzero(near & (forest.owner[:, None] < forest.owner))
    starts = np.flatnonzero(np.diff(row) | np.diff(forest.owner[other])) + 1
    parts = zip(np.split(row, starts), np.split(other, starts), strict=True)
    return [np.append(others, rows[0]) for rows, others in parts if len(rows)]


def _incidence(groups: list[IntArray], count: int) -> scipy.sparse.csr_array:
    """``(groups, count)`` 0 and 1: who belongs to which group."""
    rows = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    ones, columns = np.ones(len(rows)), np.concatenate(groups)
    return scipy.sparse.csr_array((ones, (rows, columns)), shape=(len(groups), count))
