"""Vehicles as meshes: a body lofted through cross-sections along its length, glass, wheels, lights and plates.

x forward, y left, z up, metres, origin on the floor below the middle of the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from samples.render import carparts
from samples.render.arrays import Array
from samples.render.mesh import Mesh, joined, polygons
from samples.types import CarAppearance

GLASS = np.array([0.035, 0.032, 0.028])
PLASTIC = np.array([0.03, 0.03, 0.03])


@dataclass(frozen=True, slots=True)
class Station:
    """A cross-section: place along the length (-0.5 rear .. 0.5 front), height and roof width as fractions,
    and what the skin from here to the next station behind is made of."""

    x: float
    top: float
    roof: float = 0.80
    over: str = "paint"
    side: str = "paint"


@dataclass(frozen=True, slots=True)
class Form:
    """One body: its stations from front to rear, belt line and sill (fractions of height), roundness of the plan."""

    stations: tuple[Station, ...]
    belt: float = 0.63
    sill: float = 0.15
    taper: float = 0.15
    axles: tuple[float, ...] = (0.315, -0.295)


S = Station
NOSE = (S(0.5, 0.47, 0.84), S(0.485, 0.535, 0.86), S(0.44, 0.575, 0.88))
FORMS: dict[str, tuple[Form, ...]] = {
    "hatchback": (Form((
        *NOSE, S(0.225, 0.645, 0.88, "glass", "glass"), S(0.055, 0.965, 0.77, "roof", "glass"),
        S(-0.02, 0.995, 0.77, "roof", "pillar"), S(-0.042, 0.998, 0.77, "roof", "glass"), S(-0.25, 0.99, 0.77, "roof", "paint"),
        S(-0.39, 0.94, 0.75, "glass"), S(-0.468, 0.665, 0.86), S(-0.492, 0.61, 0.88), S(-0.5, 0.42, 0.88),
    )),),
    "saloon": (Form((
        *NOSE, S(0.20, 0.645, 0.88, "glass", "glass"), S(0.045, 0.965, 0.76, "roof", "glass"),
        S(-0.035, 0.998, 0.76, "roof", "pillar"), S(-0.052, 1.0, 0.76, "roof", "glass"), S(-0.20, 0.975, 0.75, "glass", "glass"),
        S(-0.27, 0.84, 0.78, "glass"), S(-0.345, 0.69, 0.86), S(-0.47, 0.655, 0.88), S(-0.49, 0.60, 0.88), S(-0.5, 0.44, 0.88),
    )),),
    "estate": (Form((
        *NOSE, S(0.205, 0.645, 0.88, "glass", "glass"), S(0.05, 0.965, 0.77, "roof", "glass"),
        S(-0.02, 0.995, 0.77, "roof", "pillar"), S(-0.038, 1.0, 0.77, "roof", "glass"), S(-0.23, 1.0, 0.77, "roof", "pillar"),
        S(-0.248, 0.998, 0.77, "roof", "glass"), S(-0.40, 0.97, 0.77, "roof"), S(-0.445, 0.945, 0.76, "glass"),
        S(-0.482, 0.64, 0.88), S(-0.494, 0.58, 0.88), S(-0.5, 0.42, 0.88),
    )),),
    "suv": (Form((
        S(0.5, 0.50, 0.88), S(0.488, 0.57, 0.9), S(0.45, 0.60, 0.9), S(0.23, 0.655, 0.9, "glass", "glass"),
        S(0.10, 0.965, 0.81, "roof", "glass"), S(0.0, 0.995, 0.81, "roof", "pillar"), S(-0.02, 1.0, 0.81, "roof", "glass"),
        S(-0.21, 1.0, 0.81, "roof", "pillar"), S(-0.23, 0.995, 0.81, "roof", "glass"), S(-0.38, 0.98, 0.81, "roof"),
        S(-0.44, 0.955, 0.80, "glass"), S(-0.478, 0.66, 0.9), S(-0.494, 0.60, 0.9), S(-0.5, 0.42, 0.9),
    ), sill=0.19, taper=0.12),),
    "van": (Form((
        S(0.5, 0.34, 0.9), S(0.485, 0.42, 0.9), S(0.39, 0.505, 0.9, "glass", "glass"), S(0.255, 0.945, 0.86, "roof", "glass"),
        S(0.13, 0.99, 0.86, "roof", "paint"), S(-0.15, 1.0, 0.86, "roof", "paint"), S(-0.47, 0.995, 0.86, "roof"),
        S(-0.492, 0.95, 0.86), S(-0.5, 0.9, 0.86),
    ), belt=0.52, sill=0.12, taper=0.08, axles=(0.32, -0.30)),),
    "pickup": (
        Form((
            S(-0.10, 0.53, 0.95, "bed"), S(-0.30, 0.53, 0.95, "bed"), S(-0.5, 0.53, 0.95),
        ), belt=0.5, sill=0.19, taper=0.05, axles=()),
        Form((
            S(0.5, 0.47, 0.9), S(0.488, 0.535, 0.9), S(0.44, 0.565, 0.9), S(0.23, 0.60, 0.9, "glass", "glass"),
            S(0.125, 0.96, 0.80, "roof", "glass"), S(0.03, 1.0, 0.80, "roof", "pillar"), S(0.012, 1.0, 0.80, "roof", "glass"),
            S(-0.07, 0.985, 0.80, "glass", "paint"), S(-0.11, 0.60, 0.84),
        ), belt=0.58, sill=0.19, taper=0.10, axles=(0.325, -0.31)),
    ),
    "truck": (
        Form((
            S(0.16, 1.0, 1.0, "box", "box"), S(-0.17, 1.0, 1.0, "box", "box"), S(-0.5, 1.0, 1.0, "box", "box"),
        ), belt=0.9, sill=0.26, taper=0.0, axles=()),
        Form((
            S(0.5, 0.36, 0.94), S(0.495, 0.46, 0.94, "glass", "paint"), S(0.455, 0.80, 0.90, "roof", "glass"),
            S(0.40, 0.86, 0.90, "roof", "glass"), S(0.27, 0.87, 0.90, "roof"), S(0.18, 0.86, 0.90, "roof"),
        ), belt=0.50, sill=0.13, taper=0.05, axles=(0.36, -0.26)),
    ),
    "bus": (Form((
        S(0.5, 0.34, 0.96), S(0.497, 0.40, 0.96, "glass"), S(0.475, 0.93, 0.93, "roof", "glass"),
        S(0.40, 1.0, 0.93, "roof", "glass"),
        *(S(x - gap, 1.0, 0.93, "roof", kind) for x in (0.27, 0.12, -0.03, -0.18, -0.33)
          for gap, kind in ((0.0, "pillar"), (0.014, "glass"))),
        S(-0.46, 1.0, 0.93, "roof"), S(-0.492, 0.96, 0.93), S(-0.5, 0.88, 0.93),
    ), belt=0.44, sill=0.10, taper=0.03, axles=(0.29, -0.24)),),
}  # fmt: skip


@lru_cache(maxsize=512)
def vehicle(a: CarAppearance) -> Mesh:
    """The vehicle's mesh in metres. Bone 0 is the body, bones 1.. its wheels, front left, front right, rear ..."""
    forms = FORMS[a.shape]
    parts = [carparts.underbody(a, forms[-1].sill, wheel_radius(a))]
    parts += [_body(a, form) for form in forms]
    whole = forms[-1]
    parts += carparts.fittings(a, whole.taper, whole.belt)
    for index, (x, y) in enumerate(wheel_places(a)):
        parts += carparts.wheel(x, y, wheel_radius(a), index + 1)
    return joined(parts)


def wheel_radius(a: CarAppearance) -> float:
    """Metres."""
    return {"truck": 0.47, "bus": 0.48, "suv": 0.37, "pickup": 0.38, "van": 0.34}.get(a.shape, 0.315)


def wheel_places(a: CarAppearance) -> list[tuple[float, float]]:
    """``(x, y)`` of the wheels' outer faces, left and right of each axle."""
    outer = 0.5 * a.width_m + 0.004
    return [(x * a.length_m, side * outer) for x in FORMS[a.shape][-1].axles for side in (1, -1)]


def wheel_bones(a: CarAppearance, angle_rad: float) -> tuple[Array, Array]:
    """Rotations and offsets of the body and its wheels rolled by ``angle_rad``."""
    places = wheel_places(a)
    rotations = np.tile(np.eye(3), (1 + len(places), 1, 1))
    offsets = np.zeros((1 + len(places), 3))
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    rotations[1:] = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    for index, (x, y) in enumerate(places):
        hub = np.array([x, y, wheel_radius(a)])
        offsets[1 + index] = hub - rotations[1 + index] @ hub
    return rotations, offsets


def _body(a: CarAppearance, form: Form) -> Mesh:
    """Skin between the stations, closed at both ends."""
    sections = np.stack([_section(a, form, station) for station in form.stations])
    quads, albedo, gloss = [], [], []
    for i, station in enumerate(form.stations[:-1]):
        front, rear = sections[i], sections[i + 1]
        for j in range(len(front) - 1):
            quads.append((front[j], rear[j], rear[j + 1], front[j + 1]))
            colour, shine = _material(a, station, min(j, len(front) - 2 - j))
            albedo.append(colour)
            gloss.append(shine)
    for section, flip in ((sections[0], True), (sections[-1], False)):
        for j in range(len(section) // 2):
            quad = (section[j], section[-1 - j], section[-2 - j], section[j + 1])
            quads.append(quad[::-1] if flip else quad)
            albedo.append(_end_colour(a, form, j))
            gloss.append(0.25)
    mesh = polygons(np.array(quads), np.array(albedo))
    return Mesh(
        mesh.vertices,
        mesh.bones,
        mesh.weights,
        mesh.faces,
        mesh.albedo,
        np.array(gloss),
        mesh.lift,
        mesh.part,
    )


def _section(a: CarAppearance, form: Form, s: Station) -> Array:
    """The outline ``(13, 3)`` of a cross-section from the left sill over the roof to the right sill."""
    half, high = 0.5 * a.width_m, a.height_m
    plan = 1 - form.taper * (max(0.0, abs(s.x) - 0.40) / 0.10) ** 2.2
    belt = min(form.belt, s.top - 0.035)
    cabin = s.top > form.belt + 0.06
    edge = (s.roof if cabin else 0.90, s.top - (0.03 if cabin else 0.012))
    brow = (0.97 + 0.84 * (edge[0] - 0.97), belt + 0.84 * (edge[1] - belt))
    middle = 0.5 * (form.sill + belt)
    left = [
        (0.93, form.sill),
        (0.985, 0.62 * form.sill + 0.38 * middle),
        (1.0, middle),
        (0.975, belt),
        brow,
        edge,
    ]
    points = [*left, (0.0, s.top), *[(-w, z) for w, z in left[::-1]]]
    return np.array([(s.x * a.length_m, w * half * plan, z * high) for w, z in points])


def _material(a: CarAppearance, s: Station, segment: int) -> tuple[Array, float]:
    """Colour and gloss of the skin; ``segment`` counts from the sill (0) to the roof (5)."""
    paint, roof = np.asarray(a.paint), np.asarray(a.roof)
    if segment == 0:
        return (paint * 0.55, 0.2) if a.shape != "bus" else (PLASTIC, 0.1)
    if segment == 3:
        return {"glass": (GLASS, 1.0), "pillar": (PLASTIC, 0.5)}.get(s.side, (paint, 0.5))
    if segment == 4:
        return (roof if s.over == "roof" else paint), 0.5
    if segment == 5:
        return {
            "glass": (GLASS, 1.0),
            "roof": (roof, 0.5),
            "box": (np.full(3, 0.6), 0.05),
            "bed": (PLASTIC, 0.0),
        }.get(s.over, (paint, 0.5))
    return paint, 0.1 if s.side == "box" else 0.5


def _end_colour(a: CarAppearance, form: Form, segment: int) -> Array:
    paint = np.asarray(a.paint)
    return PLASTIC * 1.5 if segment == 0 else paint * (0.9 if form.taper else 0.95)
