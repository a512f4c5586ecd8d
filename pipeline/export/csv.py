"""A table with a row for each observation, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline.errors import ExportError
from pipeline.export.clock import iso, rounded_s
from pipeline.export.document import write_atomically
from pipeline.export.header import CameraInfo
from pipeline.export.record import ObservationTable, Row, RunRecord, observations, record_of, table_of

COLUMNS = (
    *("camera", "global_id", "local_id", "class", "frame", "time_s", "time"),
    *("x0_px", "y0_px", "x1_px", "y1_px", "confidence", "interpolated", "ground_x_m", "ground_y_m"),
)


def write_csv(record: RunRecord, path: Path) -> None:
    """Write the table with its header, by camera, frame and global id.

    Raises:
        ExportError: the file cannot be written.
    """
    table = observations(record)
    write_atomically(path, (line.encode() for line in _lines(table, record.header.classes)))


def _lines(table: ObservationTable, classes: tuple[str, ...]) -> Iterator[str]:
    yield ",".join(COLUMNS) + "\n"
    for i in range(len(table)):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(_cells(table, i, classes))
        yield text.getvalue()


def _cells(table: ObservationTable, i: int, classes: tuple[str, ...]) -> list[object]:
    time_s = float(table.time_s[i])
    ground = ["", ""] if np.isnan(table.ground[i]).any() else table.ground[i].tolist()
    return [
        *(table.camera[i], table.global_id[i], table.local_id[i], classes[table.class_id[i]], table.frame[i]),
        *(rounded_s(time_s), iso(time_s), *table.xyxy[i].tolist(), table.confidence[i]),
        *(int(table.interpolated[i]), *ground),
    ]


def read_csv(path: Path, fps: float | None = None) -> RunRecord:
    """Read a table that ``write_csv`` wrote; ``time`` may be missing, ``fps`` is only noted.

    Raises:
        ExportError: the file cannot be read, or a row is malformed; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = sorted(set(COLUMNS) - {"time"} - set(reader.fieldnames or ()))
            if missing:
                raise ExportError(f"{path}:1: column(s) missing: {', '.join(missing)}")
            cells = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from error
    classes = tuple(sorted({row["class"] for _, row in cells}))
    rows = [_row(path, number, row, classes) for number, row in cells]
    cameras = [CameraInfo(name, str(path), 0, 0, fps) for name in sorted({row.camera for row in rows})]
    try:
        return record_of(table_of(rows), classes, cameras)
    except ValueError as error:
        raise ExportError(f"{path}: {error}") from error


def _row(path: Path, number: int, cells: Mapping[str, str], classes: tuple[str, ...]) -> Row:
    try:
        x0, y0, x1, y1 = (float(cells[name]) for name in ("x0_px", "y0_px", "x1_px", "y1_px"))
        x_m, y_m = (float(cells[name] or "nan") for name in ("ground_x_m", "ground_y_m"))
        return Row(
            camera=cells["camera"],
            global_id=int(cells["global_id"]),
            frame=int(cells["frame"]),
            time_s=float(cells["time_s"]),
            xyxy=(x0, y0, x1, y1),
            confidence=float(cells["confidence"]),
            local_id=int(cells["local_id"]),
            class_id=classes.index(cells["class"]),
            interpolated=cells["interpolated"] == "1",
            ground=(x_m, y_m),
        )
    except (ValueError, TypeError) as error:
        raise ExportError(f"{path}:{number}: {error}") from error
