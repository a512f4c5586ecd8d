"""Tileable surface textures made from noise and brickwork, with mip levels.

A texture multiplies a surface's own colour; its mean is 1, so that colours stay what the plan says. Mip levels and
their blending are Williams' (Pyramidal Parametrics, 1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from samples.render.arrays import Array

SIDE_PX = 512


@dataclass(frozen=True, slots=True, eq=False)
class Texture:
    """Mip levels ``(h, w, 3)`` float32 of one tile covering ``period_m`` (across, up)."""

    levels: tuple[Array, ...]
    period_m: tuple[float, float]

    def sample(self, u_m: Array, v_m: Array, footprint_m: Array) -> Array:
        """Factors ``(N, 3)`` at surface coordinates ``(N,)``; ``footprint_m`` is how much surface a sample covers."""
        texel = max(self.period_m) / SIDE_PX
        lod = np.clip(np.log2(np.maximum(footprint_m / texel, 1e-6)), 0, len(self.levels) - 1.001)
        whole = lod.astype(int)
        part = (lod - whole)[:, None]
        result = np.empty((len(u_m), 3))
        for level in np.unique(whole):
            at = np.flatnonzero(whole == level)
            here = self._level(level, u_m[at], v_m[at])
            above = self._level(level + 1, u_m[at], v_m[at])
            result[at] = here * (1 - part[at]) + above * part[at]
        return result

    def _level(self, level: int, u_m: Array, v_m: Array) -> Array:
        tile = self.levels[level]
        height, width = tile.shape[:2]
        padded = cv2.copyMakeBorder(tile, 1, 1, 1, 1, cv2.BORDER_WRAP)
        x = np.mod(u_m / self.period_m[0], 1.0) * width + 0.5
        y = np.mod(-v_m / self.period_m[1], 1.0) * height + 0.5
        rows = -(-len(x) // 1024)
        grid = np.ones((rows * 1024, 2), dtype=np.float32)
        grid[: len(x), 0], grid[: len(x), 1] = x, y
        picked = cv2.remap(padded, grid.reshape(rows, 1024, 2), None, cv2.INTER_LINEAR)
        return np.asarray(picked.reshape(-1, 3)[: len(x)])


def noise(rng: np.random.Generator, falloff: float, low: float = 1.0, side: int = SIDE_PX) -> Array:
    """Periodic noise ``(side, side)``, zero mean and unit spread, with a ``1 / f**falloff`` amplitude above ``low``."""
    spectrum = np.fft.rfft2(rng.standard_normal((side, side)))
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * side
    spectrum *= np.where(f < low, 0.0, 1 / np.maximum(f, 1.0) ** falloff)
    field = np.fft.irfft2(spectrum, s=(side, side))
    return np.asarray((field - field.mean()) / field.std())


def _grid(count_x: int, count_y: int, joint: float, shift: float = 0.0) -> tuple[Array, Array]:
    """Cell numbers ``(side, side)`` of a grid of cells, and 1 on the joints between (``joint`` is a share of a cell)."""
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX] / SIDE_PX
    row = np.floor(y * count_y)
    across = np.mod(x * count_x + shift * row, count_x)
    column = np.floor(across)
    fx, fy = across - column, y * count_y - row
    level = joint * count_y / count_x
    line = (np.minimum(fx, 1 - fx) < joint / 2) | (np.minimum(fy, 1 - fy) < level / 2)
    return row * count_x + column, line.astype(float)


def _cells(rng: np.random.Generator, numbers: Array, spread: float) -> Array:
    return np.asarray(1 + spread * rng.standard_normal(int(numbers.max()) + 1)[numbers.astype(int)])


def _asphalt(rng: np.random.Generator) -> Array:
    stones = noise(rng, 0.25, 40)
    return _grey(1 + 0.17 * stones + 0.30 * np.maximum(stones - 1.6, 0) + 0.07 * noise(rng, 1.6))


def _paving(rng: np.random.Generator) -> Array:
    numbers, line = _grid(8, 8, 0.035, 0.5)
    tone = _cells(rng, numbers, 0.085) + 0.05 * noise(rng, 0.6, 8) + 0.05 * noise(rng, 1.7)
    return _grey(tone * (1 - 0.42 * cv2.GaussianBlur(line, (0, 0), 0.8)))


def _tiles(rng: np.random.Generator) -> Array:
    numbers, line = _grid(8, 8, 0.03)
    checker = 1 + 0.05 * (-1) ** ((numbers // 8) + (numbers % 8))
    tone = checker * _cells(rng, numbers, 0.03) + 0.03 * noise(rng, 1.2, 4)
    return _grey(tone * (1 - 0.25 * cv2.GaussianBlur(line, (0, 0), 0.7)))


def _grass(rng: np.random.Generator) -> Array:
    blades, tufts = noise(rng, 0.35, 30), noise(rng, 1.4, 3)
    tone = 1 + 0.26 * blades + 0.14 * tufts
    dry = np.clip(0.5 + 0.5 * noise(rng, 1.5, 2), 0, 1)
    return np.stack([tone * (0.9 + 0.1 * dry), tone, tone * (0.82 + 0.36 * dry)], axis=-1)


def _concrete(rng: np.random.Generator) -> Array:
    _, line = _grid(2, 2, 0.008)
    return _grey((1 + 0.06 * noise(rng, 1.4) + 0.05 * noise(rng, 0.4, 30)) * (1 - 0.3 * line))


def _marking(rng: np.random.Generator) -> Array:
    worn = np.clip(noise(rng, 0.9, 12) - 1.1, 0, 1)
    return _grey(1 - 0.45 * worn + 0.03 * noise(rng, 0.3, 40))


def _wood(rng: np.random.Generator) -> Array:
    numbers, line = _grid(12, 1, 0.05)
    grain = cv2.resize(noise(rng, 1.0, 6), None, fx=1, fy=0.1, interpolation=cv2.INTER_AREA)
    grain = cv2.resize(grain, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    return _grey((_cells(rng, numbers, 0.10) + 0.12 * grain) * (1 - 0.55 * line))


def _brick(rng: np.random.Generator) -> Array:
    numbers, line = _grid(8, 24, 0.045, 0.5)
    tone = _cells(rng, numbers, 0.14) + 0.06 * noise(rng, 0.5, 20) + 0.05 * noise(rng, 1.7)
    warm = 1 + 0.05 * _cells(rng, numbers, 1.0) - 0.05
    brick = np.stack([tone / warm, tone, tone * warm], axis=-1)
    mortar = np.array([1.9, 1.55, 1.25])
    soft = cv2.GaussianBlur(line, (0, 0), 0.6)[..., None]
    return np.asarray(brick * (1 - 0.7 * soft) + mortar * 0.7 * soft)


def _plaster(rng: np.random.Generator) -> Array:
    return _grey(1 + 0.035 * noise(rng, 1.5) + 0.035 * noise(rng, 0.4, 30))


def _metal(rng: np.random.Generator) -> Array:
    x = np.arange(SIDE_PX) / SIDE_PX
    wave = 0.16 * np.sin(2 * np.pi * 16 * x) + 0.05 * np.sin(2 * np.pi * 32 * x)
    return _grey(1 + wave[None] + 0.04 * noise(rng, 1.5))


def _hedge(rng: np.random.Generator) -> Array:
    leaves, clumps = noise(rng, 0.6, 16), noise(rng, 1.4, 3)
    tone = np.clip(1 + 0.38 * leaves + 0.25 * clumps, 0.15, None)
    return np.stack([tone * 0.9, tone, tone * (0.95 + 0.12 * clumps)], axis=-1)


def _grey(tone: Array) -> Array:
    return np.repeat(np.clip(tone, 0.05, None)[..., None], 3, axis=2)


MAKERS = {
    "asphalt": (_asphalt, (3.2, 3.2)), "paving": (_paving, (4.8, 4.8)), "tiles": (_tiles, (4.0, 4.0)),
    "grass": (_grass, (3.0, 3.0)), "concrete": (_concrete, (6.0, 6.0)), "marking": (_marking, (2.0, 2.0)),
    "wood": (_wood, (1.8, 3.6)), "brick": (_brick, (2.0, 2.0)), "plaster": (_plaster, (5.0, 5.0)),
    "metal": (_metal, (3.2, 3.2)), "hedge": (_hedge, (1.6, 1.6)), "glass": (_plaster, (5.0, 5.0)),
}  # fmt: skip


@lru_cache(maxsize=32)
def texture(name: str) -> Texture:
    """The named texture; the same for every site and camera."""
    maker, period = MAKERS[name]
    tile = maker(np.random.default_rng(sorted(MAKERS).index(name)))
    tile = (tile / tile.mean(axis=(0, 1))).astype(np.float32)
    levels = [tile]
    while levels[-1].shape[0] > 2:
        side = levels[-1].shape[0] // 2
        levels.append(cv2.resize(levels[-1], (side, side), interpolation=cv2.INTER_AREA))
    return Texture(tuple(levels), period)
