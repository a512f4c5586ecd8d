"""Camera motion: what a moving camera does to boxes that stand still. Numpy only.

A motion is the ``(2, 3)`` affine map from the previous frame's pixels to this frame's. Whatever estimates it
(optical flow, an inertial sensor, a pan-tilt head's encoder) is behind the ``CameraMotion`` protocol.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tracking.kalman import State
from tracking.types import FloatArray

__all__ = ["CameraMotion", "check_affine", "move_points", "move_state"]


class CameraMotion(Protocol):
    """Estimates how the picture moved since the previous call, one instance per camera."""

    def estimate(self, image: npt.NDArray[np.uint8], xyxy: FloatArray) -> FloatArray:
        """Return the ``(2, 3)`` float32 affine from the previous image to ``image``; identity at first.

        Args:
            image: ``(H, W, 3)`` uint8 BGR.
            xyxy: ``(N, 4)`` boxes of moving objects, to be left out of account.
        """
        ...


def check_affine(value: Any) -> npt.NDArray[np.float64]:
    """Return ``value`` as ``(2, 3)`` float64.

    Raises:
        ValueError: wrong shape, not finite, or a map that flattens the picture.
    """
    affine = np.array(value, dtype=np.float64)
    if affine.shape != (2, 3):
        raise ValueError(f"camera motion: expected shape (2, 3), got {affine.shape}")
    if not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:, :2])) < 1e-6:
        raise ValueError(f"camera motion: not an invertible affine map: {affine.tolist()}")
    return np.asarray(affine, dtype=np.float64)


def move_points(points: npt.NDArray[np.float64], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Map ``(N, 2)`` pixels."""
    return np.asarray(points @ affine[:, :2].T + affine[:, 2])


def move_state(state: State, affine: npt.NDArray[np.float64]) -> State:
    """Carry Kalman filters ``(5, N, 4)`` into the new picture.

    Centers are mapped, velocities turned, sizes and all uncertainty scaled by the map's mean scale. What a
    rotation would do to the correlation of x and y is left out: the filters keep them apart.
    """
    linear = affine[:, :2]
    scale = float(np.sqrt(abs(np.linalg.det(linear))))
    moved: State = state.copy()
    moved[:2] *= scale
    moved[2:] *= scale**2
    moved[0, :, :2] = move_points(state[0, :, :2], affine)
    moved[1, :, :2] = state[1, :, :2] @ linear.T
    return moved
