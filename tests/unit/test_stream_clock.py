"""Site times of live frames against cameras and networks whose faults are known."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from pipeline.sources.site_clock import SiteClock
from pipeline.sources.stream_clock import StreamClock

BEGIN_S = 1_700_000_000.0


def stamped(
    clock: StreamClock,
    seconds: float,
    *,
    network_s: float = 0.05,
    camera: object = None,
    media: object = None,
    fps: int = 10,
) -> list[float]:
    """Errors of the site times of a camera at ``fps``; ``camera(t)`` and ``media(t)`` are what its clocks show at ``t``."""
    rng = random.Random(1)
    errors = []
    for index in range(int(seconds * fps)):
        taken_s = BEGIN_S + index / fps
        arrival_s = taken_s + network_s + rng.expovariate(1 / 0.01)
        media_s = media(index / fps) if callable(media) else index / fps
        camera_s = camera(taken_s) if callable(camera) else None
        errors.append(clock.site_time_s(media_s, arrival_s, camera_s) - taken_s)
    return errors


def test_without_reports_the_fastest_packets_tell_the_time():
    clock = StreamClock(latency_s=0.05)
    errors = stamped(clock, 20)
    assert max(map(abs, errors[50:])) < 0.01
    assert (clock.kind, clock.jumps) == ("arrival", 0)


def test_the_cameras_own_clock_is_exact_whatever_the_network_does():
    clock = StreamClock()
    errors = stamped(clock, 20, network_s=0.8, camera=lambda t: t)
    assert max(map(abs, errors)) < 1e-3
    assert clock.kind == "rtcp"
    assert clock.error_s == pytest.approx(-0.8, abs=0.05)
    assert not clock.is_corrected


@pytest.mark.parametrize("off_s", [-3600.0, 90.0, -2_208_988_800.0])
def test_a_wrong_camera_clock_is_told_and_taken_out(off_s: float):
    clock = StreamClock(latency_s=0.05)
    errors = stamped(clock, 20, camera=lambda t: t + off_s)
    assert max(map(abs, errors[50:])) < 0.02
    assert clock.is_corrected
    assert clock.error_s == pytest.approx(off_s, abs=0.02)


def test_a_jump_of_the_cameras_clock_is_seen_at_once():
    clock = StreamClock(latency_s=0.05)
    errors = stamped(clock, 40, camera=lambda t: t + (30.0 if t > BEGIN_S + 20 else 0.0))
    assert clock.jumps == 1
    assert max(map(abs, errors[:199] + errors[202:])) < 0.1


def test_a_stream_that_starts_over_is_a_jump_even_without_reports():
    clock = StreamClock(latency_s=0.05)
    errors = stamped(clock, 40, media=lambda t: t % 15)
    assert clock.jumps == 2
    assert max(map(abs, errors[50:])) < 0.1


def test_a_network_that_stalls_is_no_jump():
    clock = StreamClock()
    times = [clock.site_time_s(index / 10, BEGIN_S + index / 10, None) for index in range(300)]
    for index in range(300, 340):  # four seconds held back by the network, then given all at once
        times.append(clock.site_time_s(index / 10, BEGIN_S + 34.0, None))
    times += [clock.site_time_s(index / 10, BEGIN_S + index / 10, None) for index in range(340, 400)]
    assert clock.jumps == 0
    assert times == pytest.approx([BEGIN_S + index / 10 for index in range(400)], abs=1e-6)


@pytest.mark.parametrize("ppm", [300.0, -300.0])
def test_drift_is_measured_and_does_not_add_up(ppm: float):
    clock = StreamClock(latency_s=0.05)
    errors = stamped(clock, 900, media=lambda t: t * (1 + ppm / 1e6), fps=4)
    assert clock.drift_ppm == pytest.approx(ppm, abs=30)
    assert max(map(abs, errors[-100:])) < 0.04


def test_times_ascend_strictly_even_when_the_camera_stands_still():
    clock = StreamClock()
    times = [clock.site_time_s(0.0, BEGIN_S + index / 10, BEGIN_S) for index in range(50)]
    assert all(after > before for before, after in pairwise(times))


def test_a_new_connection_starts_with_a_new_media_clock():
    clock = StreamClock(latency_s=0.05)
    stamped(clock, 10, camera=lambda t: t)
    clock.restart()
    assert clock.kind == "arrival"
    assert clock.site_time_s(7000.0, BEGIN_S + 30.05, None) == pytest.approx(BEGIN_S + 30.0)
    assert clock.jumps == 0


class Clocks:
    """A host's two clocks, set by hand."""

    def __init__(self) -> None:
        self.steady_s, self.wall_offset_s = 100.0, BEGIN_S

    def wall(self) -> float:
        return self.steady_s + self.wall_offset_s

    def steady(self) -> float:
        return self.steady_s


def test_the_site_clock_follows_steps_forward_and_never_back():
    host = Clocks()
    clock = SiteClock(host.wall, host.steady)
    assert clock.now_s() == BEGIN_S + 100
    host.wall_offset_s += 3600
    assert clock.now_s() == BEGIN_S + 3700
    host.wall_offset_s -= 7200
    host.steady_s += 1
    assert clock.now_s() == BEGIN_S + 3701
    assert clock.steps_s == -3600
