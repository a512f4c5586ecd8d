"""Moments of live cameras: frames taken at the same time, put together without ever waiting for long.

A moment is the earliest frame at hand and every other camera's frame within the tolerance of it. It waits for cameras whose
next frame is due by their own pace, but no longer than ``align_wait_s``; a camera that has gone silent is
not waited for at all. Whoever is silent for ``max_lateness_s`` is passed over: its watermark moves on without it, and
frames from before that, should they still come, are late, dropped and counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.config import RunConfig
from pipeline.packets import CameraEnd, Frame, Silence
from pipeline.sources.site_clock import SITE_CLOCK
from pipeline.sources.source import SourceInfo

POLL_S = 0.2
SMOOTHING = 0.1


class LiveFeed(Protocol):
    """What a reader thread offers here; ``came``: steady time at which the frame given last was ready."""

    camera_id: str
    came: float

    @property
    def info(self) -> SourceInfo: ...

    def next(self, timeout_s: float) -> Frame | CameraEnd | None: ...

    def late(self) -> None: ...


@dataclass(slots=True)
class _Pace:
    """When a camera's frames come: ``last_s`` and ``period_s`` by their own times, ``came`` by the steady clock."""

    last_s: float = float("-inf")
    period_s: float = float("inf")
    came: float = float("-inf")

    def note(self, time_s: float, now: float) -> None:
        step_s = time_s - self.last_s
        if step_s < float("inf"):
            is_first = self.period_s == float("inf")
            self.period_s = step_s if is_first else self.period_s + SMOOTHING * (step_s - self.period_s)
        self.last_s, self.came = time_s, now

    def is_due(self, until_s: float, now: float, patience_s: float) -> bool:
        """Whether the next frame should be one of before ``until_s``, and the camera is there at all."""
        return self.last_s + self.period_s <= until_s and now - self.came < self.period_s + patience_s


class LiveMoments:
    """Iterates batches of frames, ends and silences, at least every 0.2 s, then perhaps empty.

    Cameras may join while it runs; recorded cameras among live ones are taken as they come, a frame at a time.

    Attributes:
        arrived: to be set whenever a feed has something new.
    """

    def __init__(
        self,
        feeds: Iterable[LiveFeed],
        settings: RunConfig,
        stop: threading.Event,
        site_now_s: Callable[[], float] = SITE_CLOCK.now_s,
    ) -> None:
        self.arrived = threading.Event()
        self._settings = settings
        self._stop = stop
        self._site_now_s = site_now_s
        self._feeds = {feed.camera_id: feed for feed in feeds}
        self._heads: dict[str, tuple[Frame, float]] = {}
        self._paces: dict[str, _Pace] = {}
        self._passed: dict[str, float] = {}

    def join(self, feed: LiveFeed) -> bool:
        """Take a camera in; False while an earlier one of the same name has not ended. From the iterating thread only."""
        if feed.camera_id in self._feeds:
            return False
        self._feeds[feed.camera_id] = feed
        return True

    def __iter__(self) -> Iterator[list[Frame | CameraEnd | Silence]]:
        while self._feeds and not self._stop.is_set():
            self.arrived.clear()
            batch = self._batch()
            if not batch:
                self.arrived.wait(self._longest_wait_s())
                batch = self._batch()
            yield batch

    def _batch(self) -> list[Frame | CameraEnd | Silence]:
        """As many moments as are ready and fit, at least one; then who was silent."""
        batch: list[Frame | CameraEnd | Silence] = list(self._fill())
        while moment := self._moment(self._settings.batch_size - len(batch)):
            batch += moment
            batch += self._fill()
        return [*batch, *self._silences()]

    def _fill(self) -> list[CameraEnd]:
        """Give every camera its next frame; returns the ends met, by camera name."""
        ends = []
        for camera_id in sorted(self._feeds.keys() - self._heads.keys()):
            item = self._next(camera_id)
            if isinstance(item, Frame):
                self._heads[camera_id] = item, self._feeds[camera_id].came
            elif isinstance(item, CameraEnd):
                ends.append(item)
                for table in (self._feeds, self._paces, self._passed):
                    table.pop(camera_id, None)  # type: ignore[attr-defined]
        return ends

    def _next(self, camera_id: str) -> Frame | CameraEnd | None:
        """A camera's next frame that is not late, its end, or None."""
        feed = self._feeds[camera_id]
        while isinstance(item := feed.next(0.0), Frame):
            if not feed.info.is_live:
                return item
            self._paces.setdefault(camera_id, _Pace()).note(item.ref.timestamp_s, time.monotonic())
            if item.ref.timestamp_s > self._passed.get(camera_id, float("-inf")):
                return item
            feed.late()
        return item

    def _moment(self, room: int) -> list[Frame]:
        """The earliest moment, if it need not wait and there is room for it."""
        chosen = [one for one in self._heads if not self._feeds[one].info.is_live]
        live = {one: head for one, head in self._heads.items() if one not in chosen}
        if live:
            first, came = min(live.values(), key=lambda head: head[0].ref.timestamp_s)
            until_s = first.ref.timestamp_s + self._settings.align_tolerance_s
            waits = time.monotonic() < came + self._settings.align_wait_s
            if not (waits and self._someone_is_due(until_s)):
                chosen += [one for one, head in live.items() if head[0].ref.timestamp_s <= until_s]
        return [self._heads.pop(one)[0] for one in sorted(chosen)[: max(room, 0)]]

    def _someone_is_due(self, until_s: float) -> bool:
        now, patience_s = time.monotonic(), self._settings.align_wait_s
        missing = self._feeds.keys() - self._heads.keys()
        return any(self._paces[one].is_due(until_s, now, patience_s) for one in missing if one in self._paces)

    def _silences(self) -> list[Silence]:
        """Cameras without a frame for ``max_lateness_s``, and how far they are passed over."""
        limit_s = self._site_now_s() - self._settings.max_lateness_s
        silent = []
        for camera_id in sorted(self._feeds.keys() - self._heads.keys()):
            known_s = self._passed.get(camera_id, float("-inf"))
            if camera_id in self._paces:
                known_s = max(known_s, self._paces[camera_id].last_s)
            if self._feeds[camera_id].info.is_live and known_s < limit_s - POLL_S:
                self._passed[camera_id] = limit_s
                silent.append(Silence(camera_id, limit_s))
        return silent

    def _longest_wait_s(self) -> float:
        """Until the first head has waited for long enough; a poll's length without one."""
        if not self._heads:
            return POLL_S
        first = min(came for _, came in self._heads.values())
        return min(POLL_S, max(0.001, first + self._settings.align_wait_s - time.monotonic()))
