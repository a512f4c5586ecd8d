"""The cost of pairs: nothing within the limit is overlooked, and each term says what it should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking.affinity import CostWeights, appearance_cost, association_pairs, overlap_pairs
from tracking.boxes import corners, iou_matrix


def boxes(rng, count):
    return np.hstack((rng.uniform(0, 400, (count, 2)), rng.uniform(5, 120, (count, 2))))


def every_pair(predicted, variance, heading, seen, detected, confidence, weights):
    """The cost as its definition says, one pair after another."""
    cost = np.zeros((len(predicted), len(detected)))
    for i, track in enumerate(predicted):
        for j, found in enumerate(detected):
            grown = np.array([1, 1, 1 + 2 * weights.buffer, 1 + 2 * weights.buffer])
            overlap = iou_matrix(corners(track[None] * grown), corners(found[None] * grown))[0, 0]
            size = np.sum(np.abs(track - found)[2:] / np.maximum(track, found)[2:])
            motion = min(np.sum((track - found) ** 2 / variance[i]) / 9.488, 2.0)
            step = found[:2] - seen[i]
            straight = heading[i] @ step / max(np.hypot(*step), 1e-9)
            cost[i, j] = 1 - confidence[j] * overlap + weights.size * size
            cost[i, j] += 0.5 * weights.motion * motion - 0.5 * weights.direction * straight
    return cost


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.4, 0.9, 1.04, 1.3]),
    st.sampled_from([CostWeights(), CostWeights(0.0, 0.3, 0.0, 0.0), CostWeights(0.3, 0.1, 0.6, 0.4)]),
)
def test_every_pair_within_the_limit_is_there_at_its_cost(seed, limit, weights):
    rng = np.random.default_rng(seed)
    predicted, detected = boxes(rng, 7), boxes(rng, 9)
    variance = rng.uniform(4, 900, (7, 4))
    angle = rng.uniform(0, 7, 7)
    heading = np.stack((np.cos(angle), np.sin(angle)), axis=1) * rng.integers(0, 2, (7, 1))
    seen = predicted[:, :2] + rng.normal(0, 10, (7, 2))
    given_ = predicted, variance, heading, seen, detected, rng.uniform(0, 1, 9), weights
    pairs = association_pairs(*given_, limit)
    expected = every_pair(*given_)
    np.testing.assert_allclose(pairs.cost, expected[pairs.track, pairs.detection])
    listed = set(zip(pairs.track.tolist(), pairs.detection.tolist(), strict=True))
    assert {(i, j) for i, j in np.argwhere(expected <= limit).tolist()} <= listed
    assert len(listed) == len(pairs.track)


def test_distant_pairs_are_not_looked_at():
    rng = np.random.default_rng(0)
    crowd = np.hstack((1e3 * np.arange(50)[:, None], rng.uniform(0, 50, (50, 1)), np.full((50, 2), 60.0)))
    pairs = association_pairs(
        crowd, np.full((50, 4), 9.0), np.zeros((50, 2)), crowd[:, :2], crowd, np.ones(50), CostWeights(), 1.0
    )
    assert pairs.track.tolist() == pairs.detection.tolist() == list(range(50))


def test_overlap_pairs_are_those_that_touch():
    rng = np.random.default_rng(1)
    first, second = boxes(rng, 20), boxes(rng, 20)
    pairs = overlap_pairs(first, second)
    overlap = iou_matrix(corners(first), corners(second))
    np.testing.assert_allclose(pairs.cost, 1 - overlap[pairs.track, pairs.detection])
    assert {tuple(p) for p in np.argwhere(overlap > 0).tolist()} <= set(
        zip(pairs.track.tolist(), pairs.detection.tolist(), strict=True)
    )


def test_unknown_looks_cost_nothing():
    square = np.array([[0, 0, 10, 10.0]])
    pairs = overlap_pairs(np.repeat(square, 2, axis=0), np.repeat(square, 2, axis=0))
    tracks, detections = np.array([[1.0, 0], [0, 0]]), np.array([[0, 1.0], [1, 0]])
    assert appearance_cost(tracks, detections, pairs) == pytest.approx([1, 0, 0, 0])
    assert appearance_cost(np.zeros((2, 0)), detections, pairs) == pytest.approx(np.zeros(4))
