"""One camera's file of JSON Lines, written while running, so that a crash loses nothing.

A camera that leaves a running run and comes back gets a file of its own, ``<camera>~2.jsonl`` beside ``<camera>.jsonl``
and so on: the first is closed by then. No camera's name holds a tilde.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, count, takewhile
from pathlib import Path
from typing import Any

from pipeline.errors import ExportError


class StoredLines:
    """An open file whose first line is its header; every line is on disk once it is written.

    Args:
        path: made with its folder; an older file is replaced, and with it what was beside it when a camera came back.
        kind: what the lines hold, for messages.

    Raises:
        ExportError: the file cannot be made or written.
    """

    def __init__(self, path: Path, kind: str, header: dict[str, Any]) -> None:
        self._path, self._kind = path, kind
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for old in parts_of(path)[1:]:
                old.unlink()
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise self._fault(error) from error
        self.line(header)

    def line(self, record: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n")
        except OSError as error:
            raise self._fault(error) from error

    def close(self) -> None:
        self._file.close()

    def _fault(self, error: OSError) -> ExportError:
        return ExportError(f"{self._path}: cannot write {self._kind}: {error.strerror}")


def parts_of(path: Path) -> list[Path]:
    """``path`` and what is beside it of the same camera, in the order in which it was written."""
    return [path, *takewhile(Path.exists, _later(path))]


def next_part(path: Path) -> Path:
    """``path``, or the first name beside it that is free."""
    return next(part for part in chain([path], _later(path)) if not part.exists())


def _later(path: Path) -> Iterator[Path]:
    return (path.with_stem(f"{path.stem}~{number}") for number in count(2))
