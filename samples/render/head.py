"""Heads: skull and face, hair, and what is worn on it. Lengths are fractions of body height."""

from __future__ import annotations

import numpy as np

from samples.render import gait
from samples.render.arrays import Array
from samples.render.mesh import Mesh, Ring, face_centres, joined, loft, painted, polygons
from samples.types import PersonAppearance

# height, forward offset, half-width forward, half-width sideways
SKULL = np.array([
    (0.868, 0.024, 0.016, 0.016), (0.876, 0.018, 0.031, 0.027), (0.890, 0.011, 0.042, 0.034),
    (0.905, 0.007, 0.047, 0.038), (0.920, 0.004, 0.050, 0.040), (0.934, 0.003, 0.052, 0.041),
    (0.948, 0.001, 0.053, 0.042), (0.962, 0.000, 0.052, 0.041), (0.976, -0.002, 0.047, 0.037),
    (0.987, -0.003, 0.037, 0.029), (0.995, -0.004, 0.021, 0.016), (0.998, -0.004, 0.003, 0.003),
])  # fmt: skip
HAT_RIM = {"none": 2.0, "cap": 0.945, "beanie": 0.930}
SIDES = (8, 12, 20)
HIDDEN = 0.014  # this far inside a cover's edge, nothing below it can be seen
# the same, and how much of it the head carries, of hair that falls on the back
FALL = (
    (0.765, -0.052, 0.012, 0.030, 0.2), (0.79, -0.054, 0.018, 0.044, 0.3), (0.83, -0.046, 0.024, 0.048, 0.5),
    (0.87, -0.030, 0.031, 0.047, 0.9), (0.91, -0.020, 0.036, 0.046, 1.0), (0.945, -0.018, 0.036, 0.044, 1.0),
)  # fmt: skip


def head(a: PersonAppearance, detail: int) -> list[Mesh]:
    """Neck, head, hair and hat; ``detail`` 0 .. 2 chooses the number of faces."""
    sides = SIDES[detail]
    neck = loft(
        [
            Ring(z, -0.004, 0, 0.027, 0.027, gait.HEAD, gait.CHEST, w)
            for z, w in ((0.83, 0.2), (0.855, 0.6), (0.885, 1.0))
        ],
        8,
    )
    parts = [painted(neck, np.multiply(a.skin, 0.72)), _face(a, sides, detail)]
    parts += _hair(a, sides)
    if a.hat != "none":
        parts += _hat(a, sides)
    return parts


def _skull(low: float, grow: float, sides: int, back: float = 0.0, lift: float = 0.0) -> Mesh:
    rows = SKULL[SKULL[:, 0] >= low]
    return loft(
        [Ring(z + grow * (z > 0.98), x - back, 0, rx + grow, ry + grow, gait.HEAD) for z, x, rx, ry in rows],
        sides,
        2.1,
        lift=lift,
    )


def _face(a: PersonAppearance, sides: int, detail: int) -> Mesh:
    mesh = _skull(0.0, 0.0, sides)
    angle, z = _polar(mesh)
    colour = np.tile(np.asarray(a.skin), (len(z), 1))
    colour[z < 0.885] *= 0.8
    if detail:
        eyes = (z > 0.921) & (z < 0.940) & (np.abs(angle) > 0.14) & (np.abs(angle) < 0.62)
        mouth = (z > 0.885) & (z < 0.900) & (np.abs(angle) < 0.36)
        colour[eyes] *= 0.5
        colour[mouth] *= np.array([0.6, 0.55, 0.85])
    seen = z < np.minimum(_hairline(a, angle), HAT_RIM[a.hat]) + HIDDEN
    skull = _kept(painted(mesh, colour), seen)
    return joined([skull, _nose(a), *(_ear(a, side) for side in (1, -1))]) if detail else skull


def _nose(a: PersonAppearance) -> Mesh:
    tip, top, left, right = (
        (0.066, 0, 0.909),
        (0.053, 0, 0.936),
        (0.050, 0.010, 0.905),
        (0.050, -0.010, 0.905),
    )
    corners = np.array(
        [[tip, left, top, top], [tip, top, right, right], [tip, right, left, left]], dtype=np.float64
    )
    return polygons(corners, np.multiply(a.skin, [[1.02], [0.95], [0.6]]), bone=gait.HEAD)


def _ear(a: PersonAppearance, side: int) -> Mesh:
    rings = [
        Ring(z, -0.004, side * 0.041, rx, 0.006, gait.HEAD)
        for z, rx in ((0.908, 0.004), (0.915, 0.009), (0.930, 0.011), (0.936, 0.003))
    ]
    return painted(loft(rings, 6), np.multiply(a.skin, 0.88))


def _polar(mesh: Mesh) -> tuple[Array, Array]:
    """Angle from straight ahead and height of every face."""
    centre = face_centres(mesh)
    return np.arctan2(centre[:, 1], centre[:, 0]), centre[:, 2]


def _kept(mesh: Mesh, keep: Array) -> Mesh:
    return Mesh(
        mesh.vertices, mesh.bones, mesh.weights, mesh.faces[keep], mesh.albedo[keep], mesh.gloss[keep],
        mesh.lift[keep], mesh.part,
    )  # fmt: skip


def _hair(a: PersonAppearance, sides: int) -> list[Mesh]:
    if a.hair_style == "bald":
        return []
    thick = 0.004 if a.hair_style == "short" else 0.007
    low = {"short": 0.89, "long": 0.86, "bun": 0.89}[a.hair_style]
    shell = _skull(low, thick, sides, 0.003, 0.015)
    angle, z = _polar(shell)
    shell = _kept(shell, (z > _hairline(a, angle)) & (z < HAT_RIM[a.hat] + HIDDEN))
    parts = [painted(shell, _strands(shell, a))]
    if a.hair_style == "bun":
        outline = ((0.950, 0.006), (0.956, 0.019), (0.970, 0.024), (0.984, 0.018), (0.990, 0.005))
        bun = loft([Ring(z, -0.060, 0, r, r, gait.HEAD) for z, r in outline], 8)
        parts.append(painted(bun, np.multiply(a.hair, 0.95)))
    if a.hair_style == "long":
        rings = [Ring(z, x, 0, rx, ry, gait.HEAD, gait.CHEST, w) for z, x, rx, ry, w in FALL]
        fall = loft(rings, sides, 2.4)
        parts.append(painted(fall, _strands(fall, a)))
    return parts


def _hairline(a: PersonAppearance, angle: Array) -> Array:
    """The height from which hair covers the head in a direction; above the head where there is none."""
    if a.hair_style == "bald":
        return np.full(len(angle), 2.0)
    nape = 0.86 if a.hair_style == "long" else 0.88
    return np.interp(np.abs(angle), (0.0, 0.9, 1.25, 1.75, 2.2), (0.968, 0.962, 0.935, 0.925, nape))


def _strands(mesh: Mesh, a: PersonAppearance) -> Array:
    """Hair colour, lighter and darker from strand to strand."""
    angle, z = _polar(mesh)
    tone = 1.0 + 0.16 * np.sin(9 * angle) + np.where(z > 0.965, 0.1, 0.0)
    return np.outer(tone, a.hair)


def _hat(a: PersonAppearance, sides: int) -> list[Mesh]:
    low, grow = HAT_RIM[a.hat], 0.010 if a.hat == "cap" else 0.013
    shell = _skull(low, grow, sides, 0.001, 0.025)
    angle, z = _polar(shell)
    rim = z < low + 0.016
    tone = np.where(rim, 0.75 if a.hat == "cap" else 0.82, 1.0) * (1 + 0.05 * np.cos(6 * angle))
    parts = [painted(shell, np.outer(tone, a.hat_colour))]
    if a.hat == "cap":
        parts.append(_peak(a))
    return parts


def _peak(a: PersonAppearance) -> Mesh:
    """The peak of a cap, seen from above and below."""
    spread = np.linspace(-0.9, 0.9, 6)
    inner = np.column_stack([0.058 * np.cos(spread), 0.050 * np.sin(spread), np.full(6, 0.955)])
    outer = np.column_stack([0.058 + 0.055 * np.cos(spread), 0.050 * np.sin(spread), np.full(6, 0.946)])
    top = np.stack([inner[:-1], outer[:-1], outer[1:], inner[1:]], axis=1)
    corners = np.concatenate([top, top[:, ::-1]])
    tone = np.repeat([0.9, 0.45], len(top))
    return polygons(corners, np.outer(tone, a.hat_colour), bone=gait.HEAD)
