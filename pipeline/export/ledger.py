"""The index of a run's JSON Lines: which line holds what. Memory holds summaries, never observations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import ExportError
from pipeline.export.header import RunHeader, header_from_json
from pipeline.export.lines import (
    Record,
    RunEnd,
    camera_end_from_json,
    keys_from_json,
    link_from_json,
    trajectory_from_json,
)
from pipeline.export.segments import LINES, closed_segments
from pipeline.packets import CameraEnd
from tracking.types import Link, TrackletKey, Trajectory

Place = tuple[int, int]


@dataclass(slots=True)
class Ledger:
    """What a ``trajectories.jsonl`` says, line by line.

    Attributes:
        header: of the run, once its line was read; a later one counts, cameras may have come.
        is_whole: False where lines of this run were rotated away before the first one known here.
        offsets: where the latest line of each tracklet is: number of the file, byte position.
        final: tracklets that have ended; all others were still going on.
        cameras: how each camera ended.
        trajectories: the association's last word, by global id; empty after a kill.
        members, classes, links: identities as the online decisions left them, by global id.
        end: how the run ended, or None after a kill.
    """

    header: RunHeader | None = None
    is_whole: bool = True
    offsets: dict[TrackletKey, Place] = field(default_factory=dict)
    final: set[TrackletKey] = field(default_factory=set)
    cameras: dict[str, CameraEnd] = field(default_factory=dict)
    trajectories: dict[int, Trajectory] = field(default_factory=dict)
    members: dict[int, tuple[TrackletKey, ...]] = field(default_factory=dict)
    classes: dict[int, int] = field(default_factory=dict)
    links: dict[TrackletKey, Link] = field(default_factory=dict)
    end: RunEnd | None = None

    def add(self, record: Record, offset: int, file: int = 0) -> None:
        """Note one line that starts at byte ``offset`` of file number ``file``."""
        kind = record["type"]
        if kind == "tracklet":
            key = TrackletKey(record["camera"], record["local_id"])
            self.offsets[key] = (file, offset)
            if record["final"]:
                self.final.add(key)
        elif kind == "event":
            self._decided(record)
        elif kind == "camera_end":
            self.cameras[record["camera_id"]] = camera_end_from_json(record)
        elif kind == "trajectory":
            self.trajectories[record["global_id"]] = trajectory_from_json(record)
        elif kind == "run":
            if self.header is None:
                self.is_whole = not record.get("continues", False)
            self.header = header_from_json(record)
        elif kind == "run_end":
            self.end = RunEnd(record["complete"], record["reason"])

    def _decided(self, record: Record) -> None:
        global_id = record["global_id"]
        self.members[global_id] = keys_from_json(record["members"])
        self.classes[global_id] = record["class"]
        if record["superseded"]:
            self.members.pop(record["from_id"], None)
        elif record["from_id"] is not None:
            moved = set(keys_from_json(record["tracklets"]))
            kept = tuple(key for key in self.members.get(record["from_id"], ()) if key not in moved)
            self.members[record["from_id"]] = kept
        for link in map(link_from_json, record["links"]):
            self.links[link.second] = link


def read_ledger(paths: Sequence[Path]) -> Ledger:
    """Index the JSON Lines of one run, in the order they were written.

    Raises:
        ExportError: a file cannot be read, or the first does not begin with a run's header.
    """
    ledger = Ledger()
    for number, path in enumerate(paths):
        for offset, record in read_records(path):
            try:
                ledger.add(record, offset, number)
            except (KeyError, TypeError, ValueError) as error:
                raise ExportError(f"{path}: byte {offset}: not a line of a run: {error!r}") from error
        if ledger.header is None:
            raise ExportError(f"{path}: has no line of type run; is it the trajectories.jsonl of a run?")
    return ledger


def files_of_run(folder: Path) -> list[Path]:
    """The JSON Lines of a folder's last run, oldest first: the open file and the closed ones it continues.

    Raises:
        ExportError: there are none, or one cannot be read.
    """
    path = folder / LINES
    files = [path]
    for earlier in reversed(closed_segments(folder) if folder.is_dir() else []):
        if not _continues(files[0]):
            break
        files.insert(0, earlier)
    return files


def _continues(path: Path) -> bool:
    for _, record in read_records(path):
        return bool(record.get("continues", False))
    return True  # killed while it was opened


def read_records(path: Path) -> Iterator[tuple[int, Record]]:
    """Every line with its byte offset. A last line torn by a crash is left out.

    Raises:
        ExportError: the file cannot be read, or a line other than the last is not JSON.
    """
    try:
        with path.open("rb") as file:
            yield from _parse(path, file)
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from error


def _parse(path: Path, file: Any) -> Iterator[tuple[int, Record]]:
    offset = 0
    for number, line in enumerate(file, 1):
        if not line.endswith(b"\n"):
            return
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ExportError(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(record, dict) or "type" not in record:
            raise ExportError(f"{path}:{number}: expected an object with a type")
        yield offset, record
        offset += len(line)


def record_at(file: Any, offset: int) -> Record:
    """The record that starts at byte ``offset`` of an open binary file."""
    file.seek(offset)
    record: Record = json.loads(file.readline())
    return record
