"""Swaps undone by height: two people who pass each other, and a tracker that took one for the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking.heights import Walk, told_apart

FPS = 4.0
COUNT = 120
MET = 60


def walks(heights: tuple[float, float], apart_m: float, noise: float = 0.03, seed: int = 0) -> list[Walk]:
    """Two people on parallel ways, ``apart_m`` from each other halfway; after it each has the other's height."""
    rng, frames = np.random.default_rng(seed), np.arange(COUNT)
    found = []
    for number in range(2):
        tall = np.where(frames <= MET, heights[number], heights[1 - number])
        side = (1 if number else -1) * (apart_m / 2 + 0.05 * np.abs(frames - MET))
        measured = tall + rng.normal(scale=noise, size=COUNT)
        measured[rng.random(COUNT) < 0.2] = np.nan
        node = number * COUNT + frames
        found.append(Walk(node, frames / FPS, np.column_stack([0.2 * frames, side]), measured))
    return found


def swapped(heights: tuple[float, float], apart_m: float) -> bool:
    paths = told_apart(walks(heights, apart_m))
    return not np.array_equal(paths[0], np.arange(COUNT))


@pytest.mark.parametrize(
    ("heights", "apart_m", "expected"),
    [
        ((1.6, 1.8), 0.3, True),
        ((1.68, 1.74), 0.3, True),
        ((1.7, 1.7), 0.3, False),
        ((1.6, 1.8), 1.5, False),
    ],
    ids=["tall and short", "six centimetres", "as tall as the other", "never near"],
)
def test_who_met_goes_on_as_whoever_is_as_tall(
    heights: tuple[float, float], apart_m: float, expected: bool
) -> None:
    assert swapped(heights, apart_m) is expected


def test_the_exchange_is_where_they_met() -> None:
    first, second = told_apart(walks((1.6, 1.8), 0.3))
    np.testing.assert_array_equal(first, [*range(MET + 1), *range(COUNT + MET + 1, 2 * COUNT)])
    np.testing.assert_array_equal(second, [*range(COUNT, COUNT + MET + 1), *range(MET + 1, COUNT)])


def test_unmeasured_heights_say_nothing() -> None:
    blank = [walk._replace(height_m=np.full(COUNT, np.nan)) for walk in walks((1.6, 1.8), 0.3)]
    first, second = told_apart(blank)
    np.testing.assert_array_equal([first, second], [blank[0].node, blank[1].node])
    assert told_apart([]) == []


@given(seed=st.integers(0, 50), first=st.floats(1.5, 1.9), second=st.floats(1.5, 1.9))
def test_nobody_is_lost_and_time_goes_on(seed: int, first: float, second: float) -> None:
    paths = told_apart(walks((first, second), 0.2, seed=seed))
    assert sorted(np.concatenate(paths).tolist()) == list(range(2 * COUNT))
    for path in paths:
        np.testing.assert_array_equal(path % COUNT, np.arange(COUNT))
