"""The campus: a plaza seen by two cameras, a courtyard and a street seen by one each.

People go from plaza to courtyard through a covered passage, and through gates to the pavement; no camera sees the
passage. The cameras and their responses belong to the place: they are the same for every seed.
"""

from __future__ import annotations

from samples.cameras import look_at
from samples.plan import Bay, Builder, Faults, Route, Site, SiteCamera, rectangle
from samples.types import CameraResponse

SIZE = (640, 360)
LENS = (-0.16, 0.03, 0.0004, -0.0003, 0.0)
RESPONSES = {
    "cam1": CameraResponse((0.98, 1.0, 1.03), 1.04, 1.0, 1.03, 1.0, 0.35, 2.0, 0.10, 24, 10.0),
    "cam2": CameraResponse((1.16, 1.0, 0.88), 0.86, 1.12, 0.96, 0.86, 0.5, 3.2, 0.22, 25, 10.0, 0.04),
    "cam3": CameraResponse((0.84, 0.99, 1.14), 1.14, 0.92, 0.94, 1.10, 0.4, 2.6, 0.15, 25, 10.0, -0.03),
    "cam4": CameraResponse((1.05, 1.05, 0.92), 0.92, 0.9, 1.08, 0.92, 0.6, 3.6, 0.18, 25, 12.5, 0.02),
}
VIEWS = {
    "cam1": ((0.5, 0.5, 3.9), (9.0, 6.6, 0.7), 68.0, 0.0),
    "cam2": ((19.5, 13.4, 3.7), (10.2, 6.3, 0.7), 68.0, 0.4),
    "cam3": ((39.5, 0.5, 3.9), (32.2, 7.4, 0.6), 70.0, 1.1),
    "cam4": ((33.0, -12.6, 4.6), (24.8, -1.6, 0.7), 46.0, 0.7),
}


def campus(
    faults: dict[str, Faults] | None = None, responses: dict[str, CameraResponse] | None = None
) -> Site:
    """The campus with its four cameras; ``faults`` and ``responses`` replace single cameras' own."""
    builder = Builder()
    _floors(builder)
    _buildings(builder)
    _furniture(builder)
    _street(builder)
    _spots(builder)
    used = RESPONSES | (responses or {})
    cameras = tuple(
        SiteCamera(
            look_at(name, eye, target, fov, SIZE, LENS), used[name], start, (faults or {}).get(name, Faults())
        )
        for name, (eye, target, fov, start) in VIEWS.items()
    )
    return builder.site("campus", (-26.0, -18.0, 66.0, 22.0), cameras)


def _floors(b: Builder) -> None:
    b.floor((-26, -18, 66, 22), "concrete", "8f8b84")
    b.floor((0, 0, 20, 14), "paving", "b5aa98")
    b.floor((26, 0, 40, 14), "tiles", "a8a49c")
    b.floor((29.5, 3.5, 36.5, 9.5), "grass", "5f8240")
    b.floor((20, 7.6, 26, 9.7), "tiles", "948c80")
    b.floor((-26, -4, 66, 0), "paving", "a39e96")
    b.floor((-26, -11, 66, -4), "asphalt", "55565a")
    b.floor((-26, -18, 66, -11), "paving", "98948c")
    for x in range(-24, 64, 4):
        b.floor((x, -7.58, x + 2, -7.44), "marking", "e8e6e0")
    b.floor((-26, -4.15, 66, -4.0), "marking", "d8d6d0")
    b.floor((11, -16, 30.2, -11), "asphalt", "5f6064")
    for i in range(8):
        b.floor((11.0 + 2.7 * i, -16, 11.12 + 2.7 * i, -11), "marking", "e8e6e0")
    b.walkable += [
        rectangle(box)
        for box in ((0, 0, 20, 14), (26, 0, 40, 14), (19.5, 7.6, 26.5, 9.7), (-14, -3.9, 54, -0.3))
    ]
    b.walkable += [rectangle(box) for box in ((3, -0.5, 6.4, 0.5), (34.4, -0.5, 37.4, 0.5))]


def _buildings(b: Builder) -> None:
    b.building("library", (-6, 0, 0, 20), 6.5, "b08a64", "brick", doors=(("east", 6.5),))
    b.building("hall", (0, 14, 23, 20), 6.0, "cfc4ae", "plaster", doors=(("south", 6.0), ("south", 14.5)))
    b.building("school", (23, 14, 46, 20), 6.5, "b7bcc2", "concrete", doors=(("south", 33.0),))
    b.building("lab", (40, 0, 46, 14), 6.0, "a5654a", "brick", doors=(("west", 10.5),))
    b.solid("archive", (20, 0, 26, 7.6), 6.0, "c9bfae", "plaster")
    b.solid("archive", (20, 9.7, 26, 14), 6.0, "c9bfae", "plaster")
    b.solid("archive bridge", (20, 7.6, 26, 9.7), 3.0, "c9bfae", "plaster", 3.0)
    for x0, x1 in ((0, 3.0), (6.4, 20), (26, 34.4), (37.4, 40)):
        b.solid("garden wall", (x0, -0.3, x1, 0), 2.8, "a3694e", "brick")
    b.solid("archive front", (20, -0.3, 26, 0), 6.0, "c9bfae", "plaster")
    b.building("row west", (-26, -0.3, -6, 6), 5.0, "b8ae9c", "plaster", doors=(("south", -8.5),))
    b.solid("library front", (-6, -0.3, 0, 0), 6.5, "b08a64", "brick")
    b.building("row east", (46, -0.3, 66, 6), 5.0, "9a8c80", "brick", doors=(("south", 47.8),))
    b.solid("lab front", (40, -0.3, 46, 0), 6.0, "a5654a", "brick")
    b.solid("depot", (-26, -18, 9, -13.5), 5.5, "9ba3a8", "metal")
    b.solid("depot", (32, -18, 66, -13.5), 5.5, "b09a84", "brick")
    b.solid("depot", (9, -18, 32, -16.4), 4.5, "8e8478", "concrete")


def _furniture(b: Builder) -> None:
    b.kiosk(12.6, 5.2)
    b.planter(6.2, 9.8)
    b.planter(16.2, 9.8, 0.9, 2.2)
    b.planter(8.4, 2.6, 2.2, 0.9, 0.5)
    b.tree(9.2, 12.4, 4.3)
    b.pillar(3.4, 12.8)
    b.pillar(12.2, 12.2)
    b.bench(2.2, 10.8, along_x=False)
    b.bench(17.6, 3.2, along_x=False)
    b.tree(33.0, 6.5, 4.8)
    b.planter(29.0, 11.4, 2.2, 0.8)
    b.planter(36.8, 6.0, 0.8, 2.2)
    b.bench(30.5, 2.4)
    b.pillar(28.4, 5.2)
    b.pillar(37.6, 11.8)
    for x in (14.0, 24.0):
        b.solid("lamp", (x - 0.09, -3.6, x + 0.09, -3.42), 4.5, "3c4044", "metal")
    b.solid("bus stop", (17.0, -3.75, 20.0, -3.65), 2.2, "9fb4bc", "glass")
    b.planter(27.6, -3.4, 2.0, 0.6, 0.5)


def _street(b: Builder) -> None:
    bays = tuple(Bay((12.4 + 2.7 * i, -13.6), -1.5708) for i in range(7))
    b.routes += [
        Route("eastbound", ((-45, -9.25), (85, -9.25)), 8.0, bays=bays),
        Route("westbound", ((85, -5.75), (-45, -5.75)), 8.5),
    ]


def _spots(b: Builder) -> None:
    b.spot(
        "plaza",
        (11.0, 3.4),
        (14.6, 6.6),
        (7.8, 7.6),
        (10.6, 9.2),
        (4.4, 8.2),
        (16.4, 7.4),
        (3.2, 11.6),
        (12.2, 10.0),
    )
    b.spot(
        "court", (31.0, 10.6), (35.2, 11.2), (28.4, 8.6), (31.6, 3.4), (36.0, 3.4), (34.2, 8.6), (38.4, 8.0)
    )
    b.spot("street", (18.4, -2.8), (15.0, -1.4), (22.5, -1.2), (25.4, -2.6), (20.6, -1.6), (11.5, -2.4))
