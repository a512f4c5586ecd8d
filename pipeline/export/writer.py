"""Writes a run while it goes on: every line reaches the system at once, so a killed process loses nothing."""

from __future__ import annotations

import json
import os
import platform
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from pipeline.config import RotationConfig
from pipeline.errors import ExportError
from pipeline.export.document import write_atomically
from pipeline.export.header import RunHeader, header_to_json
from pipeline.export.ledger import Ledger
from pipeline.export.lines import (
    Record,
    RunEnd,
    camera_end_line,
    dumps,
    event_line,
    frame_line,
    run_end_line,
    tracklet_line,
    trajectory_line,
)
from pipeline.export.recovery import DOCUMENT, assemble
from pipeline.export.segments import LINES, UNFINISHED, Segments
from pipeline.packets import CameraEnd
from tracking.online import Event
from tracking.types import TrackedFrame, Tracklet, Trajectory

RUN_INFO = "run.json"
T = TypeVar("T")
_EMPTY_FRAME_EVERY_S = 1.0


class Outlet(Protocol):
    """Told of every record that is written, with its JSON text; must neither wait nor fail."""

    def take(self, record: Record, line: bytes) -> None: ...


class RunWriter:
    """Takes what a run produces, in any order: JSON Lines while it goes on, one JSON at the end.

    ``trajectories.json`` holds nothing that changes between two runs over the same input; times and the
    machine are in ``run.json``. An earlier run's files in the folder are replaced, but the lines of one that
    was killed are kept as ``trajectories.unfinished.jsonl``. Not thread-safe: one thread writes.

    Rotated lines go on in a new file, each beginning with the run's header; nothing of an earlier run is replaced
    then, its lines are one more closed file. Memory holds the index of the open file only, and
    ``trajectories.json`` shows what that one holds; ``recover`` makes one of all files that are left.

    Args:
        folder: made if it is not there.
        header: what is known of the run.
        rotation: when the lines go on in a new file; None keeps one file.
        outlets: told of every record.

    Raises:
        ExportError: the folder cannot be made or written. Each method raises it when the disk refuses; what
            was written until then stays readable.
    """

    def __init__(
        self,
        folder: Path,
        header: RunHeader,
        *,
        rotation: RotationConfig | None = None,
        outlets: Sequence[Outlet] = (),
    ) -> None:
        self.folder = folder
        self._ledger = Ledger()
        self._header = header
        self._outlets = outlets
        self._lines = 0
        self._last_empty_s: dict[str, float] = {}
        self._started = time.time()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _make_room(folder, keep_lines=rotation is not None)
            self._segments = Segments(folder, rotation)
        except OSError as error:
            reason = error.strerror or error
            raise ExportError(f"{folder}: output folder cannot be written: {reason}") from error
        self._write({"type": "run", **header_to_json(header)})

    def cameras(self, header: RunHeader) -> None:
        """Cameras came or changed while running: from here on this header counts. It names those of before, too."""
        self._header = header
        self._write({"type": "run", "continues": True, **header_to_json(header)})

    def frame(self, tracked: TrackedFrame) -> None:
        """The confirmed tracks of a frame; of frames without any, one a second of site time is noted."""
        camera, now_s = tracked.frame.camera_id, tracked.frame.timestamp_s
        if not tracked.confirmed.any():
            if now_s - self._last_empty_s.get(camera, float("-inf")) < _EMPTY_FRAME_EVERY_S:
                return
            self._last_empty_s[camera] = now_s
        self._write(frame_line(tracked))

    def tracklet(self, tracklet: Tracklet) -> None:
        """A snapshot of a tracklet; the last one of each key is exported."""
        self._write(tracklet_line(tracklet))

    def event(self, event: Event) -> None:
        """An online decision; an identity that has ended is written as the association left it."""
        self._write(event_line(event))
        if event.kind == "end":
            self._write(trajectory_line(event.trajectory))

    def camera_end(self, end: CameraEnd) -> None:
        """A camera's source has ended."""
        self._write(camera_end_line(end))

    def finish(
        self,
        trajectories: Sequence[Trajectory],
        *,
        complete: bool = True,
        reason: str | None = None,
        summary: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the trajectories and assemble ``trajectories.json``.

        Args:
            trajectories: those that no ``end`` event has told; then every tracklet is in exactly one.
            complete: False after an interruption or an error; a truncated camera makes it False by itself.
            reason: why it is not complete.
            summary: measured things for ``run.json`` (times, frames per second), as JSON values.

        Returns:
            The path of ``trajectories.json``.

        Raises:
            ExportError: a trajectory names a tracklet that was never given, or the disk refuses.
        """
        for trajectory in sorted(trajectories, key=lambda one: one.global_id):
            self._append(trajectory_line(trajectory))
        self._append(run_end_line(RunEnd(complete, reason)))
        self.close()
        path = self._assembled()
        self._write_run_info(complete, reason, summary or {})
        return path

    def close(self) -> None:
        """Close the JSON Lines; may be called twice. ``finish`` does it too."""
        self._segments.close()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, record: Record) -> None:
        if self._segments.is_due():
            self._rotate()
        self._append(record)

    def _rotate(self) -> None:
        self._checked(self._segments.rotate)
        self._ledger, self._lines = Ledger(), 0
        self._append({"type": "run", "continues": True, **header_to_json(self._header)})

    def _append(self, record: Record) -> None:
        try:
            line = dumps(record).encode()
        except ValueError as error:
            kind = record["type"]
            raise ExportError(f"{self._path}: a {kind} line holds NaN or infinity: {error}") from error
        offset = self._checked(lambda: self._segments.write(line + b"\n"))
        if record["type"] != "event":  # only a recovery asks for them, and they would pile up for ever
            self._ledger.add(record, offset)
        self._lines += 1
        for outlet in self._outlets:
            outlet.take(record, line)

    def _checked(self, write: Callable[[], T]) -> T:
        try:
            return write()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ExportError(f"{self._path}: cannot be written: {reason}; {self._kept}") from error

    def _assembled(self) -> Path:
        try:
            return assemble(self.folder, [self._path], self._ledger)
        except ExportError as error:
            raise ExportError(f"{error}; {self._kept}") from error

    @property
    def _path(self) -> Path:
        return self.folder / LINES

    @property
    def _kept(self) -> str:
        return (
            f"kept: {self._lines} lines with {len(self._ledger.offsets)} tracklets in {self._path}; "
            f"`python -m pipeline recover {self.folder}` makes {DOCUMENT} of them"
        )

    def _write_run_info(self, complete: bool, reason: str | None, summary: Mapping[str, Any]) -> None:
        ended = time.time()
        info = {
            "complete": complete,
            "reason": reason,
            "started": datetime.fromtimestamp(self._started, timezone.utc).isoformat(timespec="milliseconds"),
            "wall_s": round(ended - self._started, 3),
            "host": socket.gethostname(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "cpu_cores": os.cpu_count(),
            **summary,
        }
        text = json.dumps(info, indent=2, ensure_ascii=False) + "\n"
        write_atomically(self.folder / RUN_INFO, [text.encode()])


def _make_room(folder: Path, keep_lines: bool) -> None:
    """Remove an earlier run's results, lest they be taken for this one's; keep lines never assembled."""
    lines = folder / LINES
    if not keep_lines and lines.exists() and not _has_ended(lines):
        os.replace(lines, folder / UNFINISHED)
    for name in (DOCUMENT, RUN_INFO):
        (folder / name).unlink(missing_ok=True)


def _has_ended(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
        return b'{"type":"run_end"' in file.read()
