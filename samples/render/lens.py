"""World points to pixels and pixels to world rays, through the camera's full distortion model.

``samples.cameras`` holds the model (Brown 1966, as OpenCV writes it). A polynomial lens folds back beyond some angle;
points out there are carried on along their radius instead, so that what leaves the frame stays outside it.
"""

from __future__ import annotations

import numpy as np

from samples.cameras import distort
from samples.render.arrays import Array
from samples.types import Camera

NEAR_M = 0.15


class Lens:
    """One camera's projection, with everything constant worked out once."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.focal_px = np.array([camera.intrinsics[0, 0], camera.intrinsics[1, 1]])
        self.principal_px = camera.intrinsics[:2, 2].copy()
        self.centre_m = camera.centre_m
        self.max_radius = _fold_radius(camera)
        self._sides = self._frame_planes()

    def project(self, points_m: Array) -> tuple[Array, Array]:
        """Pixels ``(N, 2)`` and depths ``(N,)`` of world points ``(N, 3)``; pixels mean nothing nearer than NEAR_M."""
        local = points_m @ self.camera.rotation.T + self.camera.translation
        depth = local[:, 2]
        plane = local[:, :2] / np.maximum(depth, NEAR_M)[:, None]
        radius = np.sqrt(plane[:, 0] ** 2 + plane[:, 1] ** 2)
        if radius.max(initial=0.0) < self.max_radius:
            return distort(self.camera, plane) * self.focal_px + self.principal_px, depth
        inside = plane * np.minimum(1.0, self.max_radius / np.maximum(radius, 1e-9))[:, None]
        return (
            distort(self.camera, inside) + 0.5 * (plane - inside)
        ) * self.focal_px + self.principal_px, depth

    def sees(self, centre_m: Array, radius_m: float) -> bool:
        """Whether any of a ball may fall into the frame."""
        local = self.camera.rotation @ centre_m + self.camera.translation
        return bool(local[2] > NEAR_M - radius_m and (self._sides @ local > -radius_m).all())

    def _frame_planes(self) -> Array:
        """Inward unit normals ``(4, 3)``, in camera axes, of planes through the centre that hold the whole frame between."""
        width, height = self.camera.size
        x, y = np.linspace(-1, width, 33), np.linspace(-1, height, 33)
        edge = np.concatenate(
            [np.column_stack([x, 0 * x + v]) for v in (-1, height)]
            + [np.column_stack([0 * y + u, y]) for u in (-1, width)]
        )
        plane = self.undistort((edge - self.principal_px) / self.focal_px)
        (x0, y0), (x1, y1) = plane.min(axis=0), plane.max(axis=0)
        normals = np.array([(1, 0, -x0), (-1, 0, x1), (0, 1, -y0), (0, -1, y1)])
        return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))

    def rays(self, pixels: Array) -> Array:
        """Unit directions ``(N, 3)`` in the world of the rays through distorted pixels ``(N, 2)``."""
        plane = self.undistort((np.asarray(pixels, dtype=np.float64) - self.principal_px) / self.focal_px)
        directions = np.column_stack([plane, np.ones(len(plane))]) @ self.camera.rotation
        return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))

    def undistort(self, distorted: Array) -> Array:
        """Ideal points ``(N, 2)`` at depth 1 that the lens moves to ``distorted``, by Newton's method.

        The Jacobian leaves out the tangential terms, which are too small to change more than the last step.
        """
        k1, k2, _, _, k3 = self.camera.distortion
        plane = np.array(distorted, dtype=np.float64)
        for _ in range(4):
            x, y = plane[:, 0], plane[:, 1]
            r2 = x * x + y * y
            radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
            bend = 2 * (k1 + r2 * (2 * k2 + 3 * k3 * r2))
            residual = distorted - distort(self.camera, plane)
            along = bend * (residual[:, 0] * x + residual[:, 1] * y) / (radial + bend * r2)
            plane += (residual - plane * along[:, None]) / radial[:, None]
        return plane


def _fold_radius(camera: Camera) -> float:
    """The undistorted radius (at depth 1) up to which the radial polynomial grows."""
    k1, k2, _, _, k3 = camera.distortion
    radius = np.linspace(0.0, 6.0, 1201)
    r2 = radius * radius
    slope = 1 + r2 * (3 * k1 + r2 * (5 * k2 + r2 * 7 * k3))
    folding = np.flatnonzero(slope < 0.25)
    return float(radius[folding[0]]) if len(folding) else np.inf
