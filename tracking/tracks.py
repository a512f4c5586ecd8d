"""The tracks of one camera side by side in arrays; no object per track, nothing kept of what has ended."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from tracking import kalman
from tracking.kalman import State
from tracking.motion import move_points, move_state
from tracking.types import BoolArray, IntArray, SecondsArray

__all__ = ["Tracks"]

Array = npt.NDArray[np.float64]

_MIN_MOVE = 0.01
"""Part of its height an object must have moved from its trail to have a heading."""

_NEW_LOOK = 0.1
"""What the newest embedding counts in the memory of a track's looks."""


@dataclass(slots=True)
class Tracks:
    """N tracks, by local id, ascending.

    Attributes:
        local_id: ``(N,)``.
        filters: ``(5, N, 4)`` Kalman filters of the center-size boxes.
        seen_box: ``(N, 4)`` center-size box of the last detection, px.
        seen_s: ``(N,)`` when that was.
        trail: ``(N, 2)`` where the track was a moment ago: its past detections' centers, older ones fading.
        hits: ``(N,)`` detections so far.
        news: ``(N,)`` the same, each counted by how much it tells beyond the one before.
        evidence: ``(N,)`` how unlikely it is that all of them were false, as minus the log of the probability.
        confirmed: ``(N,)``.
        class_id: ``(N,)`` what most detections said, by majority vote (Boyer & Moore, 1981).
        votes: ``(N,)`` by how much.
        looks: ``(N, D)`` mean embedding, newer ones counting more; zeros where none was seen, D = 0 at first.
    """

    local_id: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    filters: State = field(default_factory=kalman.empty)
    seen_box: Array = field(default_factory=lambda: np.zeros((0, 4)))
    seen_s: SecondsArray = field(default_factory=lambda: np.zeros(0))
    trail: Array = field(default_factory=lambda: np.zeros((0, 2)))
    hits: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    news: Array = field(default_factory=lambda: np.zeros(0))
    evidence: Array = field(default_factory=lambda: np.zeros(0))
    confirmed: BoolArray = field(default_factory=lambda: np.zeros(0, np.bool_))
    class_id: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    votes: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    looks: Array = field(default_factory=lambda: np.zeros((0, 0)))

    def __len__(self) -> int:
        return len(self.local_id)

    def keep(self, rows: BoolArray) -> None:
        """Forget all others."""
        for item in fields(self):
            value = getattr(self, item.name)
            setattr(self, item.name, value[:, rows] if item.name == "filters" else value[rows])

    def begin(
        self,
        local_id: IntArray,
        filters: State,
        center: Array,
        now_s: float,
        evidence: Array,
        confirmed: BoolArray,
        class_id: IntArray,
        looks: Array | None,
    ) -> None:
        """Add tracks seen now for the first time, with ids higher than all here."""
        count = len(local_id)
        if looks is None:
            looks = np.zeros((count, self.looks.shape[1]))
        self._fit_looks(looks.shape[1])
        once = np.ones(count, np.int64)
        seen_s = np.full(count, now_s)
        new = (
            local_id,
            filters,
            center,
            seen_s,
            center[:, :2],
            once,
            np.ones(count),
            evidence,
            confirmed,
            class_id,
            once,
            looks,
        )
        for item, value in zip(fields(self), new, strict=True):
            axis = 1 if item.name == "filters" else 0
            setattr(self, item.name, np.concatenate((getattr(self, item.name), value), axis=axis))

    def observe(self, rows: IntArray, center: Array, now_s: float, memory_s: float) -> None:
        """Note where ``rows`` were detected now; the trail follows, forgetting with time constant ``memory_s``."""
        follow = -np.expm1((self.seen_s[rows] - now_s) / memory_s)
        trail = self.trail[rows]
        self.trail[rows] = trail + follow[:, None] * (self.seen_box[rows, :2] - trail)
        self.seen_box[rows] = center
        self.seen_s[rows] = now_s
        self.hits[rows] += 1

    def remember(self, rows: IntArray, looks: Array) -> None:
        """Mix ``(K, D)`` embeddings into the memory of ``rows``; zeros say nothing."""
        self._fit_looks(looks.shape[1])
        old = self.looks[rows]
        known = (old.any(axis=1) & looks.any(axis=1)).reshape(-1, 1)
        mixed = np.where(known, (1 - _NEW_LOOK) * old + _NEW_LOOK * looks, old + looks)
        length = np.linalg.norm(mixed, axis=1, keepdims=True)
        self.looks[rows] = mixed / np.where(length > 0, length, 1.0)

    def _fit_looks(self, dimension: int) -> None:
        if self.looks.shape[1] == 0 and dimension:
            self.looks = np.zeros((len(self), dimension))

    def heading(self) -> Array:
        """``(N, 2)`` unit vectors from the trail to the last detection; zeros for what hardly moved."""
        moved = self.seen_box[:, :2] - self.trail
        length = np.hypot(moved[:, 0], moved[:, 1])
        still = length < _MIN_MOVE * self.seen_box[:, 3]
        length[still] = np.inf
        return np.asarray(moved / length[:, None])

    def vote(self, rows: IntArray, class_id: IntArray) -> None:
        """Count one detection's class for each of ``rows``."""
        agree = self.class_id[rows] == class_id
        votes = self.votes[rows] + np.where(agree, 1, -1)
        turned = votes < 0
        self.votes[rows] = np.abs(votes)
        self.class_id[rows[turned]] = class_id[turned]

    def move(self, affine: Array) -> None:
        """Carry everything into a picture that moved."""
        self.filters = move_state(self.filters, affine)
        self.trail = move_points(self.trail, affine)
        self.seen_box[:, :2] = move_points(self.seen_box[:, :2], affine)
        self.seen_box[:, 2:] *= np.sqrt(abs(np.linalg.det(affine[:, :2])))
