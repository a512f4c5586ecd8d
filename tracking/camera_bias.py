"""What two cameras add to every distance between them: light, height and colour make strangers look alike or not.

For two embeddings drawn independently the expected cosine distance is one minus the product of their means, so the mean
embedding of each camera tells how far apart strangers of any two cameras are on average. What exceeds the average over
all pairs of cameras is no fact about people; it is taken off before distances are compared (camera-wise centring as in
Zhuang et al., "Rethinking the Distribution Gap of Person Re-identification with Camera-based Batch Normalization",
ECCV 2020, here of the distance instead of the features). Few tracklets prove little: the bias is shrunk towards none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tracking.sketch import Sketch, SketchTable
from tracking.types import FloatArray

__all__ = ["CameraMeans"]

_MIN_TRACKLETS = 20
"""With fewer tracklets in the rarer camera nothing is believed, with as many half of what was measured."""


class CameraMeans:
    """Mean embedding of every camera, over tracklets, in memory that does not grow with them."""

    def __init__(self) -> None:
        self._sum: dict[str, npt.NDArray[np.float64]] = {}
        self._count: dict[str, int] = {}

    @classmethod
    def of(cls, table: SketchTable) -> CameraMeans:
        means = cls()
        for number, camera in enumerate(table.cameras):
            rows = (table.camera == number) & table.mean.any(axis=1)
            if rows.any():
                means._sum[camera] = table.mean[rows].sum(axis=0, dtype=np.float64)
                means._count[camera] = int(rows.sum())
        return means

    def observe(self, sketch: Sketch) -> None:
        """Count one finished tracklet."""
        if sketch.appearance.crops:
            camera, mean = sketch.key.camera_id, sketch.appearance.mean.astype(np.float64)
            self._sum[camera] = self._sum.get(camera, 0.0) + mean
            self._count[camera] = self._count.get(camera, 0) + 1

    def bias(self, cameras: Sequence[str]) -> FloatArray:
        """``(C, C)`` cosine distance that each pair of cameras adds; 0 where nothing is known."""
        known = [camera for camera in cameras if camera in self._count]
        bias = np.zeros((len(cameras), len(cameras)), np.float32)
        if known:
            at = [list(cameras).index(camera) for camera in known]
            bias[np.ix_(at, at)] = self._bias(known, sorted(self._count))
        return bias

    def _bias(self, asked: Sequence[str], everyone: Sequence[str]) -> FloatArray:
        expected, weight = self._strangers(everyone)
        usual = float((weight * expected).sum() / max(weight.sum(), 1e-12))
        rows = [everyone.index(camera) for camera in asked]
        fewer = np.minimum.outer(*(2 * [np.array([self._count[camera] for camera in everyone])]))
        trust = np.where(fewer < _MIN_TRACKLETS, 0.0, fewer / (fewer + _MIN_TRACKLETS))
        return np.asarray((trust * (expected - usual))[np.ix_(rows, rows)], np.float32)

    def _strangers(self, cameras: Sequence[str]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Expected distance of two tracklets of each pair of cameras, and how many such pairs there are."""
        total = np.stack([self._sum[camera] for camera in cameras])
        count = np.array([self._count[camera] for camera in cameras], np.float64)
        pairs, product = np.outer(count, count), total @ total.T
        # Inside one camera a tracklet is no pair with itself; its product with itself is one.
        pairs[np.diag_indices(len(cameras))] -= count
        product[np.diag_indices(len(cameras))] -= count
        expected = 1.0 - product / np.maximum(pairs, 1.0)
        return np.where(pairs > 0, expected, 0.0), pairs
