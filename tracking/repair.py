"""Offline repair of one camera's finished tracklets: stitch fragments, fill short gaps.

What needs the future has no place in the online tracker; here everything is known. The order matters: a
tracklet that holds two people is cut (``tracking.splits``) before its halves are offered to others, and gaps are filled
last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tracking.assignment import assign
from tracking.boxes import center_size
from tracking.types import TrackedFrame, Tracklet, TrackletKey

__all__ = ["RepairConfig", "collect", "interpolate", "repair", "stitch"]


@dataclass(frozen=True, slots=True)
class RepairConfig:
    """How far repair goes; zero switches a step off.

    Attributes:
        max_gap_s: gaps up to it are filled with straight lines, marked as interpolated.
        min_fill_confidence: mean confidence from which on a tracklet is believed to have been there where that is
            not sure: in gaps, and before it was confirmed.
        max_stitch_gap_s: a tracklet may continue one that ended at most this long before.
        max_stitch_distance: how far the continuation may lie from where motion leads, in box heights.
    """

    max_gap_s: float = 1.0
    min_fill_confidence: float = 0.9
    max_stitch_gap_s: float = 1.0
    max_stitch_distance: float = 0.5

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"RepairConfig.{name}: expected 0 or more, got {getattr(self, name)}")


def repair(tracklets: Sequence[Tracklet], config: RepairConfig | None = None) -> list[Tracklet]:
    """Stitch and fill one camera's tracklets; what is to be split is split before (``tracking.splits``).

    Raises:
        ValueError: the tracklets are of more than one camera.
    """
    config = config or RepairConfig()
    cameras = {tracklet.camera_id for tracklet in tracklets}
    if len(cameras) > 1:
        raise ValueError(f"repair: expected tracklets of one camera, got {', '.join(sorted(cameras))}")
    return [
        interpolate(t, config.max_gap_s) if t.confidence.mean() >= config.min_fill_confidence else t
        for t in stitch(tracklets, config)
    ]


def collect(
    frames: Iterable[TrackedFrame], min_hits: int = 1, min_early_confidence: float = 0.0
) -> list[Tracklet]:
    """Turn a camera's online output into tracklets of every track that was ever confirmed, by local id.

    Frames in which it was not (yet) confirmed are part of it where its mean confidence is ``min_early_confidence``.
    """
    seen = [frame for frame in frames if len(frame)]
    if not seen:
        return []
    local_id = np.concatenate([frame.local_id for frame in seen])
    index = np.concatenate([np.full(len(frame), frame.frame.frame_index) for frame in seen])
    time_s = np.concatenate([np.full(len(frame), frame.frame.timestamp_s) for frame in seen])
    xyxy, confidence = (np.concatenate([getattr(f, name) for f in seen]) for name in ("xyxy", "confidence"))
    class_id = np.concatenate([frame.class_id for frame in seen])
    confirmed = np.concatenate([frame.confirmed for frame in seen])
    result = []
    for identity in np.unique(local_id[confirmed]):
        rows = np.flatnonzero(local_id == identity)
        if confidence[rows].mean() < min_early_confidence:
            rows = rows[confirmed[rows]]
        if len(rows) < min_hits:
            continue
        result.append(
            Tracklet(
                key=TrackletKey(seen[0].frame.camera_id, int(identity)),
                class_id=int(np.bincount(class_id[rows]).argmax()),
                frame_index=index[rows],
                timestamp_s=time_s[rows],
                xyxy=xyxy[rows],
                confidence=confidence[rows],
                interpolated=np.zeros(len(rows), np.bool_),
                ground_xy=None,
                embeddings=np.zeros((0, 0), np.float32),
                embedding_quality=np.zeros(0, np.float32),
                embedding_timestamp_s=np.zeros(0),
                as_of_s=float(time_s[rows[-1]]),
                is_final=True,
            )
        )
    return result


def interpolate(tracklet: Tracklet, max_gap_s: float) -> Tracklet:
    """Fill every gap of at most ``max_gap_s`` with a straight line, one box per missing frame, marked.

    Confidence and ground position are interpolated like the box.
    """
    frames, times = tracklet.frame_index, tracklet.timestamp_s
    missing = np.diff(frames) - 1
    missing[np.diff(times) > max_gap_s] = 0
    if not np.any(missing > 0):
        return tracklet
    known = frames.astype(np.float64)
    extra = [np.arange(frames[i] + 1, frames[i] + 1 + missing[i]) for i in np.flatnonzero(missing > 0)]
    wanted = np.sort(np.concatenate([frames, *extra]))

    def at(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        columns = values.reshape(len(frames), -1).T
        filled = np.stack([np.interp(wanted, known, column) for column in columns], axis=1)
        return np.asarray(filled.reshape(len(wanted), *values.shape[1:]), dtype=values.dtype)

    ground = tracklet.ground_xy
    return replace(
        tracklet,
        frame_index=wanted,
        timestamp_s=at(times),
        xyxy=at(tracklet.xyxy),
        confidence=at(tracklet.confidence),
        interpolated=~np.isin(wanted, frames[~tracklet.interpolated]),
        ground_xy=None if ground is None else at(ground),
    )


def stitch(tracklets: Sequence[Tracklet], config: RepairConfig) -> list[Tracklet]:
    """Join fragments that motion alone shows to be one object; the earlier one's key remains.

    A fragment may continue another that ended shortly before, where each one's motion, drawn on through the
    gap, leads to the other. Every fragment has at most one continuation, chosen at least total distance.
    """
    if config.max_stitch_gap_s == 0 or len(tracklets) < 2:
        return list(tracklets)
    ordered = sorted(tracklets, key=lambda t: (t.start_s, t.key.local_id))
    earlier, later = assign(_stitch_cost(ordered, config), config.max_stitch_distance)
    follower = dict(zip(earlier.tolist(), later.tolist(), strict=True))
    heads = [i for i in range(len(ordered)) if i not in set(follower.values())]
    return [_joined([ordered[i] for i in _chain(head, follower)]) for head in heads]


def _chain(head: int, follower: dict[int, int]) -> list[int]:
    chain = [head]
    while chain[-1] in follower:
        chain.append(follower[chain[-1]])
    return chain


def _stitch_cost(tracklets: list[Tracklet], config: RepairConfig) -> npt.NDArray[np.float64]:
    """``(N, N)`` box heights between where row's motion and column's motion meet; inf where impossible."""
    ends = [_ray(tracklet, at_end=True) for tracklet in tracklets]
    starts = [_ray(tracklet, at_end=False) for tracklet in tracklets]
    end_s = np.array([t.end_s for t in tracklets])
    start_s = np.array([t.start_s for t in tracklets])
    gap_s = start_s[None, :] - end_s[:, None]
    box_end, speed_end = (np.stack([ray[k] for ray in ends])[:, None] for k in (0, 1))
    box_start, speed_start = (np.stack([ray[k] for ray in starts])[None, :] for k in (0, 1))
    ahead = box_end[..., :2] + gap_s[..., None] * speed_end - box_start[..., :2]
    back = box_start[..., :2] - gap_s[..., None] * speed_start - box_end[..., :2]
    height = 0.5 * (box_end[..., 3] + box_start[..., 3])
    miss = 0.5 * (np.linalg.norm(ahead, axis=-1) + np.linalg.norm(back, axis=-1)) / height
    growth = np.abs(np.log(box_end[..., 3] / box_start[..., 3]))
    class_id = np.array([t.class_id for t in tracklets])
    whole = np.array([t.key.whole.local_id for t in tracklets])  # what was just cut stays cut
    possible = (gap_s > 0) & (gap_s <= config.max_stitch_gap_s) & (class_id[:, None] == class_id[None, :])
    possible &= whole[:, None] != whole[None, :]
    return np.asarray(np.where(possible, miss + growth, np.inf))


def _ray(tracklet: Tracklet, at_end: bool, window_s: float = 0.5) -> tuple[npt.NDArray[np.float64], ...]:
    """Center-size box at one end, and the velocity there: a straight line through ``window_s`` of boxes."""
    times, edge = tracklet.timestamp_s, tracklet.end_s if at_end else tracklet.start_s
    near = np.abs(times - edge) <= window_s
    boxes = center_size(tracklet.xyxy[near].astype(np.float64))
    since = times[near] - edge
    spread = since - since.mean()
    power = float(spread @ spread)
    speed = (spread @ boxes[:, :2]) / power if power > 0 else np.zeros(2)
    box = boxes.mean(axis=0)
    box[:2] -= since.mean() * speed
    return box, speed


def _joined(parts: list[Tracklet]) -> Tracklet:
    """One tracklet of several that follow each other."""
    if len(parts) == 1:
        return parts[0]
    names = ("frame_index", "timestamp_s", "xyxy", "confidence", "interpolated")
    embedded = ("embeddings", "embedding_quality", "embedding_timestamp_s")
    filled = [part for part in parts if len(part.embedding_quality)]
    changes: dict[str, Any] = {n: np.concatenate([getattr(part, n) for part in parts]) for n in names}
    if filled:
        changes |= {n: np.concatenate([getattr(part, n) for part in filled]) for n in embedded}
    grounds = [part.ground_xy for part in parts]
    known = [ground for ground in grounds if ground is not None]
    ground = np.concatenate(known) if len(known) == len(parts) else None
    return replace(
        parts[0], ground_xy=ground, as_of_s=parts[-1].as_of_s, is_final=parts[-1].is_final, **changes
    )
