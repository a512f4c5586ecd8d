"""How fast anybody may have come is learned from how fast they are seen to go."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulated import make_tracklet
from tracking.association import AssociationConfig
from tracking.evidence import Layout, Witness
from tracking.sketch import SketchTable, sketch_of
from tracking.speeds import FASTEST_MPS, SpeedLimits
from tracking.topology import Topology


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
    assert learned([0.0] * 30 + [9.0] * 10).of(0)[1] == pytest.approx(18.0, abs=0.3), (
        "most of the cars are parked"
    )


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


def test_who_must_have_hurried_is_less_likely_the_same_and_who_cannot_have_come_is_not():
    seen = [walk(number, 2.0) for number in range(12)]  # 2 m/s is usual, 4 m/s the most
    seen += [sketch_of(stand(1, 0.0, 0.0), 4)]
    seen += [sketch_of(stand(2 + k, 10.0, far_m), 4) for k, far_m in enumerate((8.0, 18.0, 60.0))]
    table = SketchTable.of(seen)
    limits = SpeedLimits(None)
    for sketch in table.sketches:
        limits.observe(sketch)
    layout = Layout.of(table.cameras, Topology(), 600.0)
    witness = Witness(table, layout, AssociationConfig(max_cosine_distance=0.3).limits(limits), 0.3)
    evidence = witness.testify(np.full(3, 12), np.array([13, 14, 15]))
    assert evidence.verdicts.haste[0] == 0.0
    assert 0.0 < evidence.verdicts.haste[1] < 1.0
    assert evidence.verdicts.impossible.tolist() == [False, False, True]
    assert evidence.weight[0] > evidence.weight[1]


def stand(local_id, start_s, far_m):
    """Five seconds in one place, looking like all others that stand."""
    times = start_s + np.arange(0, 5.0, 0.1)
    look = np.eye(4, dtype=np.float32)[[0, 0]]
    return make_tracklet("b", local_id, times, ground=np.tile([far_m, 0.0], (50, 1)), embeddings=look)
