"""Event-time merge: tracklets of many cameras in one order that does not depend on who was faster."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from pipeline.packets import Watermark
from tracking.types import Tracklet


class EventTimeMerge:
    """Holds tracklets back until every camera has passed their time, then gives them by ``(as_of_s, key)``."""

    def __init__(self, camera_ids: Iterable[str]) -> None:
        self._passed = {camera_id: float("-inf") for camera_id in camera_ids}
        self._heap: list[tuple[float, str, int, bool, Tracklet]] = []

    @property
    def watermark_s(self) -> float:
        """Nothing older than this will follow from any camera."""
        return min(self._passed.values(), default=float("inf"))

    def join(self, camera_id: str) -> None:
        """A camera comes, or comes back: from now on its watermark is waited for."""
        self._passed[camera_id] = float("-inf")

    def push(self, tracklet: Tracklet) -> None:
        camera_id, local_id = tracklet.key
        heapq.heappush(self._heap, (tracklet.as_of_s, camera_id, local_id, tracklet.is_final, tracklet))

    def advance(self, watermark: Watermark) -> list[Tracklet]:
        """Note how far a camera has come; returns what may now be released."""
        self._passed[watermark.camera_id] = max(self._passed[watermark.camera_id], watermark.time_s)
        limit_s = self.watermark_s
        released = []
        while self._heap and self._heap[0][0] < limit_s:
            released.append(heapq.heappop(self._heap)[-1])
        return released
