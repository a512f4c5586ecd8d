"""MOTChallenge text: boxes, detections and sequence folders, read with line numbers in every complaint.

A row is ``frame, id, left, top, width, height, confidence, x, y, z``; comma or blank separated; frames and
ids count from 1, and so do pixel positions by the letter of the format, which in practice nobody follows.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracking.scoring import Boxes
from tracking.types import BoolArray, Detections, FloatArray, FrameRef, IntArray

__all__ = ["MotRows", "MotSequence", "read_mot", "read_sequence", "read_sequences", "write_mot"]


@dataclass(frozen=True, slots=True, eq=False)
class MotRows:
    """The rows of one MOT file.

    Attributes:
        frame: ``(N,)`` int64, from 1.
        id: ``(N,)`` int64; -1 for detections.
        xyxy: ``(N, 4)`` float32 px.
        confidence: ``(N,)`` float32; in ground truth 0 marks rows that are not scored.
    """

    frame: IntArray
    id: IntArray
    xyxy: FloatArray
    confidence: FloatArray

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, index: IntArray | BoolArray) -> MotRows:
        return MotRows(self.frame[index], self.id[index], self.xyxy[index], self.confidence[index])

    def boxes(self) -> Boxes:
        """Frame, id and box of every row."""
        return Boxes(self.frame, self.id, self.xyxy.astype(np.float64))

    def detections(self) -> Detections:
        """All rows as detections of class 0."""
        return Detections(self.xyxy, np.clip(self.confidence, 0, 1), np.zeros(len(self), np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class MotSequence:
    """One folder of a MOTChallenge benchmark.

    Attributes:
        name: the folder's name.
        fps: frames per second.
        num_frames: frames 1..num_frames exist.
        detections: what the detector saw.
        truth: the rows that are scored, or None without ``gt/gt.txt``.
    """

    name: str
    fps: float
    num_frames: int
    detections: MotRows
    truth: Boxes | None

    def frames(self) -> Iterator[tuple[FrameRef, Detections]]:
        """Every frame in order, with its time since the first; ``frame_index`` counts from 0."""
        order = np.argsort(self.detections.frame, kind="stable")
        cuts = np.searchsorted(self.detections.frame[order], np.arange(1, self.num_frames + 2))
        for i in range(self.num_frames):
            rows = self.detections[order[cuts[i] : cuts[i + 1]]]
            yield FrameRef(self.name, i, i / self.fps), rows.detections()


def read_mot(path: Path) -> MotRows:
    """Read a MOT file; empty lines are skipped, and a missing confidence is 1.

    Raises:
        ValueError: names the file, the line and what is wrong with it.
        OSError: the file cannot be read.
    """
    lines = path.read_text().splitlines()
    rows = [_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    table = np.asarray(rows, dtype=np.float64).reshape(-1, 7)
    xyxy = np.concatenate((table[:, 2:4], table[:, 2:4] + table[:, 4:6]), axis=1)
    frame, identity = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    return MotRows(frame, identity, xyxy.astype(np.float32), table[:, 6].astype(np.float32))


def _row(path: Path, number: int, line: str) -> list[float]:
    cells = line.replace(",", " ").split()
    try:
        values = [float(cell) for cell in cells[:7]]
    except ValueError:
        raise ValueError(f"{path}:{number}: expected numbers, got {line.strip()!r}") from None
    if len(values) < 6:
        raise ValueError(f"{path}:{number}: expected at least 6 columns, got {len(values)}")
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{path}:{number}: expected finite numbers, got {line.strip()!r}")
    return values if len(values) == 7 else [*values, 1.0]


def write_mot(path: Path, rows: MotRows) -> None:
    """Write rows in the ten-column form, by frame, then id."""
    order = np.lexsort((rows.id, rows.frame))
    with path.open("w") as file:
        for i in order:
            x0, y0, x1, y1 = (float(v) for v in rows.xyxy[i])
            box = f"{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f}"
            file.write(f"{rows.frame[i]},{rows.id[i]},{box},{rows.confidence[i]:.4f},-1,-1,-1\n")


def read_sequences(folder: Path) -> list[MotSequence]:
    """Every ``<sequence>/seqinfo.ini`` below ``folder``, by name.

    Raises:
        ValueError: there is none, or one of them is malformed.
    """
    found = sorted(path.parent for path in folder.glob("*/seqinfo.ini"))
    if not found:
        raise ValueError(f"{folder}: no sequence folders (<sequence>/seqinfo.ini) in it")
    return [read_sequence(path) for path in found]


def read_sequence(folder: Path) -> MotSequence:
    """Read ``seqinfo.ini``, ``det/det.txt`` and, where it is there, ``gt/gt.txt`` without its unscored rows.

    Raises:
        ValueError: names the file and the key, or the line, that is wrong.
    """
    fps, num_frames = _sequence_info(folder / "seqinfo.ini")
    truth_file = folder / "gt" / "gt.txt"
    truth = None
    if truth_file.exists():
        rows = read_mot(truth_file)
        truth = rows[rows.confidence != 0].boxes()
    return MotSequence(folder.name, fps, num_frames, read_mot(folder / "det" / "det.txt"), truth)


def _sequence_info(path: Path) -> tuple[float, int]:
    parser = configparser.ConfigParser()
    try:
        parser.read_string(path.read_text())
        fps, length = float(parser["Sequence"]["frameRate"]), int(parser["Sequence"]["seqLength"])
    except (configparser.Error, KeyError, ValueError) as error:
        raise ValueError(f"{path}: needs [Sequence] with numbers frameRate and seqLength ({error})") from None
    if fps <= 0 or length <= 0:
        raise ValueError(f"{path}: frameRate and seqLength must be positive, got {fps} and {length}")
    return fps, length
