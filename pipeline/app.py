"""One run: shard -> identities -> results. What goes wrong leaves everything computed until then in valid files."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.build import Run, build_run
from pipeline.config import Config
from pipeline.errors import INTERRUPTED, CrosscamError, ExportError, SourceError
from pipeline.export.writer import RunWriter
from pipeline.fusion import write_ground
from pipeline.linking import Linker, open_linker
from pipeline.packets import CameraEnd, ShardMessage, Watermark
from pipeline.progress import CameraProgress, LiveTable, RunProgress
from pipeline.reload import Reload
from pipeline.retention import sweeper_of
from pipeline.serve.metrics import Metrics
from pipeline.serve.server import StatusServer
from pipeline.serve.status import Monitor
from pipeline.shard import run_shard
from pipeline.signals import Signals, heeded
from pipeline.sinks.delivery import Delivery, close_all
from pipeline.sinks.opening import open_deliveries
from pipeline.timing import StageTimes
from tracking.online import Event
from tracking.types import TrackedFrame, Tracklet, Trajectory

log = logging.getLogger(__name__)


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


def run(
    config: Config, output: Path, console: Console, *, reread: Callable[[], Config] | None = None
) -> Outcome:
    """Do the main job. Ctrl-C stops it early, with everything seen until then written; SIGTERM does, too, and is how
    a live run ends well.

    Args:
        reread: reads the configuration anew when SIGHUP comes; without it SIGHUP does what it always does.

    Raises:
        CrosscamError: a stage failed or results cannot be written; what could be written was.
    """
    began, stop = time.perf_counter(), threading.Event()
    with heeded(stop, with_hangup=reread is not None) as signals, ExitStack() as stack:
        monitor = _monitor(config, stack)
        deliveries = _deliveries(config, output, stack)
        built = build_run(config, output, stop)
        linker = open_linker(config, built.embedding_dim, output, built.header.cameras)
        writer = stack.enter_context(
            RunWriter(output, built.header, rotation=config.rotation, outlets=deliveries)
        )
        monitor.watch(built.shard, linker, deliveries)
        sweeper = sweeper_of(config, output)
        if sweeper is not None:
            stack.enter_context(sweeper)
        job = _Job(built, linker, writer, monitor)
        reload = Reload(built, linker, writer, reread) if reread is not None else None
        fault = job.drive(stop, console, signals, reload)
        reason, code = job.verdict(fault, signals)
        outcome = job.finish(reason, code, began)
    if fault is not None:
        raise fault
    return outcome


def _monitor(config: Config, stack: ExitStack) -> Monitor:
    """Watches the run, and serves what it sees where that is wanted, until the stack is unwound."""
    if config.serve is None:
        return Monitor()
    metrics = Metrics()
    monitor = Monitor(config.serve.stall_s, metrics.latency)
    metrics.show(monitor.status)
    server = StatusServer(config.serve, monitor.fault, monitor.not_ready, metrics.text)
    stack.callback(server.close)
    return monitor


def _deliveries(config: Config, output: Path, stack: ExitStack) -> list[Delivery]:
    deliveries = open_deliveries(config.output.sinks, output)
    for delivery in deliveries:
        delivery.start()
    stack.callback(close_all, deliveries)
    return deliveries


class _Job:
    """Passes what a shard gives on to the linker and the writer, and counts."""

    def __init__(self, built: Run, linker: Linker, writer: RunWriter, monitor: Monitor) -> None:
        self._built = built
        self._linker = linker
        self._writer = writer
        self._monitor = monitor
        self._ends: list[CameraEnd] = []
        self._final: Counter[str] = Counter()
        self._identities = self._cross_camera_links = 0

    def drive(
        self, stop: threading.Event, console: Console, signals: Signals, reload: Reload | None
    ) -> CrosscamError | None:
        """Run the shard to its end; returns what stopped it before."""
        for end in self._built.failed:
            self._ended(end)
        if self._is_live and self._built.config.association.mode == "offline":
            log.warning("association.mode offline keeps every tracklet until the run ends; live wants online")
        try:
            messages = run_shard(self._built.shard, self._built.config.run, stop)
            with self._progress(console) as progress, closing(messages):
                for message in messages:
                    self._take(message, progress)
                    self._monitor.beat()
                    if reload is not None:
                        if isinstance(message, Watermark):
                            reload.passed(message)
                        if signals.hangup.is_set():
                            signals.hangup.clear()
                            reload.apply()
        except ExportError:
            raise
        except CrosscamError as error:
            return error
        return None

    @property
    def _is_live(self) -> bool:
        return all(camera.is_live for camera in self._built.config.cameras)

    def _progress(self, console: Console) -> LiveTable | RunProgress:
        readers = self._built.shard.readers
        if any(reader.info.is_live for reader in readers):
            return LiveTable(self._monitor.status, console)
        cameras = {reader.camera_id: CameraProgress(reader.info.frames_declared) for reader in readers}
        return RunProgress(cameras, console)

    def _take(self, message: ShardMessage, progress: LiveTable | RunProgress) -> None:
        if isinstance(message, TrackedFrame):
            self._writer.frame(message)
            self._monitor.frame(message.frame.camera_id, message.frame.timestamp_s)
            progress.frame(message.frame.camera_id, message.frame.timestamp_s)
        elif isinstance(message, Tracklet):
            self._writer.tracklet(message)
            self._linker.take(message)
            if message.is_final:
                self._final[message.camera_id] += 1
                self._monitor.tracklet(message.camera_id)
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
            self._monitor.event(event)
            if event.kind == "end":
                self._count(event.trajectory)

    def _count(self, trajectory: Trajectory) -> None:
        self._identities += 1
        self._cross_camera_links += sum(
            link.first.camera_id != link.second.camera_id for link in trajectory.links
        )

    def verdict(self, fault: CrosscamError | None, signals: Signals) -> tuple[str | None, int]:
        """Why the result is incomplete, or None, and the exit code. SIGTERM is the good end of a live run."""
        if fault is not None:
            return str(fault), fault.exit_code
        if signals.interrupted.is_set() or (signals.terminated.is_set() and not self._is_live):
            return "interrupted", INTERRUPTED
        return self._bad_cameras()

    def _bad_cameras(self) -> tuple[str | None, int]:
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
        write_ground(self._writer.folder, self._built.config)
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
