"""Tracklets to identities: all at once when everything has ended, or as tracklets end; from one configuration."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.export.header import CameraInfo
from pipeline.merge import EventTimeMerge
from pipeline.multiview import eyes_of, people_seen
from pipeline.packets import Watermark
from pipeline.stages.detect import class_groups_of
from pipeline.topologies import LEARNED, LearnedTopology, load_topology, read_mapping, sites_of
from tracking.association import associate
from tracking.corrections import Corrections
from tracking.gallery import Gallery
from tracking.identity_store import IdentityStore
from tracking.online import Event, OnlineAssociator
from tracking.reordering import Rerank
from tracking.types import Tracklet, TrackletKey, Trajectory

log = logging.getLogger(__name__)

ASK_S = 1.0
MAX_STEPS = 512
"""Observations kept per tracklet for association; all of them are in the JSON Lines already."""


class Linker(Protocol):
    """Takes tracklets and watermarks as they come; what it decides early comes back as events."""

    @property
    def identities(self) -> int:
        """Identities that may still grow."""
        ...

    @property
    def remembered(self) -> int:
        """Tracklets whose appearance is kept for comparing."""
        ...

    def join(self, camera_id: str, site: str) -> None:
        """A camera comes, or comes back, while the others run."""
        ...

    def take(self, tracklet: Tracklet) -> None: ...

    def advance(self, watermark: Watermark) -> Sequence[Event]: ...

    def finish(self) -> tuple[Sequence[Event], Sequence[Trajectory]]:
        """The last events, and the trajectories that no ``end`` event has told; so every tracklet is in exactly one."""
        ...


class OfflineLinker:
    """Keeps final tracklets, thinned, and associates them at the end."""

    def __init__(self, link: Callable[[Sequence[Tracklet]], Sequence[Trajectory]]) -> None:
        self._link = link
        self._tracklets: dict[TrackletKey, Tracklet] = {}

    @property
    def identities(self) -> int:
        return 0

    @property
    def remembered(self) -> int:
        return len(self._tracklets)

    def join(self, camera_id: str, site: str) -> None:
        pass

    def take(self, tracklet: Tracklet) -> None:
        self._tracklets[tracklet.key] = thinned(tracklet, MAX_STEPS)

    def advance(self, watermark: Watermark) -> Sequence[Event]:
        return ()

    def finish(self) -> tuple[Sequence[Event], Sequence[Trajectory]]:
        ordered = [self._tracklets[key] for key in sorted(self._tracklets)]
        return (), self._link(ordered)


class OnlineLinker:
    """Gives tracklets to the associator in event time; identities leave with their ``end`` event and are not kept.

    Args:
        store: closed at the end.
        learned: told of every identity that ends, and written at the end.
    """

    def __init__(
        self,
        associator: OnlineAssociator,
        camera_ids: Sequence[str],
        store: IdentityStore | None = None,
        learned: LearnedTopology | None = None,
    ) -> None:
        self._associator = associator
        self._store = store
        self._learned = learned
        self._merge = EventTimeMerge(camera_ids)
        self._asked_s = float("-inf")
        self._last_erasure = store.erased()[1] if store is not None else 0

    @property
    def identities(self) -> int:
        return len(self._associator)

    @property
    def remembered(self) -> int:
        return self._associator.remembered

    def join(self, camera_id: str, site: str) -> None:
        self._merge.join(camera_id)
        self._associator.set_site(camera_id, site)

    def take(self, tracklet: Tracklet) -> None:
        self._merge.push(tracklet)

    def advance(self, watermark: Watermark) -> Sequence[Event]:
        events = [event for one in self._merge.advance(watermark) for event in self._associator.update(one)]
        if np.isfinite(self._merge.watermark_s):
            events += self._associator.advance(self._merge.watermark_s)
        return self._noted([*events, *self._erased()])

    def _noted(self, events: Sequence[Event]) -> Sequence[Event]:
        if self._learned is not None:
            for event in events:
                if event.kind == "end":
                    self._learned.note(event.trajectory)
        return events

    def _erased(self) -> Sequence[Event]:
        """End identities that `forget` erased from the store meanwhile; asked for once a second."""
        if self._store is None or time.monotonic() - self._asked_s < ASK_S:
            return ()
        self._asked_s = time.monotonic()
        erased, self._last_erasure = self._store.erased(self._last_erasure)
        return [event for global_id in erased for event in self._associator.forget(global_id)]

    def finish(self) -> tuple[Sequence[Event], Sequence[Trajectory]]:
        events = self._noted(self._associator.finish())
        if self._learned is not None:
            self._learned.conclude()
        if self._store is not None:
            self._store.close()
        return events, ()


def open_linker(
    config: Config, embedding_dim: int, output: Path, cameras: Sequence[CameraInfo] = ()
) -> Linker:
    """The linker that the configuration means.

    Args:
        embedding_dim: length of an embedding; 0 without embeddings.
        output: where a learned topology is kept.
        cameras: with the sizes of their pictures; people are followed over calibrated views that overlap.

    Raises:
        ConfigError: topology, corrections or calibrations cannot be read.
    """
    rules, topology = config.association.rules, load_topology(config)
    learned = None
    if config.association.topology == "learn":
        learned = LearnedTopology(output / LEARNED, sites_of(config), rules)
        topology = learned.known
    corrections, groups = load_corrections(config), class_groups_of(config.detector)
    eyes = eyes_of(config, cameras) if config.association.multiview else {}

    def gallery() -> Gallery:
        from reid.gallery import Gallery as FaissGallery

        return FaissGallery(embedding_dim)

    def link(tracklets: Sequence[Tracklet]) -> Sequence[Trajectory]:
        index = gallery() if embedding_dim else None
        settled = rules.settled(tracklets, groups)
        if embedding_dim and rules.max_cosine_distance is None:
            log.info("association: max_cosine_distance %.3g from this footage", settled.max_cosine_distance)
        links = topology if learned is None else learned.learn(tracklets, settled, groups)
        return associate(
            tracklets,
            settled,
            topology=links,
            class_group=groups,
            gallery=index,
            corrections=corrections,
            rerank=_rerank(config),
            sightings=people_seen(tracklets, eyes, config.detector.classes),
        )

    if config.association.mode == "offline":
        if config.association.state is not None:
            raise ConfigError("association.state: only mode online keeps ids across restarts")
        return OfflineLinker(link)
    if config.association.rerank:
        raise ConfigError("association.rerank: only mode offline knows all neighbours")
    store = open_store(config)
    associator = OnlineAssociator(
        rules,
        topology=topology,
        class_group=groups,
        gallery_factory=gallery if embedding_dim else None,
        identities=store,
        corrections=corrections,
    )
    return OnlineLinker(associator, [camera.id for camera in config.cameras], store, learned)


def _rerank(config: Config) -> Rerank | None:
    if not config.association.rerank:
        return None
    from reid.reranking import reciprocal_distances

    return reciprocal_distances


def open_store(config: Config) -> IdentityStore | None:
    """The file that keeps global ids across restarts, or None.

    Raises:
        ConfigError: it is not such a file, or cannot be made.
    """
    path = config.association.state
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return IdentityStore(path)
    except (ValueError, OSError) as error:
        raise ConfigError(f"association.state: {error}") from error


def thinned(tracklet: Tracklet, max_steps: int) -> Tracklet:
    """At most ``max_steps`` observations, evenly spread, the first and the last among them."""
    steps = len(tracklet.timestamp_s)
    if steps <= max_steps:
        return tracklet
    kept = np.unique(np.linspace(0, steps - 1, max_steps).round().astype(np.int64))
    return Tracklet(
        key=tracklet.key,
        class_id=tracklet.class_id,
        frame_index=tracklet.frame_index[kept],
        timestamp_s=tracklet.timestamp_s[kept],
        xyxy=tracklet.xyxy[kept],
        confidence=tracklet.confidence[kept],
        interpolated=tracklet.interpolated[kept],
        ground_xy=None if tracklet.ground_xy is None else tracklet.ground_xy[kept],
        embeddings=tracklet.embeddings,
        embedding_quality=tracklet.embedding_quality,
        embedding_timestamp_s=tracklet.embedding_timestamp_s,
        as_of_s=tracklet.as_of_s,
        is_final=tracklet.is_final,
    )


def load_corrections(config: Config) -> Corrections | None:
    """What a person decided, or None.

    Raises:
        ConfigError: the file cannot be read.
    """
    chosen = config.association.corrections
    if chosen is None:
        return None
    try:
        return Corrections.from_dict(read_mapping(chosen, "association.corrections"))
    except ValueError as error:
        raise ConfigError(f"association.corrections: {chosen}: {error}") from error
