"""People who walk through a site: itineraries over doors and spots, groups, stops, U-turns, and avoidance.

Movement follows the social force model (Helbing and Molnar 1995): each relaxes to its wanted velocity and is pushed
aside by others and by walls; a last step keeps bodies apart and out of solids, so nobody is ever inside one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from samples.navigation import Navigation
from samples.plan import Site
from samples.steering import BODY_M, from_vehicles, from_walls, kept_apart, repulsion
from samples.types import ActorState, FloatArray, PersonAppearance, Point

RELAX_S = 0.45
STRIDE_M = 1.45
ARRIVE_M = 0.45
LOOK_EVERY = 5
TURN_RATE = 4.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How people of a scenario behave. Times in seconds; ``pairs`` is the share of people who walk in a group."""

    stops: tuple[int, int] = (1, 3)
    stop_s: tuple[float, float] = (2.0, 7.0)
    away_s: tuple[float, float] = (4.0, 14.0)
    entry_s: float = 40.0
    uturn_rate_hz: float = 0.01
    pairs: float = 0.25


@dataclass(slots=True)
class Walker:
    """One person's body and mind. ``state`` away: outside the site until ``wait_until_s``."""

    actor_id: int
    appearance: PersonAppearance
    pace_mps: float
    wait_until_s: float
    leader: Walker | None = None
    side_m: float = 0.0
    state: Literal["away", "walking", "standing"] = "away"
    x: float = 0.0
    y: float = 0.0
    vx: float = 0.0
    vy: float = 0.0
    heading: float = 0.0
    facing: float = 0.0
    phase: float = 0.0
    goals: list[Point] = field(default_factory=list)
    exit_door: Point = (0.0, 0.0)
    path: list[Point] = field(default_factory=list)
    stuck_s: float = 0.0
    stop_s: float = 0.0

    @property
    def position_m(self) -> Point:
        return self.x, self.y

    def snapshot(self) -> ActorState:
        """What the renderer sees of it now."""
        speed = float(np.hypot(self.vx, self.vy))
        swing = 0.0 if self.state == "standing" and speed < 0.15 else float(np.clip(speed / 1.4, 0.0, 1.15))
        return ActorState(
            self.actor_id, self.appearance, self.position_m, self.heading, speed, self.phase, swing
        )


class Crowd:
    """Everybody of a site, stepped together."""

    def __init__(
        self,
        site: Site,
        navigation: Navigation,
        cast: list[PersonAppearance],
        habits: Habits,
        seed: int,
        first_id: int = 1,
    ) -> None:
        self._site, self._navigation, self._habits = site, navigation, habits
        self._rng = np.random.default_rng([seed, 201])
        self._zones = sorted({spot.zone for spot in site.spots})
        self.walkers = [self._newcomer(first_id + i, look) for i, look in enumerate(cast)]
        self._step_count = 0
        self._form_groups()

    def _newcomer(self, actor_id: int, look: PersonAppearance) -> Walker:
        pace = float(np.clip(self._rng.normal(1.3, 0.17), 0.9, 1.75))
        return Walker(actor_id, look, pace, float(self._rng.uniform(0, self._habits.entry_s)))

    def _form_groups(self) -> None:
        index = 0
        while index < len(self.walkers) - 1:
            if self._rng.random() < self._habits.pairs / 1.3:
                size = 2 if self._rng.random() < 0.75 else 3
                leader = self.walkers[index]
                for place, member in enumerate(self.walkers[index + 1 : index + size]):
                    member.leader, member.pace_mps = leader, leader.pace_mps
                    member.side_m = (0.75, -0.75)[place]
                index += size
            else:
                index += 1

    def step(self, now_s: float, dt_s: float, blocks: FloatArray) -> None:
        """Advance everybody by ``dt_s``; ``blocks`` ``(K, 3)`` are x, y and radius of vehicles to keep away from."""
        self._step_count += 1
        for walker in self.walkers:
            self._think(walker, now_s, dt_s)
        present = [walker for walker in self.walkers if walker.state != "away"]
        if present:
            self._move(present, dt_s, blocks)

    def _think(self, walker: Walker, now_s: float, dt_s: float) -> None:
        if walker.state == "away":
            if now_s >= walker.wait_until_s and walker.leader is None:
                self._enter(walker, now_s)
        elif walker.leader is not None:
            self._follow(walker, walker.leader, now_s)
        elif walker.state == "standing":
            if now_s >= walker.wait_until_s:
                walker.state = "walking"
                self._next_goal(walker)
        else:
            self._walk_on(walker, now_s, dt_s)

    def _enter(self, leader: Walker, now_s: float) -> None:
        """Come in by a door nobody stands in, with the whole group, knowing where to go."""
        doors = [door.position_m for door in self._site.doors]
        entry, leader.exit_door = (doors[i] for i in self._rng.choice(len(doors), 2, replace=False))
        if not self._is_free(entry):
            leader.wait_until_s = now_s + 1.0
            return
        leader.goals = self._itinerary()
        self._appear(leader, entry)
        self._next_goal(leader)
        for member in self.walkers:
            if member.leader is leader:
                member.wait_until_s = now_s + 1.1 * (1 + (member.side_m < 0))
                member.exit_door, member.goals = entry, []
                member.state = "away"

    def _is_free(self, door: Point) -> bool:
        return all(
            walker.state == "away" or np.hypot(walker.x - door[0], walker.y - door[1]) > 1.0
            for walker in self.walkers
        )

    def _appear(self, walker: Walker, door: Point) -> None:
        walker.x, walker.y = door
        walker.vx = walker.vy = 0.0
        walker.state, walker.stuck_s = "walking", 0.0

    def _itinerary(self) -> list[Point]:
        """Spots of one visit, each in another zone than the one before."""
        low, high = self._habits.stops
        zones: list[str] = []
        for _ in range(int(self._rng.integers(low, high + 1))):
            others = [zone for zone in self._zones if not zones or zone != zones[-1] or len(self._zones) == 1]
            zones.append(others[int(self._rng.integers(len(others)))])
        return [self._spot(zone) for zone in zones]

    def _spot(self, zone: str) -> Point:
        spots = [spot.position_m for spot in self._site.spots if spot.zone == zone]
        x, y = spots[int(self._rng.integers(len(spots)))]
        for _ in range(8):
            moved = (x + float(self._rng.normal(0, 0.5)), y + float(self._rng.normal(0, 0.5)))
            if self._navigation.sees((x, y), moved):
                return moved
        return x, y

    def _next_goal(self, walker: Walker) -> None:
        goal = walker.goals[0] if walker.goals else walker.exit_door
        # trees of shortest paths are kept per fixed goal; a stop lies within sight of its spot
        anchor = goal if not walker.goals else self._nearest_spot(goal)
        walker.path = [self._aside(p) for p in self._navigation.path(walker.position_m, anchor)[:-1]]
        walker.path += (
            [anchor, goal]
            if anchor != goal and not self._navigation.sees(walker.position_m, goal)
            else [goal]
        )

    def _nearest_spot(self, point: Point) -> Point:
        spots = [spot.position_m for spot in self._site.spots]
        return min(spots, key=lambda spot: float(np.hypot(spot[0] - point[0], spot[1] - point[1])))

    def _aside(self, point: Point) -> Point:
        """A waypoint moved a little, so that people do not walk in one file."""
        moved = (point[0] + float(self._rng.normal(0, 0.3)), point[1] + float(self._rng.normal(0, 0.3)))
        return moved if self._navigation.sees(point, moved) else point

    def _walk_on(self, walker: Walker, now_s: float, dt_s: float) -> None:
        goal = walker.path[-1]
        left_m = float(np.hypot(goal[0] - walker.x, goal[1] - walker.y))
        crowded = walker.stuck_s > 2.0 and left_m < 1.6
        if left_m < ARRIVE_M or crowded:
            self._arrive(walker, now_s)
        elif walker.goals and self._rng.random() < self._habits.uturn_rate_hz * dt_s:
            walker.goals = []  # a U-turn: something forgotten, back to where one came from
            doors = sorted(
                (door.position_m for door in self._site.doors),
                key=lambda door: (
                    (door[0] - walker.x) * np.cos(walker.heading)
                    + (door[1] - walker.y) * np.sin(walker.heading)
                ),
            )
            walker.exit_door = doors[0]
            self._next_goal(walker)
        elif walker.stuck_s > 3.0:
            walker.stuck_s = 0.0
            self._next_goal(walker)

    def _arrive(self, walker: Walker, now_s: float) -> None:
        if walker.goals:
            walker.goals.pop(0)
            walker.state, walker.stuck_s = "standing", 0.0
            walker.wait_until_s = now_s + float(self._rng.uniform(*self._habits.stop_s))
            walker.facing = walker.heading + float(self._rng.normal(0, 0.9))
        else:
            self._leave(walker, now_s)

    def _leave(self, walker: Walker, now_s: float) -> None:
        walker.state = "away"
        walker.wait_until_s = now_s + float(self._rng.uniform(*self._habits.away_s))

    def _follow(self, walker: Walker, leader: Walker, now_s: float) -> None:
        """Keep beside the leader; leave by the same door when the leader has left."""
        if leader.state == "away":
            gap_m = float(np.hypot(leader.x - walker.x, leader.y - walker.y))
            walker.state = "walking"
            if gap_m < 0.7 or (gap_m < 2.0 and walker.stuck_s > 1.5):
                walker.state, walker.stuck_s = "away", 0.0
            elif not walker.path or walker.path[-1] != leader.exit_door or walker.stuck_s > 3.0:
                walker.path, walker.stuck_s = self._navigation.path(walker.position_m, leader.exit_door), 0.0
            return
        walker.state = "walking"
        beside = (
            leader.x - walker.side_m * float(np.sin(leader.heading)),
            leader.y + walker.side_m * float(np.cos(leader.heading)),
        )
        seen = self._navigation.sees(walker.position_m, beside, BODY_M)
        walker.path = [beside] if seen else [leader.position_m]
        if not seen and not self._navigation.sees(walker.position_m, leader.position_m, BODY_M):
            walker.path = self._navigation.path(walker.position_m, self._anchor_of(leader))[:1]

    def _anchor_of(self, leader: Walker) -> Point:
        return self._nearest_spot(leader.goals[0]) if leader.goals else leader.exit_door

    def enter_followers(self, now_s: float) -> None:
        """Group members step out of the door behind their leader."""
        for walker in self.walkers:
            leader = walker.leader
            waiting = leader is not None and walker.state == "away" and leader.state != "away"
            if waiting and now_s >= walker.wait_until_s and self._is_free(walker.exit_door):
                self._appear(walker, walker.exit_door)
                walker.path = []
                walker.wait_until_s = np.inf

    def _move(self, walkers: list[Walker], dt_s: float, blocks: FloatArray) -> None:
        here = np.array([(w.x, w.y) for w in walkers])
        speed = np.array([(w.vx, w.vy) for w in walkers])
        wanted = np.array([self._wanted(w) for w in walkers])
        force = (
            (wanted - speed) / RELAX_S
            + repulsion(here, wanted, self._together(walkers))
            + from_walls(self._navigation, here)
        )
        force += from_vehicles(here, blocks)
        speed = speed + force * dt_s
        limit = np.array([1.25 * w.pace_mps + 0.1 for w in walkers])
        length = np.maximum(np.hypot(speed[:, 0], speed[:, 1]), 1e-9)
        speed *= np.minimum(1.0, limit / length)[:, None]
        there = self._kept_free(here, kept_apart(here + speed * dt_s))
        for walker, old, new, wish in zip(walkers, here, there, wanted, strict=True):
            _take_step(walker, old, new, wish, dt_s)

    def _wanted(self, walker: Walker) -> Point:
        if walker.state == "standing" or not walker.path:
            return 0.0, 0.0
        looks_ahead = (self._step_count + walker.actor_id) % LOOK_EVERY == 0
        while len(walker.path) > 1 and (
            math.dist(walker.path[0], walker.position_m) < 0.6
            or (looks_ahead and self._navigation.sees(walker.position_m, walker.path[1]))
        ):
            walker.path.pop(0)
        dx, dy = walker.path[0][0] - walker.x, walker.path[0][1] - walker.y
        left = max(math.hypot(dx, dy), 1e-6)
        pace = walker.pace_mps
        if walker.leader is not None and walker.leader.state != "away":
            pace = min(max(1.6 * (left - 0.1), 0.0), 1.22 * pace)
            pace = 0.0 if walker.leader.state == "standing" and left < 0.6 else pace
        return pace * dx / left, pace * dy / left

    def _together(self, walkers: list[Walker]) -> np.ndarray:
        group = np.array([(w.leader or w).actor_id for w in walkers])
        return np.asarray(group[:, None] == group[None, :])

    def _kept_free(self, old: FloatArray, new: FloatArray) -> FloatArray:
        """Push points out of what cannot be walked on; who would still be inside stays where they were."""
        for _ in range(3):
            short = BODY_M - self._navigation.clearance(new)
            inside = short > 0
            if not inside.any():
                return new
            slope = self._navigation.slope(new[inside])
            slope /= np.maximum(np.linalg.norm(slope, axis=1), 1e-6)[:, None]
            new = new.copy()
            new[inside] += slope * np.minimum(short[inside], 0.12)[:, None]
        return np.where((self._navigation.clearance(new) > 0.5 * BODY_M)[:, None], new, old)


def _take_step(walker: Walker, old: FloatArray, new: FloatArray, wish: FloatArray, dt_s: float) -> None:
    walker.x, walker.y = float(new[0]), float(new[1])
    dx, dy = walker.x - float(old[0]), walker.y - float(old[1])
    walker.vx, walker.vy = dx / dt_s, dy / dt_s
    step_m, wants = math.hypot(dx, dy), math.hypot(float(wish[0]), float(wish[1]))
    is_stuck = wants > 0.3 and step_m < 0.25 * wants * dt_s
    walker.stuck_s = walker.stuck_s + dt_s if is_stuck else max(0.0, walker.stuck_s - dt_s)
    stride = STRIDE_M * walker.appearance.height_m / 1.72
    walker.phase = (walker.phase + math.tau * step_m / stride) % math.tau
    moving = step_m / dt_s > 0.35
    if walker.state == "standing" or moving:
        aim = math.atan2(dy, dx) if moving else walker.facing
        turn = _half_turn(aim - walker.heading)
        walker.heading = _half_turn(walker.heading + min(max(turn, -TURN_RATE * dt_s), TURN_RATE * dt_s))
    if moving:
        walker.facing = walker.heading


def _half_turn(angle: float) -> float:
    return (angle + math.pi) % math.tau - math.pi
