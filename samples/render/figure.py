"""People as meshes: a body of lofted tubes, dressed. Lengths are fractions of body height until the last step.

Proportions follow the segment lengths of Drillis and Contini (1966) as Winter tabulates them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from samples.render import gait, head, luggage
from samples.render.arrays import Array
from samples.render.mesh import Mesh, Ring, face_centres, joined, loft, painted
from samples.types import Colour, PersonAppearance

# height, half-width forward, half-width sideways, forward offset of the trunk under a shirt
TRUNK = np.array([
    (0.455, 0.058, 0.080, 0.000), (0.500, 0.067, 0.097, -0.004), (0.535, 0.067, 0.097, -0.004),
    (0.570, 0.061, 0.091, -0.001), (0.605, 0.057, 0.084, 0.001), (0.645, 0.059, 0.086, 0.002),
    (0.685, 0.063, 0.094, 0.003), (0.725, 0.066, 0.100, 0.003), (0.765, 0.062, 0.103, 0.001),
    (0.792, 0.055, 0.102, -0.002), (0.814, 0.046, 0.090, -0.005), (0.832, 0.035, 0.064, -0.006),
    (0.850, 0.028, 0.034, -0.004),
])  # fmt: skip
# height and radius of leg and arm, then height, forward offset and half-widths of shoe and hand
LEG = (
    (0.04, 0.029), (0.075, 0.028), (0.13, 0.033), (0.19, 0.038), (0.235, 0.038), (0.262, 0.037), (0.278, 0.038),
    (0.298, 0.041), (0.34, 0.046), (0.40, 0.053), (0.455, 0.057), (0.505, 0.056),
)  # fmt: skip
ARM = (
    (0.474, 0.018), (0.50, 0.020), (0.545, 0.024), (0.59, 0.026), (0.615, 0.0265), (0.632, 0.027), (0.65, 0.0275),
    (0.695, 0.029), (0.715, 0.029), (0.75, 0.030), (0.780, 0.030), (0.800, 0.027), (0.815, 0.020), (0.822, 0.008),
)  # fmt: skip
SHOE = (
    (0.0, 0.036, 0.070, 0.026), (0.013, 0.036, 0.073, 0.027), (0.030, 0.030, 0.064, 0.026),
    (0.044, 0.010, 0.043, 0.026), (0.060, -0.003, 0.031, 0.027), (0.066, -0.003, 0.01, 0.01),
)  # fmt: skip
HAND = (
    (0.388, 0.006, 0.010, 0.006), (0.396, 0.006, 0.017, 0.010), (0.425, 0.004, 0.024, 0.013),
    (0.450, 0.003, 0.024, 0.013), (0.472, 0.0, 0.017, 0.014), (0.49, 0.0, 0.012, 0.012),
)  # fmt: skip
SIDES = ((10, 6), (14, 8), (20, 10))  # trunk and limb sides by detail
COAT_HEM, SHIRT_HEM, SKIRT_HEM = 0.335, 0.475, 0.29
OVER = 0.035  # what is worn over counts this much nearer than what it covers


@lru_cache(maxsize=1024)
def figure(appearance: PersonAppearance, detail: int) -> Mesh:
    """The person's mesh in metres; ``detail`` 0 (far), 1 or 2 (near) chooses the number of faces."""
    trunk_sides, limb_sides = SIDES[detail]
    girth = appearance.build
    parts = [_seat(appearance, trunk_sides), _shirt(appearance, trunk_sides)]
    for side in (1, -1):
        parts += _leg(appearance, side, limb_sides)
        parts.append(joined(_arm(appearance, side, limb_sides)))
    if appearance.bottom_kind == "skirt":
        parts.append(_skirt(appearance, trunk_sides))
    parts.append(joined(head.head(appearance, detail)))
    bag = luggage.bag(appearance, lambda z: trunk_at(z, girth))
    parts += [joined(bag)] if bag else []
    whole = joined(parts)
    return Mesh(
        whole.vertices * appearance.height_m, whole.bones, whole.weights, whole.faces,
        _creased(whole, appearance), whole.gloss, whole.lift * appearance.height_m, whole.part,
    )  # fmt: skip


def trunk_at(z: float, build: float) -> tuple[float, float, float]:
    """Half-widths forward and sideways and forward offset of the clothed trunk at height ``z``."""
    rx, ry, x = (float(np.interp(z, TRUNK[:, 0], TRUNK[:, column])) for column in (1, 2, 3))
    belly = 1 + 0.9 * max(0.0, build - 1.0) * float(np.exp(-(((z - 0.62) / 0.09) ** 2)))
    return rx * build**0.8 * belly, ry * build**0.75, x


def _trunk_ring(z: float, build: float, extra: float) -> Ring:
    rx, ry, x = trunk_at(z, build)
    share = float(np.clip((z - 0.53) / 0.14, 0, 1))
    return Ring(z, x, 0.0, rx + extra, ry + extra, gait.CHEST, gait.PELVIS, share)


def _seat(a: PersonAppearance, sides: int) -> Mesh:
    rings = [Ring(0.435, 0.0, 0.0, 0.03, 0.05 * a.build, gait.PELVIS)]
    rings += [_trunk_ring(z, a.build, -0.004) for z in (0.455, 0.50, 0.535)]
    return painted(loft(rings, sides, 2.3), np.multiply(a.bottom, 0.93))


def _shirt(a: PersonAppearance, sides: int) -> Mesh:
    """Shirt, jumper or coat, from its hem to the collar."""
    extra = 0.009 if a.coat else 0.0
    heights = np.linspace(0.535, 0.85, 13 if sides > 10 else 9)
    rings = [_trunk_ring(float(z), a.build, extra) for z in heights]
    hem = COAT_HEM if a.coat else 0.52 if a.bottom_kind == "skirt" else SHIRT_HEM
    below = np.linspace(hem, 0.535, 7 if a.coat else 3)[:-1]
    low = [
        _trunk_ring(max(float(z), 0.50), a.build, extra + 0.004 + 0.07 * max(0.0, 0.5 - float(z)))
        for z in below
    ]
    low = [Ring(float(z), r.x, 0.0, r.rx, r.ry, gait.PELVIS) for z, r in zip(below, low, strict=True)]
    mesh = loft([*low, *rings], sides, 2.4, lift=OVER)
    mesh = _follow_legs(mesh, 0.53, 0.8) if a.coat else mesh
    return painted(mesh, _cloth(a, mesh, hem))


def _cloth(a: PersonAppearance, mesh: Mesh, hem: float) -> Array:
    """Face colours of what is worn on the trunk: pattern, hem, collar, and the open front of a coat."""
    centre = face_centres(mesh)
    angle = np.arctan2(centre[:, 1], centre[:, 0])
    z = centre[:, 2]
    worn = np.where(_pattern(a, angle, z)[:, None], a.top_accent, np.asarray(a.top))
    worn = np.where((z > 0.838)[:, None], worn * 0.72, worn)
    worn = np.where((z < hem + 0.012)[:, None], worn * 0.85, worn)
    if a.coat:
        front = np.abs(angle) < np.interp(z, (hem, 0.55, 0.80), (0.16, 0.20, 0.42))
        inner = np.where((z < 0.50)[:, None], np.multiply(a.bottom, 0.6), np.asarray(a.top_accent))
        worn = np.where(front[:, None], inner, worn)
    return np.asarray(worn)


def _pattern(a: PersonAppearance, angle: Array, z: Array) -> Array:
    """Where the accent colour goes; the same from front and back."""
    upright = (np.floor((angle + np.pi) / (np.pi / 5)) % 2).astype(bool)
    level = (np.floor(z / 0.0525) % 2).astype(bool)
    front = np.minimum(np.abs(angle), np.pi - np.abs(angle))
    kinds = {
        "plain": np.zeros(len(z), dtype=bool),
        "stripes": upright,
        "bands": level,
        "checks": upright ^ level,
        "logo": (front < 0.62) & (z > 0.655) & (z < 0.76),
        "half": z > 0.69,
    }
    return np.asarray(kinds[a.top_pattern])


def _follow_legs(mesh: Mesh, top: float, share: float) -> Mesh:
    """Lets a skirt or coat tail swing: below ``top`` its left side follows the left thigh, its right the right."""
    bones, weights = mesh.bones.copy(), mesh.weights.copy()
    y, z = mesh.vertices[:, 1], mesh.vertices[:, 2]
    low = z < top
    bones[low, 0] = np.where(y[low] > 0, gait.LEFT_THIGH, gait.RIGHT_THIGH)
    bones[low, 1] = gait.PELVIS
    side = np.clip(np.abs(y[low]) / 0.05, 0.25, 1.0)
    weights[low] = share * side * np.clip((top - z[low]) / 0.08, 0.0, 1.0)
    return Mesh(mesh.vertices, bones, weights, mesh.faces, mesh.albedo, mesh.gloss, mesh.lift, mesh.part)


def _skirt(a: PersonAppearance, sides: int) -> Mesh:
    rings = []
    for z in np.linspace(SKIRT_HEM, 0.60, 8):
        rx, ry, x = trunk_at(max(float(z), 0.53), a.build)
        flare = 0.17 * max(0.0, 0.53 - float(z))
        rings.append(Ring(float(z), x, 0.0, rx + flare + 0.008, ry + 0.7 * flare + 0.008, gait.PELVIS))
    mesh = _follow_legs(loft(rings, sides, 2.1, lift=OVER + 0.03), 0.52, 0.75)
    z = face_centres(mesh)[:, 2]
    return painted(mesh, np.outer(np.where(z < SKIRT_HEM + 0.03, 0.8, 1.0), a.bottom))


def _leg(a: PersonAppearance, side: int, sides: int) -> list[Mesh]:
    """One leg and its shoe; ``side`` 1 is the left."""
    thigh = gait.LEFT_THIGH if side > 0 else gait.RIGHT_THIGH
    bare_below = {"trousers": 0.0, "shorts": 0.30, "skirt": 0.60}[a.bottom_kind]
    rings = []
    for z, radius in LEG:
        wide = _leg_radius(a, z, radius, z < bare_below) * a.build**0.8
        knee = float(np.clip((z - 0.245) / 0.066, 0, 1))
        rings.append(Ring(z, -0.004, side * gait.HIP_Y, wide * 1.08, wide, thigh, thigh + 1, knee))
    mesh = loft(rings, sides)
    centre = face_centres(mesh)
    clothed = centre[:, 2:3] >= bare_below
    inward = np.clip(gait.HIP_Y - side * centre[:, 1:2], 0.0, 0.07) * np.clip(4 * centre[:, 2:3] - 0.8, 0, 1)
    colour = np.where(clothed, np.asarray(a.bottom), np.asarray(a.skin)) * (1 - 2.5 * inward)
    return [painted(mesh, colour), _shoe(a.shoes, side, thigh + 2, sides)]


def _leg_radius(a: PersonAppearance, z: float, radius: float, bare: bool) -> float:
    if bare:
        return radius - (0.010 if z < 0.12 else 0.004)
    return radius + (0.006 if a.bottom_kind == "shorts" else 0.0)


def _shoe(colour: Colour, side: int, bone: int, sides: int) -> Mesh:
    y = side * gait.HIP_Y
    mesh = loft([Ring(z, x, y, rx, ry, bone) for z, x, rx, ry in SHOE], sides, 2.4)
    sole = face_centres(mesh)[:, 2:3] < 0.012
    return painted(mesh, np.where(sole, np.full(3, 0.35 * np.mean(colour) + 0.12), np.asarray(colour)))


def _arm(a: PersonAppearance, side: int, sides: int) -> list[Mesh]:
    """One arm with its sleeve, and the hand."""
    arm = gait.LEFT_ARM if side > 0 else gait.RIGHT_ARM
    y = side * gait.SHOULDER_Y * a.build**0.6
    sleeve_end = 0.70 if a.sleeves == "short" and not a.coat else 0.47
    cloth_m = 0.006 if a.coat else 0.002
    rings = []
    for z, radius in ARM:
        wide = (radius + (cloth_m if z > sleeve_end else 0.0)) * a.build**0.7
        elbow = float(np.clip((z - 0.602) / 0.06, 0, 1))
        tuck = side * 0.35 * max(0.0, z - 0.770)
        rings.append(Ring(z, -0.002, y - tuck, wide * 1.08, wide, arm, arm + 1, elbow))
    mesh = loft(rings, sides, lift=OVER)
    return [painted(mesh, _sleeve(a, mesh, y, side, sleeve_end)), _hand(a.skin, side, y, arm + 1, sides)]


def _sleeve(a: PersonAppearance, mesh: Mesh, y: float, side: int, end: float) -> Array:
    """Face colours of an arm at sideways distance ``y``: sleeve, cuff, and skin below ``end``."""
    centre = face_centres(mesh)
    z, angle = centre[:, 2], np.arctan2(centre[:, 1] - y, centre[:, 0])
    cloth = np.where(_sleeve_accent(a, angle, z)[:, None], a.top_accent, np.asarray(a.top))
    cloth = np.where((z < end + 0.018)[:, None], cloth * 0.8, cloth)
    colour = np.where((z > end)[:, None], cloth, np.asarray(a.skin))
    inward = np.clip((y - centre[:, 1:2]) * side, 0.0, 0.04)
    return np.asarray(colour * (1 - 5 * inward))


def _sleeve_accent(a: PersonAppearance, angle: Array, z: Array) -> Array:
    if a.top_pattern in ("logo", "stripes"):
        return np.zeros(len(z), dtype=bool)
    return _pattern(a, angle, z)


def _hand(skin: Colour, side: int, y: float, bone: int, sides: int) -> Mesh:
    rings = [Ring(z, x, y - 0.004 * side, rx, ry, bone) for z, x, rx, ry in HAND]
    return painted(loft(rings, max(6, sides - 2), lift=OVER), np.multiply(skin, 0.95))


def _creased(mesh: Mesh, appearance: PersonAppearance) -> Array:
    """Face colours with the small unevenness of cloth, the same at every look."""
    rng = np.random.default_rng(round(1e6 * appearance.height_m))
    centre = face_centres(mesh)
    folds = np.sin(9 * np.arctan2(centre[:, 1], centre[:, 0]) + 40 * centre[:, 2] + rng.uniform(0, 6))
    uneven = 1 + 0.035 * folds + rng.normal(0.0, 0.014, len(centre))
    return np.asarray(mesh.albedo * uneven[:, None])
