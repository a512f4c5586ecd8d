"""The two solvers of the partition, against brute force over all partitions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking.partition import Judgement, agglomerate, components, solve_exactly


def _partitions(count: int) -> Iterator[np.ndarray]:
    """Every way to label ``count`` things, by restricted growth."""

    def grow(labels: list[int]) -> Iterator[np.ndarray]:
        if len(labels) == count:
            yield np.array(labels)
            return
        for label in range(max(labels, default=-1) + 2):
            yield from grow([*labels, label])

    yield from grow([])


def _value(label: np.ndarray, weight: np.ndarray, forbidden: np.ndarray) -> float:
    together = np.triu(label[:, None] == label[None], 1)
    return -np.inf if (together & forbidden).any() else float(np.nansum(weight[together]))


def _problem(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    weight = np.triu(rng.uniform(-1, 1, (count, count)), 1)
    weight[rng.random((count, count)) < 0.2] = np.nan
    forbidden = np.triu(rng.random((count, count)) < 0.15, 1)
    weight = np.triu(weight, 1) + np.triu(weight, 1).T
    return weight.astype(np.float32), forbidden | forbidden.T


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 9999), count=st.integers(1, 6))
def test_the_exact_solver_finds_the_optimum(seed: int, count: int) -> None:
    weight, forbidden = _problem(seed, count)
    best = max(_value(label, weight, forbidden) for label in _partitions(count))
    assert _value(solve_exactly(weight, forbidden), weight, forbidden) == pytest.approx(best, abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9999))
def test_agglomeration_never_joins_what_is_forbidden_and_gains_by_every_merge(seed: int) -> None:
    weight, forbidden = _problem(seed, 12)
    label = _agglomerated(weight, forbidden)
    assert _value(label, weight, forbidden) >= 0


def _agglomerated(weight: np.ndarray, forbidden: np.ndarray, tier: np.ndarray | None = None) -> np.ndarray:
    edges = np.argwhere(np.triu(np.nan_to_num(weight) > 0, 1) & ~forbidden)
    strength = weight[edges[:, 0], edges[:, 1]]
    level = np.zeros(len(edges), np.int64) if tier is None else tier[edges[:, 0], edges[:, 1]]

    def judge(one: np.ndarray, other: np.ndarray) -> Judgement:
        return Judgement(weight[one, other], forbidden[one, other], ~forbidden[one, other])

    return agglomerate(np.arange(len(weight)), edges, strength, level, judge)


def test_the_best_pair_is_merged_first_and_blocks_the_next() -> None:
    weight = np.array([[0, 0.9, 0.8], [0.9, 0, -0.5], [0.8, -0.5, 0]], np.float32)
    forbidden = np.zeros((3, 3), bool)
    forbidden[1, 2] = forbidden[2, 1] = True
    assert _agglomerated(weight, forbidden).tolist() == [0, 0, 1]


def test_a_chain_of_lucky_pairs_does_not_join_strangers() -> None:
    # Neighbours are a little alike, the ends are not: no single link decides.
    weight = np.array([[0, 0.2, -1, -1], [0.2, 0, 0.3, -1], [-1, 0.3, 0, 0.2], [-1, -1, 0.2, 0]], np.float32)
    label = _agglomerated(weight, np.zeros((4, 4), bool))
    assert label[1] == label[2]
    assert label[0] != label[3]


def test_adjacent_cameras_come_first() -> None:
    weight = np.array([[0, 0.5, 0.6], [0.5, 0, 0], [0.6, 0, 0]], np.float32)
    forbidden = np.zeros((3, 3), bool)
    forbidden[1, 2] = forbidden[2, 1] = True
    tier = np.ones((3, 3), np.int64)
    tier[0, 1] = tier[1, 0] = 0
    assert _agglomerated(weight, forbidden, tier).tolist() == [0, 0, 1]


def test_without_evidence_nothing_is_joined() -> None:
    nothing = np.full((4, 4), np.nan, np.float32)
    assert len(set(solve_exactly(nothing, np.zeros((4, 4), bool)).tolist())) == 4


def test_components() -> None:
    label = components(5, np.array([0, 3]), np.array([1, 4]))
    assert label[0] == label[1]
    assert label[3] == label[4]
    assert len(set(label.tolist())) == 3
