"""Pairs of tracklets of one camera that may be one object though both were there for a moment.

Where a track loses its object, another often takes it over while the first lives on beside it: the detector draws two
boxes on one object, or one cut at a swap (`tracking.splits`) is cut a few frames late. Two boxes that lie on each other for
all of so short a time show one object or two that met; their looks say which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tracking.boxes import iou_matrix
from tracking.splits import MEETING_OVERLAP
from tracking.types import Tracklet, TrackletKey

__all__ = ["handovers"]

_BRIEF_S = 0.5
"""Tracklets that were both there for longer are two objects."""


def handovers(tracklets: Sequence[Tracklet]) -> tuple[tuple[TrackletKey, TrackletKey], ...]:
    """Every such pair, the earlier tracklet first."""
    by_camera: dict[str, list[Tracklet]] = defaultdict(list)
    for tracklet in sorted(tracklets, key=lambda one: (one.start_s, one.key)):
        by_camera[tracklet.camera_id].append(tracklet)
    found = []
    for ordered in by_camera.values():
        start_s, end_s = np.array([(one.start_s, one.end_s) for one in ordered]).T
        for row, later in enumerate(ordered):
            shared_s = np.minimum(end_s[:row], later.end_s) - later.start_s
            brief = (shared_s >= 0) & (shared_s <= _BRIEF_S) & (start_s[:row] < later.start_s)
            for earlier in np.flatnonzero(brief):
                if _lie_on_each_other(ordered[earlier], later):
                    found.append((ordered[earlier].key, later.key))
    return tuple(found)


def _lie_on_each_other(one: Tracklet, other: Tracklet) -> bool:
    """Whether the boxes of the frames that both have overlap as those that meet do, on average."""
    _, first, second = np.intersect1d(one.timestamp_s, other.timestamp_s, return_indices=True)
    if not len(first):
        return False
    return bool(np.diag(iou_matrix(one.xyxy[first], other.xyxy[second])).mean() >= MEETING_OVERLAP)
