"""Shadows of the actors on the floor: sharp-ish ones from the sun, soft dark ones where things touch the floor.

A convex part's shadow is the convex hull of its vertices carried along the light to the floor (Blinn, Me and My (Fake)
Shadow, 1988).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from samples.render.arrays import Array
from samples.render.lens import NEAR_M, Lens
from samples.render.mesh import Mesh
from samples.render.scene import shadow_tone
from samples.types import ActorState, CarAppearance

Body = tuple[ActorState, Mesh, Array]


class Shadows:
    """Darkens the floor of one camera."""

    def __init__(self, lens: Lens, light: Array, floor: Array, shadable: Array) -> None:
        self.lens = lens
        self.shear = light[:2] / max(light[2], 0.15)
        self.sun_share = shadable * np.float32(1 / 255)
        self.touch_share = floor * np.float32(0.42 / 255)
        self.depth = (1 - shadow_tone(light)).astype(np.float32)
        self.mask = np.zeros(shadable.shape, dtype=np.uint8)
        self.contact = np.zeros(shadable.shape, dtype=np.uint8)

    def cast(self, image: npt.NDArray[np.uint8], bodies: Sequence[Body]) -> None:
        """Draws every body's shadow into ``image``."""
        self.mask[:] = 0
        self.contact[:] = 0
        touched = [
            box for body in bodies for box in (self._sun_shadow(body), self._contact(body)) if box is not None
        ]
        if not touched:
            return
        boxes = np.array(touched)
        width, height = self.lens.camera.size
        x0, y0 = np.maximum(boxes[:, :2].min(axis=0), 0)
        x1, y1 = np.minimum(boxes[:, 2:].max(axis=0), (width, height))
        if x0 >= x1 or y0 >= y1:
            return
        window = np.s_[y0:y1, x0:x1]
        sun = cv2.GaussianBlur(self.mask[window], (0, 0), 1.1) * self.sun_share[window]
        touch = 1 - cv2.GaussianBlur(self.contact[window], (0, 0), 2.2) * self.touch_share[window]
        factor = cv2.merge([touch * (1 - depth * sun) for depth in self.depth])
        image[window] = cv2.multiply(image[window], factor, dtype=cv2.CV_8U)

    def _sun_shadow(self, body: Body) -> tuple[int, int, int, int] | None:
        _, mesh, vertices = body
        some = vertices[::3]
        ground = some - some[:, 2:3] * (*self.shear, 1.0)
        return self._hulls(self.mask, ground, mesh.part[::3], 255)

    def _hulls(
        self, mask: npt.NDArray[np.uint8], ground: Array, part: Array, value: int
    ) -> tuple[int, int, int, int] | None:
        """Fills the hulls of the parts' points on the floor; returns a rectangle around them."""
        pixels, depth = self.lens.project(ground)
        if depth.min() <= NEAR_M or not self._near_frame(pixels):
            return None
        fixed = np.round(pixels * 16).astype(np.int32)
        for points in np.split(fixed, np.flatnonzero(np.diff(part)) + 1):
            cv2.fillConvexPoly(mask, cv2.convexHull(points), value, 8, 4)
        low, high = np.floor(pixels.min(axis=0)).astype(int) - 8, np.ceil(pixels.max(axis=0)).astype(int) + 9
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def _near_frame(self, pixels: Array) -> bool:
        (x0, y0), (x1, y1) = pixels.min(axis=0), pixels.max(axis=0)
        width, height = self.lens.camera.size
        return bool(x1 > -10 and y1 > -10 and x0 < width + 10 and y0 < height + 10 and x1 - x0 < 4 * width)

    def _contact(self, body: Body) -> tuple[int, int, int, int] | None:
        """A dark patch under feet or body."""
        state = body[0]
        if isinstance(state.appearance, CarAppearance):
            reach = np.array([0.48 * state.appearance.length_m, 0.47 * state.appearance.width_m])
            outline = reach * np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
        else:
            angle = 2 * np.pi * np.arange(10) / 10
            outline = np.column_stack([0.26 * np.cos(angle), 0.19 * np.sin(angle)])
        c, s = np.cos(state.heading_rad), np.sin(state.heading_rad)
        flat = outline @ np.array([[c, s], [-s, c]]) + state.position_m
        ground = np.column_stack([flat, np.zeros(len(flat))])
        strength = 255 if isinstance(state.appearance, CarAppearance) else 190
        return self._hulls(self.contact, ground, np.zeros(len(flat)), strength)
