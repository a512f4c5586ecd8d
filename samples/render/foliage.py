"""Tree crowns: a few leafy balls in place of the block the plan gives."""

from __future__ import annotations

import zlib

import numpy as np

from samples.render.arrays import Array
from samples.render.textures import texture
from samples.types import Box3


def is_crown(solid: Box3) -> bool:
    """Whether a solid is foliage carried above the heads."""
    return solid.texture == "hedge" and solid.base_m > 1.2


def balls(solid: Box3) -> Array:
    """Centres and radii ``(K, 4)`` of the balls that fill the block."""
    corners = np.asarray(solid.corners_m)
    middle = corners.mean(axis=0)
    wide = float(np.linalg.norm(corners - middle, axis=1).max())
    tall = solid.height_m
    rng = np.random.default_rng(zlib.crc32(f"{middle[0]:.2f} {middle[1]:.2f}".encode()))
    core = [(middle[0], middle[1], solid.base_m + 0.52 * tall, 0.92 * min(wide, 0.55 * tall + 0.1))]
    for k in range(9):
        azimuth = 2 * np.pi * (k % 5) / 5 + rng.uniform(-0.4, 0.4) + 0.6 * (k // 5)
        height = (0.36, 0.70)[k // 5] + rng.uniform(-0.06, 0.06)
        radius = rng.uniform(0.40, 0.52) * wide
        out = (0.62 if k < 5 else 0.45) * wide
        core.append(
            (
                middle[0] + out * np.cos(azimuth),
                middle[1] + out * np.sin(azimuth),
                solid.base_m + height * tall,
                radius,
            )
        )
    return np.array(core)


def meet(ball: Array, eye: Array, rays: Array) -> Array:
    """Distances along unit ``rays`` ``(..., 3)`` to a ball with a ragged rim; inf where they pass it."""
    offset = eye - ball[:3]
    along = rays @ offset
    passing = offset @ offset - along * along
    nearest = offset - along[..., None] * rays
    angle = np.arctan2(nearest[..., 2], nearest[..., 0] + nearest[..., 1])
    ragged = (
        1
        + 0.06 * np.sin(17 * angle + 9 * ball[3])
        + 0.045 * np.sin(41 * angle + 20 * ball[3])
        + 0.03 * np.sin(89 * angle)
    )
    reach = (ball[3] * ragged) ** 2 - passing
    distance = -along - np.sqrt(np.maximum(reach, 0.0))
    return np.asarray(np.where((reach > 0) & (distance > 0.2), distance, np.inf))


def leaves(solid: Box3, ball: Array, points: Array, footprint: Array) -> tuple[Array, Array]:
    """Albedo ``(N, 3)`` and rough unit normals ``(N, 3)`` at points of a ball."""
    normals = (points - ball[:3]) / np.linalg.norm(points - ball[:3], axis=1, keepdims=True)
    azimuth = np.arctan2(normals[:, 1], normals[:, 0])
    tone = texture("hedge").sample(azimuth * ball[3], points[:, 2], footprint)
    rough = texture("hedge").sample(azimuth * ball[3] + 0.4, points[:, 2] + 0.7, footprint) - 1
    bent = normals + 0.45 * rough
    albedo = np.asarray(solid.colour) * tone * (0.72 + 0.28 * np.clip((normals[:, 2:3] + 1), 0, 1.2))
    return albedo, bent / np.linalg.norm(bent, axis=1, keepdims=True)
