"""One camera's file of JSON Lines, written while running, so that a crash loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.errors import ExportError


class StoredLines:
    """An open file whose first line is its header; every line is on disk once it is written.

    Args:
        path: made with its folder; an older file is replaced.
        kind: what the lines hold, for messages.

    Raises:
        ExportError: the file cannot be made or written.
    """

    def __init__(self, path: Path, kind: str, header: dict[str, Any]) -> None:
        self._path, self._kind = path, kind
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
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
