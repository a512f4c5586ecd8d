"""The forces of the social force model (Helbing and Molnar 1995) on many people at once, in metres and seconds.

Positions and wanted velocities are ``(N, 2)``; every force is an acceleration ``(N, 2)``.
"""

from __future__ import annotations

import numpy as np

from samples.navigation import Navigation
from samples.types import FloatArray

BODY_M = 0.24
APART_M = 0.5


def repulsion(here: FloatArray, wanted: FloatArray, together: np.ndarray) -> FloatArray:
    """Push from every other person, stronger from the front, with a sidestep to the right of those ahead."""
    apart = here[:, None] - here[None, :]
    distance = np.linalg.norm(apart, axis=2) + np.eye(len(here)) * 1e3
    normal = apart / distance[..., None]
    ahead = -np.einsum("ijk,ik->ij", normal, wanted)
    strength = (
        3.0
        * np.exp(-(distance - APART_M) / 0.32)
        * np.where(ahead > 0, 1.0, 0.45)
        * np.where(together, 0.25, 1.0)
    )
    push = (strength[..., None] * normal).sum(axis=1)
    aside = 1.4 * np.exp(-(distance - APART_M) / 0.75) * np.clip(ahead, 0, 1.5) * np.where(together, 0.0, 1.0)
    right = np.stack([wanted[:, 1], -wanted[:, 0]], axis=1)
    return np.asarray(push + aside.sum(axis=1)[:, None] * right)


def from_walls(navigation: Navigation, here: FloatArray) -> FloatArray:
    """Push away from what cannot be walked on, felt within a hand's breadth or two."""
    clearance = navigation.clearance(here)
    strength = 2.2 * np.exp(-(clearance - BODY_M) / 0.14)
    return np.asarray(np.minimum(strength, 6.0)[:, None] * navigation.slope(here))


def from_vehicles(here: FloatArray, blocks: FloatArray) -> FloatArray:
    """Push away from discs ``(K, 3)`` of x, y and radius."""
    if len(blocks) == 0:
        return np.zeros_like(here)
    apart = here[:, None] - blocks[None, :, :2]
    distance = np.linalg.norm(apart, axis=2)
    strength = 4.0 * np.exp(-(distance - blocks[None, :, 2] - 0.4) / 0.3)
    return np.asarray((np.minimum(strength, 12.0) / np.maximum(distance, 1e-6))[..., None] * apart).sum(
        axis=1
    )


def kept_apart(points: FloatArray) -> FloatArray:
    """Move overlapping bodies half way out of each other."""
    apart = points[:, None] - points[None, :]
    distance = np.linalg.norm(apart, axis=2) + np.eye(len(points)) * 1e3
    overlap = np.clip(APART_M - 0.06 - distance, 0.0, 0.1)
    return np.asarray(points + 0.5 * (overlap[..., None] * apart / distance[..., None]).sum(axis=1))
