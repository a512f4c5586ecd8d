"""What speaks for and against two tracklets being one identity, for many pairs at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tracking.appearance import set_distances
from tracking.camera_bias import CameraMeans
from tracking.corrections import Corrections, KeyPair
from tracking.gates import GateLimits, Verdicts, check
from tracking.sketch import SketchTable
from tracking.topology import Topology
from tracking.types import BoolArray, FloatArray, IntArray, TrackletKey

__all__ = ["Evidence", "Reorder", "Witness"]

Reorder = Callable[[FloatArray, IntArray, IntArray], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """For M pairs, ``first`` starting no later than ``second``.

    Attributes:
        first, second: ``(M,)`` int64 rows of the table.
        verdicts: the gates' answers.
        cosine: ``(M,)`` float32 distance, camera bias taken off, NaN where a side has no embedding.
        bias: ``(M,)`` float32 what the two cameras were found to add; see ``CameraMeans``.
        weight: ``(M,)`` float32, positive for one identity, NaN where nothing speaks either way.
        forbidden: ``(M,)`` bool, never one identity.
        demanded: ``(M,)`` bool, one identity because a person said so.
        adjacent: ``(M,)`` bool, one camera, linked cameras, or both on the ground at once.
    """

    first: IntArray
    second: IntArray
    verdicts: Verdicts
    cosine: FloatArray
    bias: FloatArray
    weight: FloatArray
    forbidden: BoolArray
    demanded: BoolArray
    adjacent: BoolArray


class Witness:
    """Judges pairs of one table under one topology, one set of limits and a person's corrections.

    Args:
        means: what each camera's tracklets look like on average; None takes no bias off.
        reorder: changes distances ``(M,)`` of rows ``(M,)`` and ``(M,)``; None leaves them.
    """

    def __init__(
        self,
        table: SketchTable,
        topology: Topology,
        limits: GateLimits,
        max_cosine_distance: float,
        corrections: Corrections | None = None,
        means: CameraMeans | None = None,
        reorder: Reorder | None = None,
    ) -> None:
        self.table = table
        self._topology = topology
        self._windows = topology.windows(table.cameras, limits.max_gap_s)
        self._limits = limits
        self._max_cosine_distance = max_cosine_distance
        count = len(table.cameras)
        self._bias = np.zeros((count, count), np.float32) if means is None else means.bias(table.cameras)
        self._reorder = reorder
        rows = {sketch.key: row for row, sketch in enumerate(table.sketches)}
        corrections = corrections or Corrections()
        self.together = _row_pairs(corrections.together, rows)
        self._together_codes = self._codes(self.together)
        self._apart_codes = self._codes(_row_pairs(corrections.apart, rows))

    def testify(self, one: IntArray, other: IntArray) -> Evidence:
        """Everything known about the pairs ``(one[m], other[m])``, in either order."""
        first, second = self._in_time_order(one, other)
        verdicts = check(self.table, first, second, self._topology, self._windows, self._limits)
        demanded = self._listed(first, second, self._together_codes)
        forbidden = (verdicts.impossible & ~demanded) | self._listed(first, second, self._apart_codes)
        cosine = self._cosine(first, second, ~forbidden)
        weight = self._weigh(cosine, verdicts.ground_m)
        at = self.table.camera[first], self.table.camera[second]
        bias = self._bias[at]
        adjacent = (at[0] == at[1]) | self._windows.linked[at] | np.isfinite(verdicts.ground_m)
        return Evidence(first, second, verdicts, cosine, bias, weight, forbidden, demanded, adjacent)

    def judge(self, one: IntArray, other: IntArray) -> tuple[FloatArray, BoolArray]:
        """Weights and bans only: what the partition asks for."""
        evidence = self.testify(one, other)
        return evidence.weight, evidence.forbidden

    def _in_time_order(self, one: IntArray, other: IntArray) -> tuple[IntArray, IntArray]:
        start = self.table.start_s
        swap = (start[other] < start[one]) | ((start[other] == start[one]) & (other < one))
        return np.where(swap, other, one), np.where(swap, one, other)

    def _cosine(self, first: IntArray, second: IntArray, wanted: BoolArray) -> FloatArray:
        cosine = np.full(len(first), np.nan, np.float32)
        if self.table.prototypes.size:
            rows = np.flatnonzero(wanted)
            one, other = first[rows], second[rows]
            raw = set_distances(self.table.prototypes, self.table.weight, one, other)
            known = np.clip(raw - self._bias[self.table.camera[one], self.table.camera[other]], 0.0, 2.0)
            cosine[rows] = known if self._reorder is None else self._reorder(known, one, other)
        return cosine

    def _weigh(self, cosine: FloatArray, ground_m: FloatArray) -> FloatArray:
        """Looks count from +1 (alike) over 0 (at the threshold) to -1; place from +1 to 0 (at the gate)."""
        looks = np.clip(1.0 - cosine / self._max_cosine_distance, -1.0, 1.0)
        place = 1.0 - ground_m / self._limits.max_ground_distance_m
        silent = np.isnan(looks) & np.isnan(place)
        return np.where(silent, np.nan, np.nan_to_num(looks) + np.nan_to_num(place)).astype(np.float32)

    def _codes(self, pairs: IntArray) -> IntArray:
        first, second = self._in_time_order(pairs[:, 0], pairs[:, 1])
        return np.sort(first * len(self.table) + second)

    def _listed(self, first: IntArray, second: IntArray, codes: IntArray) -> BoolArray:
        if len(codes) == 0:
            return np.zeros(len(first), bool)
        return np.isin(first * len(self.table) + second, codes)


def _row_pairs(pairs: tuple[KeyPair, ...], rows: dict[TrackletKey, int]) -> IntArray:
    """Rows of the pairs both of whose tracklets are in the table; a correction may outlive its footage."""
    known = [(rows[a], rows[b]) for a, b in pairs if a in rows and b in rows]
    return np.array(known, np.int64).reshape(-1, 2)
