"""MOTChallenge text, a file for each camera: ``frame,id,left,top,width,height,confidence,x,y,z``.

Frames and ids count from 1, as in Leal-Taixe et al. (2015). Pixel positions are written as they are, the
frame's corner being 0, 0, and read as they stand: TrackEval compares numbers as they stand too, and so do
the detections that are replayed from such files. ``x, y`` are ground metres with ``z`` 0 where they are
known, else all three are -1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.errors import ExportError
from pipeline.export.document import write_atomically
from pipeline.export.header import CameraInfo
from pipeline.export.record import ObservationTable, Row, RunRecord, observations, record_of, table_of
from pipeline.export.rows import numbered_lines, numbers


def write_mot(record: RunRecord, folder: Path) -> None:
    """Write ``<camera>.txt`` for every camera, also for one in which nobody was seen.

    Raises:
        ExportError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"{folder}: cannot be made: {error.strerror or error}") from error
    table = observations(record)
    for camera in record.camera_ids():
        text = "".join(_lines(table[table.camera == camera]))
        write_atomically(folder / f"{camera}.txt", [text.encode()])


def _lines(table: ObservationTable) -> list[str]:
    lines = []
    for i in range(len(table)):
        x0, y0, x1, y1 = table.xyxy[i].tolist()
        place = "-1,-1,-1" if np.isnan(table.ground[i]).any() else "{:.3f},{:.3f},0".format(*table.ground[i])
        box = f"{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f}"
        lines.append(f"{table.frame[i] + 1},{table.global_id[i]},{box},{table.confidence[i]:.4f},{place}\n")
    return lines


def mot_files(folder: Path) -> dict[str, Path]:
    """The MOT file of each camera: ``<camera>.txt``, ``<camera>.gt.txt`` or ``<camera>/gt/gt.txt``.

    Raises:
        ExportError: there is none, or two for one camera.
    """
    found: dict[str, Path] = {}
    candidates = [(path.parent.parent.name, path) for path in sorted(folder.glob("*/gt/gt.txt"))]
    truth = sorted(folder.glob("*.gt.txt"))
    candidates += [(path.name.removesuffix(".gt.txt"), path) for path in truth]
    if not candidates:
        plain = sorted(folder.glob("*.txt"))
        candidates = [
            (path.stem, path) for path in plain if path.stem != "aicity" and not path.stem.endswith(".det")
        ]
    for camera, path in candidates:
        if camera in found:
            raise ExportError(f"{folder}: two files for camera {camera}: {found[camera]} and {path}")
        found[camera] = path
    if not found:
        raise ExportError(f"{folder}: holds no <camera>.txt, <camera>.gt.txt or <camera>/gt/gt.txt")
    return found


def read_mot(folder: Path, fps: float | None) -> RunRecord:
    """Read a folder of MOT files; times are ``frame / fps`` since 1970. Every object is a ``person``.

    Raises:
        ExportError: no fps, a malformed line, or one id twice in a frame; names file and line.
    """
    if fps is None:
        raise ExportError(f"{folder}: MOT files have no clock; give the frames per second")
    files = mot_files(folder)
    rows = [row for camera, path in files.items() for row in _read_rows(camera, path, fps)]
    cameras = [CameraInfo(camera, str(path), 0, 0, fps) for camera, path in files.items()]
    try:
        return record_of(table_of(rows), ("person",), cameras)
    except ValueError as error:
        raise ExportError(f"{folder}: {error}") from error


def _read_rows(camera: str, path: Path, fps: float) -> list[Row]:
    rows = []
    for number, line in numbered_lines(path):
        values = numbers(path, number, line, 6)
        frame, identity = int(values[0]) - 1, int(values[1])
        left, top, width, height = values[2:6]
        confidence = values[6] if len(values) > 6 else 1.0
        place = (
            (values[7], values[8]) if len(values) > 9 and values[7:10] != [-1, -1, -1] else (np.nan, np.nan)
        )
        if frame < 0 or identity < 1:
            raise ExportError(f"{path}:{number}: frames and ids count from 1, got {line.strip()!r}")
        box = (left, top, left + width, top + height)
        rows.append(
            Row(camera, identity, frame, frame / fps, box, min(max(confidence, 0.0), 1.0), ground=place)
        )
    return rows
