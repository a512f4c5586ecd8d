"""``trajectories.json``: one document, assembled from the JSON Lines by seeking, replaced atomically."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ExportError
from pipeline.export.clock import iso
from pipeline.export.header import RunHeader, camera_result, header_to_json
from pipeline.export.lines import Record, RunEnd, dumps, link_to_json
from pipeline.packets import CameraEnd
from tracking.types import TrackletKey, Trajectory

LoadTracklet = Callable[[TrackletKey], Record]


def write_document(
    path: Path,
    header: RunHeader,
    cameras: dict[str, CameraEnd],
    trajectories: Iterable[Trajectory],
    load: LoadTracklet,
    end: RunEnd,
) -> None:
    """Write the document, one trajectory in memory at a time.

    Args:
        path: replaced in one step; a reader sees the old file or the whole new one.
        cameras: how each camera ended, by name; a camera that is missing did not end.
        trajectories: written by global id.
        load: gives a tracklet's record, as ``lines.tracklet_line`` made it.
        end: how the run ended; a camera that is not complete makes the whole incomplete.

    Raises:
        ExportError: the file cannot be written; no part of it is left behind.
    """
    pieces = document_pieces(header, cameras, trajectories, load, end)
    write_atomically(path, (piece.encode() for piece in pieces))


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Write to a temporary neighbour, sync, rename over ``path``.

    Raises:
        ExportError: names the file and the system's reason.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def document_pieces(
    header: RunHeader,
    cameras: dict[str, CameraEnd],
    trajectories: Iterable[Trajectory],
    load: LoadTracklet,
    end: RunEnd,
) -> Iterator[str]:
    """The document's text: a line for each camera, observation and link, so that people can read it."""
    head = header_to_json(header)
    ended = [camera_result(camera, cameras.get(camera.id)) for camera in header.cameras]
    complete = end.complete and all(camera["complete"] for camera in ended)
    yield f'{{\n"format":{dumps(head["format"])},\n"version":{dumps(head["version"])},\n'
    yield f'"complete":{dumps(complete)},\n"reason":{dumps(end.reason)},\n'
    yield f'"run":{dumps(head["run"])},\n"classes":{dumps(head["classes"])},\n'
    yield f'"cameras":{_rows(ended)},\n"trajectories":['
    separator = "\n"
    for trajectory in sorted(trajectories, key=lambda one: one.global_id):
        yield separator
        yield from _trajectory_pieces(trajectory, header, load)
        separator = ",\n"
    yield "\n]\n}\n"


def _rows(values: Sequence[Any]) -> str:
    return "[\n" + ",\n".join(map(dumps, values)) + "\n]" if values else "[]"


def _trajectory_pieces(trajectory: Trajectory, header: RunHeader, load: LoadTracklet) -> Iterator[str]:
    records = _without_doubles(sorted((load(key) for key in trajectory.tracklets), key=_start))
    start_s, end_s = min(r["time_s"][0] for r in records), max(r["time_s"][-1] for r in records)
    summary = {
        "global_id": int(trajectory.global_id),
        "class": header.classes[trajectory.class_id],
        "start_s": start_s,
        "end_s": end_s,
        "start": iso(start_s),
        "end": iso(end_s),
        "cameras": list(dict.fromkeys(r["camera"] for r in records)),
    }
    yield dumps(summary)[:-1] + ',\n"tracklets":['
    for number, record in enumerate(records):
        yield ("," if number else "") + "\n" + _tracklet_text(record, header)
    links = sorted(trajectory.links, key=lambda link: (link.second, link.first))
    yield f'\n],\n"links":{_rows([link_to_json(link) for link in links])}}}'


def _without_doubles(records: list[Record]) -> list[Record]:
    """Where two tracklets of one camera, by start, overlap, the later one says where the object was (see
    `tracking.handovers`); one of which nothing would be left stays whole."""
    taken: dict[str, set[int]] = {}
    kept = []
    for record in reversed(records):
        frames = taken.setdefault(record["camera"], set())
        steps = [step for step, frame in enumerate(record["frame"]) if frame not in frames]
        frames.update(record["frame"])
        kept.append(_steps_of(record, steps) if 0 < len(steps) < len(record["frame"]) else record)
    return kept[::-1]


def _steps_of(record: Record, steps: list[int]) -> Record:
    columns = ("frame", "time_s", "xyxy_px", "confidence")
    filled, ground = set(record["interpolated"]), record["ground_m"]
    return {
        **record,
        **{name: [record[name][step] for step in steps] for name in columns},
        "interpolated": [number for number, step in enumerate(steps) if step in filled],
        "ground_m": ground and [ground[step] for step in steps],
    }


def _start(record: Record) -> tuple[float, str, int]:
    return record["time_s"][0], record["camera"], record["local_id"]


def _tracklet_text(record: Record, header: RunHeader) -> str:
    summary = {
        "camera": record["camera"],
        "local_id": record["local_id"],
        **{name: record[name] for name in ("split_from",) if name in record},
        "class": header.classes[record["class"]],
        "final": record["final"],
        "crops": record["crops"],
    }
    return dumps(summary)[:-1] + f',"observations":{_rows(list(_observations(record)))}}}'


def _observations(record: Record) -> Iterator[Record]:
    filled = set(record["interpolated"])
    columns = zip(record["frame"], record["time_s"], record["xyxy_px"], record["confidence"], strict=True)
    for step, (frame, time_s, box, confidence) in enumerate(columns):
        row = {
            "frame": frame,
            "time_s": time_s,
            "time": iso(time_s),
            "xyxy_px": box,
            "confidence": confidence,
            "interpolated": step in filled,
        }
        if record["ground_m"] and record["ground_m"][step] is not None:
            row["ground_m"] = record["ground_m"][step]
        yield row
