"""Which points of the site the sun reaches, and how much open sky they see: two maps drawn from above.

The sun map is a shadow map (Williams 1978) sheared along the light: a point is projected along the light onto the
floor, and the map holds the greatest height at which a solid meets that ray.
"""

from __future__ import annotations

import cv2
import numpy as np

from samples.render import foliage
from samples.render.arrays import Array
from samples.types import Box3, FloorPlan

BIAS_M, SOFT_M = 0.10, 0.07


class Sunlight:
    """Sun and sky of one floor plan."""

    def __init__(self, plan: FloorPlan) -> None:
        self.light = np.asarray(plan.light) / np.linalg.norm(plan.light)
        self.shear = self.light[:2] / max(self.light[2], 0.15)
        x0, y0, x1, y1 = plan.extent_m
        self.origin_m = np.array([x0, y0])
        self.cell_m = max(0.05, max(x1 - x0, y1 - y0) / 2048)
        self.shape = (int((y1 - y0) / self.cell_m) + 1, int((x1 - x0) / self.cell_m) + 1)
        self.tops = np.zeros(self.shape, dtype=np.float32)
        for solid in plan.solids:
            self._cast(solid)
        self.openness = self._openness(plan)

    def at(self, points_m: Array) -> Array:
        """The share of sun ``(N,)`` in [0, 1] that points ``(N, 3)`` get, softened at shadow edges."""
        ground = points_m[:, :2] - points_m[:, 2:3] * self.shear
        total = np.zeros(len(points_m))
        for dx, dy in (
            (0, 0),
            (SOFT_M, 0.4 * SOFT_M),
            (-SOFT_M, -0.4 * SOFT_M),
            (-0.4 * SOFT_M, SOFT_M),
            (0.4 * SOFT_M, -SOFT_M),
        ):
            total += self._sample(self.tops, ground + (dx, dy), cv2.INTER_NEAREST) < points_m[:, 2] + BIAS_M
        return total / 5

    def sky(self, points_m: Array) -> Array:
        """How open the surroundings of points ``(N, 3)`` are, ``(N,)`` in [0, 1]; 1 is an open field."""
        low = self._sample(self.openness, points_m[:, :2], cv2.INTER_LINEAR)
        return np.asarray(1 - (1 - low) * np.clip(1.15 - points_m[:, 2] / 5.0, 0.3, 1.0))

    def _sample(self, grid: Array, points_m: Array, interpolation: int) -> Array:
        cells = ((points_m - self.origin_m) / self.cell_m).astype(np.float32)
        width = 1024
        rows = -(-len(cells) // width)
        padded = np.zeros((rows * width, 2), dtype=np.float32)
        padded[: len(cells)] = cells
        picked = cv2.remap(
            grid, padded.reshape(rows, width, 2), None, interpolation, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(picked.reshape(-1)[: len(cells)])

    def _cast(self, solid: Box3) -> None:
        """Enters the top and the sunward sides of a solid into the map."""
        corners = np.asarray(solid.corners_m)
        low, high = solid.base_m, solid.base_m + solid.height_m
        if foliage.is_crown(solid):
            for ball in foliage.balls(solid):
                self._fill_top(_ragged(ball) - ball[2] * self.shear, float(ball[2]))
            return
        self._fill_top(corners - high * self.shear, high)
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            outward = np.array([b[1] - a[1], a[0] - b[0]])
            if outward @ self.shear > 1e-9:
                self._fill_side(a, b, low, high)

    def _fill_top(self, corners_m: Array, high: float) -> None:
        mask = np.zeros(self.shape, dtype=np.uint8)
        cells = np.round((corners_m - self.origin_m) / self.cell_m).astype(np.int32)
        cv2.fillPoly(mask, [cells], 1)
        x, y, w, h = cv2.boundingRect(mask)
        window = np.s_[y : y + h, x : x + w]
        self.tops[window] = np.maximum(self.tops[window], mask[window] * np.float32(high))

    def _fill_side(self, a: Array, b: Array, low: float, high: float) -> None:
        quad = np.array(
            [a - low * self.shear, b - low * self.shear, b - high * self.shear, a - high * self.shear]
        )
        cells = (quad - self.origin_m) / self.cell_m
        x0, y0 = np.maximum(np.floor(cells.min(axis=0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(cells.max(axis=0)).astype(int) + 1, self.shape[::-1])
        if x0 >= x1 or y0 >= y1:
            return
        ys, xs = np.mgrid[y0:y1, x0:x1]
        offset = np.stack([xs, ys], axis=-1) * self.cell_m + self.origin_m - a
        inverse = np.linalg.inv(np.column_stack([b - a, -self.shear]))
        along, height = inverse[0] @ offset.reshape(-1, 2).T, inverse[1] @ offset.reshape(-1, 2).T
        hit = (along >= 0) & (along <= 1) & (height >= low) & (height <= high)
        found = np.where(hit, height, 0.0).reshape(xs.shape).astype(np.float32)
        self.tops[y0:y1, x0:x1] = np.maximum(self.tops[y0:y1, x0:x1], found)

    def _openness(self, plan: FloorPlan) -> Array:
        taken = np.zeros(self.shape, dtype=np.float32)
        for solid in plan.solids:
            cells = np.round((np.asarray(solid.corners_m) - self.origin_m) / self.cell_m).astype(np.int32)
            tall = min(1.0, 0.25 + (solid.base_m + solid.height_m) / 4.0)
            cv2.fillPoly(taken, [cells], tall)
        near = cv2.GaussianBlur(taken, (0, 0), 0.22 / self.cell_m)
        wide = cv2.GaussianBlur(
            cv2.resize(taken, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA),
            (0, 0),
            0.25 / self.cell_m,
        )
        wide = cv2.resize(wide, self.shape[::-1])
        return np.asarray(np.clip(1 - 0.32 * near - 0.55 * wide, 0.2, 1.0))


def _ragged(ball: Array) -> Array:
    """The uneven outline ``(48, 2)`` of a leafy ball from above."""
    angle = 2 * np.pi * np.arange(48) / 48
    radius = ball[3] * (1 + 0.10 * np.sin(7 * angle + 9 * ball[3]) + 0.08 * np.sin(17 * angle))
    return np.asarray(ball[:2] + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]))
