"""A site: what stands on the floor, where people may walk and cars may drive, and which cameras watch.

The builders below lay down walls, buildings with door niches, kiosks, planters, trees and parking bays in metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from samples.appearance import linear
from samples.types import Box3, Camera, CameraResponse, FloorPatch, FloorPlan, Point

Polygon = tuple[Point, ...]
Texture = Literal["plaster", "brick", "concrete", "wood", "metal", "glass", "hedge"]
FloorTexture = Literal["paving", "asphalt", "grass", "tiles", "concrete", "marking", "wood"]
DOOR_HEIGHT_M = 2.3
NICHE_DEPTH_M = 1.8


@dataclass(frozen=True, slots=True)
class Door:
    """Where people appear and vanish: the back of a niche, or an end of a pavement out of sight."""

    name: str
    position_m: Point


@dataclass(frozen=True, slots=True)
class Spot:
    """Where people like to stop; ``zone`` names the part of the site."""

    zone: str
    position_m: Point


@dataclass(frozen=True, slots=True)
class Route:
    """A way through the site for vehicles: an open polyline, driven from first to last point.

    ``junction`` marks the stretch (metres along the route) that only one conflicting vehicle may occupy.
    """

    name: str
    points_m: tuple[Point, ...]
    speed_mps: float = 8.0
    junction: tuple[float, float] | None = None
    bays: tuple[Bay, ...] = ()


@dataclass(frozen=True, slots=True)
class Bay:
    """A parking place beside a route: its middle, the heading of a car parked nose in."""

    centre_m: Point
    heading_rad: float


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with a recording, in seconds of the recording.

    ``freeze_s`` repeats one picture from the first to the second time; at ``jump_at_s`` the clock leaps by ``jump_s``.
    """

    freeze_s: tuple[float, float] | None = None
    jump_at_s: float | None = None
    jump_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class SiteCamera:
    """A camera, its response, and when its recording starts on the site clock."""

    camera: Camera
    response: CameraResponse
    start_s: float = 0.0
    faults: Faults = field(default_factory=Faults)

    @property
    def camera_id(self) -> str:
        return self.camera.camera_id


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """The whole static place. ``walkable``: polygons people keep to (less the solids)."""

    name: str
    plan: FloorPlan
    walkable: tuple[Polygon, ...]
    doors: tuple[Door, ...]
    spots: tuple[Spot, ...]
    routes: tuple[Route, ...] = ()
    cameras: tuple[SiteCamera, ...] = ()

    def camera(self, camera_id: str) -> SiteCamera:
        """The named camera; ValueError tells the known ones."""
        for site_camera in self.cameras:
            if site_camera.camera_id == camera_id:
                return site_camera
        known = ", ".join(site_camera.camera_id for site_camera in self.cameras)
        raise ValueError(f"site {self.name} has no camera {camera_id}; it has {known}")


@dataclass
class Builder:
    """Collects the parts of a site."""

    patches: list[FloorPatch] = field(default_factory=list)
    solids: list[Box3] = field(default_factory=list)
    walkable: list[Polygon] = field(default_factory=list)
    doors: list[Door] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)

    def floor(self, box: tuple[float, float, float, float], texture: FloorTexture, colour: str) -> None:
        """A rectangle ``(x0, y0, x1, y1)`` of floor."""
        self.patches.append(FloorPatch(rectangle(box), texture, linear(colour)))

    def solid(
        self,
        name: str,
        box: tuple[float, float, float, float],
        height_m: float,
        colour: str,
        texture: Texture = "plaster",
        base_m: float = 0.0,
    ) -> None:
        """A block over the rectangle ``(x0, y0, x1, y1)``, from ``base_m`` up by ``height_m``."""
        self.solids.append(Box3(name, rectangle(box), height_m, linear(colour), texture, base_m))

    def spot(self, zone: str, *positions_m: Point) -> None:
        self.spots.extend(Spot(zone, position) for position in positions_m)

    def building(
        self,
        name: str,
        box: tuple[float, float, float, float],
        height_m: float,
        colour: str,
        texture: Texture = "plaster",
        doors: tuple[tuple[Literal["south", "north", "west", "east"], float], ...] = (),
    ) -> None:
        """A building; each door is ``(side, position along it)`` and becomes a dark niche people come out of."""
        for part in _around_niches(box, doors):
            self.solid(name, part, height_m, colour, texture)
        for side, along in doors:
            niche, inside = _niche(box, side, along)
            self.solid(f"{name} lintel", niche, height_m - DOOR_HEIGHT_M, colour, texture, DOOR_HEIGHT_M)
            self.floor(niche, "concrete", "3a3632")
            self.walkable.append(rectangle(_grown(niche, 0.5)))
            self.doors.append(Door(f"{name} {side}", inside))

    def planter(
        self, x: float, y: float, length_m: float = 2.4, width_m: float = 0.9, hedge_m: float = 0.6
    ) -> None:
        """A low box with a hedge on it."""
        box = (x - length_m / 2, y - width_m / 2, x + length_m / 2, y + width_m / 2)
        self.solid("planter", box, 0.5, "8c8880", "concrete")
        self.solid("hedge", _grown(box, -0.06), hedge_m, "3f6b2e", "hedge", 0.5)

    def tree(self, x: float, y: float, height_m: float = 4.5) -> None:
        """A trunk and a leafy block above the heads."""
        self.solids.append(Box3("trunk", disc((x, y), 0.18), 2.6, linear("5b432e"), "wood"))
        self.solids.append(
            Box3("crown", disc((x, y), 1.25, 8), height_m - 2.5, linear("3d6a2c"), "hedge", 2.5)
        )

    def pillar(
        self, x: float, y: float, radius_m: float = 0.28, height_m: float = 3.2, colour: str = "a39c90"
    ) -> None:
        self.solids.append(Box3("pillar", disc((x, y), radius_m, 8), height_m, linear(colour), "concrete"))

    def bench(self, x: float, y: float, along_x: bool = True) -> None:
        half = (0.9, 0.25) if along_x else (0.25, 0.9)
        self.solid("bench", (x - half[0], y - half[1], x + half[0], y + half[1]), 0.48, "7d5a38", "wood")

    def kiosk(self, x: float, y: float, size_m: float = 2.4, colour: str = "a84c34") -> None:
        half = size_m / 2
        box = (x - half, y - half, x + half, y + half)
        self.solid("kiosk", box, 2.5, colour, "wood")
        self.solid("kiosk roof", _grown(box, 0.25), 0.2, "4c4a48", "metal", 2.5)

    def site(
        self, name: str, extent_m: tuple[float, float, float, float], cameras: tuple[SiteCamera, ...],
        light: tuple[float, float, float] = (0.4, -0.5, 0.77),
    ) -> Site:  # fmt: skip
        """Everything laid down so far, as a site."""
        plan = FloorPlan(tuple(self.patches), tuple(self.solids), extent_m, light)
        parts = (tuple(self.walkable), tuple(self.doors), tuple(self.spots), tuple(self.routes))
        return Site(name, plan, *parts, cameras)


def rectangle(box: tuple[float, float, float, float]) -> Polygon:
    """Counter-clockwise corners of ``(x0, y0, x1, y1)``."""
    x0, y0, x1, y1 = box
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def disc(centre: Point, radius_m: float, sides: int = 6) -> Polygon:
    """A regular polygon about ``centre``, counter-clockwise."""
    angles = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    return tuple(
        (float(centre[0] + radius_m * np.cos(a)), float(centre[1] + radius_m * np.sin(a))) for a in angles
    )


def arc(centre: Point, radius_m: float, start_rad: float, end_rad: float, step_m: float = 0.4) -> list[Point]:
    """Points of a circular arc, both ends included."""
    count = max(2, int(abs(end_rad - start_rad) * radius_m / step_m) + 1)
    angles = np.linspace(start_rad, end_rad, count)
    return [
        (float(centre[0] + radius_m * np.cos(a)), float(centre[1] + radius_m * np.sin(a))) for a in angles
    ]


def _grown(box: tuple[float, float, float, float], by_m: float) -> tuple[float, float, float, float]:
    return (box[0] - by_m, box[1] - by_m, box[2] + by_m, box[3] + by_m)


def _niche(
    box: tuple[float, float, float, float], side: str, along: float, width_m: float = 1.7
) -> tuple[tuple[float, float, float, float], Point]:
    """The niche's rectangle and the point at its back where people appear."""
    x0, y0, x1, y1 = box
    half, depth, inner = width_m / 2, NICHE_DEPTH_M, NICHE_DEPTH_M - 0.6
    if side == "south":
        return (along - half, y0, along + half, y0 + depth), (along, y0 + inner)
    if side == "north":
        return (along - half, y1 - depth, along + half, y1), (along, y1 - inner)
    if side == "west":
        return (x0, along - half, x0 + depth, along + half), (x0 + inner, along)
    return (x1 - depth, along - half, x1, along + half), (x1 - inner, along)


def _around_niches(
    box: tuple[float, float, float, float], doors: tuple[tuple[str, float], ...]
) -> list[tuple[float, float, float, float]]:
    """The building's rectangle cut into rectangles that leave its niches free."""
    rest, parts = [box], []
    for side, along in doors:
        niche, _ = _niche(box, side, along)
        rest = [piece for whole in rest for piece in _minus(whole, niche)]
    parts.extend(rest)
    return parts


def _minus(
    whole: tuple[float, float, float, float], hole: tuple[float, float, float, float]
) -> list[tuple[float, float, float, float]]:
    x0, y0, x1, y1 = whole
    a0, b0, a1, b1 = max(x0, hole[0]), max(y0, hole[1]), min(x1, hole[2]), min(y1, hole[3])
    if a0 >= a1 or b0 >= b1:
        return [whole]
    pieces = [(x0, y0, a0, y1), (a1, y0, x1, y1), (a0, y0, a1, b0), (a0, b1, a1, y1)]
    return [piece for piece in pieces if piece[2] - piece[0] > 1e-6 and piece[3] - piece[1] > 1e-6]
