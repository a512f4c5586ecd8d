"""Hard gates: what rules a pair of tracklets out, whatever they look like.

A *transitive* gate states that the two are never one identity, not even through others (one camera, one
time); the rest forbid only the direct step between them (the travel window of their link), which a tracklet
in between may bridge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tracking.sketch import SketchTable
from tracking.topology import CameraLink, Topology, Windows
from tracking.types import BoolArray, FloatArray, IntArray, SecondsArray

__all__ = ["GATES", "GateLimits", "Verdicts", "check", "inside_polygon", "meeting_distances"]

GATES = (
    "same_camera_time",
    "class",
    "site",
    "simultaneous",
    "speed",
    "ground",
    "time_order",
    "travel_time",
    "zone",
)
"""Every gate by name; a pair's ``checked`` and ``failed`` are bit sets in this order."""

_TRANSITIVE = ("same_camera_time", "class", "site", "simultaneous", "speed", "ground")
_BIT = {name: 1 << number for number, name in enumerate(GATES)}
_TRANSITIVE_BITS = sum(_BIT[name] for name in _TRANSITIVE)


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What the gates hold pairs against.

    Attributes:
        max_gap_s: the longest absence a direct step may span where no link says otherwise.
        max_ground_distance_m: two tracklets seen at once, further apart on the ground, are two identities.
        speeds_mps: of a class group, what hardly anybody exceeds between the last and the next position on the ground,
            and what nobody does.
        clock_slack_s: how far the cameras' clocks may disagree.
    """

    max_gap_s: float
    max_ground_distance_m: float
    speeds_mps: Callable[[int], tuple[float, float]]
    clock_slack_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """The gates' answers for M pairs.

    Attributes:
        checked, failed: ``(M,)`` int64 bit sets over ``GATES``.
        gap_s: ``(M,)`` from the end of the first to the start of the second.
        ground_m: ``(M,)`` float32 median distance while both were seen, NaN if never.
        shared_s: ``(M,)`` seconds both were on the ground plane at once.
        window_s: ``(M, 2)`` the travel window held against.
        haste: ``(M,)`` from 0, a usual speed, to 1, the highest, by the straight line; 0 where not known.
    """

    checked: IntArray
    failed: IntArray
    gap_s: SecondsArray
    ground_m: FloatArray
    shared_s: SecondsArray
    window_s: SecondsArray
    haste: FloatArray

    @property
    def impossible(self) -> BoolArray:
        """Never one identity."""
        return np.asarray((self.failed & _TRANSITIVE_BITS) != 0)

    @property
    def linkable(self) -> BoolArray:
        """May follow each other directly."""
        return np.asarray(self.failed == 0)

    def passed(self, row: int) -> tuple[str, ...]:
        """Names of the gates that pair ``row`` was held against and passed."""
        held = int(self.checked[row]) & ~int(self.failed[row])
        return tuple(name for bit, name in enumerate(GATES) if held >> bit & 1)


def check(
    table: SketchTable,
    first: IntArray,
    second: IntArray,
    topology: Topology,
    windows: Windows,
    limits: GateLimits,
    handed: BoolArray | None = None,
) -> Verdicts:
    """Hold M pairs against every gate. ``first`` starts no later than ``second``.

    Pairs that ``handed`` ``(M,)`` names may follow each other in one camera though both were there for a moment.
    """
    from_camera, to_camera = table.camera[first], table.camera[second]
    at = (from_camera, to_camera)
    gap = table.start_s[second] - table.end_s[first]
    same = from_camera == to_camera
    window = np.stack([windows.min_s[at], windows.max_s[at]], axis=1)
    everyone = np.ones(len(first), bool)
    follows = ~everyone if handed is None else handed
    answers = {
        "same_camera_time": (same, (gap > 0) | follows),
        "class": (everyone, table.group[first] == table.group[second]),
        "site": (windows.apart[at] | (windows.link_index[at] < 0), ~windows.apart[at]),
        "simultaneous": (np.isfinite(windows.floor_s[at]), gap >= windows.floor_s[at] - limits.clock_slack_s),
        "time_order": (everyone, (gap >= window[:, 0] - limits.clock_slack_s) | follows),
        "travel_time": (everyone, (gap <= window[:, 1] + limits.clock_slack_s) & windows.allowed[at]),
        "zone": _zones(table, first, second, topology, windows.link_index[at]),
    }
    so_far = ~_any_failed(answers, _TRANSITIVE)
    known = table.on_ground[first] & table.on_ground[second] & (gap > 0)
    haste = _haste(table, first, second, gap, known, limits)
    answers["speed"] = known, ~(haste > 1.0)
    ground, shared = meeting_distances(table, first, second, so_far & ~same & (gap <= 0))
    answers["ground"] = (np.isfinite(ground), ~(ground > limits.max_ground_distance_m))
    return Verdicts(*_pack(answers, len(first)), gap, ground, shared, window, haste.clip(0.0, 1.0))


def _any_failed(answers: dict[str, tuple[BoolArray, BoolArray]], names: tuple[str, ...]) -> BoolArray:
    failures = [held & ~ok for name, (held, ok) in answers.items() if name in names]
    return np.asarray(np.logical_or.reduce(failures))


def _pack(answers: dict[str, tuple[BoolArray, BoolArray]], count: int) -> tuple[IntArray, IntArray]:
    checked, failed = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for name, (held, ok) in answers.items():
        checked[held] |= _BIT[name]
        failed[held & ~ok] |= _BIT[name]
    return checked, failed


def _haste(
    table: SketchTable,
    first: IntArray,
    second: IntArray,
    gap: SecondsArray,
    known: BoolArray,
    limits: GateLimits,
) -> FloatArray:
    """``(M,)`` how fast from the last position of the first to the first of the second, on one ground plane: 0 is what
    hardly anybody exceeds, 1 what nobody does."""
    haste = np.zeros(len(first), np.float32)
    rows = np.flatnonzero(known)
    if not len(rows):
        return haste
    groups, of = np.unique(table.group[first[rows]], return_inverse=True)
    fast, fastest = np.array([limits.speeds_mps(int(group)) for group in groups])[of].T
    way = np.linalg.norm(table.ground_ends[second[rows], 0] - table.ground_ends[first[rows], 1], axis=1)
    speed = np.maximum(way - limits.max_ground_distance_m, 0.0) / (gap[rows] + limits.clock_slack_s)
    spread = np.maximum(fastest - fast, 1e-6)
    haste[rows] = np.where(speed > fastest, np.inf, (speed - fast) / spread)
    return haste


def meeting_distances(
    table: SketchTable, first: IntArray, second: IntArray, wanted: BoolArray
) -> tuple[FloatArray, SecondsArray]:
    """Median ground distance of each wanted pair while both were seen, and for how long that was.

    The denser of the two tracks is read at the other's times, by linear interpolation.
    """
    distance = np.full(len(first), np.nan, np.float32)
    shared = np.zeros(len(first))
    rows = np.flatnonzero(wanted & table.on_ground[first] & table.on_ground[second])
    for row in rows:
        a, b = table.sketches[first[row]], table.sketches[second[row]]
        if len(a.time_s) < len(b.time_s):
            a, b = b, a
        inside = slice(*np.searchsorted(b.time_s, (a.time_s[0] - 1e-6, a.time_s[-1] + 1e-6)))
        times = b.time_s[inside]
        if len(times):
            at = np.stack([np.interp(times, a.time_s, a.ground_xy[:, axis]) for axis in (0, 1)], axis=1)
            distance[row] = np.median(np.linalg.norm(at - b.ground_xy[inside], axis=1))
            shared[row] = times[-1] - times[0]
    return distance, shared


def _zones(
    table: SketchTable, first: IntArray, second: IntArray, topology: Topology, link_index: IntArray
) -> tuple[BoolArray, BoolArray]:
    held, ok = np.zeros(len(first), bool), np.ones(len(first), bool)
    for number in np.unique(link_index[link_index >= 0]):
        link = topology.links[number]
        if link.exit_zone is None and link.entry_zone is None:
            continue
        rows = np.flatnonzero(link_index == number)
        held[rows] = True
        ok[rows] = _through_zones(table, first[rows], second[rows], link)
    return held, ok


def _through_zones(table: SketchTable, first: IntArray, second: IntArray, link: CameraLink) -> BoolArray:
    ok = np.ones(len(first), bool)
    if link.exit_zone is not None:
        ok &= inside_polygon(table.foot_px[first, 1], np.asarray(link.exit_zone))
    if link.entry_zone is not None:
        ok &= inside_polygon(table.foot_px[second, 0], np.asarray(link.entry_zone))
    return ok


def inside_polygon(points: FloatArray, polygon: FloatArray) -> BoolArray:
    """Even-odd rule for ``(N, 2)`` points against a ``(K, 2)`` polygon (Shimrat 1962)."""
    x, y = points[:, 0, None], points[:, 1, None]
    x0, y0 = polygon[:, 0], polygon[:, 1]
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    spans = (y0 > y) != (y1 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        crosses = spans & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return np.asarray(crosses.sum(axis=1) % 2 == 1)
