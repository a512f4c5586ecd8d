"""Tracklets cut where their looks change for good, as they do when two objects that met swap their boxes.

A change is the cosine distance between the quality-weighted means of the crops just before and just after a moment
(the two-window form of change-point detection; Truong, Oudre & Vayatis 2020, section 4.2). How large it is where
nobody could have taken over, because nobody was near, tells how large changes usually are with this network and this
footage; one that is several times larger where somebody could have taken over is a swap.

Where a track begins on top of another that ends soon after, who of the two the first one was is known until then only:
what it showed afterwards is cut off, or it would keep both of them from being one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from tracking.types import PIECE, BoolArray, IntArray, Tracklet, TrackletKey

__all__ = ["MEETING_OVERLAP", "SplitConfig", "Splitter"]

Array = npt.NDArray[np.float64]

MEETING_OVERLAP = 0.1
"""Boxes that overlap so much (IoU) meet: whom each shows may be another afterwards."""

_REMEMBERED = 2000
"""Usual changes kept: what they are is told by the latest."""

_MIN_KNOWN = 20
"""Fewer do not tell what is usual."""

_MOMENTS = 64
"""Cuts remembered of a camera: the partner of a swap ends not long after."""

_UNSURE = 1
"""Observations before a cut that are left out of the boxes: the partner may have been cut a frame earlier."""

_MOST = 0.9
"""The usual change is the one that so many do not exceed."""


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """When a tracklet is cut.

    Attributes:
        min_contrast: how many times larger than usual a change is; 0 cuts nothing.
        min_doubt: how easily another could have taken over at the moment, see ``Splitter.split``.
        min_crops: embeddings needed on each side.
        window: embeddings looked at on each side, at most.
        max_tail_s: a track that ends so soon after another began on it is cut there, unless its looks after that are
            known from ``min_crops`` crops; 0 cuts none.
    """

    min_contrast: float = 3.0
    min_doubt: float = MEETING_OVERLAP
    min_crops: int = 2
    window: int = 5
    max_tail_s: float = 1.5

    def __post_init__(self) -> None:
        for name in ("min_contrast", "min_doubt", "max_tail_s"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"SplitConfig.{name}: expected 0 or more, got {getattr(self, name)}")
        if not 1 <= self.min_crops <= self.window:
            raise ValueError(
                f"SplitConfig.min_crops: expected 1..{self.window} (window), got {self.min_crops}"
            )


class Splitter:
    """Cuts tracklets, and learns from each what changes are usual; its state is bounded."""

    def __init__(self, config: SplitConfig | None = None) -> None:
        self._config = config or SplitConfig()
        self._usual: deque[float] = deque(maxlen=_REMEMBERED)
        self._moments: dict[str, deque[float]] = {}

    def split(
        self, tracklet: Tracklet, doubt: npt.NDArray[np.floating], births_s: Sequence[float] = ()
    ) -> list[Tracklet]:
        """The pieces of a tracklet, in order of time: the first keeps its key, for the others see ``TrackletKey.whole``.

        A piece begins where the doubt is greatest between the crops before and after a change, and both partners of a
        swap are cut in the same frame. Pieces are looked at again.

        Args:
            tracklet: without embeddings nothing but a tail is cut.
            doubt: ``(T,)`` for each observation, how easily another object could have taken over just there: how much
                another's box overlaps this one; 1 where it was not seen.
            births_s: when other tracks began on top of it.

        Raises:
            ValueError: not one doubt for each observation.
        """
        if len(doubt) != len(tracklet.timestamp_s):
            raise ValueError(
                f"tracklet {tracklet.key}: {len(doubt)} doubts for {len(tracklet.timestamp_s)} observations"
            )
        names = (TrackletKey(tracklet.camera_id, tracklet.key.whole.local_id + k * PIECE) for k in count(1))
        whole = _Piece.of(tracklet, np.asarray(doubt, np.float64))
        *pieces, last = self._cut(whole, self._least_change(), names)
        for piece in (*pieces, last):
            self._learn(piece)
        return [piece.tracklet for piece in (*pieces, *_without_tail(last, self._config, births_s, names))]

    def _least_change(self) -> float:
        """From which change on a tracklet is cut."""
        if self._config.min_contrast == 0 or len(self._usual) < _MIN_KNOWN:
            return np.inf
        return self._config.min_contrast * float(np.quantile(self._usual, _MOST))

    def _learn(self, piece: _Piece) -> None:
        changes = piece.changes(self._config)
        alone = piece.doubts() < self._config.min_doubt
        self._usual.extend(changes[alone & ~np.isnan(changes)].tolist())

    def _cut(self, piece: _Piece, least: float, names: Iterator[TrackletKey]) -> list[_Piece]:
        """The piece, or its parts before and after the greatest change of at least ``least``, cut further."""
        changes = piece.changes(self._config)
        changes[(piece.doubts() < self._config.min_doubt) | np.isnan(changes)] = -np.inf
        if not len(changes) or changes.max() < least:
            return [piece]
        before, after = piece.parted_at(self._moment(piece, int(changes.argmax())), next(names), _UNSURE)
        return [part for half in (before, after) for part in self._cut(half, least, names)]

    def _moment(self, piece: _Piece, cut: int) -> int:
        """The observation with which the new piece begins, between crop ``cut`` and the next: where another tracklet of
        the camera was cut, or else where the doubt is greatest."""
        known = self._moments.setdefault(piece.tracklet.camera_id, deque(maxlen=_MOMENTS))
        between = piece.between(cut)
        times_s = piece.tracklet.timestamp_s[between]
        at = np.flatnonzero(np.isin(times_s, list(known)))
        first = int(at[0]) if len(at) else int(piece.doubt[between].argmax())
        known.append(float(times_s[first]))
        return int(between.start) + first


def _without_tail(
    piece: _Piece, config: SplitConfig, births_s: Sequence[float], names: Iterator[TrackletKey]
) -> tuple[_Piece, ...]:
    """The piece up to the first of the births shortly before its end, and what follows."""
    tracklet = piece.tracklet
    seen_s = tracklet.timestamp_s[~tracklet.interpolated]
    near = [
        at for at in births_s if seen_s[0] < at <= seen_s[-1] and tracklet.end_s - at <= config.max_tail_s
    ]
    if not near or np.count_nonzero(tracklet.embedding_timestamp_s >= min(near)) >= config.min_crops:
        return (piece,)
    return piece.parted_at(int(np.searchsorted(tracklet.timestamp_s, min(near))), next(names))


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A tracklet, its crops in order of time, and the doubt of each observation.

    Attributes:
        step: ``(K,)`` observation of each crop.
    """

    tracklet: Tracklet
    doubt: Array
    step: IntArray

    @classmethod
    def of(cls, tracklet: Tracklet, doubt: Array) -> _Piece:
        order = np.argsort(tracklet.embedding_timestamp_s, kind="stable")
        embedded = {
            name: getattr(tracklet, name)[order]
            for name in ("embeddings", "embedding_quality", "embedding_timestamp_s")
        }
        step = np.searchsorted(tracklet.timestamp_s, embedded["embedding_timestamp_s"])
        return cls(replace(tracklet, **embedded), doubt, step.clip(0, len(doubt) - 1))

    def changes(self, config: SplitConfig) -> Array:
        """``(K - 1,)`` between each crop and the next; NaN with too few crops on a side."""
        if len(self.step) < 2:
            return np.zeros(0)
        crops = self.tracklet.embeddings.astype(np.float64) * self.tracklet.embedding_quality[:, None]
        total = np.concatenate([np.zeros((1, crops.shape[1])), crops.cumsum(axis=0)])
        at = np.arange(1, len(crops))
        before = total[at] - total[np.maximum(at - config.window, 0)]
        after = total[np.minimum(at + config.window, len(crops))] - total[at]
        size = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        change = 1.0 - (before * after).sum(axis=1) / np.maximum(size, 1e-12)
        few = (at < config.min_crops) | (len(crops) - at < config.min_crops)
        return np.asarray(np.where(few, np.nan, change))

    def doubts(self) -> Array:
        """``(K - 1,)`` the greatest after each crop, up to the next."""
        return np.array([self.doubt[self.between(cut)].max(initial=0.0) for cut in range(len(self.step) - 1)])

    def between(self, cut: int) -> slice:
        """The observations after crop ``cut``, up to that of the next."""
        return slice(self.step[cut] + 1, self.step[cut + 1] + 1)

    def parted_at(self, moment: int, name: TrackletKey, unsure: int = 0) -> tuple[_Piece, _Piece]:
        """What is before an observation, less the last ``unsure`` boxes where it has more, and it with what follows."""
        steps, crops = np.arange(len(self.doubt)), self.step < moment
        seen = np.flatnonzero(~self.tracklet.interpolated[:moment])
        end = seen[-unsure] if 0 < unsure < len(seen) else moment
        before = self._part(steps < end, crops, self.tracklet.key)
        return before, self._part(steps >= moment, ~crops, name)

    def _part(self, rows: BoolArray, crops: BoolArray, key: TrackletKey) -> _Piece:
        rows = _from_first_sight(self.tracklet, rows)
        changes: dict[str, Any] = {
            name: getattr(self.tracklet, name)[rows]
            for name in ("frame_index", "timestamp_s", "xyxy", "confidence", "interpolated")
        }
        changes |= {
            name: getattr(self.tracklet, name)[crops]
            for name in ("embeddings", "embedding_quality", "embedding_timestamp_s")
        }
        ground = self.tracklet.ground_xy
        part = replace(self.tracklet, key=key, ground_xy=None if ground is None else ground[rows], **changes)
        return _Piece.of(part, self.doubt[rows])


def _from_first_sight(tracklet: Tracklet, rows: BoolArray) -> BoolArray:
    """Without the interpolated ones at either end, which lead to or from another object."""
    seen = np.flatnonzero(rows & ~tracklet.interpolated)
    kept = np.zeros_like(rows)
    kept[seen[0] : seen[-1] + 1] = True
    return kept
