"""What is fitted to a vehicle's body: wheels, lamps, plates, grille, mirrors, stripes, roof rails. Metres."""

from __future__ import annotations

import numpy as np

from samples.render.arrays import Array
from samples.render.mesh import Mesh, Ring, loft, painted, polygons
from samples.types import CarAppearance, Colour

TYRE, RIM, WELL = (0.018, 0.018, 0.018), (0.42, 0.42, 0.42), (0.008, 0.008, 0.008)
LAMP, TAIL, PLATE = (0.85, 0.85, 0.82), (0.03, 0.02, 0.55), (0.7, 0.75, 0.72)
# where doors begin and end, as fractions of length from the middle
DOOR_GAPS: dict[str, tuple[float, ...]] = {
    "bus": (0.40, 0.31), "truck": (), "van": (0.27, 0.08), "pickup": (0.17, 0.02),
}  # fmt: skip
ON_SKIN = 6.0  # decals count this much nearer than the skin they lie on


def underbody(a: CarAppearance, sill: float, radius: float) -> Mesh:
    """The dark body below the sills and between the wheels."""
    x, y = 0.44 * a.length_m, 0.43 * a.width_m
    box = loft(
        [Ring(0.55 * radius, 0, 0, x, y), Ring(sill * a.height_m + 0.1, 0, 0, x, y)], 4, 2.0, lift=-ON_SKIN
    )
    turned = box.vertices.copy()
    turned[:, :2] = np.tile([[x, -y], [x, y], [-x, y], [-x, -y]], (2, 1))
    return Mesh(turned, box.bones, box.weights, box.faces, box.albedo * 0.012, box.gloss, box.lift, box.part)


def wheel(x: float, y: float, radius: float, bone: int) -> list[Mesh]:
    """Arch, tyre, rim and spokes on the outside, and the tread below the body; ``y`` is the outer face."""
    side = float(np.sign(y))
    arch = _disc(x, y, 1.0 * radius, 1.17 * radius, side, WELL, ON_SKIN, low=0.62 * radius)
    tyre = _disc(x, y + 0.003 * side, radius, radius, side, TYRE, ON_SKIN + 0.2)
    rim = _disc(x, y + 0.005 * side, radius, 0.66 * radius, side, (0.16, 0.16, 0.16), ON_SKIN + 0.4)
    spokes = _spokes(x, y + 0.007 * side, radius, side, bone)
    return [arch, _tread(x, y, radius, side), tyre, rim, spokes]


def _circle(x: float, y: float, z: float, radius: float, count: int = 16) -> Array:
    angle = 2 * np.pi * np.arange(count) / count
    return np.column_stack([x + radius * np.cos(angle), np.full(count, y), z + radius * np.sin(angle)])


def _disc(
    x: float, y: float, z: float, radius: float, side: float, colour: Colour, lift: float, low: float = -1.0
) -> Mesh:
    """A disc facing sideways as quads of a fan; cut off below ``low``."""
    rim = _circle(x, y, z, radius)
    rim[:, 2] = np.maximum(rim[:, 2], low)
    centre = np.array([x, y, z])
    fan = [(centre, rim[i], rim[i + 1], rim[(i + 2) % 16]) for i in range(0, 16, 2)]
    corners = np.array(fan)[:, :: -int(side)]
    return polygons(corners, np.asarray(colour), 0.1, lift)


def _spokes(x: float, y: float, radius: float, side: float, bone: int) -> Mesh:
    corners = []
    for angle in 2 * np.pi * np.arange(5) / 5:
        along, across = (
            np.array([np.cos(angle), 0, np.sin(angle)]),
            np.array([-np.sin(angle), 0, np.cos(angle)]),
        )
        hub = np.array([x, y, radius])
        near, far = hub - 0.05 * radius * along, hub + 0.6 * radius * along
        quad = np.array(
            [
                near - 0.13 * radius * across,
                far - 0.10 * radius * across,
                far + 0.10 * radius * across,
                near + 0.13 * radius * across,
            ]
        )
        corners.append(quad[:: -int(side)])
    return polygons(np.array(corners), np.asarray(RIM), 0.4, ON_SKIN + 0.6, bone)


def _tread(x: float, y: float, radius: float, side: float) -> Mesh:
    outer, inner = _circle(x, y, radius, radius, 12), _circle(x, y - 0.2 * side, radius, radius, 12)
    after = np.roll(np.arange(12), -1)
    corners = np.stack([outer, inner, inner[after], outer[after]], axis=1)
    return polygons(corners if side < 0 else corners[:, ::-1], np.asarray(TYRE), 0.0, -ON_SKIN + 1)


def fittings(a: CarAppearance, taper: float, belt: float) -> list[Mesh]:
    """Everything but the wheels."""
    width = 0.5 * a.width_m * (1 - taper)
    parts = [_front(a, width), _rear(a, width), *_flank(a, 1, belt), *_flank(a, -1, belt)]
    if a.shape not in ("bus", "truck"):
        parts += [_mirror(a, side, belt) for side in (1, -1)]
    if a.roof_rack:
        parts += [_rail(a, side) for side in (1, -1)]
    return parts


def _end_quad(x: float, y0: float, y1: float, z0: float, z1: float) -> Array:
    """A rectangle across the car, facing forward for x > 0 and backward for x < 0."""
    quad = np.array([(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)])
    return quad if x > 0 else quad[::-1]


def _lamp(x: float, y_in: float, y_out: float, z0: float, z1: float) -> Array:
    """A lamp's rectangle on either side of the middle."""
    return _end_quad(x, min(y_in, y_out), max(y_in, y_out), z0, z1)


def _front(a: CarAppearance, width: float) -> Mesh:
    x, h = 0.5 * a.length_m + 0.006, a.height_m
    low, high = {"bus": (0.16, 0.22), "truck": (0.20, 0.26), "van": (0.25, 0.33)}.get(a.shape, (0.36, 0.45))
    quads = [_end_quad(x, -0.52 * width, 0.52 * width, (low - 0.08) * h, (high - 0.02) * h)]
    quads.append(
        _end_quad(x, -0.75 * width, 0.75 * width, max((low - 0.16) * h, 0.31), max((low - 0.11) * h, 0.37))
    )
    quads += [_lamp(x + 0.002, s * 0.56 * width, s * 0.98 * width, low * h, high * h) for s in (1, -1)]
    quads.append(_end_quad(x + 0.004, -0.26, 0.26, (low - 0.09) * h, (low - 0.09) * h + 0.115))
    colours = np.array([(0.02,) * 3, (0.015,) * 3, LAMP, LAMP, PLATE])
    wraps = [_wrap(a, s, width, low * h, high * h, 1.0) for s in (1, -1)]
    return polygons(np.array([*quads, *wraps]), np.vstack([colours, [LAMP, LAMP]]), 0.5, ON_SKIN)


def _rear(a: CarAppearance, width: float) -> Mesh:
    x, h = -0.5 * a.length_m - 0.006, a.height_m
    low, high = {"bus": (0.20, 0.30), "truck": (0.28, 0.32), "van": (0.30, 0.50)}.get(a.shape, (0.40, 0.52))
    inner = 0.80 if a.shape in ("van", "bus", "truck", "estate", "suv") else 0.55
    plate = max((low - 0.12) * h, 0.40)
    top = min(high, 0.43) if a.shape in ("hatchback", "estate", "suv", "saloon") else high
    quads = [_lamp(x, s * inner * width, s * 0.99 * width, low * h - 0.05, top * h) for s in (1, -1)]
    quads.append(_end_quad(x, -0.26, 0.26, plate, plate + 0.115))
    quads.append(
        _end_quad(x, -0.85 * width, 0.85 * width, max((low - 0.24) * h, 0.24), max((low - 0.16) * h, 0.35))
    )
    wraps = [_wrap(a, s, width, low * h - 0.05, high * h, -1.0) for s in (1, -1)]
    colours = np.array([TAIL, TAIL, PLATE, (0.02,) * 3, TAIL, TAIL])
    quads += wraps
    if a.shape in ("van", "bus"):
        quads.append(_end_quad(x, -0.8 * width, 0.8 * width, 0.58 * h, 0.86 * h))
        colours = np.vstack([colours, (0.03, 0.03, 0.028)])
    return polygons(np.array(quads), colours, 0.5, ON_SKIN)


def _wrap(a: CarAppearance, side: int, width: float, z0: float, z1: float, ahead: float) -> Array:
    """The part of a lamp that goes round the corner."""
    x0, x1 = ahead * (0.5 * a.length_m + 0.004), ahead * 0.455 * a.length_m
    y0, y1 = side * (width + 0.006), side * (0.5 * (0.5 * a.width_m + width) + 0.035)
    quad = np.array([(x0, y0, z0), (x1, y1, z0 + 0.2 * (z1 - z0)), (x1, y1, z1), (x0, y0, z1)])
    return quad[:: -1 if side * ahead < 0 else 1]


def _side_quad(a: CarAppearance, side: int, x0: float, x1: float, z0: float, z1: float) -> Array:
    """A rectangle on the flank, between fractions of length and of height."""
    y = side * (0.5 * a.width_m + 0.004)
    quad = np.array([(x0, z0), (x1, z0), (x1, z1), (x0, z1)]) * (a.length_m, a.height_m)
    quad = np.column_stack([quad[:, 0], np.full(4, y), quad[:, 1]])
    return quad[::-1] if side > 0 else quad


def _flank(a: CarAppearance, side: int, belt: float) -> list[Mesh]:
    """Stripe, door gaps and handles of one side."""
    paint = np.asarray(a.paint)
    marks: list[tuple[Array, Array]] = []
    if a.stripe is not None:
        rear, front = (-0.495, 0.16) if a.shape == "truck" else (-0.42, 0.42)
        low, high = {"bus": (0.28, 0.40), "truck": (0.55, 0.70), "van": (0.36, 0.46)}.get(
            a.shape, (0.40, 0.47)
        )
        marks.append((_side_quad(a, side, rear, front, low, high), np.asarray(a.stripe)))
    for x in DOOR_GAPS.get(a.shape, (0.20, -0.04, -0.23)):
        marks.append((_side_quad(a, side, x, x + 0.012 / a.length_m, 0.22, belt - 0.01), 0.3 * paint))
        if a.shape != "bus" and x < 0.15:
            handle = _side_quad(a, side, x + 0.02, x + 0.055, belt - 0.085, belt - 0.065)
            marks.append((handle, 0.45 * paint))
    if not marks:
        return []
    quads, colours = zip(*marks, strict=True)
    return [polygons(np.array(quads), np.array(colours), 0.3, ON_SKIN - 1)]


def _block(centre: Array, half: Array, colour: Array, lift: float) -> Mesh:
    """A box of six quads."""
    low, high = centre - half, centre + half
    ring = np.array([(high[0], low[1]), (high[0], high[1]), (low[0], high[1]), (low[0], low[1])])
    bottom, top = np.column_stack([ring, np.full(4, low[2])]), np.column_stack([ring, np.full(4, high[2])])
    after = [1, 2, 3, 0]
    sides = np.stack([bottom, bottom[after], top[after], top], axis=1)
    return polygons(np.concatenate([sides, top[None], bottom[None, ::-1]]), colour, 0.4, lift)


def _mirror(a: CarAppearance, side: int, belt: float) -> Mesh:
    x = (0.26 if a.shape == "van" else 0.155) * a.length_m
    centre = np.array([x, side * (0.5 * a.width_m + 0.06), (belt + 0.06) * a.height_m])
    return _block(centre, np.array([0.06, 0.09, 0.06]), np.multiply(a.paint, 0.8), 0.4)


def _rail(a: CarAppearance, side: int) -> Mesh:
    centre = np.array([-0.1 * a.length_m, side * 0.34 * a.width_m, a.height_m + 0.03])
    bar = _block(centre, np.array([0.18 * a.length_m, 0.025, 0.025]), np.full(3, 0.03), 0.3)
    return painted(bar, np.full(3, 0.05))
