"""Tracked frames and embedded crops in, tracklets out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pipeline.packets import EmbeddedCrop
from tracking.boxes import greatest_overlap, iou_matrix
from tracking.splits import MEETING_OVERLAP, Splitter
from tracking.types import BoolArray, FloatArray, FrameRef, TrackedFrame, Tracklet, TrackletKey

MAX_EMBEDDINGS = 256
"""Per tracklet; beyond it the better of every two neighbours in time stays, so that memory is bounded."""

MAX_LIVE_OBSERVATIONS = 8192
"""Per tracklet of a live run, whose cars may stay parked for days: beyond it the older half gets sparser and sparser."""

MAX_BIRTHS = 8
"""Of other tracks, remembered of a track: those shortly before its end count."""

GroundOf = Callable[[FloatArray, int], FloatArray]
"""Boxes ``(N, 4)`` px of one class to floor positions ``(N, 2)`` metres, NaN where unknown."""


class CropRecorder(Protocol):
    """Takes down embedded crops with their boxes, for replaying them later."""

    def record(self, crop: EmbeddedCrop, xyxy: FloatArray) -> None: ...


class TrackletStage:
    """Collects every track's observations and embeddings, and gives its tracklet when it ends.

    What is given of a frame holds confirmed tracks only. When a track is confirmed, what was seen of it before is given
    as frames of their own, older ones first; tracks that end unconfirmed leave nothing. Frames in which a
    track was lost and then found again are filled by straight lines, marked ``interpolated``.

    Where final tracklets alone are given, one that changes its looks for good where another's box overlapped it, or
    while it was lost, is cut there (``tracking.splits``): its pieces are tracklets of their own.

    Args:
        ground: for each calibrated camera, how boxes stand on the floor.
        early_crops: give a first snapshot of a confirmed track once it has this many embeddings (0: at confirmation);
            None gives final tracklets only.

    Attributes:
        max_observations: kept of a track that goes on; None keeps all. The frames given already have every one.
    """

    def __init__(
        self, ground: Mapping[str, GroundOf], early_crops: int | None, recorder: CropRecorder | None = None
    ) -> None:
        self._ground = ground
        self._early_crops = early_crops
        self._recorder = recorder
        self._splitter = Splitter()
        self.max_observations: int | None = None
        self._open: dict[str, dict[int, _Track]] = {}

    def process(self, tracked: TrackedFrame, crops: Iterable[EmbeddedCrop]) -> list[TrackedFrame | Tracklet]:
        """Take one frame of one camera with what was embedded by it; frames first, then tracklets, by local id."""
        tracks = self._open.setdefault(tracked.frame.camera_id, {})
        released = self._observe(tracks, tracked)
        self._attach(tracks, crops)
        return [*released, *self._snapshots(tracks, tracked), *self._finals(tracks, tracked)]

    def _observe(self, tracks: dict[int, _Track], tracked: TrackedFrame) -> list[TrackedFrame]:
        fresh: list[_Track] = []
        seen, overlap = set(tracked.local_id.tolist()), greatest_overlap(tracked.xyxy)
        _note_births(tracks, tracked)
        for row, local_id in enumerate(tracked.local_id.tolist()):
            track = tracks.setdefault(local_id, _Track(TrackletKey(tracked.frame.camera_id, local_id)))
            if tracked.confirmed[row] and not track.confirmed:
                fresh.append(track)
                track.confirmed = True
            track.observe(tracked, row, float(overlap[row]))
            if self.max_observations is not None and len(track.frames) > self.max_observations:
                track.thin(self.max_observations // 2)
        for local_id in tracks.keys() - seen:
            tracks[local_id].missed.append(tracked.frame)
        now = [] if not len(tracked) and tracked.ended else [_confirmed_only(tracked)]
        return [*_earlier_frames(fresh), *now]

    def _attach(self, tracks: dict[int, _Track], crops: Iterable[EmbeddedCrop]) -> None:
        for crop in crops:
            track = tracks[crop.key.local_id]
            if self._recorder is not None:
                self._recorder.record(crop, track.box_at(crop.frame_index))
            track.attach(crop)

    def _snapshots(self, tracks: dict[int, _Track], tracked: TrackedFrame) -> list[Tracklet]:
        if self._early_crops is None:
            return []
        due = []
        for local_id in sorted(set(tracked.local_id.tolist()) - set(tracked.ended)):
            track = tracks[local_id]
            if track.confirmed and not track.announced and len(track.crops) >= self._early_crops:
                track.announced = True
                due.append(self._tracklet(track, tracked.frame, is_final=False))
        return due

    def _finals(self, tracks: dict[int, _Track], tracked: TrackedFrame) -> list[Tracklet]:
        ended = [tracks.pop(local_id) for local_id in sorted(tracked.ended) if local_id in tracks]
        return [piece for track in ended if track.confirmed for piece in self._pieces(track, tracked.frame)]

    def _pieces(self, track: _Track, now: FrameRef) -> list[Tracklet]:
        """The final tracklet, cut where it changed its object; what was told of early stays whole."""
        whole = self._tracklet(track, now, is_final=True)
        if self._early_crops is not None:
            return [whole]
        tracks = self._open[track.key.camera_id]
        births_s = [at for other, at in track.births if other in tracks and tracks[other].confirmed]
        return self._splitter.split(whole, np.asarray(track.doubts), births_s)

    def _tracklet(self, track: _Track, now: FrameRef, *, is_final: bool) -> Tracklet:
        xyxy = np.asarray(track.boxes, dtype=np.float32)
        ground = self._ground.get(track.key.camera_id)
        crops = sorted(track.crops, key=lambda crop: crop.timestamp_s)
        class_id = track.majority_class()
        return Tracklet(
            key=track.key,
            class_id=class_id,
            frame_index=np.asarray(track.frames),
            timestamp_s=np.asarray(track.times_s),
            xyxy=xyxy,
            confidence=np.asarray(track.confidences),
            interpolated=np.asarray(track.interpolated),
            ground_xy=None if ground is None else ground(xyxy, class_id),
            embeddings=np.stack([c.embedding for c in crops]) if crops else np.zeros((0, 0), np.float32),
            embedding_quality=np.asarray([crop.quality for crop in crops]),
            embedding_timestamp_s=np.asarray([crop.timestamp_s for crop in crops]),
            as_of_s=now.timestamp_s,
            is_final=is_final,
        )


@dataclass(slots=True)
class _Track:
    """What is known of a track that has not ended."""

    key: TrackletKey
    confirmed: bool = False
    announced: bool = False
    frames: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    boxes: list[FloatArray] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    interpolated: list[bool] = field(default_factory=list)
    doubts: list[float] = field(default_factory=list)
    missed: list[FrameRef] = field(default_factory=list)
    births: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=MAX_BIRTHS))
    votes: dict[int, int] = field(default_factory=dict)
    crops: list[EmbeddedCrop] = field(default_factory=list)

    def observe(self, tracked: TrackedFrame, row: int, overlap: float) -> None:
        box, confidence = tracked.xyxy[row], float(tracked.confidence[row])
        self._fill_gap(tracked.frame, box, confidence)
        self._append(tracked.frame, box, confidence, doubt=overlap)
        class_id = int(tracked.class_id[row])
        self.votes[class_id] = self.votes.get(class_id, 0) + 1

    def _fill_gap(self, ref: FrameRef, box: FloatArray, confidence: float) -> None:
        """Boxes on the straight line between the last sight and this one, for the frames between."""
        if not self.missed:
            return
        start_s, before, least = self.times_s[-1], self.boxes[-1], min(self.confidences[-1], confidence)
        for missed in self.missed:
            share = (missed.timestamp_s - start_s) / (ref.timestamp_s - start_s)
            between = np.asarray(before + share * (box - before), np.float32)
            self._append(missed, between, least, doubt=1.0, interpolated=True)
        self.missed.clear()

    def _append(
        self, ref: FrameRef, box: FloatArray, confidence: float, *, doubt: float, interpolated: bool = False
    ) -> None:
        self.frames.append(ref.frame_index)
        self.times_s.append(ref.timestamp_s)
        self.boxes.append(box)
        self.confidences.append(confidence)
        self.interpolated.append(interpolated)
        self.doubts.append(doubt)

    def thin(self, latest: int) -> None:
        """Drop every second observation but the ``latest``; the first stays."""
        past = len(self.frames) - latest
        columns = (self.frames, self.times_s, self.boxes, self.confidences, self.interpolated, self.doubts)
        for column in columns:
            del column[1:past:2]

    def attach(self, crop: EmbeddedCrop) -> None:
        self.crops.append(crop)
        if len(self.crops) > MAX_EMBEDDINGS:
            crops = sorted(self.crops, key=lambda one: one.timestamp_s)
            pairs = [crops[start : start + 2] for start in range(0, len(crops), 2)]
            self.crops = [max(pair, key=lambda one: one.quality) for pair in pairs]

    def box_at(self, frame_index: int) -> FloatArray:
        at = int(np.searchsorted(self.frames, frame_index))
        return self.boxes[at]

    def majority_class(self) -> int:
        return max(sorted(self.votes), key=lambda class_id: self.votes[class_id])


def _note_births(tracks: Mapping[int, _Track], tracked: TrackedFrame) -> None:
    """Tell the tracks known already who begins on top of them."""
    known = np.array([local_id in tracks for local_id in tracked.local_id.tolist()], bool)
    if known.all() or not known.any():
        return
    overlap = iou_matrix(tracked.xyxy[known], tracked.xyxy[~known])
    ids, newborn = tracked.local_id[known].tolist(), tracked.local_id[~known].tolist()
    for row, column in np.argwhere(overlap >= MEETING_OVERLAP).tolist():
        tracks[ids[row]].births.append((newborn[column], tracked.frame.timestamp_s))


def _confirmed_only(tracked: TrackedFrame) -> TrackedFrame:
    return _rows(tracked, tracked.confirmed)


def _rows(tracked: TrackedFrame, mask: BoolArray) -> TrackedFrame:
    return TrackedFrame(
        tracked.frame,
        tracked.local_id[mask],
        tracked.xyxy[mask],
        tracked.confidence[mask],
        tracked.class_id[mask],
        tracked.detection_index[mask],
        tracked.confirmed[mask],
        tracked.ended,
    )


def _earlier_frames(fresh: Iterable[_Track]) -> list[TrackedFrame]:
    """What was seen of tracks before they were confirmed, frame by frame."""
    found: dict[int, list[tuple[_Track, int]]] = {}
    for track in fresh:
        for row in range(len(track.frames) - 1):
            found.setdefault(track.frames[row], []).append((track, row))
    return [_frame_of(found[index]) for index in sorted(found)]


def _frame_of(rows: list[tuple[_Track, int]]) -> TrackedFrame:
    track, row = rows[0]
    return TrackedFrame(
        frame=FrameRef(track.key.camera_id, track.frames[row], track.times_s[row]),
        local_id=np.asarray([track.key.local_id for track, _ in rows]),
        xyxy=np.asarray([track.boxes[row] for track, row in rows]),
        confidence=np.asarray([track.confidences[row] for track, row in rows]),
        class_id=np.asarray([track.majority_class() for track, _ in rows]),
        detection_index=np.full(len(rows), -1),
        confirmed=np.ones(len(rows), dtype=np.bool_),
    )
