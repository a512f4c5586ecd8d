"""Vehicles that follow routes: they keep their distance, brake for people, wait at junctions, park and leave again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from samples.plan import Bay, Route, Site
from samples.types import ActorState, CarAppearance, FloatArray, Point

ACCELERATION, BRAKING = 1.8, 4.5
GAP_M = 2.5
WHEEL_M = 0.33
PARKING_MPS = 2.2


@dataclass(frozen=True, slots=True)
class TrafficHabits:
    """``away_s`` between two drives through the site; ``parks`` the share of drives that end in a bay for ``park_s``."""

    away_s: tuple[float, float] = (10.0, 60.0)
    entry_s: float = 60.0
    parks: float = 0.35
    park_s: tuple[float, float] = (15.0, 60.0)


class Track:
    """A polyline with arc length: positions and headings by distance driven."""

    def __init__(self, points_m: tuple[Point, ...] | list[Point]) -> None:
        self._points = np.asarray(points_m, dtype=np.float64)
        self._at = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self._points, axis=0), axis=1))])

        self.length_m = float(self._at[-1])
        self.is_straight = len(self._points) == 2

    def position(self, along_m: float) -> Point:
        return float(np.interp(along_m, self._at, self._points[:, 0])), float(
            np.interp(along_m, self._at, self._points[:, 1])
        )

    def positions(self, along_m: FloatArray) -> FloatArray:
        """``(N, 2)`` for distances ``(N,)``; beyond the ends, the ends."""
        return np.stack([np.interp(along_m, self._at, self._points[:, k]) for k in (0, 1)], axis=1)

    def heading(self, along_m: float, base_m: float = 1.2) -> float:
        """Direction of the chord over a wheelbase, so that a vehicle turns smoothly."""
        low = min(max(along_m - base_m, 0.0), self.length_m - 2 * base_m)
        (x0, y0), (x1, y1) = self.position(max(low, 0.0)), self.position(low + 2 * base_m)
        return float(np.arctan2(y1 - y0, x1 - x0))

    def nearest(self, point: Point) -> float:
        """Distance along the track of the place nearest to ``point``."""
        steps = np.linspace(0, self.length_m, int(self.length_m / 0.5) + 2)
        return float(steps[int(np.linalg.norm(self.positions(steps) - np.asarray(point), axis=1).argmin())])


@dataclass(slots=True)
class Driver:
    """One vehicle: where on which track, and what it is about."""

    actor_id: int
    appearance: CarAppearance
    wait_until_s: float
    state: Literal["away", "driving", "into_bay", "parked", "out_of_bay"] = "away"
    route: Route | None = None
    track: Track = field(default_factory=lambda: Track([(0, 0), (1, 0)]))
    along_m: float = 0.0
    speed: float = 0.0
    wheel: float = 0.0
    bay: Bay | None = None
    turn_at_m: float = 0.0

    @property
    def position_m(self) -> Point:
        return self.track.position(self.along_m)

    @property
    def heading(self) -> float:
        return self.track.heading(self.along_m)

    def snapshot(self) -> ActorState:
        """What the renderer sees of it now."""
        return ActorState(
            self.actor_id,
            self.appearance,
            self.position_m,
            self.heading,
            abs(self.speed),
            wheel_angle_rad=self.wheel,
        )


class Traffic:
    """All vehicles of a site, stepped together."""

    def __init__(
        self,
        site: Site,
        fleet: list[CarAppearance],
        habits: TrafficHabits,
        seed: int,
        first_id: int,
        parked: int = 0,
    ) -> None:
        self._routes, self._habits = site.routes, habits
        self._tracks = {route.name: Track(route.points_m) for route in site.routes}
        self._rng = np.random.default_rng([seed, 202])
        self._discs: dict[int, FloatArray] = {}
        entry = lambda: float(self._rng.uniform(0, habits.entry_s))  # noqa: E731
        self.drivers = (
            [Driver(first_id + i, look, entry()) for i, look in enumerate(fleet)] if site.routes else []
        )
        self._park_at_start(parked)
        self._cover()

    def _park_at_start(self, count: int) -> None:
        places = list({bay: (route, bay) for route in self._routes for bay in route.bays}.values())
        short = [driver for driver in self.drivers if driver.appearance.length_m < 5.4]
        chosen = self._rng.permutation(len(places))[:count]
        for driver, place in zip(short, chosen, strict=False):
            route, bay = places[int(place)]
            self._aim_for(driver, route, bay)
            driver.track, driver.along_m = self._bay_track(driver), 0.0
            driver.along_m, driver.state = driver.track.length_m, "parked"
            driver.wait_until_s = float(self._rng.uniform(0.3, 3.0) * self._habits.park_s[1])

    def step(self, now_s: float, dt_s: float, people: FloatArray) -> None:
        """Advance every vehicle; ``people`` ``(N, 2)`` are in their way when ahead."""
        for driver in self.drivers:
            if driver.state == "away":
                self._maybe_enter(driver, now_s)
            elif driver.state == "parked":
                if now_s >= driver.wait_until_s and self._may_back_out(driver):
                    driver.state = "out_of_bay"
            else:
                self._drive(driver, now_s, dt_s, people)
        self._cover()

    def blocks(self) -> FloatArray:
        """``(K, 3)`` x, y, radius of discs that cover the vehicles, for people to keep clear of."""
        return np.concatenate(list(self._discs.values())) if self._discs else np.zeros((0, 3))

    def _cover(self) -> None:
        self._discs = {driver.actor_id: _discs(driver) for driver in self.drivers if driver.state != "away"}

    def _maybe_enter(self, driver: Driver, now_s: float) -> None:
        if now_s < driver.wait_until_s:
            return
        route = self._routes[int(self._rng.integers(len(self._routes)))]
        start = route.points_m[0]
        if any(
            d.state != "away" and np.hypot(d.position_m[0] - start[0], d.position_m[1] - start[1]) < 14
            for d in self.drivers
        ):
            driver.wait_until_s = now_s + 1.5
            return
        driver.route, driver.track, driver.along_m = route, self._tracks[route.name], 0.0
        driver.speed, driver.state, driver.bay = route.speed_mps, "driving", None
        free = [bay for bay in route.bays if all(d.bay is not bay for d in self.drivers)]
        if free and driver.appearance.length_m < 5.4 and self._rng.random() < self._habits.parks:
            self._aim_for(driver, route, free[int(self._rng.integers(len(free)))])

    def _aim_for(self, driver: Driver, route: Route, bay: Bay) -> None:
        driver.route, driver.bay = route, bay
        lane = self._tracks[route.name]
        driver.turn_at_m = lane.nearest(bay.centre_m) - 4.2

    def _bay_track(self, driver: Driver) -> Track:
        """From the lane into the bay: a quadratic Bezier whose control point is where lane and bay axis cross."""
        assert driver.route is not None and driver.bay is not None
        lane, bay = self._tracks[driver.route.name], driver.bay
        start = np.asarray(lane.position(driver.turn_at_m))
        corner = np.asarray(lane.position(driver.turn_at_m + 4.2))
        axis = np.array([np.cos(bay.heading_rad), np.sin(bay.heading_rad)])
        mouth = np.asarray(bay.centre_m) - 1.2 * axis
        t = np.linspace(0, 1, 24)[:, None]
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * mouth
        return Track([(float(x), float(y)) for x, y in np.vstack([curve, [np.asarray(bay.centre_m)]])])

    def _drive(self, driver: Driver, now_s: float, dt_s: float, people: FloatArray) -> None:
        backwards = driver.state == "out_of_bay"
        wanted = self._wanted_speed(driver, people)
        change = min(max(wanted - driver.speed, -BRAKING * dt_s), ACCELERATION * dt_s)
        driver.speed = max(0.0, driver.speed + change)
        step_m = driver.speed * dt_s * (-1 if backwards else 1)
        driver.along_m += step_m
        driver.wheel = (driver.wheel + step_m / WHEEL_M) % (2 * np.pi)
        self._arrive(driver, now_s)

    def _arrive(self, driver: Driver, now_s: float) -> None:
        if driver.state == "driving" and driver.bay is not None and driver.along_m >= driver.turn_at_m:
            driver.track, driver.along_m, driver.state = self._bay_track(driver), 0.0, "into_bay"
        elif driver.state == "into_bay" and driver.along_m >= driver.track.length_m - 0.05:
            driver.along_m, driver.speed, driver.state = driver.track.length_m, 0.0, "parked"
            driver.wait_until_s = now_s + float(self._rng.uniform(*self._habits.park_s))
        elif driver.state == "out_of_bay" and driver.along_m <= 0:
            assert driver.route is not None
            driver.track, driver.along_m = self._tracks[driver.route.name], driver.turn_at_m
            driver.speed, driver.state, driver.bay = 0.0, "driving", None
        elif driver.state == "driving" and driver.along_m >= driver.track.length_m:
            driver.state, driver.bay = "away", None
            driver.wait_until_s = now_s + float(self._rng.uniform(*self._habits.away_s))

    def _wanted_speed(self, driver: Driver, people: FloatArray) -> float:
        assert driver.route is not None
        limit = driver.route.speed_mps if driver.state == "driving" else PARKING_MPS
        if driver.state == "driving":
            limit = min(limit, self._curve_limit(driver))
            if driver.bay is not None:
                limit = min(limit, _stopping_speed(driver.turn_at_m - driver.along_m) + PARKING_MPS)
        else:
            end = driver.track.length_m if driver.state == "into_bay" else 0.0
            limit = min(limit, 0.4 + 0.8 * abs(end - driver.along_m))
        free_m = min(self._gap_ahead(driver, people), self._junction_gap(driver))
        return min(limit, _stopping_speed(free_m - GAP_M))

    def _curve_limit(self, driver: Driver) -> float:
        if driver.track.is_straight:
            return 11.0
        ahead = [
            driver.track.heading(min(driver.along_m + m, driver.track.length_m)) for m in (0.0, 4.0, 8.0)
        ]
        bend = max(abs((b - a + np.pi) % (2 * np.pi) - np.pi) for a, b in itertools.pairwise(ahead))
        return 11.0 if bend < 0.12 else max(3.2, 2.2 / bend)

    def _gap_ahead(self, driver: Driver, people: FloatArray) -> float:
        """Free metres before the bumper along its own track."""
        if driver.state == "out_of_bay":
            return 99.0
        half = driver.appearance.length_m / 2
        ahead = np.arange(half, half + 18.0, 0.7)
        here = driver.track.positions(driver.along_m + ahead)
        reach = driver.appearance.width_m / 2 + 0.35
        others = [
            self._discs[other.actor_id]
            for other in self.drivers
            if other is not driver and other.state != "parked" and other.actor_id in self._discs
        ]
        every = np.concatenate([np.column_stack([people, np.full(len(people), 0.3)]), *others])
        every = every[np.abs(every[:, :2] - here[0]).max(axis=1) < 24.0]
        hit = (np.linalg.norm(here[:, None] - every[None, :, :2], axis=2) < reach + every[None, :, 2]).any(
            axis=1
        )
        return float(ahead[hit.argmax()] - half) if hit.any() else 99.0

    def _junction_gap(self, driver: Driver) -> float:
        """Metres to the stop line while another vehicle is inside the junction or nearer to it."""
        stretch = driver.route.junction if driver.route and driver.state == "driving" else None
        if stretch is None:
            return 99.0
        half = driver.appearance.length_m / 2
        to_line = stretch[0] - driver.along_m - half
        if to_line < -0.5 or to_line > 25:
            return 99.0
        return (
            to_line + GAP_M
            if any(self._has_junction(other, driver, to_line) for other in self.drivers)
            else 99.0
        )

    def _has_junction(self, other: Driver, driver: Driver, to_line: float) -> bool:
        if other is driver or other.state != "driving" or other.route is None or other.route.junction is None:
            return False
        if other.route.points_m[0] == driver.route.points_m[0]:  # type: ignore[union-attr]
            return False
        half = other.appearance.length_m / 2
        line, end = other.route.junction
        inside = line - half + 0.5 < other.along_m < end + half
        theirs = line - other.along_m - half
        first = -0.5 <= theirs < 12 and (theirs, other.actor_id) < (to_line, driver.actor_id)
        return inside or first

    def _may_back_out(self, driver: Driver) -> bool:
        assert driver.route is not None
        lane = self._tracks[driver.route.name]
        spot = lane.position(driver.turn_at_m)
        near = (np.hypot(d.position_m[0] - spot[0], d.position_m[1] - spot[1]) for d in self.drivers
                if d is not driver and d.state not in ("away", "parked"))  # fmt: skip
        return min(near, default=99.0) > 16.0


def _discs(driver: Driver) -> FloatArray:
    half, radius = driver.appearance.length_m / 2, driver.appearance.width_m / 2
    (x, y), heading = driver.position_m, driver.heading
    offsets = np.linspace(-half + radius, half - radius, 4)
    return np.column_stack([x + offsets * np.cos(heading), y + offsets * np.sin(heading), np.full(4, radius)])


def _stopping_speed(free_m: float) -> float:
    """The speed from which one stops within ``free_m`` at a comfortable braking."""
    return float(np.sqrt(max(0.0, 2 * 0.55 * BRAKING * free_m)))
