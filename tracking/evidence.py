"""What speaks for and against two tracklets being one identity, for many pairs at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tracking.appearance import set_distances
from tracking.camera_bias import CameraMeans
from tracking.corrections import Corrections, KeyPair
from tracking.gates import GateLimits, Verdicts, check
from tracking.partition import Judgement
from tracking.sightings import Sightings
from tracking.sketch import SketchTable
from tracking.topology import Topology, Windows
from tracking.types import BoolArray, FloatArray, IntArray, TrackletKey

__all__ = ["Evidence", "Layout", "Reorder", "Witness"]

Reorder = Callable[[FloatArray, IntArray, IntArray], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """For M pairs, ``first`` starting no later than ``second``.

    Attributes:
        first, second: ``(M,)`` int64 rows of the table.
        verdicts: the gates' answers.
        cosine: ``(M,)`` float32 distance, camera bias taken off, NaN where a side has no embedding.
        bias: ``(M,)`` float32 what the two cameras were found to add; see ``CameraMeans``.
        agreement: ``(M,)`` float32, -1..1, whether one person's boxes were taken by both where views overlap (see
            ``Sightings``), NaN where not known.
        weight: ``(M,)`` float32, positive for one identity, NaN where nothing speaks either way.
        forbidden: ``(M,)`` bool, never one identity.
        demanded: ``(M,)`` bool, one identity because a person said so.
        adjacent: ``(M,)`` bool, one camera, linked cameras, or both on the ground at once.
        max_cosine_distance: what the distances were held against.
    """

    first: IntArray
    second: IntArray
    verdicts: Verdicts
    cosine: FloatArray
    bias: FloatArray
    agreement: FloatArray
    weight: FloatArray
    forbidden: BoolArray
    demanded: BoolArray
    adjacent: BoolArray
    max_cosine_distance: float


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What is known of pairs of cameras.

    Attributes:
        topology: as stated or learned.
        windows: its travel windows, over the table's cameras.
        bias: ``(C, C)`` float32 cosine distance that two cameras add; see ``CameraMeans``.
    """

    topology: Topology
    windows: Windows
    bias: FloatArray

    @classmethod
    def of(
        cls, cameras: Sequence[str], topology: Topology, max_gap_s: float, means: CameraMeans | None = None
    ) -> Layout:
        """Lay out what holds for these cameras; without ``means`` no bias is taken off."""
        none = np.zeros((len(cameras), len(cameras)), np.float32)
        bias = none if means is None else means.bias(cameras)
        return cls(topology, topology.windows(cameras, max_gap_s), bias)


class Witness:
    """Judges pairs of one table under one layout of cameras, one set of limits and a person's corrections.

    Args:
        layout: over the table's cameras.
        reorder: changes distances ``(M,)`` of rows ``(M,)`` and ``(M,)``; None leaves them.
        sightings: of people over views that overlap, one of each group of views.
        handed: pairs of one camera that may be one object; see ``tracking.handovers``.
    """

    def __init__(
        self,
        table: SketchTable,
        layout: Layout,
        limits: GateLimits,
        max_cosine_distance: float,
        corrections: Corrections | None = None,
        reorder: Reorder | None = None,
        sightings: Sequence[Sightings] = (),
        handed: tuple[KeyPair, ...] = (),
    ) -> None:
        self.table = table
        self._max_cosine_distance = max_cosine_distance
        self._layout = layout
        self._limits = limits
        self._reorder = reorder
        self._sightings = sightings
        corrections = corrections or Corrections()
        named = bool(corrections or handed)
        rows = {sketch.key: row for row, sketch in enumerate(table.sketches)} if named else {}
        self.together = _row_pairs(corrections.together, rows)
        self._together_codes = self._codes(self.together)
        self._apart_codes = self._codes(_row_pairs(corrections.apart, rows))
        self.handed = _row_pairs(handed, rows)
        self._handed_codes = self._codes(self.handed)

    def testify(self, one: IntArray, other: IntArray) -> Evidence:
        """Everything known about the pairs ``(one[m], other[m])``, in either order."""
        first, second = self._in_time_order(one, other)
        follows = self._listed(first, second, self._handed_codes)
        verdicts = check(self.table, first, second, self._layout.topology, self._layout.windows, self._limits, follows)
        demanded = self._listed(first, second, self._together_codes)
        forbidden = (verdicts.impossible & ~demanded) | self._listed(first, second, self._apart_codes)
        cosine = self._cosine(first, second, ~forbidden)
        agreement = self._agreement(first, second, np.isfinite(verdicts.ground_m) & ~forbidden)
        weight = self._weigh(cosine, verdicts, agreement)
        at = self.table.camera[first], self.table.camera[second]
        bias = self._layout.bias[at]
        adjacent = (at[0] == at[1]) | self._layout.windows.linked[at] | np.isfinite(verdicts.ground_m)
        limit = self._max_cosine_distance
        return Evidence(
            first, second, verdicts, cosine, bias, agreement, weight, forbidden, demanded, adjacent, limit
        )

    def judge(self, one: IntArray, other: IntArray) -> Judgement:
        """What the partition asks for."""
        evidence = self.testify(one, other)
        direct = evidence.demanded | (evidence.verdicts.linkable & ~evidence.forbidden)
        return Judgement(evidence.weight, evidence.forbidden, direct)

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
            known = np.clip(
                raw - self._layout.bias[self.table.camera[one], self.table.camera[other]], 0.0, 2.0
            )
            cosine[rows] = known if self._reorder is None else self._reorder(known, one, other)
        return cosine

    def _agreement(self, first: IntArray, second: IntArray, wanted: BoolArray) -> FloatArray:
        agreement = np.full(len(first), np.nan, np.float32)
        for row in np.flatnonzero(wanted) if self._sightings else ():
            keys = (self.table.sketches[first[row]].key, self.table.sketches[second[row]].key)
            known = [one.agreement(*keys) for one in self._sightings]
            agreement[row] = next((value for value in known if not np.isnan(value)), np.nan)
        return agreement

    def _weigh(self, cosine: FloatArray, verdicts: Verdicts, agreement: FloatArray) -> FloatArray:
        """Looks count from +1 (alike) over 0 (at the threshold) to -1; place from +1 to 0 (at the gate), or, where it is
        known who took whose boxes, from +1 (one person's) to -1; haste from 0 (nobody need have hurried) to -1."""
        looks = np.clip(1.0 - cosine / self._max_cosine_distance, -1.0, 1.0)
        near = 1.0 - verdicts.ground_m / self._limits.max_ground_distance_m
        place = np.where(np.isnan(agreement), near, agreement)
        silent = np.isnan(looks) & np.isnan(place)
        return np.where(silent, np.nan, np.nan_to_num(looks) + np.nan_to_num(place) - verdicts.haste).astype(np.float32)

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
