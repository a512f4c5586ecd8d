"""Random sites for training data: a yard between buildings, a street or a car park beside it, cameras on its walls.

And random cameras beside the roads of any site.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samples.cameras import look_at
from samples.plan import Bay, Builder, Door, FloorTexture, Route, Site, SiteCamera, rectangle
from samples.response import random_response
from samples.traffic import Track
from samples.types import FloatArray

WALLS = (
    "b08a64",
    "cfc4ae",
    "b7bcc2",
    "a5654a",
    "c9bfae",
    "9aa6ae",
    "8e8478",
    "d8d2c4",
    "75706a",
    "a89a9a",
    "6f7f74",
)
GROUNDS = ("b5aa98", "a8a49c", "8f8b84", "5f6064", "a39e96", "c4b49c", "786e66", "8a948e", "5f8240")
WALL_TEXTURES = ("plaster", "brick", "concrete", "metal", "wood")
FLOOR_TEXTURES: tuple[FloorTexture, ...] = ("paving", "tiles", "concrete", "asphalt", "grass")
STREET_M = 8.0


@dataclass(frozen=True, slots=True)
class _Yard:
    """Measures of one yard: floor ``width_m`` by ``depth_m`` from the origin, the street south of it."""

    width_m: float
    depth_m: float
    has_street: bool


def random_yard(seed: int, cameras: int = 4, size: tuple[int, int] = (640, 360), prefix: str = "y") -> Site:
    """A site nobody has seen, with ``cameras`` cameras named ``prefix1..``, each with its own response."""
    rng = np.random.default_rng([seed, 301])
    yard = _Yard(float(rng.uniform(16, 30)), float(rng.uniform(12, 20)), bool(rng.random() < 0.65))
    builder = Builder()
    _ground(builder, yard, rng)
    _walls(builder, yard, rng)
    _clutter(builder, yard, rng)
    if yard.has_street:
        _street(builder, yard, rng)
    views = tuple(_camera(f"{prefix}{n + 1}", yard, builder, rng, size) for n in range(cameras))
    margin = 14.0
    extent = (-margin, -STREET_M - 8 - margin, yard.width_m + margin, yard.depth_m + margin)
    return builder.site(f"yard-{seed}", extent, views, _sun(rng))


def _sun(rng: np.random.Generator) -> tuple[float, float, float]:
    azimuth, height = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(35, 70))
    return (
        float(np.cos(azimuth) * np.cos(height)),
        float(np.sin(azimuth) * np.cos(height)),
        float(np.sin(height)),
    )


def _pick(rng: np.random.Generator, values: tuple[str, ...]) -> str:
    return values[int(rng.integers(len(values)))]


def _ground(b: Builder, yard: _Yard, rng: np.random.Generator) -> None:
    b.floor((-14, -STREET_M - 22, yard.width_m + 14, yard.depth_m + 14), "concrete", _pick(rng, GROUNDS))
    texture = FLOOR_TEXTURES[int(rng.integers(4))]
    b.floor((0, 0, yard.width_m, yard.depth_m), texture, _pick(rng, GROUNDS))
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(1, yard.width_m - 5), rng.uniform(1, yard.depth_m - 5)
        box = (float(x), float(y), float(x + rng.uniform(2, 6)), float(y + rng.uniform(2, 5)))
        b.floor(box, FLOOR_TEXTURES[int(rng.integers(len(FLOOR_TEXTURES)))], _pick(rng, GROUNDS))
    b.walkable.append(rectangle((0, 0, yard.width_m, yard.depth_m)))


def _walls(b: Builder, yard: _Yard, rng: np.random.Generator) -> None:
    width, depth = yard.width_m, yard.depth_m
    sides = (
        ("north", (-6, depth, width + 6, depth + 6), "south", float(rng.uniform(3, width - 3))),
        ("west", (-6, 0, 0, depth), "east", float(rng.uniform(3, depth - 3))),
        ("east", (width, 0, width + 6, depth), "west", float(rng.uniform(3, depth - 3))),
    )
    for name, box, side, along in sides:
        b.building(
            name, tuple(map(float, box)), float(rng.uniform(3.5, 7)), _pick(rng, WALLS),  # type: ignore[arg-type]
            _pick(rng, WALL_TEXTURES), ((side, along),),  # type: ignore[arg-type]
        )  # fmt: skip


def _clutter(b: Builder, yard: _Yard, rng: np.random.Generator) -> None:
    """Three to nine things to walk around, with room between them."""
    taken: list[tuple[float, float]] = []
    for _ in range(int(rng.integers(3, 10))):
        x, y = float(rng.uniform(2.5, yard.width_m - 2.5)), float(rng.uniform(2.5, yard.depth_m - 2.5))
        if all(np.hypot(x - a, y - c) > 4.2 for a, c in taken):
            taken.append((x, y))
            _thing(b, x, y, rng)
    for _ in range(8):
        x, y = float(rng.uniform(1, yard.width_m - 1)), float(rng.uniform(1, yard.depth_m - 1))
        if all(np.hypot(x - a, y - c) > 2.2 for a, c in taken):
            b.spot("yard", (x, y))


def _thing(b: Builder, x: float, y: float, rng: np.random.Generator) -> None:
    kind = rng.integers(6)
    upright = rng.random() < 0.5
    size = (float(rng.uniform(1.5, 3.0)), float(rng.uniform(0.7, 1.1)))
    if kind == 0:
        b.planter(x, y, *(size if upright else size[::-1]), hedge_m=float(rng.uniform(0.3, 1.0)))
    elif kind == 1:
        b.tree(x, y, float(rng.uniform(3.8, 5.5)))
    elif kind == 2:
        b.pillar(x, y, float(rng.uniform(0.15, 0.4)))
    elif kind == 3:
        b.bench(x, y, upright)
    elif kind == 4:
        b.kiosk(x, y, float(rng.uniform(1.6, 2.8)), _pick(rng, WALLS))
    else:
        half = (size[0] / 2, 0.12) if upright else (0.12, size[0] / 2)
        box = (x - half[0], y - half[1], x + half[0], y + half[1])
        texture = ("plaster", "brick", "metal", "wood", "glass")[int(rng.integers(5))]
        b.solid("screen", box, float(rng.uniform(0.9, 2.2)), _pick(rng, WALLS), texture)  # type: ignore[arg-type]


def _street(b: Builder, yard: _Yard, rng: np.random.Generator) -> None:
    """A pavement, two lanes and bays along the yard's open south side."""
    x0, x1 = -14.0, yard.width_m + 14.0
    b.floor((x0, -3, x1, 0), "paving", _pick(rng, GROUNDS))
    b.floor((x0, -3 - STREET_M, x1, -3), "asphalt", ("55565a", "6a6a6c", "48494c")[int(rng.integers(3))])
    for x in np.arange(x0, x1, 4.0):
        b.floor((float(x), -7.06, float(x) + 2, -6.94), "marking", "e4e2dc")
    bays = tuple(Bay((float(x), -13.4), -np.pi / 2) for x in np.arange(3.0, yard.width_m - 3, 2.7))
    b.floor((1, -16, yard.width_m - 1, -11), "asphalt", "606164")
    b.routes += [
        Route("eastbound", ((x0 - 10, -9.0), (x1 + 10, -9.0)), bays=bays),
        Route("westbound", ((x1 + 10, -5.0), (x0 - 10, -5.0))),
    ]
    b.walkable.append(rectangle((x0 + 1, -2.9, x1 - 1, 0.3)))
    b.doors += [Door("west end", (x0 + 2, -1.5)), Door("east end", (x1 - 2, -1.5))]
    b.solid("far row", (x0, -21, x1, -16.2), float(rng.uniform(3.5, 6)), _pick(rng, WALLS), "brick")


def _camera(
    name: str, yard: _Yard, b: Builder, rng: np.random.Generator, size: tuple[int, int]
) -> SiteCamera:
    """On a wall or in a corner, looking over the middle; on a mast at the open side now and then."""
    width, depth = yard.width_m, yard.depth_m
    south = -2.0 if yard.has_street else 0.4
    anchors = ((0.4, 0.4), (width - 0.4, 0.4), (0.4, depth - 0.4), (width - 0.4, depth - 0.4),
               (width / 2, depth - 0.4), (0.4, depth / 2), (width - 0.4, depth / 2), (width * rng.random(), south))  # fmt: skip
    for _ in range(30):
        x, y = anchors[int(rng.integers(len(anchors)))]
        if all(not _inside(box.corners_m, x, y) for box in b.solids if box.base_m < 2):
            break
    to_street = yard.has_street and rng.random() < 0.3
    target_y = rng.uniform(-9, 0) if to_street else rng.uniform(0.3, 0.7) * depth
    target = (float(rng.uniform(0.3, 0.7) * width), float(target_y), float(rng.uniform(0.2, 1.2)))
    lens = (float(rng.uniform(-0.22, 0.02)), float(rng.uniform(0, 0.05)), 0.0, 0.0, 0.0)
    camera = look_at(
        name, (float(x), float(y), float(rng.uniform(2.5, 5.2))), target, float(rng.uniform(52, 84)), size, lens,
        float(rng.normal(0, 0.8)),
    )  # fmt: skip
    return SiteCamera(camera, random_response(rng))


def roadside_camera(site: Site, rng: np.random.Generator, size: tuple[int, int] = (640, 360)) -> SiteCamera:
    """On a mast or a wall beside one of the site's routes, looking along it or across it."""
    for _ in range(100):
        track = Track(site.routes[int(rng.integers(len(site.routes)))].points_m)
        along = float(rng.uniform(0.1, 0.9) * track.length_m)
        x, y = np.add(track.position(along), rng.uniform(3.5, 12.0) * _direction(rng.uniform(0, 2 * np.pi)))
        if not any(_inside(box.corners_m, float(x), float(y)) for box in site.plan.solids):
            break
    ahead = along + float(rng.choice([-1, 1]) * rng.uniform(4, 22))
    target = (*np.add(track.position(ahead), rng.normal(0, 1.5, 2)), 0.6)
    eye = (float(x), float(y), float(rng.uniform(3.0, 7.0)))
    lens = (float(rng.uniform(-0.2, 0.02)), float(rng.uniform(0, 0.04)), 0.0, 0.0, 0.0)
    camera = look_at("roadside", eye, target, float(rng.uniform(52, 84)), size, lens, float(rng.normal(0, 0.8)))
    return SiteCamera(camera, random_response(rng))


def _direction(angle_rad: float) -> FloatArray:
    return np.array([np.cos(angle_rad), np.sin(angle_rad)])


def _inside(corners: tuple[tuple[float, float], ...], x: float, y: float) -> bool:
    xs, ys = [p[0] for p in corners], [p[1] for p in corners]
    return min(xs) - 0.3 < x < max(xs) + 0.3 and min(ys) - 0.3 < y < max(ys) + 0.3
