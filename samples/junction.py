"""A crossroads with four cameras: two overlap on the junction, two watch arms beyond it.

People keep to pavements and crossings.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from samples.cameras import look_at
from samples.plan import Bay, Builder, Route, Site, SiteCamera, arc, rectangle
from samples.types import CameraResponse, Point

SIZE = (640, 360)
LENS = (-0.14, 0.02, 0.0003, 0.0002, 0.0)
REACH_M = 70.0
LANE_M = 1.75
KERB_M = 4.0
Turn = Literal["left", "straight", "right"]
TURNS: tuple[Turn, ...] = ("left", "straight", "right")
BAYS = tuple(
    Bay((36.4 + 2.7 * i, 8.6), np.pi / 2) for i in range(5)
)  # beside the lane that comes in from the east
RESPONSES = {
    "cam1": CameraResponse((1.0, 1.0, 1.0), 1.0, 1.0, 1.0, 1.0, 0.4, 2.0, 0.1, 24, 10.0),
    "cam2": CameraResponse((0.87, 1.0, 1.12), 1.12, 0.93, 0.96, 1.08, 0.5, 2.8, 0.2, 25, 10.0),
    "cam3": CameraResponse((1.14, 1.0, 0.9), 0.85, 1.1, 1.02, 0.85, 0.4, 3.5, 0.15, 25, 10.0),
    "cam4": CameraResponse((1.04, 1.03, 0.94), 0.95, 0.95, 1.06, 0.95, 0.6, 3.0, 0.2, 25, 12.5),
}
VIEWS = {
    "cam1": ((-9.0, -9.0, 6.0), (3.0, 2.5, 0.5), 74.0, 0.0),
    "cam2": ((9.0, 9.0, 5.4), (-3.0, -1.5, 0.5), 72.0, 0.3),
    "cam3": ((48.0, -6.3, 5.2), (31.0, 0.5, 0.5), 66.0, 0.8),
    "cam4": ((-6.3, 48.0, 5.0), (0.5, 31.0, 0.5), 66.0, 0.5),
}


def junction() -> Site:
    """The crossroads, arms along both axes, traffic on the right."""
    builder = Builder()
    _ground(builder)
    _corners(builder)
    builder.routes += [_route(arm, turn) for arm in range(4) for turn in TURNS]
    cameras = tuple(
        SiteCamera(look_at(name, eye, target, fov, SIZE, LENS), RESPONSES[name], start)
        for name, (eye, target, fov, start) in VIEWS.items()
    )
    return builder.site("junction", (-80.0, -80.0, 80.0, 80.0), cameras)


def _ground(b: Builder) -> None:
    b.floor((-80, -80, 80, 80), "concrete", "8d8a84")
    for box in ((-80, -7.5, 80, 7.5), (-7.5, -80, 7.5, 80)):
        b.floor(box, "paving", "a49d92")
    for box in ((-80, -KERB_M, 80, KERB_M), (-KERB_M, -80, KERB_M, 80)):
        b.floor(box, "asphalt", "54555a")
    b.floor((35, 4, 48.6, 12), "asphalt", "5e5f63")
    for i in range(6):
        b.floor((35.0 + 2.7 * i, 6.6, 35.1 + 2.7 * i, 11.4), "marking", "e6e4de")
    for along in np.arange(8.0, 60.0, 4.0):
        for x0, y0, x1, y1 in _four_ways(float(along), -0.06, float(along) + 2.0, 0.06):
            b.floor((x0, y0, x1, y1), "marking", "e6e4de")
    for stripe in np.arange(-3.6, 3.6, 1.0):
        for box in _four_ways(4.6, float(stripe), 6.8, float(stripe) + 0.5):
            b.floor(box, "marking", "e6e4de")
    b.walkable += [rectangle(box) for box in _four_ways(4.6, -5.0, 6.8, 5.0)]
    for box in ((-62, 4.2, -7, 7.2), (7, 4.2, 34, 7.2), (-62, -7.2, -7, -4.2), (7, -7.2, 62, -4.2)):
        b.walkable.append(rectangle(box))
    for box in ((4.2, 7, 7.2, 62), (4.2, -62, 7.2, -7), (-7.2, 7, -4.2, 62), (-7.2, -62, -4.2, -7)):
        b.walkable.append(rectangle(box))
    for x, y in ((5.7, 5.7), (-5.7, 5.7), (-5.7, -5.7), (5.7, -5.7)):
        b.walkable.append(rectangle((x - 1.6, y - 1.6, x + 1.6, y + 1.6)))


def _four_ways(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float, float, float]]:
    """A rectangle on the east arm and its quarter turns."""
    boxes = []
    for turn in range(4):
        a, b = _turned((x0, y0), turn), _turned((x1, y1), turn)
        boxes.append((min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])))
    return boxes


def _turned(point: Point, quarters: int) -> Point:
    x, y = point
    for _ in range(quarters % 4):
        x, y = -y, x
    return x, y


def _corners(b: Builder) -> None:
    looks: tuple[tuple[str, Literal["brick", "plaster", "concrete"]], ...] = (
        ("b08a64", "brick"), ("cfc4ae", "plaster"), ("9fa6ad", "concrete"), ("a5654a", "brick"),
    )  # fmt: skip
    for quarter, (colour, texture) in enumerate(looks):
        sign_x, sign_y = ((1, 1), (-1, 1), (-1, -1), (1, -1))[quarter]
        near = 14.0 if quarter in (0, 2) else 9.0  # the corners where cameras stand are open squares
        xs, ys = sorted((7.5 * sign_x, 66.0 * sign_x)), sorted((near * sign_y, 30.0 * sign_y))
        side: Literal["south", "north"] = "south" if sign_y > 0 else "north"
        b.building(f"block {quarter}", (xs[0] + (5 if sign_x > 0 else 0), ys[0], xs[1] - (5 if sign_x < 0 else 0), ys[1]),
                   7.0, colour, texture)  # fmt: skip
        for along in (24.0,) if quarter == 0 else (24.0, 52.0):
            shop = sorted((along * sign_x, (along + 8) * sign_x))
            rows = sorted((7.5 * sign_y, near * sign_y))
            b.building(
                "shop",
                (shop[0], rows[0], shop[1], rows[1]),
                4.0,
                colour,
                texture,
                ((side, (along + 4) * sign_x),),
            )
        b.tree(9.6 * sign_x, 7.8 * sign_y)
        b.planter(16.0 * sign_x, 6.8 * sign_y, 2.2, 0.6, 0.5)
        b.spot(
            "pavement",
            (12.0 * sign_x, 5.6 * sign_y),
            (20.0 * sign_x, 5.4 * sign_y),
            (33.0 * sign_x, 5.6 * sign_y),
        )


def _route(arm: int, turn: Turn) -> Route:
    """Coming in from the east arm turned by ``arm`` quarters, on the right of the road."""
    entry: list[Point] = [(REACH_M, LANE_M), (7.0, LANE_M)]
    if turn == "straight":
        middle, last = [(0.0, LANE_M)], [(-7.0, LANE_M), (-REACH_M, LANE_M)]
    elif turn == "right":
        middle = arc((7.0, 7.0), 7.0 - LANE_M, -np.pi / 2, -np.pi)
        last = [(LANE_M, 8.0), (LANE_M, REACH_M)]
    else:
        middle = arc((7.0, -7.0), 7.0 + LANE_M, np.pi / 2, np.pi)
        last = [(-LANE_M, -8.0), (-LANE_M, -REACH_M)]
    points = tuple(_turned(point, arm) for point in [*entry, *middle, *last])
    length = REACH_M - 7.0
    return Route(f"arm{arm} {turn}", points, 8.0, (length, length + 16.0), BAYS if arm == 0 else ())
