"""Which row of the side-information (SIE) table an image uses: a number, ``"mean"`` or ``"off"``.

A row learned for one training camera means nothing for another camera. For a camera that the checkpoint never
saw, ``"mean"`` adds the average row and ``"off"`` adds nothing; which is better is to be measured.

All back ends see one table with two rows more than the checkpoint's: row R is the mean, row R + 1 is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["SieRow", "row_codes"]

SieRow: TypeAlias = int | Literal["mean", "off"]


def row_codes(rows: SieRow | Sequence[SieRow], count: int, num_rows: int) -> npt.NDArray[np.int64]:
    """Positions in the extended table, one for each of ``count`` images.

    Args:
        rows: one row for all images, or one for each.
        count: number of images.
        num_rows: rows of the checkpoint's own table; 0 without SIE, where only ``"mean"`` and ``"off"`` pass.

    Returns:
        ``(count,)`` int64 in ``[0, num_rows + 2)``.

    Raises:
        ValueError: a row outside the table (negative ones included), any other word, or the wrong number.
    """
    values = [rows] * count if isinstance(rows, (str, int, np.integer)) else list(rows)
    if len(values) != count:
        raise ValueError(f"sie rows: expected {count}, one for each image, got {len(values)}")
    known = {value: _code(value, num_rows) for value in set(values)}
    return np.array([known[value] for value in values], dtype=np.int64)


def _code(row: SieRow, num_rows: int) -> int:
    if isinstance(row, str):
        if row not in ("mean", "off"):
            raise ValueError(f"sie row: expected a number, 'mean' or 'off', got {row!r}")
        return num_rows + (row == "off")
    try:
        row = index(row)
    except TypeError:
        raise ValueError(f"sie row: expected a number, 'mean' or 'off', got {row!r}") from None
    if num_rows == 0:
        raise ValueError(f"sie row {row}: this network has no SIE table; use 'off'")
    if not 0 <= row < num_rows:
        allowed = f"0 to {num_rows - 1}, or 'mean' or 'off'"
        raise ValueError(f"sie row {row}: the table has {num_rows} rows, {allowed}")
    return row
