"""Assignment: never above the limit, one to one, and as good as trying everything."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracking.assignment import assign, assign_pairs


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        ([[0.1, 0.9], [0.9, 0.1]], [(0, 0), (1, 1)]),
        ([[0.1, 0.2], [0.1, 0.9]], [(0, 1), (1, 0)]),  # the greedy choice 0-0 would strand row 1
        ([[0.5]], [(0, 0)]),  # equal to the limit counts
        ([[0.5001]], []),
        ([[np.inf, 0.3]], [(0, 1)]),
        ([[0.1], [0.05], [0.2]], [(1, 0)]),
    ],
)
def test_known_cases(cost, expected):
    rows, columns = assign(np.array(cost), 0.5)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_match(shape):
    rows, columns = assign(np.zeros(shape), 1.0)
    assert len(rows) == len(columns) == 0


def best_gain(cost, limit):
    """The most that can be saved, by trying every arrangement."""
    rows, columns = cost.shape
    padded = np.zeros((max(cost.shape), max(cost.shape)))
    padded[:rows, :columns] = np.maximum(limit - cost, 0)
    return max(sum(padded[i, p[i]] for i in range(len(padded))) for p in permutations(range(len(padded))))


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.floats(0, 1, width=16))
    )
)
def test_as_good_as_trying_everything(cost):
    rows, columns = assign(cost, 0.5)
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(columns.tolist())) == len(columns)
    assert np.all(cost[rows, columns] <= 0.5)
    assert np.all(np.diff(rows) > 0)
    assert np.sum(0.5 - cost[rows, columns]) == pytest.approx(best_gain(cost, 0.5), abs=1e-4)


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.6, np.inf]))
    )
)
def test_a_list_of_pairs_is_matched_as_well_as_their_matrix(cost):
    rows, columns = np.nonzero(np.isfinite(cost))
    chosen = assign_pairs(rows, columns, cost[rows, columns], 0.5)
    assert len(set(rows[chosen].tolist())) == len(set(columns[chosen].tolist())) == len(chosen)
    assert np.all(cost[rows, columns][chosen] <= 0.5)
    best = np.sum(0.5 - cost[assign(cost, 0.5)])
    assert np.sum(0.5 - cost[rows, columns][chosen]) == pytest.approx(best, abs=1e-6)


def test_pairs_without_rivals_at_the_limit_are_matched():
    chosen = assign_pairs(np.array([0, 2, 5]), np.array([1, 0, 7]), np.array([0.5, 0.6, 0.1]), 0.5)
    assert chosen.tolist() == [0, 2]
