"""Assignment: never above the limit, one to one, and as good as trying everything."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracking.assignment import assign


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
