"""What a finished run left in its folder, as tracklets again: observations, ground positions and embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.errors import ConfigError
from pipeline.export.header import RunHeader
from pipeline.export.reader import read_run
from pipeline.export.recovery import DOCUMENT
from pipeline.stages.embedding_files import TrackletCrop, model_folder, read_tracklet_crops
from tracking.types import IntArray, Tracklet, TrackletKey, class_groups_table

_ROUNDING_S = 1e-3


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run's header and its tracklets, by key; embeddings are there where the run saved them."""

    header: RunHeader
    tracklets: tuple[Tracklet, ...]

    def class_group(self) -> IntArray:
        """Classes that may share an identity; see ``class_groups_table``."""
        groups = dict(self.header.settings).get("detector", {}).get("class_groups", [])
        names = list(self.header.classes)
        return class_groups_table(len(names), [[names.index(name) for name in group] for group in groups])

    def of_camera(self, camera_id: str) -> tuple[Tracklet, ...]:
        return tuple(one for one in self.tracklets if one.camera_id == camera_id)


def read_stored_run(folder: Path) -> StoredRun:
    """Read ``trajectories.json`` and, where it is there, ``embeddings/``.

    Raises:
        ConfigError: the folder holds no results.
        ExportError, SourceError: a file is broken.
    """
    path = folder / DOCUMENT
    if not path.is_file():
        raise ConfigError(f"{folder}: holds no {DOCUMENT}; is it the output folder of a run?")
    record = read_run(path)
    crops = _crops(folder, record.camera_ids())
    pieces: dict[TrackletKey, list[Tracklet]] = {}
    for stored in record.trajectories:
        for tracklet in stored.tracklets:
            pieces.setdefault(tracklet.key.whole, []).append(tracklet)
    tracklets = [one for key, its in pieces.items() for one in _share_out(its, crops.get(key, []))]
    return StoredRun(record.header, tuple(sorted(tracklets, key=lambda one: one.key)))


def _crops(folder: Path, camera_ids: tuple[str, ...]) -> dict[TrackletKey, list[TrackletCrop]]:
    if not (folder / "embeddings").is_dir():
        return {}
    found: dict[TrackletKey, list[TrackletCrop]] = {}
    for key, crop in _all_crops(model_folder(folder / "embeddings"), camera_ids):
        found.setdefault(key, []).append(crop)
    return found


def _all_crops(folder: Path, camera_ids: tuple[str, ...]) -> Iterator[tuple[TrackletKey, TrackletCrop]]:
    for camera_id in camera_ids:
        path = folder / f"{camera_id}.jsonl"
        if path.is_file():
            for crop in read_tracklet_crops(path):
                yield TrackletKey(camera_id, crop.local_id), crop


def _share_out(pieces: list[Tracklet], crops: list[TrackletCrop]) -> Iterator[Tracklet]:
    """The pieces of a tracklet, each with the crops from its start up to the next one's."""
    pieces = sorted(pieces, key=lambda piece: piece.start_s)
    ends_s = [piece.start_s - _ROUNDING_S for piece in pieces[1:]] + [pieces[-1].end_s + _ROUNDING_S]
    for piece, end_s in zip(pieces, ends_s, strict=True):
        first_s = piece.start_s - _ROUNDING_S
        yield _with_crops(piece, [crop for crop in crops if first_s <= crop.time_s <= end_s])


def _with_crops(tracklet: Tracklet, crops: list[TrackletCrop]) -> Tracklet:
    crops = sorted(crops, key=lambda crop: crop.time_s)
    embeddings = np.stack([crop.embedding for crop in crops]) if crops else np.zeros((0, 0), np.float32)
    return replace(
        tracklet,
        embeddings=embeddings,
        embedding_quality=np.array([crop.quality for crop in crops], np.float32),
        embedding_timestamp_s=np.array([crop.time_s for crop in crops], np.float64),
    )
