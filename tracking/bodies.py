"""How a person on the floor appears as a box, how well a box fits, and what it says of the person.

The image measurement follows Ong et al., "A Bayesian Filter for Multi-View 3D Multi-Object Tracking", TPAMI 2022:
middle, top and bottom of the box, in parts of the body's height in the image; the filter is Kalman's, linearised.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tracking.hypotheses import Forest
from tracking.types import BoolArray, IntArray
from tracking.views import MultiViewConfig, Scan, View

__all__ = ["Appearing", "corrected", "covered", "gains", "project_body"]

Array = npt.NDArray[np.float64]


class Appearing:
    """Where the bodies of a forest should appear in one camera, in units of their own image height.

    Attributes:
        edges: ``(L, 3)`` px, middle, top and bottom.
        slope: ``(L, 3, 5)`` their change with the state, per image height.
        size: ``(L,)`` image height, px.
        spread: ``(L, 3, 3)`` their covariance without box noise.
        visible: ``(L,)`` bool.
    """

    def __init__(self, forest: Forest, view: View) -> None:
        self.forest = forest
        self.edges, slope = project_body(forest.state, np.asarray(view.calibration.projection))
        self.size = np.maximum(np.nan_to_num(self.edges[:, 2] - self.edges[:, 1]), 1.0)
        inside = (self.edges[:, 0] > 0) & (self.edges[:, 0] < view.width_px)
        inside &= (self.edges[:, 1] < 0.95 * view.height_px) & (self.edges[:, 2] > 0)
        self.visible = inside & (self.size > 8)
        self.slope = np.nan_to_num(slope / self.size[:, None, None])
        self.spread = self.slope @ forest.doubt @ self.slope.transpose(0, 2, 1)


def project_body(state: Array, projection: Array) -> tuple[Array, Array]:
    """Middle column, top row and bottom row ``(L, 3)`` px of bodies, and their derivatives ``(L, 3, 5)``."""
    count = len(state)
    edges, slope = np.full((count, 3), np.nan), np.zeros((count, 3, 5))
    for which, (part, row) in enumerate(((0.5, 0), (1.0, 1), (0.0, 1))):
        world = np.column_stack([state[:, :2], part * state[:, 4], np.ones(count)])
        image = world @ projection.T
        ahead = image[:, 2] > 0.1
        depth = np.where(ahead, image[:, 2], np.nan)
        edges[:, which] = image[:, row] / depth
        for column, axis, scale in ((0, 0, 1.0), (1, 1, 1.0), (4, 2, part)):
            change = projection[row, axis] - edges[:, which] * projection[2, axis]
            slope[:, which, column] = scale * change / depth
    return edges, slope


def covered(seen: Appearing, owner: IntArray) -> Array:
    """``(L,)`` part of each body, 0..1, that in the image lies over or under the likeliest body of another track."""
    names, first = np.unique(owner, return_index=True)
    middle, size = seen.edges[first, 0], seen.size[first]
    with np.errstate(invalid="ignore"):
        apart = np.abs(seen.edges[:, 0, None] - middle) / (0.35 * np.minimum(seen.size[:, None], size))
    other = (owner[:, None] != names) & seen.visible[first]
    cover = np.where(other, np.clip(1.0 - np.nan_to_num(apart, nan=1.0), 0.0, 1.0), 0.0)
    return np.asarray(cover.max(axis=1, initial=0.0))


_GATE = 12.0

_UNKNOWN = 1e4


def gains(
    seen: Appearing, scan: Scan, view: View, detected: Array, config: MultiViewConfig
) -> tuple[Array, BoolArray]:
    """``(L, M)`` log-likelihood ratio of each body having made each box, -inf out of reach; and if it shows feet."""
    noise = _noise(scan, config)
    away = scan.away(slice(None), seen.edges[:, None], seen.size[:, None])
    a, c = seen.spread[:, None, 0, 0] + noise[:, 0], seen.spread[:, None, 1, 1] + noise[:, 1]
    b = seen.spread[:, None, 0, 1]
    area = a * c - b * b
    squared = (c * away[..., 0] ** 2 - 2 * b * away[..., 0] * away[..., 1] + a * away[..., 1] ** 2) / area
    looks = (
        np.log(detected)[:, None] - 0.5 * squared - 0.5 * np.log(area) - np.log(2 * np.pi * config.clutter)
    )
    feet, standing = _feet(seen, scan, view, away[..., 2], seen.spread[:, None, 2, 2] + noise[:, 2], config)
    with np.errstate(invalid="ignore"):
        near = seen.visible[:, None] & (squared < _GATE)
    return np.where(near, looks + feet, -np.inf), standing


def _noise(scan: Scan, config: MultiViewConfig) -> Array:
    """``(M, 3)`` variance of each edge in parts of the body's height; an edge at the border may be anywhere."""
    edge = np.array([config.middle_noise, config.top_noise, config.bottom_noise])
    return np.asarray((edge * np.where(scan.cut, 4.0, 1.0)) ** 2)


def _feet(
    seen: Appearing, scan: Scan, view: View, away: Array, variance: Array, config: MultiViewConfig
) -> tuple[Array, BoolArray]:
    """Log-likelihood ratio of the bottom edges, and whether each is likelier the feet than an occluder's edge."""
    reaching = config.feet_visible * np.exp(-0.5 * away**2 / variance) / np.sqrt(2 * np.pi * variance)
    cut = scan.cut[None, :, 2]
    standing = (reaching > 1.0 - config.feet_visible) & ~cut
    below = seen.edges[:, 2, None] > 0.97 * view.height_px
    when_cut = np.where(below, 0.0, np.log(1.0 - config.feet_visible))
    return np.where(cut, when_cut, np.log(reaching + 1.0 - config.feet_visible)), standing


def corrected(
    seen: Appearing,
    rows: IntArray,
    scan: Scan,
    boxes: IntArray,
    standing: BoolArray,
    config: MultiViewConfig,
) -> tuple[Array, Array]:
    """States ``(K, 5)`` and covariances ``(K, 5, 5)`` of bodies ``rows`` after they took ``boxes``."""
    variance = _noise(scan, config)[boxes]
    variance[~standing, 2] = _UNKNOWN
    away = scan.away(boxes, seen.edges[rows], seen.size[rows])
    doubt, slope = seen.forest.doubt[rows], seen.slope[rows]
    spread = seen.spread[rows] + variance[:, :, None] * np.eye(3)
    gain = np.linalg.solve(spread, slope @ doubt).transpose(0, 2, 1)
    state = seen.forest.state[rows] + np.einsum("kij,kj->ki", gain, away)
    left = doubt - gain @ slope @ doubt
    return state, (left + left.transpose(0, 2, 1)) / 2
