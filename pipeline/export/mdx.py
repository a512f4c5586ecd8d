"""NVIDIA Metropolis mdx: a JSON array of ``MTMCObject``, each with the ``Behavior`` of every camera's
tracklet.

Fields and spellings are those of the MTMC microservice 2.x: ids are numeric strings, a behaviour's key is
``<sensorId> #-# <objectId> #-# <start>``, times are ISO 8601 with milliseconds and Z.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ExportError
from pipeline.export.clock import iso, parse_iso
from pipeline.export.document import write_atomically
from pipeline.export.header import CameraInfo
from pipeline.export.lines import dumps
from pipeline.export.record import Row, RunRecord, StoredTrajectory, record_of, table_of
from tracking.types import Tracklet

_SEPARATOR = " #-# "


def write_mdx(record: RunRecord, path: Path) -> None:
    """Write the array, an object a line.

    Raises:
        ExportError: the file cannot be written.
    """
    write_atomically(path, _pieces(record))


def _pieces(record: RunRecord) -> Iterator[bytes]:
    yield b"["
    for number, stored in enumerate(record.trajectories):
        yield (",\n" if number else "\n").encode() + dumps(
            mtmc_object(stored, record.header.classes)
        ).encode()
    yield b"\n]\n"


def mtmc_object(stored: StoredTrajectory, classes: tuple[str, ...]) -> dict[str, Any]:
    """One identity as ``MTMCObject``."""
    return {
        "batchId": "0",
        "globalId": str(stored.global_id),
        "objectType": classes[stored.class_id],
        "timestamp": iso(min(tracklet.start_s for tracklet in stored.tracklets)),
        "end": iso(max(tracklet.end_s for tracklet in stored.tracklets)),
        "matched": [behavior(tracklet, classes) for tracklet in stored.tracklets],
    }


def behavior(tracklet: Tracklet, classes: tuple[str, ...]) -> dict[str, Any]:
    """One tracklet as ``Behavior``; places that are not known are masked out."""
    start, camera, local_id = iso(tracklet.start_s), tracklet.camera_id, str(tracklet.key.local_id)
    places, known = _places(tracklet)
    return {
        "key": _SEPARATOR.join((camera, local_id, start)),
        "id": _SEPARATOR.join((camera, local_id)),
        "sensorId": camera,
        "objectId": local_id,
        "objectType": classes[tracklet.class_id],
        "timestamp": start,
        "end": iso(tracklet.end_s),
        "startFrame": str(tracklet.frame_index[0]),
        "endFrame": str(tracklet.frame_index[-1]),
        "place": "",
        "matchedSystemTimestamp": None,
        "timestamps": [iso(time_s) for time_s in tracklet.timestamp_s],
        "frameIds": [str(frame) for frame in tracklet.frame_index],
        "bboxes": [_bbox(box) for box in tracklet.xyxy.tolist()],
        "confidences": [round(value, 4) for value in tracklet.confidence.tolist()],
        "locations": places,
        "locationMask": known,
        "embeddings": None,
        "embeddingMask": None,
        "roiMask": None,
    }


def _bbox(box: list[float]) -> dict[str, float]:
    names = ("leftX", "topY", "rightX", "bottomY")
    return {name: round(value, 2) for name, value in zip(names, box, strict=True)}


def _places(tracklet: Tracklet) -> tuple[list[list[float]] | None, list[bool] | None]:
    if tracklet.ground_xy is None:
        return None, None
    known = np.isfinite(tracklet.ground_xy[:, 0] + tracklet.ground_xy[:, 1])
    places = np.where(known[:, None], tracklet.ground_xy, 0).astype(np.float64).round(3)
    return list(places.tolist()), list(known.tolist())


def read_mdx(path: Path, fps: float | None = None) -> RunRecord:
    """Read an array of ``MTMCObject``; ``fps`` is only noted.

    Raises:
        ExportError: the file cannot be read or is not such an array.
    """
    try:
        objects = json.loads(path.read_text(encoding="utf-8"))
        classes = tuple(sorted({one["objectType"] for item in objects for one in (item, *item["matched"])}))
        rows = [row for item in objects for one in item["matched"] for row in _rows(item, one, classes)]
        names = sorted({row.camera for row in rows})
        return record_of(table_of(rows), classes, [CameraInfo(name, str(path), 0, 0, fps) for name in names])
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path}: not an array of MTMCObject: {error!r}") from error


def _rows(item: Mapping[str, Any], one: Mapping[str, Any], classes: tuple[str, ...]) -> Iterator[Row]:
    steps = len(one["frameIds"])
    sure = one["confidences"] or [1.0] * steps
    places = one["locations"] or [[np.nan, np.nan]] * steps
    known = one["locationMask"] or [bool(one["locations"])] * steps
    columns = zip(one["frameIds"], one["timestamps"], one["bboxes"], sure, places, known, strict=True)
    for frame, time, box, confidence, place, there in columns:
        yield Row(
            camera=one["sensorId"],
            global_id=int(item["globalId"]),
            frame=int(frame),
            time_s=parse_iso(time),
            xyxy=(box["leftX"], box["topY"], box["rightX"], box["bottomY"]),
            confidence=confidence,
            local_id=int(one["objectId"]),
            class_id=classes.index(one["objectType"]),
            ground=(place[0], place[1]) if there else (np.nan, np.nan),
        )
