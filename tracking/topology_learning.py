"""Learn how the cameras hang together from the footage itself: which follow each other, and how long it
takes.

Tracklets are associated by appearance alone; what follows what in the identities that come out, where the
decision was clear, gives travel times per pair of cameras. Wrong matches spread over the whole allowed
absence, right
ones crowd in a short interval: the shortest interval that holds most of them (the half of Andrews et al.
    1972)
is the travel window. Learned windows sharpen the next association, so the two steps are repeated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tracking.association import AssociationConfig, associate
from tracking.topology import CameraLink, Topology
from tracking.types import IntArray, Link, Tracklet, TrackletKey, Trajectory

__all__ = ["PassageTimes", "learn_topology", "travel_times"]

CameraPair = tuple[str, str]

_ROUNDS = 2
_SAMPLE = 20_000
"""Tracklets of the middle of the recording that are learned from: more say the same again."""

_KEPT = 500
"""Travel times remembered per pair of cameras while they run."""

_CORE = 0.7
"""Part of the travel times that the core interval holds; the window is the core, widened."""

_MAX_CORE_OF_RANGE = 0.35
"""A core longer than this part of the allowed absence is no crowd: evenly spread times would need ``_CORE``."""


def learn_topology(
    tracklets: Sequence[Tracklet],
    config: AssociationConfig,
    *,
    base: Topology | None = None,
    class_group: IntArray | None = None,
    min_matches: int = 5,
) -> Topology:
    """Links and travel windows of a site, for a person to read and correct.

    Args:
        tracklets: of long enough footage: a link needs ``min_matches`` clear passages.
        config: as for association; ``max_gap_s`` bounds the travel times that can be found.
        base: sites, and links to keep as they are (pinned).
        class_group: as for association.
        min_matches: see above.

    Returns:
        Pinned links first; closed when the links found explain nearly all clear passages.
    """
    base = base or Topology()
    pinned = tuple(link for link in base.links if link.pinned)
    learned = Topology(pinned, base.sites)
    middle = max(len(tracklets) - _SAMPLE, 0) // 2
    tracklets = sorted(tracklets, key=lambda one: (one.start_s, one.key))[middle : middle + _SAMPLE]
    config = config.settled(tracklets, class_group)
    by_key = {tracklet.key: tracklet for tracklet in tracklets}
    for _ in range(_ROUNDS):
        trajectories = associate(tracklets, config, topology=learned, class_group=class_group)
        times = travel_times(trajectories, by_key, config)
        learned = _topology(times, pinned, base, config.max_gap_s, min_matches)
    return learned


class PassageTimes:
    """Travel times of identities as they end, the latest ones of each pair of cameras, for learning while cameras run."""

    def __init__(self, config: AssociationConfig) -> None:
        self._config = config
        self._gaps: dict[CameraPair, deque[float]] = {}

    def note(self, trajectory: Trajectory) -> None:
        """Count the steps whose evidence is from the very tracklet before."""
        reasons = {link.second: link for link in trajectory.links}
        for before, after in pairwise(trajectory.tracklets):
            link = reasons.get(after)
            if link is None or link.first != before or before.camera_id == after.camera_id:
                continue
            if _clear(link, self._config):
                pair = (before.camera_id, after.camera_id)
                self._gaps.setdefault(pair, deque(maxlen=_KEPT)).append(link.gap_s)

    def topology(self, base: Topology, min_matches: int = 5) -> Topology:
        """As ``learn_topology``, from what was noted."""
        pinned = tuple(link for link in base.links if link.pinned)
        times = {pair: np.sort(np.array(gaps)) for pair, gaps in sorted(self._gaps.items())}
        return _topology(times, pinned, base, self._config.max_gap_s, min_matches)


def travel_times(
    trajectories: Sequence[Trajectory], tracklets: Mapping[TrackletKey, Tracklet], config: AssociationConfig
) -> dict[CameraPair, npt.NDArray[np.float64]]:
    """Gaps between consecutive tracklets of different cameras, seconds, where the decision was clear."""
    found: dict[CameraPair, list[float]] = {}
    for trajectory in trajectories:
        reasons = {link.second: link for link in trajectory.links}
        for before, after in pairwise(trajectory.tracklets):
            if before.camera_id != after.camera_id and _clear(reasons.get(after), config):
                gap = tracklets[after].start_s - tracklets[before].end_s
                found.setdefault((before.camera_id, after.camera_id), []).append(gap)
    return {pair: np.sort(gaps) for pair, gaps in sorted(found.items())}


def _clear(link: Link | None, config: AssociationConfig) -> bool:
    """The best identity was within the threshold and no other came near."""
    if link is None or link.cosine_distance is None:
        return link is not None
    limit = config.max_cosine_distance
    if limit is None:  # it ran along with the footage, and the link was held against it then
        limit = link.cosine_distance
    return link.cosine_distance <= limit and (link.margin is None or link.margin >= config.min_margin * limit)


def _topology(
    times: Mapping[CameraPair, npt.NDArray[np.float64]],
    pinned: tuple[CameraLink, ...],
    base: Topology,
    max_gap_s: float,
    min_matches: int,
) -> Topology:
    fixed = {(link.from_camera, link.to_camera) for link in pinned}
    links = [_link(pair, gaps, max_gap_s, min_matches) for pair, gaps in times.items() if pair not in fixed]
    found = tuple(link for link in links if link is not None)
    passages = sum(len(gaps) for pair, gaps in times.items() if pair not in fixed)
    explained = sum(link.matches for link in found)
    closed = base.closed or (passages >= 10 * min_matches and explained >= 0.8 * passages)
    return Topology(pinned + found, base.sites, closed)


def _link(
    pair: CameraPair, gaps: npt.NDArray[np.float64], max_gap_s: float, min_matches: int
) -> CameraLink | None:
    """The window of one pair, or None where the times do not crowd."""
    inside = int(np.ceil(_CORE * len(gaps)))
    if len(gaps) < min_matches:
        return None
    lengths = gaps[inside - 1 :] - gaps[: len(gaps) - inside + 1]
    at = int(np.argmin(lengths))
    low, high = float(gaps[at]), float(gaps[at + inside - 1])
    if high - low > _MAX_CORE_OF_RANGE * max_gap_s:
        return None
    slack = max(1.0, 0.75 * (high - low))
    low, high = low - slack, high + slack
    held = gaps[(gaps >= low) & (gaps <= high)]
    overlap = bool(np.mean(held < 0) > 0.3)
    low = low if overlap else max(low, 0.0)
    return replace(
        CameraLink(*pair, round(low, 1), round(min(high, max_gap_s), 1)),
        overlap=overlap,
        pinned=False,
        matches=len(held),
    )
