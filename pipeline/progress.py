"""What the user sees while a run goes on: a bar per camera, or plain lines without a terminal; a table at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from pipeline.packets import CameraEnd
from pipeline.serve.status import CameraStatus, RunStatus
from pipeline.sinks.delivery import SinkStatus
from pipeline.timing import StageTimes

LINE_EVERY_S = 10.0
LIVE_LINE_EVERY_S = 60.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class CameraProgress:
    """How far one recording is.

    Attributes:
        expected: frames to come in all, or None.
    """

    expected: int | None
    done: int = 0
    time_s: float = float("-inf")
    began: float = field(default_factory=time.monotonic)

    def frame(self, time_s: float) -> None:
        """What was seen of a track before it was confirmed is told again, under its own time: that is no new frame."""
        self.done += time_s > self.time_s
        self.time_s = max(self.time_s, time_s)

    @property
    def fps(self) -> float:
        return self.done / max(time.monotonic() - self.began, 1e-6)

    @property
    def eta_s(self) -> float | None:
        if self.expected is None or not self.done:
            return None
        return max(self.expected - self.done, 0) / max(self.fps, 1e-6)

    def lag_s(self, front_s: float) -> float:
        """Behind the camera that is furthest."""
        return max(0.0, front_s - self.time_s) if self.done else 0.0


class RunProgress:
    """Shows the cameras of a run; a context manager."""

    def __init__(self, cameras: Mapping[str, CameraProgress], console: Console) -> None:
        self._cameras = cameras
        self._shown = console.is_terminal
        self._next_line = time.monotonic() + LINE_EVERY_S
        self._bars = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:>7.0f}/{task.fields[expected]}"),
            TextColumn("{task.fields[state]}"),
            console=console,
            transient=True,
            refresh_per_second=4,
            disable=not self._shown,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> RunProgress:
        for camera_id, camera in self._cameras.items():
            expected = "?" if camera.expected is None else str(camera.expected)
            self._tasks[camera_id] = self._bars.add_task(
                camera_id, total=camera.expected, expected=expected, state=""
            )
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def frame(self, camera_id: str, time_s: float) -> None:
        """One more frame of a camera is through."""
        camera = self._cameras[camera_id]
        camera.frame(time_s)
        if self._shown:
            self._bars.update(self._tasks[camera_id], completed=camera.done, state=self._state(camera))
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_EVERY_S
            log.info("%s", "; ".join(f"{name} {self._line(one)}" for name, one in self._cameras.items()))

    def _line(self, camera: CameraProgress) -> str:
        return f"{camera.done}/{camera.expected or '?'} frames, {self._state(camera)}"

    def _state(self, camera: CameraProgress) -> str:
        front_s = max(one.time_s for one in self._cameras.values())
        eta = "" if camera.eta_s is None else f", {clock_text(camera.eta_s)} to go"
        return f"{camera.fps:.1f} fps, lag {camera.lag_s(front_s):.1f} s{eta}"


class LiveTable:
    """Live cameras: a table that is renewed every second; without a terminal a line a minute. A context manager."""

    def __init__(self, status: Callable[[], RunStatus], console: Console) -> None:
        self._status = status
        self._next_line = time.monotonic() + LIVE_LINE_EVERY_S
        self._table = Live(
            get_renderable=lambda: live_tables(status()),
            console=console,
            refresh_per_second=1,
            transient=True,
        )
        self._shown = console.is_terminal

    def __enter__(self) -> LiveTable:
        if self._shown:
            self._table.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._table.stop()

    def frame(self, camera_id: str, time_s: float) -> None:
        """One more frame of a camera is through."""
        if not self._shown and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LIVE_LINE_EVERY_S
            log.info("%s", "; ".join(_live_line(one) for one in self._status().cameras))


def _live_line(one: CameraStatus) -> str:
    health = one.health
    return f"{health.camera_id} {health.state}, {one.fps_out:.1f} of {health.fps_in:.1f} fps, lag {health.lag_s:.1f} s"


def live_tables(status: RunStatus) -> Group:
    """Cameras, sinks and the run as a whole, as they stand."""
    parts: list[Table | str] = [_camera_states(status.cameras)]
    if status.sinks:
        parts.append(_sink_states(status.sinks))
    events = sum((status.events or {}).values())
    using = "" if status.share == 1.0 else f", using {100 * status.share:.0f} % of the frames"
    parts.append(f"{clock_text(status.up_s)}  {status.identities} identities open, {events} events{using}")
    return Group(*parts)


def _camera_states(cameras: Sequence[CameraStatus]) -> Table:
    table = Table("camera", "state")
    for name in ("in fps", "out fps", "lag s", "queue", "dropped", "late", "reconnects", "tracklets"):
        table.add_column(name, justify="right")
    table.add_column("clock")
    for one in cameras:
        health = one.health
        is_well = health.state == "live" and health.picture == "live"
        state = health.state if health.state != "live" else health.picture
        rates = (f"{health.fps_in:.1f}", f"{one.fps_out:.1f}", f"{health.lag_s:.2f}")
        counts = (health.queued, health.frames_dropped, health.frames_late, health.reconnects, one.tracklets)
        table.add_row(health.camera_id, state, *rates, *map(str, counts), health.clock_kind,
                      style=None if is_well else "red")  # fmt: skip
    return table


def _sink_states(sinks: Sequence[SinkStatus]) -> Table:
    table = Table("sink", "state")
    for name in ("sent", "waiting", "MiB", "dropped"):
        table.add_column(name, justify="right")
    for one in sinks:
        counts = (str(one.sent), str(one.waiting), f"{one.waiting_bytes / 2**20:.1f}", str(one.dropped))
        table.add_row(one.name, "up" if one.is_up else "down", *counts, style=None if one.is_up else "red")
    return table


def clock_text(seconds: float) -> str:
    """``75`` as ``1:15``, ``3700`` as ``1:01:40``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def camera_table(
    ends: Sequence[CameraEnd], dropped: Mapping[str, int], tracklets: Mapping[str, int]
) -> Table:
    """One line per camera: frames, what was lost, tracklets, how it ended."""
    table = Table("camera", title="Cameras", title_justify="left")
    for name in ("frames", "of", "skipped", "dropped", "tracklets"):
        table.add_column(name, justify="right")
    table.add_column("ended")
    for end in sorted(ends, key=lambda one: one.camera_id):
        how = end.error or ("truncated" if end.truncated else "complete")
        of = "?" if end.frames_declared is None else str(end.frames_declared)
        counts = (end.frames_decoded, of, end.frames_skipped, dropped.get(end.camera_id, 0))
        table.add_row(end.camera_id, *map(str, counts), str(tracklets.get(end.camera_id, 0)), how)
    return table


def stage_table(times: StageTimes, wall_s: float, frames: int) -> Table:
    """Seconds of each stage; decoding runs beside the others, in one thread per camera."""
    table = Table("stage", title="Time", title_justify="left")
    for name in ("seconds", "items", "items/s"):
        table.add_column(name, justify="right")
    for stage, seconds in times.seconds.items():
        items = times.items[stage]
        table.add_row(stage, f"{seconds:.2f}", str(items), f"{items / max(seconds, 1e-9):.1f}")
    table.add_row("in all", f"{wall_s:.2f}", str(frames), f"{frames / max(wall_s, 1e-9):.1f}", style="bold")
    return table
