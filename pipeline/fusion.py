"""``ground.jsonl``: where every identity was on the floor, one position and covariance per instant from all views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.calibrations import load_calibration
from pipeline.config import Config
from pipeline.export.document import write_atomically
from pipeline.export.lines import dumps
from pipeline.export.reader import read_run
from pipeline.export.record import StoredTrajectory
from pipeline.export.recovery import DOCUMENT
from tracking.geometry import Calibration
from tracking.ground import FusionConfig, GroundTrack, fuse
from tracking.types import Trajectory

GROUND = "ground.jsonl"


def write_ground(folder: Path, config: Config) -> Path | None:
    """Fuse a finished run's views; None, and no file, where no camera is calibrated or there is no document.

    One line per identity and site: parallel columns ``time_s``, ``xy_m``, ``covariance_m2`` (xx, xy, yy) and ``views``.

    Raises:
        ConfigError: a calibration cannot be read.
        ExportError: the results cannot be read, or the file cannot be written.
    """
    path = folder / GROUND
    path.unlink(missing_ok=True)
    if not (folder / DOCUMENT).is_file():
        return None
    calibrations = {camera.id: load_calibration(camera) for camera in config.cameras}
    known = {name: one for name, one in calibrations.items() if one is not None}
    if not known:
        return None
    sites = {camera.id: camera.site for camera in config.cameras}
    stored = read_run(folder / DOCUMENT).trajectories
    lines = (line for one in stored for line in _lines(one, known, sites))
    write_atomically(path, ((dumps(line) + "\n").encode() for line in lines))
    return path


def _lines(
    stored: StoredTrajectory, calibrations: Mapping[str, Calibration], sites: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Sites have floors of their own: positions of two are never mixed."""
    tracklets = {one.key: one for one in stored.tracklets if one.camera_id in calibrations}
    for site in sorted({sites[key.camera_id] for key in tracklets}):
        members = tuple(key for key in tracklets if sites[key.camera_id] == site)
        part = Trajectory(stored.global_id, stored.class_id, members)
        for track in fuse([part], tracklets, calibrations, FusionConfig()):
            yield ground_line(track, site)


def ground_line(track: GroundTrack, site: str) -> dict[str, Any]:
    """A fused track as JSON: metres to the millimetre, square metres to six digits."""
    corners = np.stack([track.covariance[:, 0, 0], track.covariance[:, 0, 1], track.covariance[:, 1, 1]], axis=1)
    return {
        "type": "ground",
        "global_id": track.global_id,
        "site": site,
        "time_s": _rounded(track.time_s, 6),
        "xy_m": _rounded(track.xy, 3),
        "covariance_m2": _rounded(corners, 6),
        "views": track.views.tolist(),
    }


def _rounded(values: npt.NDArray[np.float64], digits: int) -> list[Any]:
    rounded: list[Any] = np.round(values, digits).tolist()
    return rounded
