"""Stored detections: our JSON Lines (written while running, exact when replayed) and MOTChallenge det.txt.

JSON Lines: a header ``{"format": "crosscam-detections/1", "camera", "classes", "width", "height", "fps", "model"}``, one
line per processed frame ``{"frame", "position_s", "boxes": [[x0, y0, x1, y1, confidence, class], ...]}``, and an end
line ``{"end": true, "truncated"}``. Class is an index into the header's names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import SourceError
from pipeline.stages.stored_lines import StoredLines, parts_of
from tracking.mot import read_mot
from tracking.types import Detections, FloatArray, IntArray, SecondsArray

FORMAT = "crosscam-detections/1"


@dataclass(frozen=True, slots=True, eq=False)
class StoredDetections:
    """One camera's detections, all frames, ascending.

    Attributes:
        frame_index: ``(F,)`` int64, 0-based.
        position_s: ``(F,)`` float64 seconds into the recording, or None where the file has no clock.
        first_row: ``(F + 1,)`` int64; frame f owns rows ``first_row[f]:first_row[f + 1]``.
        rows: ``(R, 6)`` float32: x0, y0, x1, y1 px, confidence, class index into ``classes``.
        classes: names, or None where the file knows none (MOT text).
    """

    path: Path
    frame_index: IntArray
    position_s: SecondsArray | None
    first_row: IntArray
    rows: FloatArray
    classes: tuple[str, ...] | None
    width: int = 0
    height: int = 0
    fps: float | None = None
    truncated: bool = False

    def of(self, frame_index: int) -> Detections:
        """The detections of one frame; none where the file has no such frame."""
        at = int(np.searchsorted(self.frame_index, frame_index))
        if at == len(self.frame_index) or self.frame_index[at] != frame_index:
            return Detections.empty()
        rows = self.rows[self.first_row[at] : self.first_row[at + 1]]
        return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


def read_detections(path: Path) -> StoredDetections:
    """Read either form, told apart by the name's ending.

    Raises:
        SourceError: the file is missing or broken; the message names file and line.
    """
    try:
        return _read_jsonl(path) if path.suffix == ".jsonl" else _read_mot(path)
    except OSError as error:
        raise SourceError(f"{path}: cannot read stored detections: {error.strerror}") from error


def _read_jsonl(path: Path) -> StoredDetections:
    """A camera that came back has several files; its frame numbers go on from one to the next."""
    parts = [_Part(part) for part in parts_of(path)]
    first, last = parts[0].header, None
    for part in parts:
        if part.header["classes"] != first["classes"]:
            raise SourceError(f"{part.path}:1: other classes than in {path}")
        if part.frames and last is not None and part.frames[0] <= last:
            raise SourceError(f"{part.path}:2: frame {part.frames[0]} follows frame {last}")
        last = part.frames[-1] if part.frames else last
    rows = [boxes for part in parts for boxes in part.rows]
    counts = [len(boxes) for boxes in rows]
    return StoredDetections(
        path=path,
        frame_index=np.asarray([frame for part in parts for frame in part.frames], dtype=np.int64),
        position_s=np.asarray([at for part in parts for at in part.positions], dtype=np.float64),
        first_row=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        rows=np.concatenate(rows) if rows else np.zeros((0, 6), np.float32),
        classes=tuple(first["classes"]),
        width=int(first["width"]),
        height=int(first["height"]),
        fps=first.get("fps"),
        truncated=any(part.truncated for part in parts),
    )


class _Part:
    """One file of our JSON Lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames: list[int] = []
        self.positions: list[float] = []
        self.rows: list[FloatArray] = []
        self.header: dict[str, Any] = {}
        self.truncated = True
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith("\n"):
                    break  # torn by a crash
                self._take(number, _record(path, number, line))
        if not self.header:
            raise SourceError(f"{path}: holds no detections")

    def _take(self, number: int, record: dict[str, Any]) -> None:
        if not self.header:
            self.header = _header(self.path, record)
        elif record.get("end"):
            self.truncated = bool(record.get("truncated", False))
        else:
            frame, position_s, boxes = _frame(self.path, number, record, len(self.header["classes"]))
            if self.frames and frame <= self.frames[-1]:
                raise SourceError(f"{self.path}:{number}: frame {frame} follows frame {self.frames[-1]}")
            self.frames.append(frame)
            self.positions.append(position_s)
            self.rows.append(boxes)


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
        return record
    except ValueError as error:
        raise SourceError(f"{path}:{number}: {error}") from error


def _header(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    if record.get("format") != FORMAT:
        raise SourceError(f"{path}:1: expected format {FORMAT}, found {record.get('format')!r}")
    missing = {"classes", "width", "height"} - record.keys()
    if missing:
        raise SourceError(f"{path}:1: the header has no {', '.join(sorted(missing))}")
    return record


def _frame(path: Path, number: int, record: dict[str, Any], classes: int) -> tuple[int, float, FloatArray]:
    """A line's frame number, position in seconds and boxes ``(N, 6)``."""
    try:
        frame, position_s = int(record["frame"]), float(record["position_s"])
        boxes = np.asarray(record["boxes"], dtype=np.float32)
        boxes = boxes if boxes.size else np.zeros((0, 6), np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"{path}:{number}: not a frame with its boxes: {error!r}") from error
    if boxes.ndim != 2 or boxes.shape[1] != 6 or not np.isfinite(boxes).all():
        raise SourceError(f"{path}:{number}: expected boxes of six finite numbers")
    if (boxes[:, 2:4] < boxes[:, :2]).any():
        raise SourceError(f"{path}:{number}: a box ends before it begins; expected x0, y0, x1, y1")
    if ((boxes[:, 4] < 0) | (boxes[:, 4] > 1)).any() or not np.isin(boxes[:, 5], np.arange(classes)).all():
        raise SourceError(f"{path}:{number}: expected confidences in 0..1 and classes below {classes}")
    return frame, position_s, boxes


def _read_mot(path: Path) -> StoredDetections:
    """MOT det.txt: frames from 1 (here from 0); a score of -1 means "no score" and counts as 1."""
    try:
        table = read_mot(path)
    except ValueError as error:
        raise SourceError(str(error)) from error
    if len(table) and table.frame.min() < 1:
        raise SourceError(f"{path}: frames count from 1, found {table.frame.min()}")
    table = table[np.argsort(table.frame, kind="stable")]
    score = np.where(table.confidence < 0, 1.0, np.clip(table.confidence, 0.0, 1.0))
    rows = np.column_stack([table.xyxy, score, np.zeros(len(table))]).astype(np.float32)
    index = np.arange(table.frame.max(initial=0), dtype=np.int64)
    first_row = np.searchsorted(table.frame, np.arange(1, len(index) + 2)).astype(np.int64)
    return StoredDetections(path, index, None, first_row, rows, None)


class DetectionWriter:
    """Writes one camera's detections line by line, so that a crash loses nothing."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self._lines = StoredLines(path, "detections", {"format": FORMAT, **header})

    def write(self, frame_index: int, position_s: float, detections: Detections) -> None:
        """Boxes hold 2 decimals and confidences 4 (see ``detect.rounded``), so text gives them back exactly."""
        boxes = [
            [*(round(float(value), 2) for value in xyxy), round(float(confidence), 4), int(class_id)]
            for xyxy, confidence, class_id in zip(
                detections.xyxy, detections.confidence, detections.class_id, strict=True
            )
        ]
        self._lines.line({"frame": frame_index, "position_s": round(position_s, 6), "boxes": boxes})

    def close(self, truncated: bool = False) -> None:
        self._lines.line({"end": True, "truncated": truncated})
        self._lines.close()


def pattern_path(pattern: str, camera_id: str) -> Path:
    """The file of one camera: ``{camera}`` in the pattern is its id."""
    return Path(pattern.replace("{camera}", camera_id))


def class_rows(stored: StoredDetections, classes: Sequence[str]) -> dict[int, int]:
    """From the file's class index to the run's; a file without names holds the run's first class only."""
    if stored.classes is None:
        return {0: 0}
    return {old: classes.index(name) for old, name in enumerate(stored.classes) if name in classes}
