"""Clock estimates against tracks whose clock was set wrong on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulated import make_tracklet
from tracking.clock import estimate_clock
from tracking.types import Tracklet


def _walk(rng: np.random.Generator, camera: str, clock, seconds: float = 240.0) -> list[Tracklet]:  # type: ignore[no-untyped-def]
    """Two walkers on smooth random paths, seen at 10 fps and stamped by ``clock(true time)``."""
    tracklets = []
    true_s = np.arange(0.0, seconds, 0.2)
    for walker in range(2):
        waves = np.random.default_rng(walker).uniform(0.1, 0.6, (2, 3))
        phases = np.random.default_rng(walker + 9).uniform(0, 6, (2, 3))
        xy = np.stack(
            [3 * np.sin(np.outer(true_s, w) + p).sum(axis=1) for w, p in zip(waves, phases, strict=True)], 1
        )
        seen = xy + rng.normal(scale=0.05, size=xy.shape)
        tracklets.append(make_tracklet(camera, walker + 1, clock(true_s), ground=seen))
    return tracklets


@pytest.mark.parametrize(
    ("offset", "drift"), [(0.0, 0.0), (0.73, 0.0), (-2.4, 0.0), (0.5, 0.002), (0.4, 25 / 21 - 1)]
)
def test_offset_and_drift_are_recovered(offset: float, drift: float) -> None:
    rng = np.random.default_rng(3)
    reference = _walk(rng, "a", lambda t: t)
    # reference time = camera time * (1 + drift) + offset
    camera = _walk(rng, "b", lambda t: (t - offset) / (1 + drift))
    estimate = estimate_clock(camera, reference, declared_fps=25.0)
    middle = np.concatenate([t.timestamp_s for t in camera]).mean()
    assert estimate.is_reliable
    assert estimate.offset_s == pytest.approx(offset + drift * middle, abs=0.06)
    assert estimate.drift == pytest.approx(drift, abs=3e-4)
    assert estimate.true_fps == pytest.approx(25.0 / (1 + drift), rel=3e-4)
    assert (estimate.warning != "") == (offset != 0)


def test_a_displaced_calibration_does_not_move_the_clock() -> None:
    rng = np.random.default_rng(4)
    reference = _walk(rng, "a", lambda t: t)
    camera = [
        make_tracklet("b", t.key.local_id, t.timestamp_s - 0.4, ground=t.ground_xy + np.float32([0.5, -0.3]))
        for t in _walk(rng, "b", lambda t: t)
    ]
    assert estimate_clock(camera, reference, 10.0).offset_s == pytest.approx(0.4, abs=0.06)


def test_people_who_stand_still_say_nothing() -> None:
    times = np.arange(0, 60, 0.1)
    still = np.tile([[1.0, 2.0]], (len(times), 1))
    one, other = make_tracklet("a", 1, times, ground=still), make_tracklet("b", 1, times, ground=still)
    estimate = estimate_clock([other], [one], 10.0)
    assert not estimate.is_reliable
    assert "too little common movement" in estimate.warning


def test_an_uncalibrated_camera_is_refused() -> None:
    times = np.arange(0, 5, 0.1)
    with pytest.raises(ValueError, match="no tracklet of the camera has a ground position"):
        estimate_clock(
            [make_tracklet("b", 1, times)], [make_tracklet("a", 1, times, ground=np.zeros((50, 2)))], 10.0
        )
