"""AI City Challenge multi-camera text (2021-2024): ``camera_id obj_id frame_id xmin ymin width height xworld
yworld``.

One file for all cameras, blanks between, whole pixels, frames from 0 (as the data of 2024), -1 -1 where no
ground position is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import ExportError
from pipeline.export.document import write_atomically
from pipeline.export.header import CameraInfo
from pipeline.export.record import Row, RunRecord, observations, record_of, table_of
from pipeline.export.rows import numbered_lines, numbers


def camera_numbers(cameras: Sequence[str]) -> dict[str, int]:
    """A number for each camera: the digits its name ends with (``c041`` is 41), or, where these are missing
    or not distinct, its place in the sorted names from 1."""
    digits = {camera: re.search(r"(\d+)$", camera) for camera in cameras}
    found = {camera: int(match.group(1)) for camera, match in digits.items() if match}
    if len(found) == len(cameras) == len(set(found.values())):
        return found
    return {camera: number for number, camera in enumerate(sorted(cameras), 1)}


def write_aicity(record: RunRecord, path: Path) -> None:
    """Write the text, by camera, frame and id.

    Raises:
        ExportError: the file cannot be written.
    """
    number = camera_numbers(record.camera_ids())
    table = observations(record)
    lines = []
    for i in range(len(table)):
        x0, y0, x1, y1 = (round(value) for value in table.xyxy[i].tolist())
        place = "-1 -1" if np.isnan(table.ground[i]).any() else "{:.3f} {:.3f}".format(*table.ground[i])
        who = f"{number[str(table.camera[i])]} {table.global_id[i]} {table.frame[i]}"
        lines.append(f"{who} {x0} {y0} {x1 - x0} {y1 - y0} {place}\n".encode())
    write_atomically(path, lines)


def read_aicity(path: Path, fps: float | None, names: Mapping[int, str] | None = None) -> RunRecord:
    """Read the text; times are ``frame / fps`` since 1970; cameras are called by ``names``, else by their
    number.

    Raises:
        ExportError: no fps, or a malformed line; names file and line.
    """
    if fps is None:
        raise ExportError(f"{path}: AI City text has no clock; give the frames per second")
    rows = []
    for number, line in numbered_lines(path):
        values = numbers(path, number, line, 7)
        camera, identity, frame = (int(value) for value in values[:3])
        left, top, width, height = values[3:7]
        place = (values[7], values[8]) if len(values) > 8 and values[7:9] != [-1, -1] else (np.nan, np.nan)
        if frame < 0 or identity < 1:
            raise ExportError(
                f"{path}:{number}: expected a frame from 0 and an id from 1, got {line.strip()!r}"
            )
        name = (names or {}).get(camera, str(camera))
        rows.append(
            Row(name, identity, frame, frame / fps, (left, top, left + width, top + height), ground=place)
        )
    cameras = [CameraInfo(name, str(path), 0, 0, fps) for name in sorted({row.camera for row in rows})]
    try:
        return record_of(table_of(rows), ("vehicle",), cameras)
    except ValueError as error:
        raise ExportError(f"{path}: {error}") from error
