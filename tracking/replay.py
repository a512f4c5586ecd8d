"""A tracker over stored detections: for benchmarks, tuning and the MOT command. No pixels, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tracking.mot import MotRows, MotSequence
from tracking.repair import RepairConfig, collect, repair
from tracking.scoring import Boxes
from tracking.tracker import CameraTracker, TrackerConfig
from tracking.types import Detections, FrameRef, TrackedFrame, Tracklet

__all__ = ["Replay", "follow", "online_rows", "repaired_rows", "replay_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Frames of one camera with what a detector saw, and the truth where it is known.

    Attributes:
        name: the sequence.
        frames: in time order; ``frame_index`` counts from 0 and may skip.
        truth: boxes by ``frame_index``; empty where unknown.
    """

    name: str
    frames: Sequence[tuple[FrameRef, Detections]]
    truth: Boxes

    def backwards(self) -> Replay:
        """The same scene with time reversed: as hard, and yet another sample of how people cross."""
        end = self.frames[-1][0]
        turned = [
            (
                replace(
                    f,
                    frame_index=end.frame_index - f.frame_index,
                    timestamp_s=end.timestamp_s - f.timestamp_s,
                ),
                d,
            )
            for f, d in reversed(self.frames)
        ]
        truth = Boxes(end.frame_index - self.truth.frame, self.truth.id, self.truth.xyxy)
        return Replay(f"{self.name} backwards", turned, truth)

    def thinned(self, dropped_share: float, seed: int = 0) -> Replay:
        """Without a random share of its frames, timestamps kept; the truth of lost frames goes with them."""
        kept = np.random.default_rng(seed).random(len(self.frames)) >= dropped_share
        frames = [pair for pair, keep in zip(self.frames, kept, strict=True) if keep]
        seen = np.isin(self.truth.frame, [frame.frame_index for frame, _ in frames])
        truth = Boxes(self.truth.frame[seen], self.truth.id[seen], self.truth.xyxy[seen])
        return Replay(f"{self.name} -{dropped_share:.0%}", frames, truth)


def replay_of(sequence: MotSequence) -> Replay:
    """A MOT sequence, frames counted from 0."""
    truth = sequence.truth or Boxes.empty()
    return Replay(sequence.name, list(sequence.frames()), Boxes(truth.frame - 1, truth.id, truth.xyxy))


def follow(replay: Replay, config: TrackerConfig | None = None) -> list[TrackedFrame]:
    """Everything a fresh tracker says about the frames, one by one."""
    if not replay.frames:
        return []
    tracker = CameraTracker(replay.frames[0][0].camera_id, config)
    return [tracker.update(frame, detections) for frame, detections in replay.frames]


def online_rows(tracked: Sequence[TrackedFrame]) -> MotRows:
    """What was known at each frame's time: confirmed tracks only, as rows by ``frame_index``."""
    parts = [(f, f.confirmed) for f in tracked if len(f)]
    if not parts:
        return _no_rows()
    return MotRows(
        np.concatenate([np.full(int(m.sum()), f.frame.frame_index) for f, m in parts]),
        *(np.concatenate([getattr(f, n)[m] for f, m in parts]) for n in ("local_id", "xyxy", "confidence")),
    )


def repaired_rows(tracked: Sequence[TrackedFrame], config: RepairConfig | None = None) -> MotRows:
    """What is known afterwards: split, stitched and filled tracklets, as rows by ``frame_index``."""
    config = config or RepairConfig()
    found = collect(tracked, min_early_confidence=config.min_fill_confidence)
    tracklets: list[Tracklet] = repair(found, config)
    if not tracklets:
        return _no_rows()
    return MotRows(
        np.concatenate([t.frame_index for t in tracklets]),
        np.concatenate([np.full(len(t.frame_index), t.key.local_id) for t in tracklets]),
        np.concatenate([t.xyxy for t in tracklets]),
        np.concatenate([t.confidence for t in tracklets]),
    )


def _no_rows() -> MotRows:
    none = np.zeros(0, np.int64)
    return MotRows(none, none, np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
