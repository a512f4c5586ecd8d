"""Batches across recorded cameras, aligned in time: deterministic whatever the readers' speed.

The next frames are always those of the earliest moment any camera still has: every camera whose next frame lies within
the tolerance of it takes part (one frame each, by camera name). A camera of half the rate takes part in every second
moment; one that has ended takes part in none. Moments are concatenated and cut into batches, so the order of
frames does not depend on the batch size.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

from pipeline.packets import CameraEnd, Frame

POLL_S = 0.2


class FrameFeed(Protocol):
    """What a reader thread offers: its next frame, its end, or None when nothing came in time."""

    camera_id: str

    def next(self, timeout_s: float) -> Frame | CameraEnd | None: ...


def batches(
    feeds: Sequence[FrameFeed],
    batch_size: int,
    tolerance_s: float,
    stop: threading.Event,
) -> Iterator[list[Frame | CameraEnd]]:
    """Cut the aligned frames of ``feeds`` into batches of ``batch_size``; ends travel with the batch they fall in."""
    batch: list[Frame | CameraEnd] = []
    frames = 0
    for item in aligned(feeds, tolerance_s, stop):
        batch.append(item)
        frames += isinstance(item, Frame)
        if frames == batch_size:
            yield batch
            batch, frames = [], 0
    if batch:
        yield batch


def aligned(
    feeds: Sequence[FrameFeed], tolerance_s: float, stop: threading.Event
) -> Iterator[Frame | CameraEnd]:
    """Frames of all feeds in time order, and each camera's end right where it comes."""
    waiting = {feed.camera_id: feed for feed in feeds}
    heads: dict[str, Frame] = {}
    while waiting:
        for end in _fill(heads, waiting, stop):
            del waiting[end.camera_id]
            yield end
        if not heads:
            if stop.is_set():
                return
            continue
        first_s = min(frame.ref.timestamp_s for frame in heads.values())
        for camera_id in sorted(heads):
            if heads[camera_id].ref.timestamp_s <= first_s + tolerance_s:
                yield heads.pop(camera_id)


def _fill(heads: dict[str, Frame], waiting: dict[str, FrameFeed], stop: threading.Event) -> list[CameraEnd]:
    """Give every camera its next frame; returns the ends met, by camera name."""
    ends = []
    for camera_id in sorted(waiting.keys() - heads.keys()):
        item = _wait(waiting[camera_id], stop)
        if isinstance(item, CameraEnd):
            ends.append(item)
        elif item is not None:
            heads[camera_id] = item
    return ends


def _wait(feed: FrameFeed, stop: threading.Event) -> Frame | CameraEnd | None:
    """The feed's next item; None when stopped."""
    while True:
        item = feed.next(POLL_S)
        if item is not None or stop.is_set():
            return item
