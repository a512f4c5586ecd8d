"""A run's JSON Lines as files: one that is written, and closed ones before it, where they are rotated."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config import RotationConfig

LINES = "trajectories.jsonl"
UNFINISHED = "trajectories.unfinished.jsonl"
_CLOSED = re.compile(r"trajectories\.(\d{6,})\.jsonl")


def closed_segments(folder: Path) -> list[Path]:
    """The closed files of a folder, oldest first; numbers go on over restarts."""
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _CLOSED.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


class Segments:
    """Appends lines, unbuffered, and goes on in a new file when the rotation says so.

    Args:
        folder: must exist.
        rotation: None writes one file for ever.

    Raises:
        OSError: as the system says, here and in every method.
    """

    def __init__(self, folder: Path, rotation: RotationConfig | None) -> None:
        self._folder = folder
        self._rotation = rotation
        if rotation is not None:
            self._put_away()
        self._open()

    @property
    def path(self) -> Path:
        return self._folder / LINES

    def _open(self) -> None:
        self.file: Any = self.path.open("wb", buffering=0)
        self.offset = 0
        self._opened_s = time.monotonic()

    def write(self, line: bytes) -> int:
        """Append a line; returns the byte at which it begins."""
        began, view = self.offset, memoryview(line)
        while view:  # a raw file may take a part only, on a disk about to be full, before it says why
            view = view[self.file.write(view) :]
        self.offset += len(line)
        return began

    def is_due(self) -> bool:
        """Whether the file is large or old enough to be closed."""
        if self._rotation is None:
            return False
        age_s = time.monotonic() - self._opened_s
        return self.offset >= self._rotation.max_mib * 2**20 or age_s >= self._rotation.max_age_s

    def rotate(self) -> None:
        """Close the file under its number, open the next, delete what is beyond ``keep``."""
        self.file.close()
        self._put_away()
        self._open()

    def _put_away(self) -> None:
        closed = closed_segments(self._folder)
        if self.path.exists():
            last = int(_CLOSED.fullmatch(closed[-1].name)[1]) if closed else 0  # type: ignore[index]
            kept = self._folder / f"trajectories.{last + 1:06d}.jsonl"
            os.replace(self.path, kept)
            closed.append(kept)
        for path in _beyond(closed, self._rotation):
            path.unlink()

    def close(self) -> None:
        self.file.close()


def _beyond(closed: Sequence[Path], rotation: RotationConfig | None) -> Sequence[Path]:
    return closed[: -rotation.keep] if rotation is not None else ()
