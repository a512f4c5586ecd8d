"""The nouns that travel between stages: frozen dataclasses over parallel numpy arrays.

Arrays are validated once, at construction; the message states the expected and the actual shape.
Time is seconds on the site clock (UTC epoch), boxes are ``x0, y0, x1, y1`` pixels of the full-resolution
frame, ground positions are metres. Nothing here is a frame number of another camera, and no identifier
comes from a shared counter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
SecondsArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

__all__ = [
    "Detections",
    "FrameRef",
    "Link",
    "TrackedFrame",
    "Tracklet",
    "TrackletKey",
    "Trajectory",
    "class_groups_table",
]


def _as_array(owner: str, name: str, value: Any, dtype: Any, shape: tuple[int | None, ...]) -> Any:
    """Return ``value`` as a read-only array of ``dtype``; ``None`` in ``shape`` matches any length."""
    array = np.asarray(value, dtype=dtype)
    if array.shape != shape and not _fits(array.shape, shape):
        expected = tuple("N" if want is None else want for want in shape)
        raise ValueError(f"{owner}.{name}: expected shape {expected}, got {array.shape}")
    array = array.view()
    array.setflags(write=False)
    return array


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(
        want in (None, got) for want, got in zip(expected, shape, strict=True)
    )


PIECE = 1_000_000_000
"""The k-th piece that is split off a tracklet has k times this more than its local id; no tracker counts so far."""


class TrackletKey(NamedTuple):
    """A tracklet's name: unique across cameras without any shared counter."""

    camera_id: str
    local_id: int

    def __str__(self) -> str:
        return f"{self.camera_id}/{self.local_id}"

    @property
    def whole(self) -> TrackletKey:
        """The name under which the tracker followed it: another one where this is a piece that was split off."""
        return TrackletKey(self.camera_id, self.local_id % PIECE)


@dataclass(frozen=True, slots=True)
class FrameRef:
    """Which frame of which camera, and when.

    Attributes:
        camera_id: the camera's name in the config, never an index.
        frame_index: 0-based position in its source.
        timestamp_s: site clock, UTC epoch seconds.
    """

    camera_id: str
    frame_index: int
    timestamp_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What a detector saw in one frame. N = 0 is a normal value.

    Attributes:
        xyxy: ``(N, 4)`` float32, pixels of the full-resolution frame.
        confidence: ``(N,)`` float32 in [0, 1].
        class_id: ``(N,)`` int64, index into the run's class names.
    """

    xyxy: FloatArray
    confidence: FloatArray
    class_id: IntArray

    def __post_init__(self) -> None:
        boxes = np.asarray(self.xyxy, dtype=np.float32)
        boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
        count = len(boxes)
        object.__setattr__(self, "xyxy", _as_array("Detections", "xyxy", boxes, np.float32, (None, 4)))
        for name, dtype in (("confidence", np.float32), ("class_id", np.int64)):
            object.__setattr__(
                self, name, _as_array("Detections", name, getattr(self, name), dtype, (count,))
            )

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: Any) -> Detections:
        """Select rows by mask, slice or integer array."""
        return Detections(self.xyxy[index], self.confidence[index], self.class_id[index])

    @classmethod
    def empty(cls) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFrame:
    """One camera's tracks after one frame: the tracker's online output.

    Attributes:
        frame: the frame.
        local_id: ``(N,)`` int64 of the tracks seen in this frame.
        xyxy: ``(N, 4)`` float32 px.
        confidence: ``(N,)`` float32.
        class_id: ``(N,)`` int64.
        detection_index: ``(N,)`` int64, row of the frame's detections each track took.
        confirmed: ``(N,)`` bool; False while a track is still tentative, or less sure than is usual here (`told_share`).
        ended: local ids that ended with this frame (they never come back), confirmed or not.
    """

    frame: FrameRef
    local_id: IntArray
    xyxy: FloatArray
    confidence: FloatArray
    class_id: IntArray
    detection_index: IntArray
    confirmed: BoolArray
    ended: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        count = len(np.asarray(self.local_id))
        boxes = np.asarray(self.xyxy, dtype=np.float32).reshape(-1, 4)
        object.__setattr__(self, "xyxy", _as_array("TrackedFrame", "xyxy", boxes, np.float32, (count, 4)))
        for name, dtype in (
            ("local_id", np.int64),
            ("confidence", np.float32),
            ("class_id", np.int64),
            ("detection_index", np.int64),
            ("confirmed", np.bool_),
        ):
            object.__setattr__(
                self, name, _as_array("TrackedFrame", name, getattr(self, name), dtype, (count,))
            )

    def __len__(self) -> int:
        return len(self.local_id)


@dataclass(frozen=True, slots=True, eq=False)
class Tracklet:
    """One object in one camera: a snapshot; a later one with the same key replaces it.

    Attributes:
        key: camera and local id.
        class_id: index into the run's class names (majority over its detections).
        frame_index: ``(T,)`` int64, ascending, 0-based per source.
        timestamp_s: ``(T,)`` float64, ascending, site clock.
        xyxy: ``(T, 4)`` float32 px.
        confidence: ``(T,)`` float32.
        interpolated: ``(T,)`` bool; True where no detection was, the box lies between two that were.
        ground_xy: ``(T, 2)`` float32 metres (foot point on the ground plane), or None without a homography.
        embeddings: ``(K, D)`` float32 unit norm crops' embeddings; K = 0 when there are none (yet).
        embedding_quality: ``(K,)`` float32 in (0, 1].
        embedding_timestamp_s: ``(K,)`` float64: when each embedded crop was seen.
        as_of_s: the site time up to which this snapshot knows.
        is_final: the tracklet has ended.
    """

    key: TrackletKey
    class_id: int
    frame_index: IntArray
    timestamp_s: SecondsArray
    xyxy: FloatArray
    confidence: FloatArray
    interpolated: BoolArray
    ground_xy: FloatArray | None
    embeddings: FloatArray
    embedding_quality: FloatArray
    embedding_timestamp_s: SecondsArray
    as_of_s: float
    is_final: bool

    def __post_init__(self) -> None:
        times = np.asarray(self.timestamp_s, dtype=np.float64)
        steps, crops = len(times), len(np.asarray(self.embedding_quality))
        if steps == 0:
            raise ValueError(f"Tracklet {self.key}: needs at least one observation")
        if np.any(np.diff(times) <= 0):
            raise ValueError(f"Tracklet {self.key}: timestamp_s must be strictly ascending")
        shapes: dict[str, tuple[Any, tuple[int | None, ...]]] = {
            "frame_index": (np.int64, (steps,)),
            "timestamp_s": (np.float64, (steps,)),
            "xyxy": (np.float32, (steps, 4)),
            "confidence": (np.float32, (steps,)),
            "interpolated": (np.bool_, (steps,)),
            "embeddings": (np.float32, (crops, None)),
            "embedding_quality": (np.float32, (crops,)),
            "embedding_timestamp_s": (np.float64, (crops,)),
        }
        if self.ground_xy is not None:
            shapes["ground_xy"] = (np.float32, (steps, 2))
        for name, (dtype, shape) in shapes.items():
            object.__setattr__(self, name, _as_array("Tracklet", name, getattr(self, name), dtype, shape))

    @property
    def start_s(self) -> float:
        return float(self.timestamp_s[0])

    @property
    def end_s(self) -> float:
        return float(self.timestamp_s[-1])

    @property
    def camera_id(self) -> str:
        return self.key.camera_id


@dataclass(frozen=True, slots=True)
class Link:
    """Why two tracklets are one identity: every decision can be audited.

    Attributes:
        first, second: the two tracklets, ``first`` starting no later than ``second``.
        cosine_distance: appearance distance in [0, 2], or None when the link is by geometry alone.
        camera_bias: what the two cameras add to every distance between them; it is off ``cosine_distance`` already.
        max_cosine_distance: what ``cosine_distance`` was held against, or None; beyond it a link rests on place, on a
            person's word, or on the other members.
        view_agreement: following over views that overlap gave the boxes of both to one person always (1) to never (-1), or
            None where that is not known.
        runner_up_distance: the best distance ``second`` had to any other identity, or None.
        gap_s: from the end of ``first`` to the start of ``second``; negative when they overlap in time.
        ground_distance_m: median distance on the ground plane while both were seen, or None.
        gates: names of the gates that were checked and passed, e.g. ``("class", "time_order", "travel_time")``.
        travel_window_s: the travel-time window the gap was held against, or None.
        crops_used: how many embedded crops stood behind the distance, (first, second).
        reason: ``appearance``, ``ground``, ``both`` or ``human``.
    """

    first: TrackletKey
    second: TrackletKey
    cosine_distance: float | None
    runner_up_distance: float | None
    gap_s: float
    ground_distance_m: float | None = None
    gates: tuple[str, ...] = ()
    travel_window_s: tuple[float, float] | None = None
    crops_used: tuple[int, int] = (0, 0)
    reason: str = "appearance"
    camera_bias: float = 0.0
    max_cosine_distance: float | None = None
    view_agreement: float | None = None

    @property
    def margin(self) -> float | None:
        """Runner-up distance minus distance: how clear the decision was."""
        if self.cosine_distance is None or self.runner_up_distance is None:
            return None
        return self.runner_up_distance - self.cosine_distance


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One identity across cameras.

    Attributes:
        global_id: positive, stable, never reused.
        class_id: index into the run's class names.
        tracklets: keys by start time.
        links: the evidence; a trajectory of one tracklet has none.
    """

    global_id: int
    class_id: int
    tracklets: tuple[TrackletKey, ...]
    links: tuple[Link, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.global_id < 1:
            raise ValueError(f"Trajectory.global_id: expected a positive number, got {self.global_id}")
        if not self.tracklets:
            raise ValueError(f"Trajectory {self.global_id}: needs at least one tracklet")


def class_groups_table(num_classes: int, groups: Iterable[Sequence[int]]) -> IntArray:
    """Map each class to the group whose members may share an identity (car/truck flicker).

    Returns:
        ``(num_classes,)`` int64; classes in one group get the same number, all others their own.
    """
    table = np.arange(num_classes, dtype=np.int64)
    for group in groups:
        table[list(group)] = min(group)
    return table
