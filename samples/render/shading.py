"""How light becomes colour: sun, sky and ground bounce on a surface, and the tone curve to display values.

Lambert's cosine law for the sun, a hemisphere light for sky and ground, Blinn's half-vector highlight and Schlick's
approximation of Fresnel reflection for paint and glass.
"""

from __future__ import annotations

import numpy as np

from samples.render.arrays import Array

SUN = np.array([0.84, 0.95, 1.02])  # BGR: a warm sun
SKY = np.array([0.62, 0.54, 0.48])  # and the blue of the shade
BOUNCE = np.array([0.20, 0.22, 0.24])
HAZE = np.array([0.80, 0.74, 0.68])
ZENITH = np.array([0.72, 0.45, 0.26])


def encode(linear_bgr: Array) -> Array:
    """Linear light to display values in [0, 255]: an extended Reinhard curve (2002, eq. 4), then gamma 2.2."""
    value = 1.3 * np.maximum(linear_bgr, 0.0)
    value = value * (1.0 + value / 6.25) / (1.0 + value)
    return 255.0 * np.minimum(value, 1.0) ** (1 / 2.2)


def irradiance(normals: Array, light: Array, sunlit: Array | float = 1.0) -> Array:
    """Light ``(N, 3)`` BGR falling on surfaces with unit normals ``(N, 3)``; ``sunlit`` in [0, 1] is the sun they see."""
    up = 0.5 + 0.5 * normals[:, 2:3]
    sun = np.maximum(normals @ light, 0.0) * sunlit
    return np.asarray(BOUNCE * (1 - up) + SKY * up + SUN * sun[:, None])


def sky(directions: Array) -> Array:
    """Sky radiance ``(N, 3)`` BGR along unit directions, pale at the horizon and blue above."""
    lift = np.clip(directions[:, 2:3], 0.0, 1.0) ** 0.55
    return np.asarray(HAZE * (1 - lift) + ZENITH * lift)


def mirror(directions: Array, normals: Array) -> tuple[Array, Array]:
    """What a polished surface mirrors, ``(N, 3)`` BGR, and how much of it (Schlick), ``(N, 1)``."""
    cosine = -np.sum(directions * normals, axis=1, keepdims=True)
    reflected = directions + 2 * cosine * normals
    ground = np.array([0.16, 0.17, 0.18])
    blend = np.clip(reflected[:, 2:3] * 6 + 0.5, 0.0, 1.0)
    return sky(reflected) * blend + ground * (1 - blend), 0.05 + 0.95 * np.clip(1 - cosine, 0, 1) ** 5


def highlight(directions: Array, normals: Array, light: Array, power: float = 90.0) -> Array:
    """Blinn's highlight, ``(N, 1)``."""
    half = light - directions
    half = half / np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-9)
    return np.asarray(np.clip(np.sum(half * normals, axis=1, keepdims=True), 0, 1) ** power)


def shade(
    albedo: Array,
    normals: Array,
    directions: Array,
    gloss: Array,
    light: Array,
    sunlit: float,
) -> Array:
    """Display colours ``(N, 3)`` of lit faces; ``gloss`` ``(N,)`` 0 cloth .. 1 glass; ``directions`` towards the faces."""
    lit = albedo * irradiance(normals, light, sunlit)
    if gloss.any():
        mirrored, fresnel = mirror(directions, normals)
        share = gloss[:, None]
        shine = np.minimum(0.5 * sunlit * highlight(directions, normals, light), 0.16)
        lit = lit + share * (mirrored * np.minimum(0.8 * fresnel + 0.03, 0.45) + shine)
    return encode(lit)
