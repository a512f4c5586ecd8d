"""Association while the cameras run: decide early, revise when a later fact is better, forget in time."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tracking.association import AssociationConfig
from tracking.camera_bias import CameraMeans
from tracking.corrections import Corrections
from tracking.evidence import Evidence, Layout, Witness
from tracking.gallery import Gallery
from tracking.identities import Identities, OpenIdentity, RunIds
from tracking.links import describe
from tracking.memory import Memory
from tracking.rivals import Rival, is_clear, rival_of, usable
from tracking.sketch import SketchTable, sketch_of
from tracking.speeds import SpeedLimits
from tracking.threshold import RunningThreshold
from tracking.topology import Topology
from tracking.types import IntArray, Link, Tracklet, TrackletKey, Trajectory

__all__ = ["Event", "OnlineAssociator"]

_MEASURED_EVERY = 32

EventKind = Literal["new", "update", "end", "revision"]


@dataclass(frozen=True, slots=True)
class Event:
    """What changed.

    Attributes:
        kind: ``new`` identity, ``update`` of one, ``end`` (it left for good), or ``revision`` of a decision.
        at_s: site time up to which was known when it was decided.
        global_id: the identity, for a revision the one that received tracklets.
        trajectory: that identity as it stands now.
        tracklets: the tracklets that caused the event, for a revision those that moved.
        from_id: revision only, the identity they came from.
        superseded: revision only, ``from_id`` is now empty and will never be used again.
        reason: revision only, why, in words.
    """

    kind: EventKind
    at_s: float
    global_id: int
    trajectory: Trajectory
    tracklets: tuple[TrackletKey, ...]
    from_id: int | None = None
    superseded: bool = False
    reason: str = ""


class OnlineAssociator:
    """Gives every tracklet an identity as it comes, in event time.

    A tracklet is decided once it has ``min_crops`` embedded crops (or a place on the ground), and again when
    it ends. Identities not seen for the longest travel time are handed out with their ``end`` event and
    forgotten, so memory and decision time depend on the traffic, not on how long the cameras have run.

    Args:
        config: as offline.
        topology: camera links, or None.
        class_group: see ``class_groups_table``.
        gallery_factory: makes an empty index; None compares with every recent tracklet.
        identities: gives out ids and recalls what was open; None counts from 1.
        corrections: what a person decided.
    """

    def __init__(
        self,
        config: AssociationConfig,
        *,
        topology: Topology | None = None,
        class_group: IntArray | None = None,
        gallery_factory: Callable[[], Gallery] | None = None,
        identities: Identities | None = None,
        corrections: Corrections | None = None,
    ) -> None:
        self._config = config
        self._topology = topology or Topology()
        self._class_group = class_group
        self._ids = identities or RunIds()
        self._corrections = corrections or Corrections()
        self._partners: dict[TrackletKey, set[TrackletKey]] = defaultdict(set)
        for first, second in self._corrections.together:
            self._partners[first].add(second)
            self._partners[second].add(first)
        self._memory = Memory(gallery_factory() if gallery_factory else None, 4 * config.neighbours)
        self._means = CameraMeans()
        self._threshold = RunningThreshold(config.max_cosine_distance, config.max_prototypes)
        self._speeds = SpeedLimits(config.max_speed_mps)
        self._owner: dict[int, int] = {}
        self._identity: dict[int, OpenIdentity] = {}
        self._due: list[tuple[float, int]] = []
        self._layout: Layout | None = None
        self._laid_out_for = (0, 0)
        self._finished = 0
        self._now_s = -np.inf
        longest = max([config.max_gap_s, *(link.max_s for link in self._topology.links)])
        self._lifetime_s = longest + config.clock_slack_s
        self._recall()

    def _recall(self) -> None:
        for gid, sketch in self._ids.recall():
            identity = self._identity[gid] if gid in self._identity else self._open(gid)
            row = self._memory.add(sketch)
            identity.rows.append(row)
            self._owner[row] = gid

    def _open(self, gid: int) -> OpenIdentity:
        self._identity[gid] = identity = OpenIdentity(gid)
        heapq.heappush(self._due, (-np.inf, gid))
        return identity

    def __len__(self) -> int:
        """Identities that may still grow."""
        return len(self._identity)

    @property
    def remembered(self) -> int:
        """Tracklets whose appearance is kept for comparing."""
        return len(self._memory)

    def set_site(self, camera_id: str, site: str) -> None:
        """A camera comes while the others run, or hangs elsewhere now."""
        self._topology = replace(self._topology, sites={**self._topology.sites, camera_id: site})
        self._layout = None

    def forget(self, global_id: int) -> tuple[Event, ...]:
        """End an identity at once and keep nothing of how it looked; nothing happens where it is not open."""
        return self._end([global_id]) if global_id in self._identity else ()

    def trajectories(self) -> tuple[Trajectory, ...]:
        """The identities that may still grow, by id; ended ones were handed out with their ``end`` event."""
        return tuple(one.trajectory() for _, one in sorted(self._identity.items()) if one.starts)

    def update(self, tracklet: Tracklet) -> tuple[Event, ...]:
        """Take a snapshot of a tracklet and say what it changed. Snapshots come in order of ``as_of_s``."""
        self._now_s = max(self._now_s, tracklet.as_of_s)
        sketch = sketch_of(tracklet, self._config.max_prototypes, self._class_group)
        row = self._memory.keep(sketch, tracklet.is_final)
        ready = sketch.appearance.crops >= self._config.min_crops or len(sketch.time_s) > 0
        if row in self._owner:
            events = self._reconsider(row) if tracklet.is_final else ()
        else:
            events = self._decide(row, tracklet.is_final) if ready or tracklet.is_final else ()
        if tracklet.is_final:
            self._ids.remember(self._owner[row], sketch)
            self._finished += 1
            self._means.observe(sketch)
            self._threshold.observe(tracklet, sketch)
            self._speeds.observe(sketch)
        return events

    def advance(self, watermark_s: float) -> tuple[Event, ...]:
        """No tracklet that began before ``watermark_s`` is to come: end what nobody can return to."""
        self._now_s = max(self._now_s, watermark_s)
        self._memory.fade(watermark_s)
        return self._end(self._overdue(watermark_s))

    def _overdue(self, watermark_s: float) -> list[int]:
        """Identities nobody can return to. Each waits in a heap under a time before which it cannot be one of them."""
        gone = []
        while self._due and self._due[0][0] < watermark_s:
            gid = heapq.heappop(self._due)[1]
            if gid in self._identity:
                due_s = self._last_seen(self._identity[gid]) + self._lifetime_s
                if due_s < watermark_s:
                    gone.append(gid)
                else:  # whoever is still in view stays for its lifetime from now at least
                    heapq.heappush(self._due, (min(due_s, watermark_s + self._lifetime_s), gid))
        return gone

    def finish(self) -> tuple[Event, ...]:
        """Nothing more comes in this run: hand out every identity. The store keeps them open for the next run."""
        events = tuple(
            Event("end", self._now_s, gid, one.trajectory(), tuple(one.starts))
            for gid, one in sorted(self._identity.items())
            if one.starts
        )
        self._identity.clear()
        self._due.clear()
        self._forget(list(self._owner))
        return events

    # -- deciding ---------------------------------------------------------------------------------------

    def _decide(self, row: int, is_final: bool) -> tuple[Event, ...]:
        """First decision: the clearly best identity, or a new one."""
        rivals = self._rivals(row)
        if rivals and is_clear(rivals, 0.0 if is_final else self._config.min_margin * self._threshold.value):
            self._join(row, rivals[0])
            return (self._event("update", rivals[0].global_id, [row]), *self._unite(rivals, row))
        gid = self._ids.allocate()
        self._open(gid)
        self._enter(row, gid)
        return (self._event("new", gid, [row]),)

    def _reconsider(self, row: int) -> tuple[Event, ...]:
        """The tracklet has ended: is another identity clearly better than the one it was given?"""
        now = self._owner[row]
        rivals = self._rivals(row)
        held = next((rival for rival in rivals if rival.global_id == now), None)
        best = next((rival for rival in rivals if rival.global_id != now), None)
        alone = len(self._identity[now].rows) == 1
        margin = 0.0 if alone else self._config.min_margin
        if best is None or best.weight - (held.weight if held else 0.0) < margin:
            return (self._event("update", now, [row]), *self._unite(rivals, row))
        self._leave(row)
        self._join(row, best)
        if now not in self._identity:
            self._ids.supersede(now, best.global_id)
        reason = f"{self._memory[row].key} fits {best.global_id} better: {describe(best.link)}"
        return (self._revision(best.global_id, [row], now, reason),)

    def _unite(self, rivals: Sequence[Rival], row: int) -> tuple[Event, ...]:
        """A tracklet that fits two identities may show that they are one: the older id stays."""
        own = self._owner[row]
        for other in rivals:
            if other.global_id == own:
                continue
            first, second = sorted((own, other.global_id))
            if self._alike(first, second):
                moved = list(self._identity[second].rows)
                self._absorb(first, second, other.link)
                reason = f"{self._memory[row].key} belongs to both: {describe(other.link)}"
                return (self._revision(first, moved, second, reason),)
        return ()

    def _alike(self, first: int, second: int) -> bool:
        """The members of two identities speak for one, and none forbids it."""
        mine, theirs = self._identity[first].rows, self._identity[second].rows
        table = self._memory.table([*mine, *theirs])
        one = np.repeat(np.arange(len(mine)), len(theirs))
        other = np.tile(np.arange(len(mine), len(table)), len(mine))
        weight, forbidden, _ = self._witness(table).judge(one, other)
        known = weight[~np.isnan(weight)]
        return not forbidden.any() and len(known) > 0 and bool(known.mean() > 0)

    def _rivals(self, row: int) -> list[Rival]:
        """Identities the tracklet could belong to, best first, its own among them."""
        owners, distance = self._nearby(row)
        owners |= {self._owner[row]} if row in self._owner else set()
        members = [
            (gid, other) for gid in sorted(owners) for other in self._identity[gid].rows if other != row
        ]
        if not members:
            return []
        table, evidence = self._against([other for _, other in members], row)
        owner, rivals = np.array([gid for gid, _ in members]), []
        for gid in sorted(owners):
            next_best = min((far for other, far in distance.items() if other != gid), default=None)
            rivals.append(rival_of(gid, np.flatnonzero(owner == gid), table, evidence, next_best))
        return sorted((r for r in rivals if r is not None), key=lambda r: (-r.weight, r.global_id))

    def _nearby(self, row: int) -> tuple[set[int], dict[int, float]]:
        """Identities of which a member that is near, or that a person named, may be linked to the tracklet; and how near
        each comes that the gates let through."""
        named = {self._memory.row_of(key) for key in self._partners.get(self._memory[row].key, ())}
        near = sorted(other for other in self._memory.near(row) | named if other in self._owner)
        if not near:
            return set(), {}
        _, evidence = self._against(near, row)
        owner, distance = [self._owner[other] for other in near], dict[int, float]()
        open_ = evidence.verdicts.linkable & ~evidence.forbidden & ~np.isnan(evidence.cosine)
        for at in np.flatnonzero(open_):
            distance[owner[at]] = min(distance.get(owner[at], np.inf), float(evidence.cosine[at]))
        return {owner[at] for at in np.flatnonzero(usable(evidence))}, distance

    def _against(self, others: Sequence[int], row: int) -> tuple[SketchTable, Evidence]:
        """What speaks for and against each of the others being the tracklet, and the table they are rows of."""
        table = self._memory.table([*others, row])
        last = np.full(len(others), len(others))
        return table, self._witness(table).testify(np.arange(len(others)), last)

    def _witness(self, table: SketchTable) -> Witness:
        return Witness(
            table,
            self._layout_now(),
            self._config.limits(self._speeds),
            self._threshold.value,
            self._corrections,
        )

    def _layout_now(self) -> Layout:
        """Of the cameras met so far; what they add to distances is measured anew every few tracklets."""
        wanted = (len(self._memory.cameras), self._finished // _MEASURED_EVERY)
        if self._layout is None or self._laid_out_for != wanted:
            means = self._means if self._config.camera_bias else None
            cameras = self._memory.cameras
            self._layout = Layout.of(cameras, self._topology, self._config.max_gap_s, means)
            self._laid_out_for = wanted
        return self._layout

    # -- keeping ----------------------------------------------------------------------------------------

    def _join(self, row: int, rival: Rival) -> None:
        self._enter(row, rival.global_id)
        self._identity[rival.global_id].links[self._memory[row].key] = rival.link

    def _enter(self, row: int, gid: int) -> None:
        identity, sketch = self._identity[gid], self._memory[row]
        identity.classes[sketch.class_id] += 1
        identity.starts[sketch.key] = sketch.start_s
        identity.rows.append(row)
        self._owner[row] = gid
        self._trim(identity)

    def _leave(self, row: int) -> None:
        sketch, identity = self._memory[row], self._identity[self._owner.pop(row)]
        identity.classes -= Counter([sketch.class_id])
        identity.rows.remove(row)
        del identity.starts[sketch.key]
        touched = {key for key, link in identity.links.items() if sketch.key in (key, link.first)}
        for key in touched:
            del identity.links[key]
        if not identity.rows and not identity.starts:
            del self._identity[identity.global_id]

    def _absorb(self, gid: int, gone: int, link: Link) -> None:
        into, identity = self._identity[gid], self._identity.pop(gone)
        into.classes += identity.classes
        into.starts |= identity.starts
        into.links = {link.second: link} | into.links | identity.links
        into.rows += identity.rows
        self._owner.update(dict.fromkeys(identity.rows, gid))
        self._ids.supersede(gone, gid)
        self._trim(into)

    def _trim(self, identity: OpenIdentity) -> None:
        """Keep the latest members; the record of keys and links stays whole."""
        spare = len(identity.rows) - self._config.max_members
        if spare > 0:
            ended = [row for row in identity.rows if not self._memory.is_unfinished(row)]
            gone = sorted(ended, key=lambda row: self._memory[row].end_s)[:spare]
            for row in gone:
                identity.rows.remove(row)
            self._forget(gone)

    def _forget(self, rows: Sequence[int]) -> None:
        for row in rows:
            self._owner.pop(row, None)
        self._memory.forget(rows)

    def _last_seen(self, identity: OpenIdentity) -> float:
        if any(self._memory.is_unfinished(row) for row in identity.rows):
            return np.inf
        return max(self._memory[row].end_s for row in identity.rows)

    def _end(self, gone: Sequence[int]) -> tuple[Event, ...]:
        events, rows = [], []
        for gid in sorted(gone):
            identity = self._identity.pop(gid)
            if identity.starts:
                trajectory = identity.trajectory()
                events.append(Event("end", self._now_s, gid, trajectory, trajectory.tracklets))
            rows += identity.rows
            self._ids.forget(gid)
        self._forget(rows)
        return tuple(events)

    # -- telling ----------------------------------------------------------------------------------------

    def _event(self, kind: EventKind, gid: int, rows: Sequence[int]) -> Event:
        keys = tuple(self._memory[row].key for row in rows)
        return Event(kind, self._now_s, gid, self._identity[gid].trajectory(), keys)

    def _revision(self, gid: int, rows: Sequence[int], old: int, reason: str) -> Event:
        keys = tuple(self._memory[row].key for row in rows if row in self._owner)
        gone = old not in self._identity
        said = f"{old} superseded by {gid}, because {reason}" if gone else reason
        return Event("revision", self._now_s, gid, self._identity[gid].trajectory(), keys, old, gone, said)
