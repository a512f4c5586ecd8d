"""The simulated site in time: people and vehicles stepped at a fixed rate, read at any later instant.

Memory is bounded by the cast, not by the duration: who leaves waits outside and returns with the same id and clothes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from samples.navigation import Navigation
from samples.plan import Site
from samples.traffic import Traffic, TrafficHabits
from samples.types import ActorState, CarAppearance, FloatArray, PersonAppearance
from samples.walkers import Crowd, Habits

STEP_S = 0.05
VEHICLE_ID = 1000


@dataclass(frozen=True, slots=True)
class Cast:
    """Who lives in a scenario, with their habits. People have ids from 1, vehicles from ``VEHICLE_ID`` + 1."""

    people: tuple[PersonAppearance, ...]
    vehicles: tuple[CarAppearance, ...] = ()
    habits: Habits = field(default_factory=Habits)
    traffic: TrafficHabits = field(default_factory=TrafficHabits)
    parked: int = 0
    warmup_s: float = 45.0


class World:
    """A running site; ``states(t_s)`` must be asked in order of time.

    Args:
        site: the place.
        cast: its people and vehicles.
        seed: of all that happens; the same seed happens the same way.
        navigation: a clearance map to share between worlds of one site, or None to make it.
    """

    def __init__(self, site: Site, cast: Cast, seed: int, navigation: Navigation | None = None) -> None:
        self.site, self.cast = site, cast
        navigation = navigation or Navigation(site)
        self.crowd = Crowd(site, navigation, list(cast.people), cast.habits, seed)
        self.traffic = Traffic(site, list(cast.vehicles), cast.traffic, seed, VEHICLE_ID + 1, cast.parked)
        self._tick = -round(cast.warmup_s / STEP_S)
        while self._tick < 0:
            self._step()
        self._before = self._after = self._snapshot()

    @property
    def now_s(self) -> float:
        """Site time of the newest step; 0 is the start of the recordings."""
        return self._tick * STEP_S

    def states(self, t_s: float) -> list[ActorState]:
        """Everybody present at site time ``t_s``.

        Raises:
            ValueError: ``t_s`` is before an instant asked for earlier.
        """
        if t_s < self.now_s - STEP_S - 1e-9:
            raise ValueError(f"the world is at {self.now_s:.2f} s and cannot go back to {t_s:.2f} s")
        while self.now_s < t_s:
            self._step()
            self._before, self._after = self._after, self._snapshot()
        share = 1.0 - (self.now_s - t_s) / STEP_S
        return [
            _between(self._before[i], state, share) for i, state in self._after.items() if i in self._before
        ]

    def _step(self) -> None:
        self._tick += 1
        now = self._tick * STEP_S + self.cast.warmup_s
        self.crowd.step(now, STEP_S, self.traffic.blocks())
        self.crowd.enter_followers(now)
        self.traffic.step(now, STEP_S, self._people())

    def _people(self) -> FloatArray:
        present = [walker.position_m for walker in self.crowd.walkers if walker.state != "away"]
        return np.asarray(present, dtype=np.float64).reshape(-1, 2)

    def _snapshot(self) -> dict[int, ActorState]:
        everybody = [*self.crowd.walkers, *self.traffic.drivers]
        return {actor.actor_id: actor.snapshot() for actor in everybody if actor.state != "away"}


def _between(a: ActorState, b: ActorState, share: float) -> ActorState:
    """Linear between two steps; angles take the shorter way."""
    (ax, ay), (bx, by) = a.position_m, b.position_m
    if share >= 1.0 - 1e-9 or np.hypot(bx - ax, by - ay) > 2.0:  # a leap: gone and come back by another door
        return b
    return replace(
        b,
        position_m=(ax + share * (bx - ax), ay + share * (by - ay)),
        heading_rad=_turned(a.heading_rad, b.heading_rad, share),
        gait_phase=_turned(a.gait_phase, b.gait_phase, share),
        wheel_angle_rad=_turned(a.wheel_angle_rad, b.wheel_angle_rad, share),
        speed_mps=a.speed_mps + share * (b.speed_mps - a.speed_mps),
        gait_amplitude=a.gait_amplitude + share * (b.gait_amplitude - a.gait_amplitude),
    )


def _turned(a: float, b: float, share: float) -> float:
    return a + share * ((b - a + np.pi) % (2 * np.pi) - np.pi)
