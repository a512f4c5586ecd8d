"""How fast anybody may have come is learned from how fast they are seen to go."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulated import make_tracklet
from tracking.sketch import sketch_of
from tracking.speeds import FASTEST_MPS, SpeedLimits


def walk(local_id, speed_mps, seconds=6.0, class_id=0):
    times = np.arange(0, seconds, 0.1)
    ground = np.stack([speed_mps * times, np.zeros(len(times))], axis=1)
    return sketch_of(make_tracklet("a", local_id, times, ground=ground, class_id=class_id), 4, np.arange(3))


def learned(speeds, class_id=0):
    limits = SpeedLimits(None)
    for number, speed in enumerate(speeds):
        limits.observe(walk(number, speed, class_id=class_id))
    return limits


def test_walkers_are_not_believed_to_run_and_cars_are_not_believed_to_walk():
    assert learned([1.4] * 40).of(0)[1] == pytest.approx(3.0, abs=0.01), "who walks may hurry"
    assert learned([2.5] * 40).of(0)[1] == pytest.approx(5.0, abs=0.1)
    assert learned([0.0] * 30 + [9.0] * 10).of(0)[1] == pytest.approx(18.0, abs=0.3), "most of the cars are parked"


def test_every_class_group_has_its_own():
    limits = learned([1.8] * 20)
    for number in range(20):
        limits.observe(walk(100 + number, 8.0, class_id=2))
    assert limits.of(0)[1] < 4 < 15 < limits.of(2)[1]
    assert limits.of(1) == (FASTEST_MPS, FASTEST_MPS), "nothing was seen of it"


def test_a_few_wrong_positions_change_little():
    rng = np.random.default_rng(0)
    limits = SpeedLimits(None)
    for number in range(40):
        times = np.arange(0, 6.0, 0.1)
        ground = np.stack([1.4 * times, np.zeros(len(times))], axis=1) + rng.normal(0, 0.1, (len(times), 2))
        ground[rng.integers(len(times))] += 20.0
        limits.observe(sketch_of(make_tracklet("a", number, times, ground=ground), 4))
    assert limits.of(0)[1] < 5.0


def test_too_few_and_too_short_tracklets_tell_nothing():
    assert learned([1.4] * 9).of(0) == (FASTEST_MPS, FASTEST_MPS)
    limits = SpeedLimits(None)
    for number in range(40):
        limits.observe(walk(number, 1.4, seconds=0.8))
    assert limits.of(0) == (FASTEST_MPS, FASTEST_MPS)


def test_a_given_limit_stays():
    limits = SpeedLimits(2.0)
    for number in range(40):
        limits.observe(walk(number, 9.0))
    assert limits.of(0) == (2.0, 2.0)
