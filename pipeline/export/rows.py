"""Lines of numbers read with the file and the line in every complaint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.errors import ExportError


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line number from 1 and text of every line that is not empty.

    Raises:
        ExportError: the file cannot be read as text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ExportError(f"{path}: not UTF-8 text: {error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line


def numbers(path: Path, number: int, line: str, least: int) -> list[float]:
    """The finite numbers of one comma or blank separated line.

    Raises:
        ExportError: fewer than ``least``, or not numbers.
    """
    cells = line.replace(",", " ").split()
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        raise ExportError(f"{path}:{number}: expected numbers, got {line.strip()!r}") from None
    if len(values) < least or not np.all(np.isfinite(values)):
        raise ExportError(f"{path}:{number}: expected at least {least} finite numbers, got {line.strip()!r}")
    return values
