"""Reads ``trajectories.json`` back into typed objects, one trajectory in memory at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipeline.errors import ExportError
from pipeline.export.header import FORMAT, FORMAT_VERSION, RunHeader, header_from_json
from pipeline.export.lines import RunEnd, link_from_json
from pipeline.export.record import RunRecord, StoredTrajectory
from pipeline.packets import CameraEnd
from tracking.types import Tracklet, TrackletKey, Trajectory

_HEAD = frozenset({"format", "version", "complete", "reason", "run", "classes", "cameras"})
_CHUNK = 1 << 18


def read_run(path: Path) -> RunRecord:
    """Open a document. Its head is read now, its trajectories anew at each iteration.

    Raises:
        ExportError: the file cannot be read, is not JSON, or is not a document of a known version.
            Iterating raises it for a broken trajectory.
    """
    head = _read_head(path)
    if head.get("format") != FORMAT:
        found = head.get("format")
        raise ExportError(f"{path}: not a trajectories document: format is {found!r}, not {FORMAT!r}")
    version = str(head.get("version"))
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise ExportError(f"{path}: version {version}; this program reads version {FORMAT_VERSION}")
    try:
        header = header_from_json(head)
        ended = [camera for camera in head["cameras"] if camera["frames_decoded"] is not None]
        ends = {camera["id"]: _end(camera) for camera in ended}
        end = RunEnd(head["complete"], head["reason"])
    except (KeyError, TypeError) as error:
        raise ExportError(f"{path}: not a trajectories document: {error!r}") from error
    return RunRecord(header, _FileTrajectories(path, header), ends, end)


def _end(camera: Mapping[str, Any]) -> CameraEnd:
    return CameraEnd(
        camera["id"],
        camera["frames_decoded"],
        camera["frames_declared"],
        camera["frames_skipped"],
        camera["truncated"],
        camera["error"],
    )


@dataclass(frozen=True, slots=True)
class _FileTrajectories:
    path: Path
    header: RunHeader

    def __iter__(self) -> Iterator[StoredTrajectory]:
        class_id = {name: number for number, name in enumerate(self.header.classes)}
        for name, value in _members(self.path):
            if name != "trajectories":
                continue
            try:
                yield _trajectory(value, class_id)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                known = value.get("global_id") if isinstance(value, dict) else value
                raise ExportError(f"{self.path}: trajectory {known}: {error!r}") from error


def _trajectory(value: Mapping[str, Any], class_id: Mapping[str, int]) -> StoredTrajectory:
    tracklets = tuple(_tracklet(tracklet, class_id) for tracklet in value["tracklets"])
    trajectory = Trajectory(
        global_id=value["global_id"],
        class_id=class_id[value["class"]],
        tracklets=tuple(tracklet.key for tracklet in tracklets),
        links=tuple(link_from_json(link) for link in value["links"]),
    )
    return StoredTrajectory(trajectory, tracklets)


def _tracklet(value: Mapping[str, Any], class_id: Mapping[str, int]) -> Tracklet:
    rows, crops = value["observations"], value["crops"]
    unknown = (np.nan, np.nan)
    located = any("ground_m" in row for row in rows)
    times = np.array([row["time_s"] for row in rows])
    return Tracklet(
        key=TrackletKey(value["camera"], value["local_id"]),
        class_id=class_id[value["class"]],
        frame_index=np.array([row["frame"] for row in rows], np.int64),
        timestamp_s=times,
        xyxy=np.array([row["xyxy_px"] for row in rows], np.float32),
        confidence=np.array([row["confidence"] for row in rows], np.float32),
        interpolated=np.array([row["interpolated"] for row in rows], np.bool_),
        ground_xy=np.array([row.get("ground_m", unknown) for row in rows], np.float32) if located else None,
        embeddings=np.zeros((crops, 0), np.float32),
        embedding_quality=np.ones(crops, np.float32),
        embedding_timestamp_s=np.full(crops, times[0]),
        as_of_s=float(times[-1]),
        is_final=value["final"],
    )


def _read_head(path: Path) -> dict[str, Any]:
    """The members before the trajectories; those after them too, should somebody have sorted the file."""
    head: dict[str, Any] = {}
    for name, value in _members(path):
        if name == "trajectories":
            if head.keys() >= _HEAD:
                break
            continue
        head[name] = value
    return head


def _members(path: Path) -> Iterator[tuple[str, Any]]:
    """The members of the top-level object; ``trajectories`` comes once for each of its elements."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from _Scanner(file).members("trajectories")
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ExportError(f"{path}: not UTF-8 text: {error}") from error
    except json.JSONDecodeError as error:
        place = error.doc[error.pos : error.pos + 40]
        raise ExportError(f"{path}: not valid JSON: {error.msg} near {place!r}") from error


class _Scanner:
    """Decodes a JSON object member by member, reading the file piece by piece."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._decoder = json.JSONDecoder()

    def members(self, spread: str) -> Iterator[tuple[str, Any]]:
        """Name and value of each member; the array named ``spread`` element by element."""
        self._take("{")
        while self._peek() != "}":
            name = self._value()
            self._take(":")
            if name == spread and self._peek() == "[":
                yield from ((name, value) for value in self._elements())
            else:
                yield name, self._value()
            if self._peek() != "}":
                self._take(",")

    def _elements(self) -> Iterator[Any]:
        self._take("[")
        while self._peek() != "]":
            yield self._value()
            if self._peek() != "]":
                self._take(",")
        self._take("]")

    def _peek(self) -> str:
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read(_CHUNK):
                raise json.JSONDecodeError("the file ends too early", self._text, self._at)

    def _take(self, character: str) -> None:
        if self._peek() != character:
            raise json.JSONDecodeError(f"expected {character!r}", self._text, self._at)
        self._at += 1

    def _value(self) -> Any:
        self._peek()
        size = _CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
                if end < len(self._text) or not self._read(size):
                    self._at = end
                    return value
            except json.JSONDecodeError:
                if not self._read(size):
                    raise
            size *= 2

    def _read(self, size: int) -> bool:
        """Read on, forgetting what was decoded; False at the end of the file."""
        more = self._file.read(size)
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(more)
