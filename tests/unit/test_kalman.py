"""The Kalman filter: time is seconds, so how it is cut into frames must not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking import kalman
from tracking.kalman import MotionNoise

BOX = np.array([[100.0, 200.0, 40.0, 80.0]])


def moving_filter(noise, speed=(60.0, 30.0, 0.0, 0.0)):
    state = kalman.initiate(BOX, noise)
    state[1] = speed
    return state


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 0.5), min_size=1, max_size=6))
def test_steps_of_any_length_lead_to_the_same_place(steps):
    noise = MotionNoise()
    once, often = moving_filter(noise), moving_filter(noise)
    kalman.predict(once, sum(steps), noise)
    for step in steps:
        kalman.predict(often, step, noise)
    np.testing.assert_allclose(once[:2], often[:2], rtol=1e-9)


def test_velocity_is_learned_and_in_px_per_second():
    noise = MotionNoise()
    for fps in (5.0, 30.0):
        state = kalman.initiate(BOX, noise)
        for i in range(1, int(3 * fps)):
            kalman.predict(state, 1 / fps, noise)
            seen = BOX + [[50.0 * i / fps, 0, 0, 0]]
            state = kalman.correct(state, seen, kalman.measurement_variance(seen, noise))
        assert state[1, 0, 0] == pytest.approx(50.0, rel=0.2)
        assert state[1, 0, 1] == pytest.approx(0.0, abs=3.0)


def test_unseen_object_slows_down_and_stays_finite():
    noise = MotionNoise(velocity_decay_s=1.0)
    state = moving_filter(noise)
    kalman.predict(state, 1000.0, noise)
    assert np.all(np.isfinite(state))
    assert state[0, 0, 0] == pytest.approx(
        100.0 + 60.0 * 1.0, rel=1e-6
    )  # speed times the decay time, no more
    assert abs(state[1, 0, 0]) < 1e-6


def test_uncertainty_grows_unseen_and_shrinks_when_seen():
    noise = MotionNoise()
    state = kalman.initiate(BOX, noise)
    before = state[2].copy()
    kalman.predict(state, 0.5, noise)
    assert np.all(state[2] > before)
    corrected = kalman.correct(state, BOX, kalman.measurement_variance(BOX, noise))
    assert np.all(corrected[2] < state[2])
    assert np.all(corrected[4] < state[4])


def test_boxes_do_not_disturb_each_other():
    noise = MotionNoise()
    both = kalman.initiate(np.concatenate((BOX, BOX * 3)), noise)
    kalman.predict(both, 0.3, noise)
    alone = kalman.initiate(BOX * 3, noise)
    kalman.predict(alone, 0.3, noise)
    np.testing.assert_allclose(both[:, 1:], alone)


def test_sizes_never_vanish():
    noise = MotionNoise()
    state = kalman.initiate(BOX, noise)
    state[1, :, 2:] = -1e5
    kalman.predict(state, 1.0, noise)
    assert np.all(state[0, :, 2:] >= 1)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_noise_is_checked(value):
    with pytest.raises(ValueError, match=r"MotionNoise\.acceleration"):
        MotionNoise(acceleration=value)
