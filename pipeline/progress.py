"""What the user sees while a run goes on: a bar per camera, or plain lines without a terminal; a table at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from pipeline.packets import CameraEnd
from pipeline.timing import StageTimes

LINE_EVERY_S = 10.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class CameraProgress:
    """How far one camera is.

    Attributes:
        expected: frames to come in all, or None.
        lag_s: live: behind the wall clock; recorded: behind the camera that is furthest.
    """

    expected: int | None
    is_live: bool = False
    done: int = 0
    time_s: float = float("-inf")
    began: float = field(default_factory=time.monotonic)

    def frame(self, time_s: float) -> None:
        self.done += 1
        self.time_s = time_s

    @property
    def fps(self) -> float:
        return self.done / max(time.monotonic() - self.began, 1e-6)

    @property
    def eta_s(self) -> float | None:
        if self.expected is None or not self.done:
            return None
        return max(self.expected - self.done, 0) / max(self.fps, 1e-6)

    def lag_s(self, front_s: float) -> float:
        return max(0.0, (time.time() if self.is_live else front_s) - self.time_s) if self.done else 0.0


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
