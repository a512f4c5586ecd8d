"""What association needs to know of a tracklet, and many of them side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tracking.appearance import Appearance, appearance_of
from tracking.types import FloatArray, IntArray, SecondsArray, Tracklet, TrackletKey

__all__ = ["Shelf", "Sketch", "SketchTable", "sketch_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """One tracklet, condensed.

    Attributes:
        key: camera and local id.
        class_id: as the detector named it.
        group: classes of one group may share an identity.
        start_s, end_s: first and last sight, site clock.
        appearance: prototypes and mean.
        foot_px: ``(2, 2)`` float32, the box's foot point at the first and the last sight.
        height_px: ``(2,)`` float32, box height at the first and the last sight.
        time_s: ``(T,)`` float64 of the ground positions; T = 0 without a homography.
        ground_xy: ``(T, 2)`` float32 metres.
    """

    key: TrackletKey
    class_id: int
    group: int
    start_s: float
    end_s: float
    appearance: Appearance
    foot_px: FloatArray
    height_px: FloatArray
    time_s: SecondsArray
    ground_xy: FloatArray


def sketch_of(tracklet: Tracklet, max_prototypes: int, class_group: IntArray | None = None) -> Sketch:
    """Condense one tracklet; ``class_group`` maps class id to group (``class_groups_table``)."""
    if class_group is not None and not 0 <= tracklet.class_id < len(class_group):
        raise ValueError(f"Tracklet {tracklet.key}: class {tracklet.class_id} is not in class_group")
    ends = tracklet.xyxy[[0, -1]]
    foot = np.stack([(ends[:, 0] + ends[:, 2]) / 2, ends[:, 3]], axis=1)
    ground = tracklet.ground_xy if tracklet.ground_xy is not None else np.zeros((0, 2), np.float32)
    known = np.flatnonzero(np.isfinite(ground).all(axis=1))
    return Sketch(
        key=tracklet.key,
        class_id=tracklet.class_id,
        group=tracklet.class_id if class_group is None else int(class_group[tracklet.class_id]),
        start_s=tracklet.start_s,
        end_s=tracklet.end_s,
        appearance=appearance_of(tracklet.embeddings, tracklet.embedding_quality, max_prototypes),
        foot_px=foot.astype(np.float32),
        height_px=ends[:, 3] - ends[:, 1],
        time_s=tracklet.timestamp_s[known],
        ground_xy=ground[known],
    )


_COLUMNS = (
    "camera", "group", "start_s", "end_s", "prototypes", "weight", "mean", "foot_px", "height_px", "on_ground", "ground_ends"
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class SketchTable:
    """Sketches as parallel arrays, in the order given.

    Attributes:
        sketches: the rows.
        cameras: names; ``camera`` indexes them.
        camera, group: ``(N,)`` int64.
        start_s, end_s: ``(N,)`` float64.
        prototypes: ``(N, P, D)`` float32, zero padded; weight: ``(N, P)``; mean: ``(N, D)`` float32.
        foot_px: ``(N, 2, 2)`` first and last; height_px: ``(N, 2)``.
        on_ground: ``(N,)`` bool; ground_ends: ``(N, 2, 2)`` first and last position in metres, NaN if
            unknown.
    """

    sketches: tuple[Sketch, ...]
    cameras: tuple[str, ...]
    camera: IntArray
    group: IntArray
    start_s: SecondsArray
    end_s: SecondsArray
    prototypes: FloatArray
    weight: FloatArray
    mean: FloatArray
    foot_px: FloatArray
    height_px: FloatArray
    on_ground: npt.NDArray[np.bool_]
    ground_ends: FloatArray

    def __len__(self) -> int:
        return len(self.sketches)

    @classmethod
    def of(cls, sketches: Sequence[Sketch]) -> SketchTable:
        cameras = tuple(sorted({sketch.key.camera_id for sketch in sketches}))
        index = {camera: number for number, camera in enumerate(cameras)}
        prototypes, weight, mean = _stack_appearances([sketch.appearance for sketch in sketches])
        ends = np.full((len(sketches), 2, 2), np.nan, np.float32)
        for row, sketch in enumerate(sketches):
            if len(sketch.time_s):
                ends[row] = sketch.ground_xy[[0, -1]]
        return cls(
            sketches=tuple(sketches),
            cameras=cameras,
            camera=np.array([index[sketch.key.camera_id] for sketch in sketches], np.int64),
            group=np.array([sketch.group for sketch in sketches], np.int64),
            start_s=np.array([sketch.start_s for sketch in sketches], np.float64),
            end_s=np.array([sketch.end_s for sketch in sketches], np.float64),
            prototypes=prototypes,
            weight=weight,
            mean=mean,
            foot_px=np.array([sketch.foot_px for sketch in sketches], np.float32).reshape(-1, 2, 2),
            height_px=np.array([sketch.height_px for sketch in sketches], np.float32).reshape(-1, 2),
            on_ground=np.array([len(sketch.time_s) > 0 for sketch in sketches], bool),
            ground_ends=ends,
        )


class Shelf:
    """Sketches that come and go, kept as columns, so that a table of any of them is cut out and not built anew.

    Room grows with how many are kept at once; what one gives up the next takes.
    """

    def __init__(self) -> None:
        self._at: dict[int, int] = {}
        self._free: list[int] = []
        self._sketches: list[Sketch] = []
        self._cameras: dict[str, int] = {}
        self._columns: dict[str, npt.NDArray[Any]] = {}

    @property
    def cameras(self) -> tuple[str, ...]:
        """Of every sketch ever kept, in the order in which they came; tables index them so."""
        return tuple(self._cameras)

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, row: int) -> Sketch:
        return self._sketches[self._at[row]]

    def __iter__(self) -> Iterator[int]:
        return iter(self._at)

    def __contains__(self, row: int) -> bool:
        return row in self._at

    def put(self, row: int, sketch: Sketch) -> None:
        """Keep a sketch under a number, in place of what was there.

        Raises:
            ValueError: its embeddings are of another length than the others'.
        """
        one = SketchTable.of([sketch])
        if "mean" in self._columns:
            _one_length({len(sketch.appearance.mean), self._columns["mean"].shape[1]} - {0})
        columns = {name: getattr(one, name) for name in _COLUMNS}
        columns["camera"][0] = self._cameras.setdefault(sketch.key.camera_id, len(self._cameras))
        if row not in self._at:
            self._at[row] = self._free.pop() if self._free else len(self._sketches)
        at = self._at[row]
        self._sketches[at : at + 1] = [sketch]
        for name, values in columns.items():
            self._make_room(name, values)
            here = self._columns[name][at : at + 1]
            here[...] = 0
            here[tuple(map(slice, values.shape))] = values

    def _make_room(self, name: str, values: npt.NDArray[Any]) -> None:
        """Enough rows, and wide enough for ``values``: nothing embedded yet, or fewer prototypes, is narrower."""
        old = self._columns.get(name, values[:0])
        wider = tuple(np.maximum(old.shape[1:], values.shape[1:]))
        if len(old) < len(self._sketches) or wider != old.shape[1:]:
            rows = max(len(old), 2 * len(self._sketches))
            grown = np.zeros((rows, *wider), old.dtype)
            grown[tuple(map(slice, old.shape))] = old
            self._columns[name] = grown

    def drop(self, row: int) -> Sketch:
        at = self._at.pop(row)
        self._free.append(at)
        return self._sketches[at]

    def table(self, rows: Sequence[int]) -> SketchTable:
        """In the order given."""
        at = [self._at[row] for row in rows]
        columns = {name: column[at] for name, column in self._columns.items()}
        return SketchTable(tuple(self._sketches[one] for one in at), self.cameras, **columns)


def _stack_appearances(appearances: Sequence[Appearance]) -> tuple[FloatArray, FloatArray, FloatArray]:
    dimensions = _one_length({len(a.mean) for a in appearances if a.crops})
    most = max((len(a.weight) for a in appearances), default=0)
    prototypes = np.zeros((len(appearances), most, dimensions), np.float32)
    weight = np.zeros((len(appearances), most), np.float32)
    mean = np.zeros((len(appearances), dimensions), np.float32)
    for row, appearance in enumerate(appearances):
        count = len(appearance.weight)
        if count:
            prototypes[row, :count], weight[row, :count] = appearance.prototypes, appearance.weight
            mean[row] = appearance.mean
    return prototypes, weight, mean


def _one_length(lengths: set[int]) -> int:
    if len(lengths) > 1:
        raise ValueError(f"embeddings of one run must have one length, got {sorted(lengths)}")
    return next(iter(lengths), 0)
