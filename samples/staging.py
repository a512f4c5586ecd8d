"""Staged scenes for training pictures: people and vehicles put in front of a camera, one frame at a time.

Nothing is simulated: poses are drawn at random where somebody could be, so that a few thousand frames take minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from samples.cameras import project
from samples.navigation import Navigation
from samples.plan import Site
from samples.traffic import Track
from samples.types import ActorState, Camera, CarAppearance, FloatArray, PersonAppearance, Point

MIN_HEIGHT_PX, MAX_HEIGHT_PX = 30.0, 330.0


class Stage:
    """Places to stand and to drive within one camera's view.

    Raises:
        ValueError: the camera sees no floor where people could be.
    """

    def __init__(self, site: Site, camera: Camera, navigation: Navigation) -> None:
        self.site, self.camera = site, camera
        self.places, self._heights_px = _visible_places(site, camera, navigation)
        self.parking = [(bay.centre_m, bay.heading_rad) for route in site.routes for bay in route.bays]
        self._lanes = [Track(route.points_m) for route in site.routes]
        self._stretches = _visible_stretches(self._lanes, camera)
        if len(self.places) == 0:
            raise ValueError(f"camera {camera.camera_id} of site {site.name} sees no walkable floor")

    def people(
        self,
        looks: Sequence[tuple[int, PersonAppearance]],
        rng: np.random.Generator,
        cluster: float = 0.5,
        close: bool = False,
    ) -> list[ActorState]:
        """Everybody in ``looks`` (id, appearance) somewhere in view; ``cluster`` of them near another one.

        Places are drawn evenly over the floor, most of which is far away; with ``close`` evenly over the sizes
        people have in the picture.
        """
        states: list[ActorState] = []
        for actor_id, look in looks:
            spot = self._spot(states, rng, cluster, close)
            if spot is not None:
                states.append(_pose(actor_id, look, spot, rng))
        return states

    def vehicles(
        self,
        looks: Sequence[tuple[int, CarAppearance]],
        rng: np.random.Generator,
        close: bool = False,
        queue: float = 0.0,
    ) -> list[ActorState]:
        """Vehicles in bays and on lanes, none within another; ``queue`` of them wait behind another one.

        Places are drawn evenly along the lanes, most of which is far away or out of view; with ``close`` evenly over
        the sizes vehicles have in the picture.
        """
        states: list[ActorState] = []
        for actor_id, look in looks:
            for _ in range(10):
                place, heading = self._behind(states, look, rng, queue) or self._road(look, rng, close)
                if all(_clear(place, look, other) for other in states):
                    moving = 0.0 if rng.random() < 0.4 else 8.0
                    states.append(
                        ActorState(
                            actor_id,
                            look,
                            place,
                            heading,
                            moving,
                            wheel_angle_rad=float(rng.uniform(0, 6.28)),
                        )
                    )
                    break
        return states

    def _spot(
        self, states: list[ActorState], rng: np.random.Generator, cluster: float, close: bool
    ) -> Point | None:
        for _ in range(20):
            x, y = self.places[self._place(rng, close)]
            if states and rng.random() < cluster:
                near = states[int(rng.integers(len(states)))].position_m
                beside = np.flatnonzero(np.hypot(*(self.places - np.asarray(near)).T) < 1.6)
                if len(beside):
                    x, y = self.places[int(rng.choice(beside))]
            if all(np.hypot(x - s.position_m[0], y - s.position_m[1]) > 0.5 for s in states):
                return float(x), float(y)
        return None

    def _place(self, rng: np.random.Generator, close: bool) -> int:
        if not close:
            return int(rng.integers(len(self.places)))
        # Floor per pixel of height falls with its cube: the square makes the logarithm of the height even.
        weights = np.cumsum(self._heights_px**2)
        return int(np.searchsorted(weights, rng.random() * weights[-1]))

    def _behind(
        self, states: Sequence[ActorState], look: CarAppearance, rng: np.random.Generator, share: float
    ) -> tuple[Point, float] | None:
        """For ``share`` of the vehicles a place on another one's lane, as near behind it as they stop, if it is on one."""
        if share == 0 or rng.random() >= share or not states:  # no draw without: sets stay as they were
            return None
        leader = states[int(rng.integers(len(states)))]
        assert isinstance(leader.appearance, CarAppearance)
        gap_m = 0.5 * (look.length_m + leader.appearance.length_m) + float(rng.uniform(0.8, 4.0))
        for track in self._lanes:
            along = track.nearest(leader.position_m)
            if np.hypot(*np.subtract(track.position(along), leader.position_m)) < 0.6 and along > gap_m:
                return track.position(along - gap_m), track.heading(along - gap_m)
        return None

    def _road(self, look: CarAppearance, rng: np.random.Generator, close: bool) -> tuple[Point, float]:
        if close and self._stretches and rng.random() < 0.85:
            track, along = self._stretches[int(rng.integers(len(self._stretches)))]
            return track.position(along), track.heading(along)
        if self.parking and look.length_m < 5.4 and rng.random() < 0.45:
            return self.parking[int(rng.integers(len(self.parking)))]
        if self._lanes and rng.random() < 0.92:
            track = self._lanes[int(rng.integers(len(self._lanes)))]
            along = float(rng.uniform(0.1, 0.9) * track.length_m)
            return track.position(along), track.heading(along)
        x, y = self.places[int(rng.integers(len(self.places)))]
        return (float(x), float(y)), float(rng.uniform(-np.pi, np.pi))


def _visible_places(site: Site, camera: Camera, navigation: Navigation) -> tuple[FloatArray, FloatArray]:
    """Walkable grid points ``(N, 2)`` whose 1.7 m person would be in the frame, and its heights ``(N,)`` in px."""
    x0, y0, x1, y1 = site.plan.extent_m
    grid = np.stack(np.meshgrid(np.arange(x0, x1, 0.35), np.arange(y0, y1, 0.35)), axis=-1).reshape(-1, 2)
    grid = grid[navigation.clearance(grid) > 0.3]
    foot, depth = project(camera, np.column_stack([grid, np.zeros(len(grid))]))
    head, _ = project(camera, np.column_stack([grid, np.full(len(grid), 1.7)]))
    height = foot[:, 1] - head[:, 1]
    width_px, height_px = camera.size
    inside = (
        (foot[:, 0] > -20) & (foot[:, 0] < width_px + 20) & (head[:, 1] > -40) & (head[:, 1] < height_px - 30)
    )
    good = (
        (depth > 0.5)
        & inside
        & (height > MIN_HEIGHT_PX)
        & (height < MAX_HEIGHT_PX)
        & (foot[:, 1] < height_px + 60)
    )
    return np.asarray(grid[good]), np.asarray(height[good])


def _visible_stretches(lanes: Sequence[Track], camera: Camera) -> list[tuple[Track, float]]:
    """Places on lanes (and metres along them) in or at the edge of the frame, repeated so that sizes are even.

    A lane's length per pixel of a vehicle's size falls with its square: nearness makes the logarithm even.
    """
    width_px, height_px = camera.size
    places: list[tuple[Track, float]] = []
    for track in lanes:
        along = np.arange(0.0, track.length_m, 0.5)
        middle = np.column_stack([track.positions(along), np.full(len(along), 0.8)])
        at, depth = project(camera, middle)
        inside = (depth > 1.5) & (np.abs(at[:, 0] / width_px - 0.5) < 0.7) & (np.abs(at[:, 1] / height_px - 0.5) < 0.8)
        for where, away in zip(along[inside], depth[inside], strict=True):
            places += [(track, float(where))] * max(1, round(60.0 / away))
    return places


def _pose(actor_id: int, look: PersonAppearance, spot: Point, rng: np.random.Generator) -> ActorState:
    standing = rng.random() < 0.2
    speed = 0.0 if standing else float(rng.uniform(0.8, 1.6))
    swing = 0.0 if standing else float(np.clip(speed / 1.4, 0, 1.15))
    heading, phase = float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(0, 2 * np.pi))
    return ActorState(actor_id, look, spot, heading, speed, phase, swing)


def _clear(place: Point, look: CarAppearance, other: ActorState) -> bool:
    other_look = other.appearance
    assert isinstance(other_look, CarAppearance)
    along, aside = _in_frame_of(other, place)
    reach = 0.5 * (look.length_m + other_look.length_m) + 0.6
    return bool(along > reach or aside > 0.5 * (look.width_m + other_look.width_m) + 0.5)


def outside(person: ActorState, vehicles: Sequence[ActorState], margin_m: float = 0.3) -> bool:
    """Whether nobody is run over: the person stands clear of every vehicle."""
    for vehicle in vehicles:
        look = vehicle.appearance
        assert isinstance(look, CarAppearance)
        along, aside = _in_frame_of(vehicle, person.position_m)
        if along < look.length_m / 2 + margin_m and aside < look.width_m / 2 + margin_m:
            return False
    return True


def _in_frame_of(vehicle: ActorState, point: Point) -> tuple[float, float]:
    """Distances of a point from the vehicle's centre along and across it."""
    x, y = np.subtract(point, vehicle.position_m)
    cos, sin = np.cos(vehicle.heading_rad), np.sin(vehicle.heading_rad)
    return float(abs(x * cos + y * sin)), float(abs(y * cos - x * sin))
