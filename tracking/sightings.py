"""Whom each tracklet shows, where calibrated views overlap: its boxes as evidence of who is who across cameras.

People are followed over all views at once from the tracklets' boxes alone (`tracking.following`), so place tells them
apart when looks do not, and better than the distance of two floor positions does: a box is explained by one person.
Two tracklets that were seen at one time agree as often as the same person took a box of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracking.following import follow
from tracking.partition import components
from tracking.types import Detections, IntArray, SecondsArray, Tracklet, TrackletKey
from tracking.views import MultiViewConfig, View

__all__ = ["Sightings", "overlapping", "sightings_of"]

STEP_S = 0.25
"""People are followed at this rate, whatever the cameras': faster says little more of who is who, and costs as much more."""

_MIN_INSTANTS = 4
"""Two tracklets seen together in fewer agree by accident."""

_MIN_OVERLAP = 0.05
"""Views overlap where this part of what stands in one could be seen in the other."""

_MIN_EXPLAINED = 0.5
"""Where less of a camera's boxes fits the people found over all views its calibration is off: they prove nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """For each tracklet the instants at which somebody took its box, ascending, and who."""

    instants: Mapping[TrackletKey, IntArray]
    people: Mapping[TrackletKey, IntArray]

    def agreement(self, first: TrackletKey, second: TrackletKey) -> float:
        """From 1 (always the same person) to -1 (never), over instants at which both were taken; NaN where those are few."""
        if first not in self.instants or second not in self.instants:
            return float("nan")
        both, at, other = np.intersect1d(
            self.instants[first], self.instants[second], assume_unique=True, return_indices=True
        )
        if len(both) < _MIN_INSTANTS:
            return float("nan")
        return float(2.0 * np.mean(self.people[first][at] == self.people[second][other]) - 1.0)


def overlapping(tracklets: Sequence[Tracklet], views: Mapping[str, View]) -> list[tuple[str, ...]]:
    """Groups of two and more cameras that look at common floor, judged by where people stood."""
    cameras = sorted(views)
    stood = {camera: _stood([t for t in tracklets if t.camera_id == camera]) for camera in cameras}
    pairs = [
        (number, other)
        for number, camera in enumerate(cameras)
        for other, name in enumerate(cameras)
        if other != number and _part_in_view(stood[camera], views[name]) > _MIN_OVERLAP
    ]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    label = components(len(cameras), first, second)
    groups = [
        tuple(camera for camera, of in zip(cameras, label, strict=True) if of == group)
        for group in np.unique(label)
    ]
    return [group for group in groups if len(group) > 1]


def _stood(tracklets: Sequence[Tracklet]) -> npt.NDArray[np.float64]:
    """``(N, 2)`` metres, known positions of all of them."""
    known = [t.ground_xy[np.isfinite(t.ground_xy).all(axis=1)] for t in tracklets if t.ground_xy is not None]
    return np.concatenate([np.zeros((0, 2)), *known])


def _part_in_view(places: npt.NDArray[np.float64], view: View) -> float:
    """Of the people who stood there how many this camera could see, by their middle."""
    if not len(places):
        return 0.0
    middle = np.column_stack([places, np.full(len(places), 0.9)])
    with np.errstate(invalid="ignore"):
        px = view.calibration.project(middle)
        inside = (px >= 0).all(axis=1) & (px[:, 0] <= view.width_px) & (px[:, 1] <= view.height_px)
    return float(inside.mean())


def sightings_of(
    tracklets: Sequence[Tracklet], views: Mapping[str, View], config: MultiViewConfig | None = None
) -> Sightings:
    """Follow people over views that overlap, and note who took which tracklet's box.

    Args:
        tracklets: of these and of other cameras; those of others are passed over.
        views: cameras of one floor that look at it together.
        config: beliefs.
    """
    ours = [tracklet for tracklet in tracklets if tracklet.camera_id in views]
    seen = dict(_instants(ours))
    rows = {
        (instant, camera): [row for row, _ in members]
        for instant, cameras in seen.items()
        for camera, members in cameras.items()
    }
    people = follow(
        views,
        [
            (instant * STEP_S, {camera: _boxes(ours, members) for camera, members in cameras.items()})
            for instant, cameras in seen.items()
        ],
        config,
    )
    taken = [
        (rows[round(node.time_s / STEP_S), camera][box], round(node.time_s / STEP_S), person)
        for person, nodes in people.items()
        for node in nodes
        for camera, box in node.boxes
    ]
    shown = Counter(camera for (_, camera), members in rows.items() for _ in members)
    explained = Counter(ours[row].camera_id for row, _, _ in taken)
    trusted = [camera for camera, boxes in shown.items() if explained[camera] >= _MIN_EXPLAINED * boxes]
    return _noted(ours, np.array([one for one in taken if ours[one[0]].camera_id in trusted]))


def _instants(tracklets: Sequence[Tracklet]) -> Iterable[tuple[int, dict[str, list[tuple[int, int]]]]]:
    """Instants in order, and by camera the tracklets that were detected then: position in ``tracklets``, and step."""
    cameras: dict[str, tuple[int, int]] = {}
    seen: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for row, tracklet in enumerate(tracklets):
        nearest = _nearest(tracklet.timestamp_s)
        for instant, step in nearest:
            if not tracklet.interpolated[step]:
                seen.setdefault(instant, {}).setdefault(tracklet.camera_id, []).append((row, step))
        first, last = nearest[0][0], nearest[-1][0]
        low, high = cameras.get(tracklet.camera_id, (first, last))
        cameras[tracklet.camera_id] = min(low, first), max(high, last)
    for instant in sorted(seen):
        looked = [camera for camera, (low, high) in cameras.items() if low <= instant <= high]
        yield instant, {camera: seen[instant].get(camera, []) for camera in looked}


def _nearest(times: SecondsArray) -> list[tuple[int, int]]:
    """Instants, each with the step that is nearest to it."""
    instant = np.round(times / STEP_S).astype(np.int64)
    order = np.lexsort((np.abs(times - instant * STEP_S), instant))
    first = np.unique(instant[order], return_index=True)[1]
    return [(int(instant[row]), int(row)) for row in order[first]]


def _boxes(tracklets: Sequence[Tracklet], members: Sequence[tuple[int, int]]) -> Detections:
    boxes = np.array([tracklets[row].xyxy[step] for row, step in members], np.float32).reshape(-1, 4)
    return Detections(boxes, np.ones(len(boxes), np.float32), np.zeros(len(boxes), np.int64))


def _noted(tracklets: Sequence[Tracklet], taken: IntArray) -> Sightings:
    taken = taken.reshape(-1, 3)[np.lexsort(taken.reshape(-1, 3).T[1::-1])]
    rows, starts = np.unique(taken[:, 0], return_index=True)
    parts = np.split(taken, starts[1:]) if len(rows) else []
    keys = [tracklets[row].key for row in rows]
    return Sightings(
        {key: part[:, 1] for key, part in zip(keys, parts, strict=True)},
        {key: part[:, 2] for key, part in zip(keys, parts, strict=True)},
    )
