"""A picture of what was found: each query with its nearest gallery crops, right ones green, wrong ones red."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from reid.blur import BlurTarget, blurred_crop
from reid.preprocess import Crop

__all__ = ["draw_rank_list", "ranked_gallery"]

IntArray = npt.NDArray[np.int64]
Colour = tuple[int, int, int]

GREEN, RED, BLUE, WHITE = (60, 170, 40), (50, 40, 220), (200, 120, 30), (255, 255, 255)
FRAME_PX, GAP_PX, TEXT_PX = 4, 6, 18


def ranked_gallery(
    distance: npt.NDArray[np.floating[Any]],
    identity: int,
    camera: int,
    ids: IntArray,
    cameras: IntArray,
    top: int,
) -> IntArray:
    """Positions of one query's ``top`` nearest, without its own identity in its own camera."""
    order = np.argsort(distance, kind="stable")
    kept: IntArray = order[~((ids[order] == identity) & (cameras[order] == camera))]
    return kept[:top]


def draw_rank_list(
    queries: Sequence[tuple[Crop, str]],
    found: Sequence[Sequence[tuple[Crop, str, bool]]],
    path: str | Path,
    *,
    cell: tuple[int, int] = (160, 80),
    blur: BlurTarget | None = None,
) -> None:
    """Write a PNG with a row for each query.

    Args:
        queries: crop (BGR uint8) and caption each.
        found: for each query its nearest: crop, caption, and whether it is right.
        path: the PNG.
        cell: height and width of a crop in the picture, px.
        blur: what of everybody is made unrecognisable.

    Raises:
        ValueError: nothing to draw, or a picture that cannot be written.
    """
    if not queries or len(queries) != len(found):
        raise ValueError(f"draw_rank_list: {len(queries)} queries and {len(found)} rows to draw")
    longest = max(len(row) for row in found)
    rows = []
    for (crop, caption), nearest in zip(queries, found, strict=True):
        cells = [_cell(_shown(crop, blur), caption, BLUE, cell)]
        cells += [
            _cell(_shown(image, blur), text, GREEN if right else RED, cell) for image, text, right in nearest
        ]
        blank = np.full_like(cells[0], 255)
        rows.append(np.concatenate(cells + [blank] * (longest - len(nearest)), axis=1))
    if not cv2.imwrite(str(path), np.concatenate(rows)):
        raise ValueError(f"{path}: cannot be written")


def _shown(crop: Crop, blur: BlurTarget | None) -> Crop:
    return crop if blur is None else blurred_crop(crop, blur)


def _cell(crop: Crop, caption: str, colour: Colour, size: tuple[int, int]) -> Crop:
    """One framed crop with its caption above and white around it."""
    framed = cv2.copyMakeBorder(
        cv2.resize(crop, size[::-1], interpolation=cv2.INTER_AREA),
        *(FRAME_PX,) * 4,
        borderType=cv2.BORDER_CONSTANT,
        value=colour,
    )
    cell = cv2.copyMakeBorder(framed, TEXT_PX, GAP_PX, GAP_PX, GAP_PX, cv2.BORDER_CONSTANT, value=WHITE)
    cv2.putText(
        cell, caption, (GAP_PX, TEXT_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA
    )
    return np.asarray(cell, dtype=np.uint8)
