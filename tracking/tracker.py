"""Single-camera tracking: the detections of one frame in, identities out; one instance per camera.

Confident detections are associated first, weak ones only continue what is there (ByteTrack, Zhang et al.,
arXiv 2110.06864); an object that strayed from its prediction is looked for where it was last seen (OC-SORT,
Cao et al., arXiv 2203.14360); what is not yet sure to be an object takes only what the others leave. All of
time is seconds. What has ended is forgotten: the state never outgrows what was in view a moment ago.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tracking import kalman
from tracking.affinity import CostWeights, Pairs, appearance_cost, association_pairs, overlap_pairs
from tracking.assignment import assign_pairs
from tracking.boxes import center_size, corners, iou_matrix
from tracking.confidence import UsualEvidence, confidence_of, evidence_of
from tracking.kalman import MotionNoise
from tracking.motion import check_affine
from tracking.tracks import Tracks
from tracking.types import BoolArray, Detections, FloatArray, FrameRef, IntArray, TrackedFrame

__all__ = ["CameraTracker", "TrackerConfig"]

Array = npt.NDArray[np.float64]

_LONG_PAUSE = 3.0
"""A gap this many times the usual one is a pause of the camera, not of the objects."""

_BRIEF_S = 0.1
"""So soon after the frame before, what is seen lies where it was expected; costs are limited as configured."""

_LONG_S = 0.5
"""The limits grow no further: beyond, anything would fit anything."""

_FRAMES_TO_CONFIRM = 1.5
"""A tentative track lives at least so many of the usual gaps between frames."""


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """What the tracker believes about detector and objects, whatever the frame rate.

    Attributes:
        min_confidence: detections below it are ignored.
        min_strong_confidence: detections at or above it are associated first and may start tracks; weaker ones
            only continue tracks.
        strong_share: and at or above this share of the evidence, -ln(1 - confidence), that is usual in detections of
            confirmed tracks of this camera; 0 leaves it at ``min_strong_confidence``.
        told_share: a confirmed track is told while its detections bear this share of the usual evidence on average:
            what looks a little like a person, always at the same place, never looks as sure as people do.
        max_cost: largest cost (see ``association_pairs``) at which a strong detection continues a track.
        max_weak_cost: the same for weak detections, whose confidence then says nothing more.
        cost_per_s: both limits grow by so much for each second that a frame comes later than a tenth of a second after
            the one before (and no further after half a second): of what is within reach, less has to fit.
        max_recovery_cost: how little a box may overlap the track's last one, as 1 - IoU, to be taken for it
            when the prediction failed; 0 switches this off.
        min_hits: detections a track needs to be confirmed.
        min_evidence: and how sure they must be together: the sum of -ln(1 - confidence), less where a box
            overlaps that of a confirmed track. Six detections of 0.7 weigh as much as two of 0.97.
        evidence_s: what is wrong in one frame is wrong in the next: a detection so long after the track's last one
            counts 63 % of one that stands alone, one at once after it nothing.
        max_lost_s: a confirmed track not seen for longer ends.
        max_tentative_s: the same for one not yet confirmed; one and a half times the usual gap between frames
            where that is longer, but never longer than ``max_lost_s``.
        smoothing: where boxes are given between what was detected (0) and what the filter says (1).
        appearance_weight: cost of a cosine distance of 1, where embeddings are given.
        cost: what makes a detection fit a track.
        noise: the motion model.
    """

    min_confidence: float = 0.1
    min_strong_confidence: float = 0.6
    strong_share: float = 0.35
    told_share: float = 0.6
    max_cost: float = 1.04
    max_weak_cost: float = 0.67
    cost_per_s: float = 2.5
    max_recovery_cost: float = 0.1
    min_hits: int = 2
    min_evidence: float = 5.0
    evidence_s: float = 0.1
    max_lost_s: float = 1.8
    max_tentative_s: float = 0.18
    smoothing: float = 0.4
    appearance_weight: float = 0.5
    cost: CostWeights = field(default_factory=CostWeights)
    noise: MotionNoise = field(default_factory=MotionNoise)

    def __post_init__(self) -> None:
        for name in ("min_confidence", "min_strong_confidence", "strong_share", "told_share", "smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"TrackerConfig.{name}: expected 0..1, got {getattr(self, name)}")
        costs = ("max_cost", "max_weak_cost", "cost_per_s", "max_recovery_cost", "min_evidence")
        for name in (*costs, "appearance_weight", "max_lost_s", "max_tentative_s"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"TrackerConfig.{name}: expected 0 or more, got {getattr(self, name)}")
        if not (math.isfinite(self.evidence_s) and self.evidence_s > 0):
            raise ValueError(f"TrackerConfig.evidence_s: expected a positive number, got {self.evidence_s}")
        if self.min_hits < 1:
            raise ValueError(f"TrackerConfig.min_hits: expected 1 or more, got {self.min_hits}")


class CameraTracker:
    """Follows the objects of one camera; local ids count from 1 in every instance and are never reused."""

    def __init__(
        self,
        camera_id: str,
        config: TrackerConfig | None = None,
        class_groups: IntArray | None = None,
        *,
        first_id: int = 1,
    ) -> None:
        """Start with nothing in view.

        Args:
            camera_id: every frame must be this camera's.
            config: the defaults serve people and vehicles seen by a detector with scores in 0..1.
            class_groups: ``(num_classes,)`` from ``class_groups_table``: classes of one group may share an
                identity; without it each class is on its own.
            first_id: the first local id given out.
        """
        self.camera_id = camera_id
        self.config = config or TrackerConfig()
        self._groups = class_groups
        self._tracks = Tracks()
        self._next_id = first_id
        self._now_s = -math.inf
        self._usual_gap_s = math.inf
        self._slack = 0.0
        self._usual = UsualEvidence()

    @property
    def next_id(self) -> int:
        """The local id that the next new track gets."""
        return self._next_id

    def __len__(self) -> int:
        """Tracks held, tentative and lost ones included."""
        return len(self._tracks)

    def update(
        self,
        frame: FrameRef,
        detections: Detections,
        embeddings: FloatArray | None = None,
        camera_motion: FloatArray | None = None,
    ) -> TrackedFrame:
        """Take the next frame of this camera.

        Args:
            frame: later than all before.
            detections: N of them; what is below ``min_confidence`` or has no area is ignored.
            embeddings: ``(N, D)`` unit norm, one per detection, NaN where there is none.
            camera_motion: ``(2, 3)`` affine from the previous frame's pixels to this one's.

        Returns:
            The tracks seen in this frame, by local id, tentative ones with ``confirmed`` False.

        Raises:
            ValueError: frame of another camera or not later than the one before, a class outside the table, or
                arrays of the wrong shape or not finite. The tracker is as it was before the call.
        """
        self._check(frame, detections, embeddings)
        affine = None if camera_motion is None else check_affine(camera_motion)
        paused = self._advance(frame.timestamp_s, affine)
        seen = _Seen.of(detections, embeddings, self.config, self._strong_confidence())
        track_of = self._match(seen)
        weight = self._weights(seen, track_of)
        matched = (track_of >= 0).nonzero()[0]
        matched = matched[track_of[matched].argsort()]
        told = self._correct(track_of[matched], matched, seen, weight)
        lost = self._end(self._overdue())
        fresh = ((track_of < 0) & seen.strong).nonzero()[0]
        if len(fresh):
            told = told.followed_by(self._begin(fresh, seen, weight))
        rows = seen.row[told.detection]
        return TrackedFrame(
            frame=frame,
            local_id=told.local_id,
            xyxy=corners(told.center).astype(np.float32),
            confidence=detections.confidence[rows],
            class_id=told.class_id,
            detection_index=rows,
            confirmed=told.confirmed,
            ended=paused + lost,
        )

    def flush(self) -> tuple[int, ...]:
        """End every track, as at the end of the footage; returns their local ids."""
        return self._end(np.ones(len(self._tracks), np.bool_))

    def _check(self, frame: FrameRef, detections: Detections, embeddings: FloatArray | None) -> None:
        if frame.camera_id != self.camera_id:
            raise ValueError(f"tracker of camera {self.camera_id!r} was given a frame of {frame.camera_id!r}")
        here = f"camera {self.camera_id!r}, frame {frame.frame_index}"
        if not self._now_s < frame.timestamp_s < math.inf:
            raise ValueError(f"{here}: {frame.timestamp_s} s is not after {self._now_s} s")
        if not math.isfinite(detections.xyxy.sum(dtype=np.float64) + detections.confidence.sum()):
            finite = np.isfinite(detections.xyxy).all(axis=1) & np.isfinite(detections.confidence)
            raise ValueError(f"{here}: detection {np.argmin(finite)} is not finite")
        if embeddings is not None and (embeddings.ndim != 2 or len(embeddings) != len(detections)):
            raise ValueError(f"{here}: embeddings: expected ({len(detections)}, D), got {embeddings.shape}")
        if self._groups is not None and len(detections):
            highest = int(detections.class_id.max())
            if highest >= len(self._groups) or detections.class_id.min() < 0:
                raise ValueError(
                    f"{here}: class {highest} is outside the table of {len(self._groups)} classes"
                )

    def _advance(self, now_s: float, affine: Array | None) -> tuple[int, ...]:
        """Predict everything to ``now_s``; after a long pause of the camera nothing is carried over."""
        gap_s, self._now_s = now_s - self._now_s, now_s
        self._slack = self.config.cost_per_s * max(0.0, min(gap_s, _LONG_S) - _BRIEF_S)
        if gap_s == math.inf:
            return ()
        if gap_s > max(self.config.max_lost_s, _LONG_PAUSE * self._usual_gap_s):
            return self.flush()
        self._usual_gap_s = gap_s if self._usual_gap_s == math.inf else 0.9 * self._usual_gap_s + 0.1 * gap_s
        kalman.predict(self._tracks.filters, gap_s, self.config.noise)
        if affine is not None:
            self._tracks.move(affine)
        return ()

    def _strong_confidence(self) -> float:
        usual = confidence_of(self.config.strong_share * self._usual.mean)
        return max(self.config.min_strong_confidence, usual)

    def _match(self, seen: _Seen) -> IntArray:
        """``(M,)`` the row of the track each detection continues, or -1."""
        tracks, config = self._tracks, self.config
        track_of = np.full(len(seen.row), -1)
        if not len(tracks) or not len(track_of):
            return track_of
        fit = self._pairs(seen)
        free, open_ = np.ones(len(tracks), np.bool_), np.ones(len(track_of), np.bool_)

        def take(left: BoolArray, right: BoolArray, limit: float, pairs: Pairs | None = fit) -> None:
            left, right = left & free, right & open_
            if limit <= 0.0 or not (np.count_nonzero(left) and np.count_nonzero(right)):
                return
            pairs = pairs or self._recoveries(left, right, seen)
            there = (left[pairs.track] & right[pairs.detection]).nonzero()[0]
            chosen = assign_pairs(pairs.track[there], pairs.detection[there], pairs.cost[there], limit)
            track, detection = pairs.track[there[chosen]], pairs.detection[there[chosen]]
            track_of[detection] = track
            free[track], open_[detection] = False, False

        take(tracks.confirmed, seen.strong, config.max_cost + self._slack)
        take(tracks.confirmed, ~seen.strong, config.max_weak_cost + self._slack)
        take(tracks.confirmed, seen.strong, config.max_recovery_cost, pairs=None)
        take(~tracks.confirmed, seen.strong, config.max_cost + self._slack)
        return track_of

    def _pairs(self, seen: _Seen) -> Pairs:
        """What may continue what, and at which cost."""
        tracks, config = self._tracks, self.config
        pairs = association_pairs(
            tracks.filters[0],
            kalman.innovation_variance(tracks.filters, config.noise),
            tracks.heading(),
            tracks.seen_box[:, :2],
            seen.center,
            np.where(
                seen.strong, seen.confidence, 1.0
            ),  # weak is what is half hidden: it counts where it fits
            config.cost,
            max(config.max_cost, config.max_weak_cost),  # how far off a box may be does not depend on the gap
        )
        if seen.looks is not None:
            pairs.cost[:] += config.appearance_weight * appearance_cost(tracks.looks, seen.looks, pairs)
        return self._same_group(pairs, seen)

    def _recoveries(self, left: BoolArray, right: BoolArray, seen: _Seen) -> Pairs:
        """What of the ``left`` tracks and ``right`` detections overlaps where it was last seen."""
        tracks, detections = np.flatnonzero(left), np.flatnonzero(right)
        pairs = overlap_pairs(self._tracks.seen_box[tracks], seen.center[detections])
        where = Pairs(tracks[pairs.track], detections[pairs.detection], pairs.cost)
        return self._same_group(where, seen)

    def _same_group(self, pairs: Pairs, seen: _Seen) -> Pairs:
        """Without pairs whose classes share no identity."""
        ours, theirs = self._group(self._tracks.class_id), self._group(seen.class_id)
        same = ours[pairs.track] == theirs[pairs.detection]
        return pairs if np.count_nonzero(same) == len(same) else pairs[same]

    def _group(self, class_id: IntArray) -> IntArray:
        return class_id if self._groups is None else self._groups[class_id]

    def _weights(self, seen: _Seen, track_of: IntArray) -> Array:
        """``(M,)`` how far each detection speaks for an object of its own: 1 - IoU with what confirmed tracks took.

        Detectors see one object twice now and then; two boxes that share most of their area are likely one.
        """
        weight = np.ones(len(track_of))
        taken = track_of >= 0
        taken[taken] = self._tracks.confirmed[track_of[taken]]
        if taken.any() and not taken.all():
            box = corners(seen.center)
            weight[~taken] -= iou_matrix(box[~taken], box[taken]).max(axis=1)
        return weight

    def _correct(self, rows: IntArray, matched: IntArray, seen: _Seen, weight: Array) -> _Told:
        """Give tracks their detections; what is to be told of them."""
        tracks, config = self._tracks, self.config
        center, confidence = seen.center[matched], seen.confidence[matched]
        variance = kalman.measurement_variance(center, config.noise, confidence)
        corrected = kalman.correct(tracks.filters.take(rows, axis=1), center, variance)
        tracks.filters[:, rows] = corrected
        evidence = evidence_of(confidence)
        news = -np.expm1((tracks.seen_s[rows] - self._now_s) / config.evidence_s)
        tracks.news[rows] += news
        tracks.evidence[rows] += news * weight[matched] * evidence
        tracks.observe(rows, center, self._now_s, config.cost.direction_memory_s)
        tracks.confirmed[rows] |= (tracks.hits[rows] >= config.min_hits) & (
            tracks.evidence[rows] >= config.min_evidence
        )
        tracks.vote(rows, seen.class_id[matched])
        if seen.looks is not None:
            tracks.remember(rows, seen.looks[matched])
        self._usual.learn(evidence[tracks.confirmed[rows]])
        drawn = center + config.smoothing * (corrected[0] - center)
        return _Told(tracks.local_id[rows], matched, drawn, tracks.class_id[rows], self._told(rows))

    def _told(self, rows: IntArray) -> BoolArray:
        """Which tracks are confirmed and, on the whole, about as sure as is usual here."""
        tracks = self._tracks
        enough = self.config.told_share * self._usual.mean * tracks.news[rows]
        return np.asarray(tracks.confirmed[rows] & (tracks.evidence[rows] >= enough))

    def _overdue(self) -> BoolArray:
        tracks, config = self._tracks, self.config
        # However slow the camera, the next frames must have a chance to bear the first one out.
        patient_s = min(_FRAMES_TO_CONFIRM * self._usual_gap_s, config.max_lost_s)
        tentative_s = max(config.max_tentative_s, patient_s)
        patience = np.where(tracks.confirmed, config.max_lost_s, tentative_s)
        return np.asarray(self._now_s - tracks.seen_s > patience)

    def _end(self, rows: BoolArray) -> tuple[int, ...]:
        if not np.count_nonzero(rows):
            return ()
        ended = tuple(self._tracks.local_id[rows].tolist())
        self._tracks.keep(~rows)
        return ended

    def _begin(self, fresh: IntArray, seen: _Seen, weight: Array) -> _Told:
        """Start a track from each of these detections; what is to be told of them."""
        config, center = self.config, seen.center[fresh]
        local_id = np.arange(self._next_id, self._next_id + len(fresh))
        evidence = weight[fresh] * evidence_of(seen.confidence[fresh])
        confirmed = (evidence >= config.min_evidence) & (config.min_hits <= 1)
        class_id = seen.class_id[fresh]
        looks = None if seen.looks is None else seen.looks[fresh]
        filters = kalman.initiate(center, config.noise)
        self._next_id += len(fresh)
        self._tracks.begin(local_id, filters, center, self._now_s, evidence, confirmed, class_id, looks)
        return _Told(local_id, fresh, center, class_id, confirmed)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The M detections of a frame that count.

    Attributes:
        row: ``(M,)`` where each stands in the frame's detections.
        center: ``(M, 4)`` center-size boxes.
        confidence: ``(M,)``.
        class_id: ``(M,)``.
        strong: ``(M,)`` may be associated first and start tracks.
        looks: ``(M, D)`` unit embeddings, zeros where there is none; None without embeddings.
    """

    row: IntArray
    center: Array
    confidence: Array
    class_id: IntArray
    strong: BoolArray
    looks: Array | None

    @classmethod
    def of(
        cls,
        detections: Detections,
        embeddings: FloatArray | None,
        config: TrackerConfig,
        strong_confidence: float,
    ) -> _Seen:
        confidence = detections.confidence  # compared as float32, so that a score equal to a threshold counts
        center: Array = np.asarray(center_size(detections.xyxy.astype(np.float64)))
        has_area = (center[:, 2] > 0) & (center[:, 3] > 0)
        row = ((confidence >= config.min_confidence) & has_area).nonzero()[0]
        looks = None if embeddings is None else np.nan_to_num(embeddings[row].astype(np.float64))
        strong = confidence[row] >= strong_confidence
        return cls(
            row, center[row], confidence[row].astype(np.float64), detections.class_id[row], strong, looks
        )


class _Told(NamedTuple):
    """What is said of some of a frame's tracks: which detection each took, center-size box, class, confirmed."""

    local_id: IntArray
    detection: IntArray
    center: Array
    class_id: IntArray
    confirmed: BoolArray

    def followed_by(self, others: _Told) -> _Told:
        return _Told(*(np.concatenate(pair) for pair in zip(self, others, strict=True)))
