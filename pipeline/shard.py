"""The one loop: K cameras, one copy of each model. It does not know whether it runs in this process or in a worker."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from pipeline.batching import batches
from pipeline.config import RunConfig
from pipeline.errors import CrosscamError, StageError
from pipeline.load import LoadControl
from pipeline.moments import LiveMoments
from pipeline.packets import CameraEnd, Frame, ShardMessage, Silence, Watermark
from pipeline.sources.reader import Reader
from pipeline.stages.crop import SeenFrame
from pipeline.stages.detect import DetectStage
from pipeline.stages.embed import AppearanceStage
from pipeline.stages.track import TrackStage
from pipeline.stages.tracklets import MAX_LIVE_OBSERVATIONS, TrackletStage
from pipeline.timing import StageTimes
from tracking.types import TrackedFrame

JOIN_S = 5.0

_NO_PIXELS = np.zeros((0, 0, 3), dtype=np.uint8)


@dataclass(slots=True)
class Shard:
    """The cameras of one process and the stages their frames go through.

    Attributes:
        readers: every camera's, also of those that have ended.
        load: live: what share of the frames this machine can use.
    """

    readers: Sequence[Reader]
    detect: DetectStage
    track: TrackStage
    appearance: AppearanceStage
    tracklets: TrackletStage
    times: StageTimes = field(default_factory=StageTimes)
    load: LoadControl = field(default_factory=LoadControl)
    _joining: deque[Reader] = field(default_factory=deque)

    def join(self, reader: Reader) -> None:
        """Live: take in one more camera while running; one of the same name must have been told to leave before.

        Any thread may call this. The stages must know the camera already.
        """
        self._joining.append(reader)

    def leave(self, camera_id: str) -> None:
        """Live: end one camera while the others go on; its :class:`CameraEnd` comes as usual. From any thread."""
        for reader in [*self.readers, *self._joining]:
            if reader.camera_id == camera_id:
                reader.leave()


def run_shard(
    shard: Shard, settings: RunConfig, stop: threading.Event
) -> Generator[ShardMessage, None, None]:
    """Drive the cameras to their ends, or until ``stop`` is set; then everything held back is given.

    Yields, for each frame in time order: its confirmed tracks, tracklets that ended with it; then each camera's watermark,
    always after what its batch produced. Every camera ends with one :class:`CameraEnd` and an infinite watermark.

    Raises:
        StageError: a stage failed; the message names it and the cameras of the batch.
        CrosscamError: as the stages raise it.
    """
    ended: set[Reader] = set()
    is_live = any(reader.info.is_live for reader in shard.readers)
    driven = _all_moments if is_live else _all_batches
    try:
        fault = None
        try:
            yield from driven(shard, settings, stop, ended)
        except CrosscamError as error:
            fault = error
        stop.set()
        try:
            yield from _unended(shard, ended)
        except CrosscamError as error:
            fault = fault or error
        if fault is not None:
            raise fault
    finally:
        stop.set()
        _join_readers(shard)
        for reader in shard.readers:
            shard.times.add("decode", reader.decode_s, reader.frames_decoded)


def _all_batches(
    shard: Shard, settings: RunConfig, stop: threading.Event, ended: set[Reader]
) -> Iterator[ShardMessage]:
    for reader in shard.readers:
        reader.start()
    waiting = batches(shard.readers, settings.batch_size, settings.align_tolerance_s, stop)
    for batch in _timed(waiting, shard.times):
        yield from _batch(shard, batch, ended)


def _all_moments(
    shard: Shard, settings: RunConfig, stop: threading.Event, ended: set[Reader]
) -> Iterator[ShardMessage]:
    """The same for live cameras, which may come and go; what the work costs decides how many frames are used."""
    moments = LiveMoments((), settings, stop)
    shard.tracklets.max_observations = MAX_LIVE_OBSERVATIONS
    for reader in shard.readers:
        _take_in(moments, reader, settings)
    for batch in _timed(iter(moments), shard.times):
        began = time.perf_counter()
        yield from _batch(shard, batch, ended)
        frames = sum(isinstance(item, Frame) for item in batch)
        shard.load.worked(frames, time.perf_counter() - began if frames else 0.0, shard.readers)
        while shard._joining and _take_in(moments, shard._joining[0], settings):
            shard.readers = [*shard.readers, shard._joining.popleft()]


def _take_in(moments: LiveMoments, reader: Reader, settings: RunConfig) -> bool:
    if not moments.join(reader):
        return False
    reader.attend(moments.arrived, settings.max_latency_s)
    reader.start()
    return True


def _batch(
    shard: Shard, batch: Sequence[Frame | CameraEnd | Silence], ended: set[Reader]
) -> Iterator[ShardMessage]:
    frames = [item for item in batch if isinstance(item, Frame)]
    if frames:
        yield from _frames(shard, frames)
    for item in batch:
        if isinstance(item, CameraEnd):
            ended.update(reader for reader in shard.readers if reader.camera_id == item.camera_id)
            yield from _end(shard, item)
        elif isinstance(item, Silence):
            yield from _flushed(shard, shard.track.silent(item.camera_id, item.time_s), item.camera_id)
            yield Watermark(item.camera_id, item.time_s)


Batch = TypeVar("Batch")


def _timed(waiting: Iterator[Batch], times: StageTimes) -> Iterator[Batch]:
    while True:
        with times.of("wait", 1):
            batch = next(waiting, None)
        if batch is None:
            return
        yield batch


def _frames(shard: Shard, frames: list[Frame]) -> Iterator[ShardMessage]:
    cameras = ", ".join(sorted({frame.ref.camera_id for frame in frames}))
    with _stage(shard, "detect", cameras, len(frames)):
        detected = shard.detect.process(frames)
    with _stage(shard, "track", cameras, len(frames)):
        tracked = shard.track.process(detected)
    yield from _tracked(shard, list(zip(frames, tracked, strict=True)), cameras)
    last = {frame.ref.camera_id: frame.ref.timestamp_s for frame in frames}
    yield from (Watermark(camera_id, last[camera_id]) for camera_id in sorted(last))


def _tracked(shard: Shard, seen: list[SeenFrame], cameras: str) -> Iterator[ShardMessage]:
    with _stage(shard, "embed", cameras, 0):
        crops = shard.appearance.process(seen)
    shard.times.add("embed", 0.0, sum(map(len, crops)))
    with _stage(shard, "tracklets", cameras, len(seen)):
        given = [
            message
            for (_, tracked), embedded in zip(seen, crops, strict=True)
            for message in shard.tracklets.process(tracked, embedded)
        ]
    yield from given


def _end(shard: Shard, end: CameraEnd) -> Iterator[ShardMessage]:
    yield from _flushed(shard, shard.track.end(end.camera_id), end.camera_id)
    yield end
    yield Watermark(end.camera_id, float("inf"))


def _flushed(shard: Shard, ended: Sequence[TrackedFrame], cameras: str) -> Iterator[ShardMessage]:
    seen = [(Frame(tracked.frame, _NO_PIXELS), tracked) for tracked in ended]
    return _tracked(shard, seen, cameras)


def _unended(shard: Shard, ended: set[Reader]) -> Iterator[ShardMessage]:
    """The ends of cameras that Ctrl-C or a fault stopped, so that what their tracks were is not lost."""
    _join_readers(shard)
    for reader in sorted(shard.readers, key=lambda one: one.camera_id):
        if reader not in ended:
            yield from _end(shard, reader.end())


def _join_readers(shard: Shard) -> None:
    """End all readers at once: the ones that hang in a dead connection are not waited for one after the other."""
    for reader in shard.readers:
        reader.hurry()
    until = time.monotonic() + JOIN_S
    for reader in shard.readers:
        reader.join(max(0.0, until - time.monotonic()))


@contextmanager
def _stage(shard: Shard, name: str, cameras: str, items: int) -> Iterator[None]:
    """Time a stage, and name it in whatever goes wrong inside: one of the three edges that catch everything."""
    try:
        with shard.times.of(name, items):
            yield
    except CrosscamError:
        raise
    except Exception as error:
        raise StageError(f"{name} failed on frames of {cameras}: {type(error).__name__}: {error}") from error
