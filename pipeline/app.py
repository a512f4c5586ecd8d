"""One run: shard -> identities -> results. What goes wrong leaves everything computed until then in valid files."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.build import Run, build_run
from pipeline.config import Config
from pipeline.errors import INTERRUPTED, CrosscamError, ExportError, SourceError
from pipeline.export.writer import RunWriter
from pipeline.linking import Linker, open_linker
from pipeline.packets import CameraEnd, ShardMessage, Watermark
from pipeline.progress import CameraProgress, RunProgress
from pipeline.shard import run_shard
from pipeline.timing import StageTimes
from tracking.online import Event
from tracking.types import TrackedFrame, Tracklet, Trajectory


@dataclass(slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        path: of ``trajectories.json``.
        exit_code: 0; 3 when a recorded camera was bad; 130 after Ctrl-C.
        reason: why it is not complete, or None.
        ends: how each camera ended.
        dropped, tracklets: counts by camera.
        cross_camera_links: links between two cameras.
        times, wall_s: how long it took.
    """

    path: Path
    exit_code: int
    reason: str | None
    ends: Sequence[CameraEnd]
    dropped: dict[str, int]
    tracklets: dict[str, int]
    identities: int
    cross_camera_links: int
    times: StageTimes
    wall_s: float


def run(config: Config, output: Path, console: Console) -> Outcome:
    """Do the main job. Ctrl-C stops it early, with everything seen until then written.

    Raises:
        CrosscamError: a stage failed or results cannot be written; what could be written was.
    """
    began, stop = time.perf_counter(), threading.Event()
    with _interruptible(stop) as interrupted:
        built = build_run(config, output, stop)
        linker = open_linker(config, built.embedding_dim)
        with RunWriter(output, built.header) as writer:
            job = _Job(built, linker, writer)
            fault = job.drive(stop, console)
            reason, code = job.bad_cameras()
            if fault is not None:
                reason, code = str(fault), fault.exit_code
            elif interrupted.is_set():
                reason, code = "interrupted", INTERRUPTED
            outcome = job.finish(reason, code, began)
    if fault is not None:
        raise fault
    return outcome


class _Job:
    """Passes what a shard gives on to the linker and the writer, and counts."""

    def __init__(self, built: Run, linker: Linker, writer: RunWriter) -> None:
        self._built = built
        self._linker = linker
        self._writer = writer
        self._ends: list[CameraEnd] = []
        self._final: Counter[str] = Counter()
        self._identities = self._cross_camera_links = 0

    def drive(self, stop: threading.Event, console: Console) -> CrosscamError | None:
        """Run the shard to its end; returns what stopped it before."""
        shard, settings = self._built.shard, self._built.config.run
        cameras = {
            reader.camera_id: CameraProgress(reader.info.frames_declared, reader.info.is_live)
            for reader in shard.readers
        }
        for end in self._built.failed:
            self._ended(end)
        try:
            messages = run_shard(shard, settings, stop)
            with RunProgress(cameras, console) as progress, closing(messages):
                for message in messages:
                    self._take(message, progress)
        except ExportError:
            raise
        except CrosscamError as error:
            return error
        return None

    def _take(self, message: ShardMessage, progress: RunProgress) -> None:
        if isinstance(message, TrackedFrame):
            self._writer.frame(message)
            progress.frame(message.frame.camera_id, message.frame.timestamp_s)
        elif isinstance(message, Tracklet):
            self._writer.tracklet(message)
            self._linker.take(message)
            self._final[message.camera_id] += message.is_final
        elif isinstance(message, Watermark):
            self._tell(self._linker.advance(message))
        else:
            self._ended(message)

    def _ended(self, end: CameraEnd) -> None:
        self._ends.append(end)
        self._writer.camera_end(end)
        for recorder in self._built.recorders:
            recorder.end(end)

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            self._writer.event(event)
            if event.kind == "end":
                self._count(event.trajectory)

    def _count(self, trajectory: Trajectory) -> None:
        self._identities += 1
        self._cross_camera_links += sum(
            link.first.camera_id != link.second.camera_id for link in trajectory.links
        )

    def bad_cameras(self) -> tuple[str | None, int]:
        """Why recorded cameras make the result incomplete, and the exit code; None and 0 where all are whole."""
        bad = [end.error or f"camera {end.camera_id}: {_truncation(end)}" for end in self._ends
               if end.error is not None or end.truncated]  # fmt: skip
        return ("\n".join(bad), SourceError.exit_code) if bad else (None, 0)

    def finish(self, reason: str | None, exit_code: int, began: float) -> Outcome:
        """Associate what there is and write the results."""
        times = self._built.shard.times
        with times.of("associate", sum(self._final.values())):
            events, trajectories = self._linker.finish()
        self._tell(events)
        for trajectory in trajectories:
            self._count(trajectory)
        outcome = Outcome(
            path=self._writer.folder,
            exit_code=exit_code,
            reason=reason,
            ends=self._ends,
            dropped={reader.camera_id: reader.frames_dropped for reader in self._built.shard.readers},
            tracklets=dict(self._final),
            identities=self._identities,
            cross_camera_links=self._cross_camera_links,
            times=times,
            wall_s=time.perf_counter() - began,
        )
        outcome.path = self._writer.finish(
            trajectories, complete=reason is None, reason=reason, summary=summary_of(outcome)
        )
        return outcome


def summary_of(outcome: Outcome) -> dict[str, Any]:
    """What ``run.json`` says of the work itself."""
    frames = sum(end.frames_decoded for end in outcome.ends)
    return {
        "frames": frames,
        "fps": round(frames / max(outcome.wall_s, 1e-9), 2),
        "frames_dropped": outcome.dropped,
        "tracklets": outcome.tracklets,
        "identities": outcome.identities,
        "cross_camera_links": outcome.cross_camera_links,
        "stages": outcome.times.as_json(),
    }


def _truncation(end: CameraEnd) -> str:
    of = "" if end.frames_declared is None else f" of {end.frames_declared}"
    return f"the recording is truncated: it gave {end.frames_decoded}{of} frames"


@contextmanager
def _interruptible(stop: threading.Event) -> Iterator[threading.Event]:
    """The first Ctrl-C (or SIGTERM) sets ``stop`` and the event this gives; a second one ends the program as usual."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def heed(number: int, _: object) -> None:
        interrupted.set()
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, heed)
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
