"""Where new people stand: boxes nobody took, and where those of several cameras meet on the floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracking.bodies import project_body
from tracking.hypotheses import Box, Node
from tracking.views import MultiViewConfig, Scan, View

__all__ = ["Foot", "born", "loose_feet", "meetings"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Foot:
    camera: str
    box: int
    xy: Array
    doubt: Array


def loose_feet(
    scans: Sequence[Scan], taken: set[Box], views: Mapping[str, View], config: MultiViewConfig
) -> list[Foot]:
    """Floor positions of boxes nobody took, whose height is a person's and whose feet are in the picture."""
    feet = []
    for scan in scans:
        calibration = views[scan.camera].calibration
        plane = np.linalg.inv(calibration.plane)
        for row in range(len(scan.edges)):
            if (scan.camera, int(scan.index[row])) in taken or scan.cut[row, 2]:
                continue
            size = scan.edges[row, 2] - scan.edges[row, 1]
            middle, top, bottom = scan.edges[row] - size * scan.offset
            ray = plane @ np.array([middle, bottom, 1.0])
            if not ray[2] > 0:
                continue
            where = ray[:2] / ray[2]
            tall = np.array(
                [config.height_m - 4 * config.height_spread_m, config.height_m + 4 * config.height_spread_m]
            )
            bodies = np.array([[*where, 0.0, 0.0, height] for height in tall])
            low, high = project_body(bodies, np.asarray(calibration.projection))[0][:, 1]
            if np.isfinite([low, high]).all() and high < top < low:
                sigma = np.array([[config.middle_noise * size, config.bottom_noise * size]])
                doubt = calibration.ground_covariance(calibration.distort([[middle, bottom]]), sigma)[0]
                if np.trace(doubt) < 4.0:
                    feet.append(Foot(scan.camera, int(scan.index[row]), where, doubt + 0.01 * np.eye(2)))
    return feet


def meetings(feet: Sequence[Foot]) -> list[list[Foot]]:
    """Groups of feet, at most one per camera, that agree within their covariance; surest first."""
    groups: list[list[Foot]] = []
    for foot in sorted(feet, key=lambda foot: float(np.trace(foot.doubt))):
        for group in groups:
            away = foot.xy - group[0].xy
            if all(other.camera != foot.camera for other in group) and (
                away @ np.linalg.solve(foot.doubt + group[0].doubt, away) < 6.0
            ):
                group.append(foot)
                break
        else:
            groups.append([foot])
    return groups


def born(time_s: float, where: Array, spread: Array, group: Sequence[Foot], config: MultiViewConfig) -> Node:
    state = np.array([*where, 0.0, 0.0, config.height_m])
    doubt = np.zeros((5, 5))
    doubt[:2, :2] = spread + 0.01 * np.eye(2)
    doubt[2:, 2:] = np.diag([1.0, 1.0, config.height_spread_m**2])
    return Node(time_s, state, doubt, tuple((foot.camera, foot.box) for foot in group))
