"""Is this camera's clock right? Offset, drift and true frame rate from what two cameras see in common.

Two cameras over one ground plane see the same walkers at the same places. Read against another clock, the
tracks of the second camera lag behind by offset times speed; the lag that brings the two sets of tracks
together is the offset. Estimated in windows along the recording, a line through the offsets gives drift, and
drift the true rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tracking.types import Tracklet

__all__ = ["ClockEstimate", "estimate_clock"]

Array = npt.NDArray[np.float64]

_MIN_MOVING_SAMPLES = 60
_MIN_SPEED_MPS = 0.3
_WINDOW_S = 60.0
_STEP_S = 0.05


@dataclass(frozen=True, slots=True)
class ClockEstimate:
    """How one camera's clock stands against another's.

    Attributes:
        camera_id, reference_id: the camera, and the one held to be right.
        offset_s: add it to the camera's times, at the middle of the recording, to get the reference's.
        drift: seconds gained per second on the reference (0.001 is 3.6 s an hour); 0 where it was too short
            to tell.
        true_fps: the declared rate, corrected for drift.
        residual_m: mean distance of the tracks once aligned.
        samples: moving positions compared.
        is_reliable: there was enough common movement, and the alignment has one clear minimum.
        warning: what to do about it, or empty.
    """

    camera_id: str
    reference_id: str
    offset_s: float
    drift: float
    true_fps: float
    residual_m: float
    samples: int
    is_reliable: bool
    warning: str


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """One tracklet on the ground."""

    time_s: Array
    xy: Array


def estimate_clock(
    camera: Sequence[Tracklet],
    reference: Sequence[Tracklet],
    declared_fps: float,
    *,
    max_offset_s: float = 5.0,
    max_distance_m: float = 2.0,
    max_error_s: float = 0.1,
) -> ClockEstimate:
    """Align one camera's tracklets with another's.

    Args:
        camera, reference: tracklets of two cameras that share ground, with ``ground_xy``.
        declared_fps: the camera's frame rate as its file or stream says.
        max_offset_s: how far to look.
        max_distance_m: positions further apart than this are different people, at any offset.
        max_error_s: offsets (or drift over the recording) larger than this are worth a warning.

    Raises:
        ValueError: a side has no tracklet on the ground.
    """
    theirs, ours = _paths(reference), _paths(camera)
    if not ours or not theirs:
        side = "camera" if not ours else "reference"
        raise ValueError(f"sync: no tracklet of the {side} has a ground position; calibrate it first")
    samples = _moving(ours)
    start = float(samples[:, 0].min()) if len(samples) else 0.0
    span = float(np.ptp(samples[:, 0])) if len(samples) else 0.0
    coarse = _coarse_drift(samples, theirs, max_offset_s, max_distance_m)
    samples[:, 0] += coarse * (samples[:, 0] - start)
    grid = np.arange(-max_offset_s, max_offset_s + _STEP_S / 2, _STEP_S)
    opening = samples[samples[:, 0] <= start + _WINDOW_S] if coarse else samples
    offset, sharp = _minimum(grid, _costs(opening, theirs, grid, max_distance_m))
    fine, middle = _drift(samples, theirs, offset, max_distance_m)
    drift = (1.0 + coarse) * (1.0 + fine) - 1.0
    residual = _costs(samples, theirs, np.array([offset if middle is None else middle]), max_distance_m)
    offset = (offset if middle is None else middle) + coarse * span / 2
    reliable = len(samples) >= _MIN_MOVING_SAMPLES and sharp
    return ClockEstimate(
        camera_id=camera[0].camera_id,
        reference_id=reference[0].camera_id,
        offset_s=offset,
        drift=drift,
        true_fps=declared_fps / (1.0 + drift),
        residual_m=float(residual[0]),
        samples=len(samples),
        is_reliable=reliable,
        warning=_warning(camera[0].camera_id, offset, drift * span, reliable, max_error_s),
    )


def _paths(tracklets: Sequence[Tracklet]) -> list[_Path]:
    paths = []
    for tracklet in tracklets:
        if tracklet.ground_xy is not None:
            known = np.isfinite(tracklet.ground_xy).all(axis=1)
            if known.sum() >= 2:
                xy = tracklet.ground_xy[known].astype(np.float64)
                paths.append(_Path(tracklet.timestamp_s[known], xy))
    return paths


def _moving(paths: Sequence[_Path]) -> Array:
    """``(N, 3)`` time, x, y where something moved: who stands still says nothing about time."""
    rows = []
    for path in paths:
        before = np.searchsorted(path.time_s, path.time_s - 0.5)
        after = np.minimum(np.searchsorted(path.time_s, path.time_s + 0.5), len(path.time_s) - 1)
        seconds = path.time_s[after] - path.time_s[before]
        way = np.linalg.norm(path.xy[after] - path.xy[before], axis=1)
        fast = (seconds > 0) & (way >= _MIN_SPEED_MPS * seconds)
        rows.append(np.column_stack([path.time_s, path.xy])[fast])
    return np.concatenate(rows) if rows else np.zeros((0, 3))


def _costs(samples: Array, paths: Sequence[_Path], offsets: Array, max_distance_m: float) -> Array:
    """Mean distance, at most ``max_distance_m``, from each moving sample to the nearest path at each offset.

    A constant displacement of one camera against the other (an imperfect calibration) is taken out.
    """
    shift = np.zeros(2)
    for _ in range(2):
        away = [_nearest(samples, paths, float(offset), shift) for offset in offsets]
        distance = [np.minimum(np.linalg.norm(a, axis=1), max_distance_m) for a in away]
        cost = np.array([d.mean() if len(d) else max_distance_m for d in distance])
        best = int(np.argmin(cost))
        near = distance[best] < max_distance_m
        if near.sum() < _MIN_MOVING_SAMPLES:
            break
        shift = shift + np.median(away[best][near], axis=0)
    return cost


def _nearest(samples: Array, paths: Sequence[_Path], offset: float, shift: Array) -> Array:
    """Displacement ``(N, 2)`` from each sample to the nearest path at its shifted time; inf where there is none."""
    best = np.full((len(samples), 2), np.inf)
    length = np.full(len(samples), np.inf)
    times = samples[:, 0] + offset
    for path in paths:
        rows = np.flatnonzero((times >= path.time_s[0]) & (times <= path.time_s[-1]))
        at = np.stack([np.interp(times[rows], path.time_s, path.xy[:, axis]) for axis in (0, 1)], axis=1)
        away = at - samples[rows, 1:] - shift
        distance = np.linalg.norm(away, axis=1)
        closer = distance < length[rows]
        best[rows[closer]], length[rows[closer]] = away[closer], distance[closer]
    return best


def _minimum(grid: Array, cost: Array) -> tuple[float, bool]:
    """Offset at the lowest cost, refined by a parabola, and whether the minimum stands out and is not at the edge."""
    at = int(np.argmin(cost))
    if at in (0, len(grid) - 1):
        return float(grid[at]), False
    left, mid, right = cost[at - 1 : at + 2]
    bend = left - 2 * mid + right
    step = 0.5 * (left - right) / bend if bend > 0 else 0.0
    return float(grid[at] + step * (grid[1] - grid[0])), bool(mid < 0.8 * np.median(cost))


def _coarse_drift(
    samples: Array, paths: Sequence[_Path], max_offset_s: float, max_distance_m: float
) -> float:
    """0 if some offset alone aligns the opening of the recording, else the rate that does it best.

    A rate wrong by a fifth (declared 25 fps, delivered 21) smears any offset within seconds.
    """
    if not len(samples):
        return 0.0
    start = samples[:, 0].min()
    opening = samples[samples[:, 0] <= start + _WINDOW_S]
    opening = opening[:: max(1, len(opening) // 200)]
    grid = np.arange(-max_offset_s, max_offset_s + _STEP_S, 4 * _STEP_S)
    best = {}
    for rate in sorted(np.arange(-15, 16) / 50, key=abs):
        warped = opening.copy()
        warped[:, 0] += rate * (warped[:, 0] - start)
        cost = _costs(warped, paths, grid, max_distance_m)
        best[rate] = cost.min()
        if rate == 0 and _minimum(grid, cost)[1]:
            return 0.0
    return float(min(best, key=lambda rate: best[rate]))


def _drift(
    samples: Array, paths: Sequence[_Path], offset: float, max_distance_m: float
) -> tuple[float, float | None]:
    """Slope of the offsets of windows along the recording (Theil 1950, Sen 1968), and the offset in its middle."""
    if not len(samples) or np.ptp(samples[:, 0]) < 3 * _WINDOW_S:
        return 0.0, None
    start, stop = samples[:, 0].min(), samples[:, 0].max()
    edges = np.linspace(start, stop, int((stop - start) // _WINDOW_S) + 1)
    grid = offset + np.arange(-1.0, 1.0 + _STEP_S / 2, _STEP_S)
    points = []
    for low, high in pairwise(edges):
        window = samples[(samples[:, 0] >= low) & (samples[:, 0] < high)]
        if len(window) >= _MIN_MOVING_SAMPLES:
            best, sharp = _minimum(grid, _costs(window, paths, grid, max_distance_m))
            if sharp:
                points.append(((low + high) / 2, best))
    if len(points) < 3:
        return 0.0, None
    times, offsets = np.array(points).T
    one, other = np.triu_indices(len(times), 1)
    slope = float(np.median((offsets[other] - offsets[one]) / (times[other] - times[one])))
    middle = float(np.median(offsets - slope * (times - (start + stop) / 2)))
    return slope, middle


def _warning(camera: str, offset: float, gained: float, reliable: bool, limit: float) -> str:
    if not reliable:
        return (
            f"{camera}: too little common movement to tell the clock; film people walking through both views"
        )
    said = []
    if abs(offset) > limit:
        said.append(f"clock off by {offset:+.2f} s: add it to start_offset_s")
    if abs(gained) > limit:
        said.append(f"drifts by {gained:+.2f} s over the recording: the declared frame rate is wrong")
    return f"{camera}: " + "; ".join(said) if said else ""
