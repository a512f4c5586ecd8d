"""How far behind the lower edge of its box the middle of a vehicle is.

The lower edge shows the side that is nearest to the camera. Over all headings, a rectangle of length L and width W
reaches from its middle towards the camera by (L + W) / pi on average (the mean of its support function). Without that,
two cameras that look at one vehicle from opposite sides are a vehicle's length at odds about where it is.
"""

from __future__ import annotations

from math import pi

import numpy as np
import numpy.typing as npt

from tracking.geometry import Calibration, foot_points
from tracking.types import FloatArray

__all__ = ["half_depth_m", "positions_of"]

FOOTPRINTS_M = {
    "bicycle": (1.7, 0.6),
    "motorcycle": (2.2, 0.8),
    "car": (4.5, 1.8),
    "van": (5.5, 2.0),
    "truck": (8.0, 2.5),
    "bus": (11.0, 2.5),
}
"""Usual length and width. Who is not named, people above all, stands on the lower edge."""


def half_depth_m(class_name: str) -> float:
    """Metres from the lower edge to the middle of what a detector calls so."""
    return sum(FOOTPRINTS_M.get(class_name, (0.0, 0.0))) / pi


def positions_of(xyxy: FloatArray, calibration: Calibration, half_depth_m: float = 0.0) -> npt.NDArray[np.float64]:
    """Where what the boxes show has its middle on the floor.

    Args:
        xyxy: ``(N, 4)`` px.
        calibration: of the camera.
        half_depth_m: from the lower edge away from the camera.

    Returns:
        ``(N, 2)`` metres, NaN above the horizon.
    """
    foot = np.asarray(foot_points(xyxy), np.float64)
    near = calibration.to_ground(foot)
    if half_depth_m:
        away = calibration.to_ground(foot - (0.0, 1.0)) - near  # upwards in the picture is away from an upright camera
        near = near + half_depth_m * away / np.linalg.norm(away, axis=1, keepdims=True)
    return near
