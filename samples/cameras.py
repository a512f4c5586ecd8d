"""Pinhole cameras: building them by a look-at, projecting points, and the homography of the floor.

The model is OpenCV's (Hartley and Zisserman, chapters 6 and 7; Brown 1966 for the distortion): a world point goes to
camera axes x right, y down, z forward, is divided by depth, distorted and scaled by the intrinsics.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from samples.types import Camera, FloatArray

NO_DISTORTION = (0.0, 0.0, 0.0, 0.0, 0.0)


def look_at(
    camera_id: str,
    eye_m: tuple[float, float, float],
    target_m: tuple[float, float, float],
    fov_deg: float = 65.0,
    size: tuple[int, int] = (640, 360),
    distortion: tuple[float, float, float, float, float] = NO_DISTORTION,
    roll_deg: float = 0.0,
) -> Camera:
    """A camera at ``eye_m`` whose optical axis meets ``target_m``; ``fov_deg`` is the horizontal field of view."""
    forward = np.subtract(target_m, eye_m).astype(np.float64)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    if np.linalg.norm(right) < 1e-9:
        raise ValueError(f"camera {camera_id}: looks straight up or down, its picture has no upright")
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cos, sin = np.cos(np.deg2rad(roll_deg)), np.sin(np.deg2rad(roll_deg))
    rotation = np.stack([cos * right + sin * down, cos * down - sin * right, forward])
    focal_px = 0.5 * size[0] / np.tan(0.5 * np.deg2rad(fov_deg))
    intrinsics = np.array([[focal_px, 0, 0.5 * size[0]], [0, focal_px, 0.5 * size[1]], [0, 0, 1.0]])
    translation = -rotation @ np.asarray(eye_m, dtype=np.float64)
    return Camera(
        camera_id, intrinsics, rotation, translation, np.asarray(distortion, dtype=np.float64), size
    )


def project(camera: Camera, points_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pixels ``(N, 2)``, distorted as the picture is, and depths ``(N,)`` in metres, of world points ``(N, 3)``.

    A point behind the camera (depth <= 0) has NaN pixels.
    """
    local = np.asarray(points_m, dtype=np.float64).reshape(-1, 3) @ camera.rotation.T + camera.translation
    depth = local[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        plane = np.where(depth[:, None] > 0, local[:, :2] / depth[:, None], np.nan)
    focal = np.array([camera.intrinsics[0, 0], camera.intrinsics[1, 1]])
    return distort(camera, plane) * focal + camera.intrinsics[:2, 2], depth


def distort(camera: Camera, plane: FloatArray) -> FloatArray:
    """Ideal image-plane points ``(N, 2)`` at depth 1, moved as the lens moves them."""
    k1, k2, p1, p2, k3 = camera.distortion
    x, y = plane[:, 0], plane[:, 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    shifted_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    shifted_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.stack([shifted_x, shifted_y], axis=1)


def floor_homography(camera: Camera) -> FloatArray:
    """``(3, 3)`` from floor metres ``(x, y, 1)`` to undistorted pixels: ``K [r1 r2 t]``, scaled to a last element of 1."""
    columns = np.column_stack([camera.rotation[:, 0], camera.rotation[:, 1], camera.translation])
    homography = camera.intrinsics @ columns
    return np.asarray(homography / homography[2, 2])


def calibration(camera: Camera) -> dict[str, Any]:
    """The calibration of one camera as plain lists, ready for JSON."""
    return {
        "camera_id": camera.camera_id,
        "size": list(camera.size),
        "intrinsics": camera.intrinsics.tolist(),
        "distortion": camera.distortion.tolist(),
        "rotation": camera.rotation.tolist(),
        "translation": camera.translation.tolist(),
        "floor_to_image_homography": floor_homography(camera).tolist(),
    }


def write_calibration(camera: Camera, path: Path) -> None:
    """Write ``calibration(camera)`` as indented JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(calibration(camera), indent=1) + "\n", encoding="utf-8")
