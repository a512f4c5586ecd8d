"""Calibration files of cameras: JSON, YAML or MATLAB with a homography, point pairs, or intrinsics and extrinsics."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from pipeline.config import CameraConfig
from pipeline.errors import ConfigError
from pipeline.stages.tracklets import GroundOf
from tracking.footprint import half_depth_m, positions_of
from tracking.geometry import Calibration, calibration_from_dict
from tracking.types import FloatArray

_BORDER_PX = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class PointPairs:
    """Places in a picture and on the floor: ``(N, 2)`` px and ``(N, 2)`` metres, float64."""

    image_px: npt.NDArray[np.float64]
    ground_m: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.image_px)


def load_calibration(camera: CameraConfig) -> Calibration | None:
    """The camera's calibration, or None without one.

    Raises:
        ConfigError: the file is missing or holds no calibration; the message names camera and file.
    """
    if camera.calibration is None:
        return None
    try:
        return read_calibration(camera.calibration)
    except ConfigError as error:
        raise ConfigError(f"camera {camera.id}: calibration {error}") from error


def read_calibration(path: Path) -> Calibration:
    """Read a file of any known form; see ``calibration_from_dict``. A ``.mat`` file holds one 3x4 matrix.

    Raises:
        ConfigError: the file is missing or holds no calibration; the message names it.
    """
    try:
        return calibration_from_dict(_plain(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, yaml.YAMLError, np.linalg.LinAlgError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _plain(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".mat":
        from pipeline.matlab import read_matrix

        return {"projection": read_matrix(path, (3, 4)).tolist()}
    if path.suffix.lower() in (".csv", ".txt"):
        return {"points": list(_csv_rows(path))}
    plain: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(plain, dict):
        raise ValueError("expected a mapping")
    return plain


def read_point_pairs(path: Path) -> PointPairs | None:
    """The point pairs of a file: CSV rows ``u_px,v_px,x_m,y_m``, or ``points`` in YAML or JSON; None if it has none.

    Raises:
        ConfigError: the file is missing or a row is malformed; the message names file and row.
    """
    try:
        rows = _plain(path).get("points") if path.suffix.lower() != ".mat" else None
        if rows is None:
            return None
        for number, row in enumerate(rows, 1):
            if len(row) != 4 or not np.isfinite(np.asarray(row, np.float64)).all():
                raise ValueError(f"point pair {number}: expected u_px, v_px, x_m, y_m, got {row}")
        table = np.asarray(rows, np.float64).reshape(-1, 4)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return PointPairs(table[:, :2], table[:, 2:])


def _csv_rows(path: Path) -> Iterator[list[float]]:
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file), 1):
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            try:
                yield [float(cell) for cell in cells if cell]
            except ValueError as error:
                if number > 1:  # the first line may name the columns
                    raise ValueError(f"line {number}: expected four numbers, got {','.join(row)!r}") from error


def calibration_to_dict(calibration: Calibration) -> dict[str, Any]:
    """Plain numbers that ``read_calibration`` reads as the same calibration."""
    if calibration.projection is None:
        return {"homography": np.linalg.inv(calibration.plane).tolist()}
    if calibration.intrinsic is None:
        return {"projection": calibration.projection.tolist()}
    extrinsic = np.linalg.solve(calibration.intrinsic, calibration.projection)
    plain = {"intrinsics": calibration.intrinsic.tolist(), "extrinsics": extrinsic.tolist()}
    if calibration.distortion is not None:
        plain["distortion"] = calibration.distortion.tolist()
    return plain


def ground_of(calibration: Calibration, height: int, classes: Sequence[str]) -> GroundOf:
    """Maps boxes to where they stand; unknown (NaN) where the picture's lower border cuts the feet off.

    Args:
        height: of the pictures, px; 0 where unknown.
        classes: names by class id.
    """
    depths_m = [half_depth_m(name) for name in classes]

    def standing(xyxy: FloatArray, class_id: int) -> FloatArray:
        ground = positions_of(xyxy, calibration, depths_m[class_id]).astype(np.float32)
        if height:
            ground[xyxy[:, 3] >= height - _BORDER_PX] = np.nan
        return ground

    return standing
