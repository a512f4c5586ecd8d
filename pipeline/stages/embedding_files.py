"""Stored embeddings, one file per camera in a folder named by the network's hash.

JSON Lines: a header ``{"format": "crosscam-embeddings/1", "camera", "model", "model_hash", "dim", "sie"}``, then one line
per crop ``{"frame", "tracklet", "time_s", "quality", "box": [x0, y0, x1, y1], "embedding"}``, the embedding as base64 of
little-endian float32, so that it comes back exactly.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import SourceError
from pipeline.stages.stored_lines import StoredLines, parts_of
from tracking.types import FloatArray

FORMAT = "crosscam-embeddings/1"


@dataclass(frozen=True, slots=True, eq=False)
class StoredCrop:
    """One embedded crop: its box px, quality in (0, 1] and ``(D,)`` unit embedding."""

    xyxy: FloatArray
    quality: float
    embedding: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class TrackletCrop:
    """One embedded crop as a member of its tracklet."""

    local_id: int
    time_s: float
    quality: float
    embedding: FloatArray


class EmbeddingWriter:
    """Writes one camera's embeddings line by line."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self._lines = StoredLines(path, "embeddings", {"format": FORMAT, **header})

    def write(self, frame_index: int, local_id: int, time_s: float, crop: StoredCrop) -> None:
        packed = base64.b64encode(crop.embedding.astype("<f4").tobytes()).decode("ascii")
        box = [round(float(value), 2) for value in crop.xyxy]
        moment = {"frame": frame_index, "tracklet": local_id, "time_s": time_s}
        self._lines.line({**moment, "quality": crop.quality, "box": box, "embedding": packed})

    def close(self) -> None:
        self._lines.close()


def model_folder(folder: Path, model_hash: str | None = None) -> Path:
    """Where the embeddings of one network lie; without a hash there must be just one network's.

    Raises:
        SourceError: none or several are there.
    """
    if model_hash is not None:
        return folder / model_hash[:16]
    found = (
        sorted(child for child in folder.glob("*") if any(child.glob("*.jsonl"))) if folder.is_dir() else []
    )
    if any(folder.glob("*.jsonl")):
        return folder
    if len(found) != 1:
        names = ", ".join(child.name for child in found) or "none"
        raise SourceError(f"{folder}: expected the embeddings of one network there, found {names}")
    return found[0]


def read_embeddings(path: Path) -> dict[int, list[StoredCrop]]:
    """The crops of one camera by frame number.

    Raises:
        SourceError: the file is missing or broken; the message names file and line.
    """
    crops: dict[int, list[StoredCrop]] = {}
    for place, record in _records(path):
        with _naming(place):
            box, quality = np.asarray(record["box"], dtype=np.float32), float(record["quality"])
            crop = StoredCrop(box, quality, _unpacked(record["embedding"]))
            crops.setdefault(int(record["frame"]), []).append(crop)
    return crops


def read_tracklet_crops(path: Path) -> Iterator[TrackletCrop]:
    """The crops of one camera with the tracklets they were cut from.

    Raises:
        SourceError: the file is missing or broken; the message names file and line.
    """
    for place, record in _records(path):
        with _naming(place):
            moment = int(record["tracklet"]), float(record["time_s"]), float(record["quality"])
            crop = TrackletCrop(*moment, _unpacked(record["embedding"]))
        yield crop


def _unpacked(text: str) -> FloatArray:
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float32)


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and content of every line after the headers; what was blanked out is gone."""
    return chain.from_iterable(map(_records_of_part, parts_of(path)))


def _records_of_part(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith("\n"):
                    break  # torn by a crash
                if line.isspace():
                    continue  # deleted
                with _naming(f"{path}:{number}"):
                    record = json.loads(line)
                    if number == 1 and record.get("format") != FORMAT:
                        raise ValueError(f"expected format {FORMAT}, found {record.get('format')!r}")
                if number > 1:
                    yield f"{path}:{number}", record
    except OSError as error:
        raise SourceError(f"{path}: cannot read stored embeddings: {error.strerror}") from error


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Say where a line is broken."""
    try:
        yield
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise SourceError(f"{place}: {error}") from error
