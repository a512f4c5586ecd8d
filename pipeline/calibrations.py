"""Calibration files of cameras: JSON or YAML with a homography, point pairs, or intrinsics and extrinsics."""

from __future__ import annotations

from typing import Any

import numpy as np
import yaml

from pipeline.config import CameraConfig
from pipeline.errors import ConfigError
from pipeline.stages.tracklets import GroundOf
from tracking.geometry import Calibration, calibration_from_dict, foot_points
from tracking.types import FloatArray

_BORDER_PX = 2.0


def load_calibration(camera: CameraConfig) -> Calibration | None:
    """The camera's calibration, or None without one.

    Raises:
        ConfigError: the file is missing or holds no calibration; the message names camera and file.
    """
    if camera.calibration is None:
        return None
    where = f"camera {camera.id}: calibration {camera.calibration}"
    try:
        plain: Any = yaml.safe_load(camera.calibration.read_text(encoding="utf-8"))
        if not isinstance(plain, dict):
            raise ValueError("expected a mapping")
        return calibration_from_dict(plain)
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, yaml.YAMLError, np.linalg.LinAlgError) as error:
        raise ConfigError(f"{where}: {error}") from error


def ground_of(calibration: Calibration, height: int) -> GroundOf:
    """Maps boxes to where they stand; unknown (NaN) where the picture's lower border cuts the feet off.

    Args:
        height: of the pictures, px; 0 where unknown.
    """

    def standing(xyxy: FloatArray) -> FloatArray:
        ground = calibration.to_ground(foot_points(xyxy)).astype(np.float32)
        if height:
            ground[xyxy[:, 3] >= height - _BORDER_PX] = np.nan
        return ground

    return standing
