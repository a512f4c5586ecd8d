"""Bags: on the back, across the shoulder, in the hand. Lengths are fractions of body height."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from samples.render import gait
from samples.render.arrays import Array
from samples.render.mesh import Mesh, Ring, face_centres, joined, loft, painted, polygons
from samples.types import PersonAppearance

Trunk = Callable[[float], tuple[float, float, float]]


def bag(a: PersonAppearance, trunk: Trunk) -> list[Mesh]:
    """The bag and its straps; ``trunk(z)`` gives the clothed trunk's half-widths and offset."""
    if a.bag == "backpack":
        return _backpack(a, trunk)
    if a.bag == "shoulder":
        return _shoulder_bag(a, trunk)
    return _hand_bag(a) if a.bag == "hand" else []


def _backpack(a: PersonAppearance, trunk: Trunk) -> list[Mesh]:
    rx, _, x = trunk(0.72)
    back = x - rx
    outline = ((0.615, 0.024, 0.052), (0.625, 0.042, 0.072), (0.70, 0.046, 0.075), (0.77, 0.043, 0.072),
               (0.808, 0.034, 0.062), (0.822, 0.016, 0.042), (0.824, 0.002, 0.004))  # fmt: skip
    body = loft([Ring(z, back - 0.030, 0, d, w, gait.CHEST) for z, d, w in outline], 14, 4.0, lift=0.03)
    pocket = loft(
        [
            Ring(z, back - 0.068, 0, d, w, gait.CHEST)
            for z, d, w in (
                (0.633, 0.012, 0.045),
                (0.643, 0.022, 0.054),
                (0.695, 0.022, 0.054),
                (0.708, 0.010, 0.045),
            )
        ],
        10,
        4.0,
        lift=0.03,
    )
    z = face_centres(body)[:, 2]
    tone = np.where((z > 0.735) & (z < 0.80), 1.12, 1.0)
    return [
        painted(body, np.outer(tone, a.bag_colour)),
        painted(pocket, np.multiply(a.bag_colour, 0.72)),
        *(_strap(a, trunk, side) for side in (1, -1)),
    ]


def _strap(a: PersonAppearance, trunk: Trunk, side: int) -> Mesh:
    """A strap down the front of the chest and over the shoulder."""
    points = []
    for z in np.linspace(0.66, 0.825, 8):
        points.append((_surface(trunk, float(z), 0.058 * side, 1) + 0.004, 0.058 * side, float(z)))
    return _ribbon(np.array(points), 0.012, a, side)


def _surface(trunk: Trunk, z: float, y: float, ahead: int) -> float:
    """How far forward (or backward, ``ahead`` -1) the trunk reaches at height ``z`` and sideways ``y``."""
    rx, ry, x = trunk(z)
    return x + ahead * rx * float(np.sqrt(max(0.0, 1 - (y / ry) ** 2)))


def _ribbon(points: Array, half_width: float, a: PersonAppearance, side: int) -> Mesh:
    """A band of cloth along points on the front, as wide in y."""
    shift = np.array([0, half_width, 0.0])
    left, right = points + shift, points - shift
    corners = np.stack([right[:-1], left[:-1], left[1:], right[1:]], axis=1)
    return polygons(corners, np.multiply(a.bag_colour, 0.8), lift=0.05, bone=gait.CHEST)


def _shoulder_bag(a: PersonAppearance, trunk: Trunk) -> list[Mesh]:
    ry = trunk(0.52)[1]
    rings = [
        Ring(z, -0.035, ry + 0.030, 0.066 * w, 0.027 * w, gait.PELVIS)
        for z, w in ((0.425, 0.8), (0.433, 1.0), (0.53, 1.0), (0.555, 0.95), (0.56, 0.1))
    ]
    body = loft(rings, 12, 4.0, lift=0.04)
    flap = face_centres(body)[:, 2] > 0.50
    return [
        painted(body, np.outer(np.where(flap, 1.0, 0.8), a.bag_colour)),
        _sash(a, trunk, 1),
        _sash(a, trunk, -1),
    ]


def _sash(a: PersonAppearance, trunk: Trunk, ahead: int) -> Mesh:
    """The strap from the right shoulder to the left hip, before or behind the trunk."""
    steps = np.linspace(0, 1, 12)
    ys, zs = -0.060 + 0.145 * steps, 0.828 - 0.275 * steps
    xs = [_surface(trunk, float(z), float(y), ahead) + 0.005 * ahead for y, z in zip(ys, zs, strict=True)]
    middle = np.column_stack([xs, ys, zs])
    shift = np.array([0, 0.011, 0.006])
    low, high = middle - shift, middle + shift
    corners = np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)
    corners = corners if ahead > 0 else corners[:, ::-1]
    return polygons(corners, np.multiply(a.bag_colour, 0.75), lift=0.05, bone=gait.CHEST)


def _hand_bag(a: PersonAppearance) -> list[Mesh]:
    y = -gait.SHOULDER_Y * a.build**0.6
    outline = ((0.245, 0.9), (0.25, 1.0), (0.33, 0.96), (0.375, 0.86), (0.38, 0.1))
    body = loft([Ring(z, 0.0, y, 0.080 * w, 0.030 * w, gait.CARRIED) for z, w in outline], 12, 5.0, lift=0.03)
    seam = face_centres(body)[:, 2] > 0.36
    return [painted(body, np.outer(np.where(seam, 0.7, 1.0), a.bag_colour)), _handles(a, y)]


def _handles(a: PersonAppearance, y: float) -> Mesh:
    strips = []
    for x0, x1 in ((-0.04, -0.008), (0.04, 0.008)):
        strip = np.array(
            [(x0 - 0.005, y, 0.375), (x0 + 0.005, y, 0.375), (x1 + 0.005, y, 0.43), (x1 - 0.005, y, 0.43)]
        )
        strips += [strip, strip[::-1]]
    return joined([polygons(np.array(strips), np.multiply(a.bag_colour, 0.6), bone=gait.CARRIED)])
