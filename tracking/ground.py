"""One position and covariance per identity per instant, from every camera that sees it: fusion on the ground
plane.

Each sight is a foot point mapped to metres with its covariance; a constant-velocity Kalman filter takes the
sights of all cameras in time order and a backward pass (Rauch, Tung & Striebel 1965) smooths them. A sight
far from where the others put the identity is believed less, not refused (Huber weights on the normalised
innovation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracking.geometry import Calibration, foot_points
from tracking.types import IntArray, SecondsArray, Tracklet, TrackletKey, Trajectory

__all__ = ["FusionConfig", "GroundTrack", "Sights", "fuse", "fuse_sights", "sights_of", "smooth"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FusionConfig:
    """How sights are believed and how identities move.

    Attributes:
        foot_noise: standard deviation of a foot point, as a part of the box's height.
        min_foot_noise_px: and never less than this.
        calibration_noise_m: what calibration, lens and clock add to every sight.
        acceleration_noise: standard deviation of the acceleration, m/s^2 over a second.
        huber: innovations beyond this many standard deviations are down-weighted.
    """

    foot_noise: float = 0.05
    min_foot_noise_px: float = 2.0
    calibration_noise_m: float = 0.15
    acceleration_noise: float = 1.0
    huber: float = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Sights:
    """Foot points on the ground, of any number of cameras.

    Attributes:
        time_s: ``(N,)`` ascending.
        xy: ``(N, 2)`` metres.
        covariance: ``(N, 2, 2)`` square metres.
        camera: ``(N,)`` int64, a number for each camera.
    """

    time_s: SecondsArray
    xy: Array
    covariance: Array
    camera: IntArray

    def __len__(self) -> int:
        return len(self.time_s)


@dataclass(frozen=True, slots=True, eq=False)
class GroundTrack:
    """Where one identity was.

    Attributes:
        global_id: the identity.
        time_s: ``(T,)`` ascending, the instants at which any camera saw it.
        xy: ``(T, 2)`` metres.
        covariance: ``(T, 2, 2)`` square metres.
        views: ``(T,)`` int64, how many cameras stand behind each instant (saw it within a quarter of a second).
    """

    global_id: int
    time_s: SecondsArray
    xy: Array
    covariance: Array
    views: IntArray


def sights_of(
    tracklet: Tracklet, calibration: Calibration | None, config: FusionConfig, camera: int = 0
) -> Sights:
    """A tracklet's real (not interpolated) foot points; without its calibration only ``calibration_noise_m`` is known."""
    if tracklet.ground_xy is None:
        return Sights(np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2, 2)), np.zeros(0, np.int64))
    xy = tracklet.ground_xy.astype(np.float64)
    rows = np.flatnonzero(np.isfinite(xy).all(axis=1) & ~tracklet.interpolated)
    covariance = np.broadcast_to(config.calibration_noise_m**2 * np.eye(2), (len(rows), 2, 2)).copy()
    if calibration is not None:
        boxes = tracklet.xyxy[rows]
        sigma = np.maximum(config.min_foot_noise_px, config.foot_noise * (boxes[:, 3] - boxes[:, 1]))
        covariance += calibration.ground_covariance(foot_points(boxes), sigma)
    return Sights(tracklet.timestamp_s[rows], xy[rows], covariance, np.full(len(rows), camera))


def fuse(
    trajectories: Sequence[Trajectory],
    tracklets: Mapping[TrackletKey, Tracklet],
    calibrations: Mapping[str, Calibration] | None = None,
    config: FusionConfig | None = None,
) -> tuple[GroundTrack, ...]:
    """Place every identity that has a ground position.

    Args:
        trajectories: the identities.
        tracklets: by key, all that the trajectories name.
        calibrations: by camera; cameras without one still count, with the calibration noise alone.
        config: noise.
    """
    config, calibrations = config or FusionConfig(), calibrations or {}
    tracks = []
    for trajectory in trajectories:
        members = [tracklets[key] for key in trajectory.tracklets]
        number = {camera: n for n, camera in enumerate(sorted({t.camera_id for t in members}))}
        sights = _joined(
            [sights_of(t, calibrations.get(t.camera_id), config, number[t.camera_id]) for t in members]
        )
        if len(sights):
            tracks.append(fuse_sights(trajectory.global_id, sights, config))
    return tuple(tracks)


def _joined(parts: Sequence[Sights]) -> Sights:
    time_s = np.concatenate([part.time_s for part in parts])
    order = np.argsort(time_s, kind="stable")
    xy = np.concatenate([part.xy for part in parts])
    covariance = np.concatenate([part.covariance for part in parts])
    camera = np.concatenate([part.camera for part in parts])
    return Sights(time_s[order], xy[order], covariance[order], camera[order])


_SAME_INSTANT_S = 1e-3
_SEEN_ALSO_S = 0.25
"""Cameras are rarely triggered together: a sight this near in time still stands behind a position."""


def fuse_sights(global_id: int, sights: Sights, config: FusionConfig) -> GroundTrack:
    """Filter and smooth one identity's sights."""
    starts = np.flatnonzero(np.diff(sights.time_s, prepend=-np.inf) > _SAME_INSTANT_S)
    times = sights.time_s[starts]
    instants = list(zip(starts.tolist(), [*starts[1:].tolist(), len(sights)], strict=True))
    mean, spread = _filter(sights, times, instants, config)
    steps = [_step(dt, config.acceleration_noise) for dt in np.diff(times)]
    mean, spread = smooth(mean, spread, steps)
    return GroundTrack(global_id, times, mean[:, :2], spread[:, :2, :2], _views(sights, times))


def _views(sights: Sights, times: SecondsArray) -> IntArray:
    """``(T,)`` distinct cameras around each instant."""
    views = np.zeros(len(times), np.int64)
    for camera in np.unique(sights.camera):
        seen = sights.time_s[sights.camera == camera]
        first, last = (np.searchsorted(seen, times + sign * _SEEN_ALSO_S) for sign in (-1, 1))
        views += last > first
    return views


def _step(dt: float, acceleration_noise: float) -> tuple[Array, Array]:
    """Constant velocity with white acceleration over ``dt``: transition and process noise."""
    move = np.eye(4)
    move[0, 2] = move[1, 3] = dt
    block = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]]) * acceleration_noise**2
    return move, np.asarray(np.kron(block, np.eye(2)), np.float64)


def _filter(
    sights: Sights, times: SecondsArray, instants: list[tuple[int, int]], config: FusionConfig
) -> tuple[Array, Array]:
    """Forward pass: means ``(T, 4)`` and covariances ``(T, 4, 4)`` of position and velocity."""
    mean, spread = np.zeros((len(times), 4)), np.zeros((len(times), 4, 4))
    state = np.concatenate([_centre(sights, *instants[0]), np.zeros(2)])
    doubt = np.diag([1e2, 1e2, 1.0, 1.0])
    for row, (start, stop) in enumerate(instants):
        if row:
            move, noise = _step(times[row] - times[row - 1], config.acceleration_noise)
            state, doubt = move @ state, move @ doubt @ move.T + noise
        reference = state[:2] if row else _centre(sights, start, stop)
        for sight in range(start, stop):
            seen = sights.xy[sight], sights.covariance[sight]
            state, doubt = _correct(state, doubt, *seen, reference, config.huber)
        mean[row], spread[row] = state, doubt
    return mean, spread


def _centre(sights: Sights, start: int, stop: int) -> Array:
    return np.asarray(np.median(sights.xy[start:stop], axis=0))


def _correct(
    state: Array, doubt: Array, xy: Array, covariance: Array, reference: Array, huber: float
) -> tuple[Array, Array]:
    innovation = doubt[:2, :2] + covariance
    away = xy - reference
    deviation = float(np.sqrt(away @ np.linalg.solve(innovation, away)))
    trust = min(1.0, huber / max(deviation, 1e-9))
    gain = doubt[:, :2] @ np.linalg.inv(doubt[:2, :2] + covariance / trust)
    return state + gain @ (xy - state[:2]), doubt - gain @ doubt[:2]


def smooth(mean: Array, spread: Array, steps: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Backward pass over filtered means ``(T, S)`` and covariances ``(T, S, S)``.

    ``steps`` holds for each of the T - 1 intervals the transition and the process noise.
    """
    mean, spread = mean.copy(), spread.copy()
    for row in range(len(steps) - 1, -1, -1):
        move, noise = steps[row]
        ahead = move @ spread[row] @ move.T + noise
        gain = np.linalg.solve(ahead, move @ spread[row]).T
        mean[row] = mean[row] + gain @ (mean[row + 1] - move @ mean[row])
        spread[row] = spread[row] + gain @ (spread[row + 1] - ahead) @ gain.T
    return mean, spread
