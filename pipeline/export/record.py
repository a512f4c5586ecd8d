"""A whole run in memory or on disk: the one form that every converter writes from and reads into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.export.document import write_document
from pipeline.export.header import CameraInfo, RunHeader
from pipeline.export.lines import Record, RunEnd, tracklet_line
from pipeline.packets import CameraEnd
from tracking.types import Tracklet, TrackletKey, Trajectory


@dataclass(frozen=True, slots=True)
class StoredTrajectory:
    """An identity with its tracklets, by start time. They carry no embeddings: ``(K, 0)`` for K crops."""

    trajectory: Trajectory
    tracklets: tuple[Tracklet, ...]

    @property
    def global_id(self) -> int:
        return self.trajectory.global_id

    @property
    def class_id(self) -> int:
        return self.trajectory.class_id


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run's result.

    Attributes:
        header: classes, cameras, models, versions.
        ends: how each camera ended; a camera that is missing did not.
        end: how the run ended.
        trajectories: by global id; may be iterated again; of a file, one is in memory at a time.
    """

    header: RunHeader
    trajectories: Iterable[StoredTrajectory]
    ends: Mapping[str, CameraEnd] = field(default_factory=dict)
    end: RunEnd = field(default_factory=lambda: RunEnd(True))

    def camera_ids(self) -> tuple[str, ...]:
        return tuple(camera.id for camera in self.header.cameras)


def write_run(record: RunRecord, path: Path) -> None:
    """Write a run as ``trajectories.json``.

    Raises:
        ExportError: the file cannot be written.
    """
    stored = {one.global_id: one for one in record.trajectories}
    tracklets = {tracklet.key: tracklet for one in stored.values() for tracklet in one.tracklets}

    def load(key: TrackletKey) -> Record:
        return tracklet_line(tracklets[key])

    trajectories = [one.trajectory for one in stored.values()]
    write_document(path, record.header, dict(record.ends), trajectories, load, record.end)


@dataclass(frozen=True, slots=True, eq=False)
class ObservationTable:
    """Observations of many identities as parallel columns, the form of the row-wise formats.

    Attributes:
        camera: ``(N,)`` names.
        global_id, local_id, class_id, frame: ``(N,)`` int64; frames from 0.
        time_s: ``(N,)`` float64 epoch seconds.
        xyxy: ``(N, 4)`` float64 px.
        confidence: ``(N,)`` float64.
        interpolated: ``(N,)`` bool.
        ground: ``(N, 2)`` float64 metres, NaN where not known.
    """

    camera: npt.NDArray[np.str_]
    global_id: npt.NDArray[np.int64]
    local_id: npt.NDArray[np.int64]
    class_id: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    time_s: npt.NDArray[np.float64]
    xyxy: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    interpolated: npt.NDArray[np.bool_]
    ground: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.camera)

    def __getitem__(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> ObservationTable:
        return ObservationTable(**{name: getattr(self, name)[index] for name in self.__dataclass_fields__})


def observations(record: RunRecord) -> ObservationTable:
    """Every observation of a run, by camera, frame and global id."""
    parts = [_columns(one.global_id, tracklet) for one in record.trajectories for tracklet in one.tracklets]
    table = _stack(parts)
    return table[np.lexsort((table.local_id, table.global_id, table.frame, table.camera))]


def _columns(global_id: int, tracklet: Tracklet) -> ObservationTable:
    steps = len(tracklet.frame_index)
    unknown = np.full((steps, 2), np.nan)
    return ObservationTable(
        camera=np.full(steps, tracklet.camera_id),
        global_id=np.full(steps, global_id),
        local_id=np.full(steps, tracklet.key.local_id),
        class_id=np.full(steps, tracklet.class_id),
        frame=tracklet.frame_index,
        time_s=tracklet.timestamp_s,
        xyxy=_exact(tracklet.xyxy, 2),
        confidence=_exact(tracklet.confidence, 4),
        interpolated=tracklet.interpolated,
        ground=unknown if tracklet.ground_xy is None else _exact(tracklet.ground_xy, 3),
    )


def _exact(values: npt.ArrayLike, digits: int) -> npt.NDArray[np.float64]:
    """Undo what float32 adds to a written decimal."""
    return np.asarray(np.round(np.asarray(values, np.float64), digits))


def _stack(parts: list[ObservationTable]) -> ObservationTable:
    if not parts:
        return table_of([])
    names = ObservationTable.__dataclass_fields__
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return ObservationTable(**columns)


@dataclass(frozen=True, slots=True)
class Row:
    """One observation as a row-wise format gives it; ``ground`` is NaN where it is not known."""

    camera: str
    global_id: int
    frame: int
    time_s: float
    xyxy: tuple[float, float, float, float]
    confidence: float = 1.0
    local_id: int | None = None
    class_id: int = 0
    interpolated: bool = False
    ground: tuple[float, float] = (np.nan, np.nan)


def table_of(rows: Sequence[Row]) -> ObservationTable:
    """Rows as columns; a row without a local id takes its global id for it."""
    return ObservationTable(
        camera=np.array([row.camera for row in rows], np.str_),
        global_id=np.array([row.global_id for row in rows], np.int64),
        local_id=np.array(
            [row.global_id if row.local_id is None else row.local_id for row in rows], np.int64
        ),
        class_id=np.array([row.class_id for row in rows], np.int64),
        frame=np.array([row.frame for row in rows], np.int64),
        time_s=np.array([row.time_s for row in rows], np.float64),
        xyxy=np.array([row.xyxy for row in rows], np.float64).reshape(-1, 4),
        confidence=np.array([row.confidence for row in rows], np.float64),
        interpolated=np.array([row.interpolated for row in rows], np.bool_),
        ground=np.array([row.ground for row in rows], np.float64).reshape(-1, 2),
    )


def record_of(table: ObservationTable, classes: tuple[str, ...], cameras: Iterable[CameraInfo]) -> RunRecord:
    """A run out of rows: one tracklet per camera, global id and local id; links are not known.

    Raises:
        ValueError: one tracklet has two boxes at one time.
    """
    cameras = tuple(cameras)
    by_identity: dict[int, list[Tracklet]] = {}
    for rows in _groups(table):
        by_identity.setdefault(int(rows.global_id[0]), []).append(_tracklet(rows))
    header = RunHeader(classes, cameras)
    ends = {camera.id: _end(table, camera) for camera in cameras}
    return RunRecord(header, tuple(_identity(gid, by_identity[gid]) for gid in sorted(by_identity)), ends)


def _end(table: ObservationTable, camera: CameraInfo) -> CameraEnd:
    frames = table.frame[table.camera == camera.id]
    seen = int(frames.max()) + 1 if len(frames) else 0
    return CameraEnd(camera.id, camera.frames_declared or seen, camera.frames_declared, 0, False)


def _groups(table: ObservationTable) -> list[ObservationTable]:
    order = np.lexsort((table.time_s, table.local_id, table.global_id, table.camera))
    rows = table[order]
    if not len(rows):
        return []
    new = (
        (rows.camera[1:] != rows.camera[:-1])
        | (rows.global_id[1:] != rows.global_id[:-1])
        | (rows.local_id[1:] != rows.local_id[:-1])
    )
    return [rows[part] for part in np.split(np.arange(len(rows)), np.flatnonzero(new) + 1)]


def _tracklet(rows: ObservationTable) -> Tracklet:
    classes, counts = np.unique(rows.class_id, return_counts=True)
    return Tracklet(
        key=TrackletKey(str(rows.camera[0]), int(rows.local_id[0])),
        class_id=int(classes[np.argmax(counts)]),
        frame_index=rows.frame,
        timestamp_s=rows.time_s,
        xyxy=rows.xyxy.astype(np.float32),
        confidence=rows.confidence.astype(np.float32),
        interpolated=rows.interpolated,
        ground_xy=None if np.isnan(rows.ground).all() else rows.ground.astype(np.float32),
        embeddings=np.zeros((0, 0), np.float32),
        embedding_quality=np.zeros(0, np.float32),
        embedding_timestamp_s=np.zeros(0),
        as_of_s=float(rows.time_s[-1]),
        is_final=True,
    )


def _identity(global_id: int, tracklets: list[Tracklet]) -> StoredTrajectory:
    ordered = tuple(sorted(tracklets, key=lambda one: (one.start_s, one.key)))
    classes = [one.class_id for one in ordered]
    majority = max(sorted(set(classes)), key=classes.count)
    return StoredTrajectory(Trajectory(global_id, majority, tuple(one.key for one in ordered)), ordered)
