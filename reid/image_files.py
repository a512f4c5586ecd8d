"""Crops from image files, and their embeddings, a few at a time so that any number fits into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reid.embedder import Embedder
from reid.preprocess import Crop, read_rgb
from reid.sie import SieRow

__all__ = ["embed_files", "find_images", "read_crop"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
FILES_AT_ONCE = 256


def read_crop(path: Path) -> Crop:
    """An image as BGR uint8 ``(h, w, 3)``, decoded by Pillow as the reference does.

    Raises:
        ValueError: not a readable image; the message names it.
    """
    return np.ascontiguousarray(np.asarray(read_rgb(path))[..., ::-1])


def find_images(paths: Sequence[Path]) -> list[Path]:
    """The files given, and all images below the folders given, by name.

    Raises:
        ValueError: a path that is neither, or nothing found.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder")
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        found.extend(inside if path.is_dir() else [path])
    if not found:
        raise ValueError(f"no images ({', '.join(SUFFIXES)}) in {', '.join(map(str, paths))}")
    return found


def embed_files(
    embedder: Embedder, paths: Sequence[Path], rows: SieRow | Sequence[SieRow] = "off"
) -> npt.NDArray[np.float32]:
    """``(N, dim)`` unit-norm embeddings of image files; see :meth:`Embedder.embed`."""
    out = np.empty((len(paths), embedder.dim), dtype=np.float32)
    for start in range(0, len(paths), FILES_AT_ONCE):
        chosen = slice(start, start + FILES_AT_ONCE)
        row = rows if isinstance(rows, (str, int)) else rows[chosen]
        out[chosen] = embedder.embed([read_crop(path) for path in paths[chosen]], row)
    return out
