"""What the sides of solids look like: texture, plinth, windows, coping, panelling, glass."""

from __future__ import annotations

import zlib

import numpy as np

from samples.render.arrays import Array
from samples.render.shading import mirror
from samples.render.textures import texture
from samples.types import Box3

PANE = np.array([0.030, 0.026, 0.022])
STOREY_M, BAY_M, WINDOW_WIDTH_M, WINDOW_SILL_M, WINDOW_HEAD_M = 3.1, 2.9, 1.35, 1.05, 2.45


def surface(solid: Box3, a: Array, b: Array | None, points: Array, footprint: Array) -> tuple[Array, Array]:
    """Albedo ``(N, 3)`` and gloss ``(N,)`` at points of a side from ``a`` to ``b``, or of a top (``b`` None)."""
    colour, gloss = np.asarray(solid.colour), np.zeros(len(points))
    if b is None:
        name = "concrete" if solid.texture in ("brick", "plaster", "glass") else solid.texture
        return colour * texture(name).sample(points[:, 0], points[:, 1], footprint), gloss
    edge = (b - a) / np.linalg.norm(b - a)
    along, z = (points[:, :2] - a) @ edge, points[:, 2]
    length, top = float(np.linalg.norm(b - a)), solid.base_m + solid.height_m
    albedo = colour * texture(solid.texture).sample(along + 0.37 * a[0], z, footprint)
    albedo = albedo * weather(along + a[0], z + a[1])[:, None]
    if solid.texture == "glass":
        return _glass_wall(albedo, along, z, solid.base_m)
    if solid.texture in ("plaster", "brick", "concrete"):
        albedo = _masonry(albedo, solid, z, top)
        if solid.base_m < 0.1 and top >= 4.4 and length >= 4.0:
            return _windows(albedo, solid, along, z, length, top)
    if solid.texture in ("wood", "metal") and solid.height_m > 3.3 and length >= 4.0:
        return _windows(albedo, solid, along, z, length, top)
    if solid.texture == "wood" and length > 1.2 and solid.height_m > 1.8:
        return _stall(albedo, along, z, length, top)
    return albedo, gloss


def weather(u_m: Array, v_m: Array) -> Array:
    """Slow change of tone ``(N,)`` over metres, which hides that textures repeat."""
    wave = np.sin(0.61 * u_m + 1.3 * np.sin(0.23 * v_m)) + np.sin(0.47 * v_m + 1.7 * np.sin(0.19 * u_m + 1.0))
    return np.asarray(1 + 0.045 * wave)


def glazed(lit: Array, gloss: Array, rays: Array, normals: Array) -> Array:
    """Adds what panes mirror."""
    mirrored, fresnel = mirror(rays, normals)
    return np.asarray(lit + gloss[:, None] * mirrored * (fresnel + 0.10))


def _masonry(albedo: Array, solid: Box3, z: Array, top: float) -> Array:
    """A dark plinth at the foot, streaks below the top, a pale coping."""
    if solid.height_m < 1.5:
        rim = z > top - 0.07
        return np.where(rim[:, None], albedo * 1.15, albedo)
    plinth = (z < 0.45) & (solid.base_m < 0.1)
    coping = z > top - (0.28 if top > 4 else 0.12)
    albedo = np.where(plinth[:, None], 0.55 * albedo + 0.04, albedo)
    return np.where(coping[:, None], 0.45 * albedo + 0.22, albedo)


def _windows(
    albedo: Array, solid: Box3, along: Array, z: Array, length: float, top: float
) -> tuple[Array, Array]:
    """Rows of windows with frames, sills and here and there a blind."""
    bays = max(1, int((length - 0.8) / BAY_M))
    bay_width = length / bays
    bay, storey = np.floor(along / bay_width), np.floor(z / STOREY_M)
    x, y = along - (bay + 0.5) * bay_width, z - storey * STOREY_M
    exists = storey * STOREY_M + WINDOW_HEAD_M + 0.4 < top
    half = WINDOW_WIDTH_M / 2
    reveal = exists & (np.abs(x) < half) & (y > WINDOW_SILL_M) & (y < WINDOW_HEAD_M)
    frame = reveal & (
        (np.abs(x) > half - 0.07)
        | (np.abs(x) < 0.03)
        | (y < WINDOW_SILL_M + 0.07)
        | (y > WINDOW_HEAD_M - 0.07)
    )
    sill = exists & (np.abs(x) < half + 0.08) & (y > WINDOW_SILL_M - 0.09) & (y <= WINDOW_SILL_M)
    chance = _chance(bay, storey, solid.name)
    blind = reveal & (chance > 0.55) & (y > WINDOW_HEAD_M - 0.2 - 0.9 * (chance - 0.55))
    lintel = exists & (np.abs(x) < half + 0.12) & (y >= WINDOW_HEAD_M) & (y < WINDOW_HEAD_M + 0.16)
    albedo = np.where(lintel[:, None], 0.6 * albedo + 0.15, albedo)
    albedo = np.where(reveal[:, None], PANE * (0.6 + 0.8 * chance[:, None]), albedo)
    albedo = np.where(blind[:, None], [0.34, 0.38, 0.40], albedo)
    albedo = np.where(frame[:, None], [0.55, 0.57, 0.58], albedo)
    albedo = np.where(sill[:, None], [0.50, 0.50, 0.50], albedo)
    shade = reveal & ~frame & (y > WINDOW_HEAD_M - 0.22)
    albedo = np.where(shade[:, None], albedo * 0.5, albedo)
    return albedo, np.where(reveal & ~frame, np.where(blind, 0.5, 1.0), 0.0)


def _chance(bay: Array, storey: Array, name: str) -> Array:
    """A number in [0, 1) of one window, the same in every camera."""
    seed = zlib.crc32(name.encode()) % 1000
    return np.asarray(np.mod(np.sin(bay * 12.9898 + storey * 78.233 + seed) * 43758.5453, 1.0))


def _glass_wall(albedo: Array, along: Array, z: Array, base: float) -> tuple[Array, Array]:
    """Panes between metal bars."""
    bar = (np.mod(along, 1.0) < 0.05) | (np.mod(z - base, 1.1) < 0.05)
    pane = 0.12 * albedo + PANE
    return np.where(bar[:, None], [0.30, 0.30, 0.30], pane), np.where(bar, 0.0, 1.0)


def _stall(albedo: Array, along: Array, z: Array, length: float, top: float) -> tuple[Array, Array]:
    """A kiosk's serving hatch: a dark opening over a counter, under a striped awning."""
    opening = (np.abs(along - length / 2) < 0.36 * length) & (z > 1.0) & (z < 1.95)
    counter = (np.abs(along - length / 2) < 0.40 * length) & (z > 0.92) & (z <= 1.0)
    awning = (np.abs(along - length / 2) < 0.42 * length) & (z >= 1.95) & (z < min(2.25, top))
    stripes = np.mod(along, 0.5) < 0.25
    albedo = np.where(opening[:, None], [0.02, 0.03, 0.04], albedo)
    albedo = np.where(counter[:, None], [0.40, 0.44, 0.48], albedo)
    awn = np.where(stripes[:, None], [0.62, 0.66, 0.66], albedo)
    return np.where(awning[:, None], awn, albedo), np.zeros(len(z))
