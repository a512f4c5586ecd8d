"""A document out of the JSON Lines alone: the way every document is made, and the way back after a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ExportError
from pipeline.export.document import write_document
from pipeline.export.ledger import Ledger, read_ledger, read_records, record_at
from pipeline.export.lines import Record, RunEnd
from tracking.types import TrackletKey, Trajectory

LINES = "trajectories.jsonl"
DOCUMENT = "trajectories.json"
KILLED = "the run was killed; recovered from its JSON Lines"


def recover(folder: Path) -> Path:
    """Make ``trajectories.json`` out of the ``trajectories.jsonl`` of a run that was killed.

    Identities are the association's last word where it came to one, else the online decisions, else every
    tracklet is an identity of its own. Tracklets that were going on are rebuilt from their frames.

    Raises:
        ExportError: there are no JSON Lines, or the document cannot be written.
    """
    path = folder / LINES
    return assemble(folder, read_ledger(path), _unfinished(path))


def assemble(folder: Path, ledger: Ledger, loose: dict[TrackletKey, Record] | None = None) -> Path:
    """Write the document of an indexed run; ``loose`` are records of tracklets without a line of their own.

    Raises:
        ExportError: a trajectory names a tracklet that was never written, or the disk refuses.
    """
    loose = loose or {}
    if ledger.header is None:
        raise ExportError(f"{folder / LINES}: has no line of type run")
    path = folder / DOCUMENT
    try:
        with (folder / LINES).open("rb") as file:

            def load(key: TrackletKey) -> Record:
                if key in loose:
                    return loose[key]
                if key not in ledger.offsets:
                    raise ExportError(f"{path}: a trajectory names tracklet {key}, which was never written")
                return record_at(file, ledger.offsets[key])

            trajectories = _identities(ledger, loose, load)
            end = ledger.end or RunEnd(False, KILLED)
            write_document(path, ledger.header, ledger.cameras, trajectories, load, end)
    except OSError as error:
        raise ExportError(f"{folder / LINES}: cannot be read: {error.strerror or error}") from error
    return path


def _identities(ledger: Ledger, loose: dict[TrackletKey, Record], load: Any) -> Sequence[Trajectory]:
    if ledger.end is not None:
        return list(ledger.trajectories.values())
    written = set(ledger.offsets) | set(loose)
    found = [_decided(ledger, gid, members, written) for gid, members in ledger.members.items()]
    known = [trajectory for trajectory in found if trajectory is not None]
    taken = {key for trajectory in known for key in trajectory.tracklets}
    first_free = max(ledger.classes, default=0) + 1
    alone = sorted((_order(load(key)), key) for key in written - taken)
    return known + [
        Trajectory(number, load(key)["class"], (key,)) for number, (_, key) in enumerate(alone, first_free)
    ]


def _decided(
    ledger: Ledger, global_id: int, members: Sequence[TrackletKey], written: set[TrackletKey]
) -> Trajectory | None:
    kept = tuple(key for key in members if key in written)
    links = [ledger.links[key] for key in kept if key in ledger.links]
    inside = tuple(link for link in links if {link.first, link.second} <= set(kept))
    return Trajectory(global_id, ledger.classes[global_id], kept, inside) if kept else None


def _order(record: Record) -> tuple[float, str, int]:
    return record["time_s"][0], record["camera"], record["local_id"]


def _unfinished(path: Path) -> dict[TrackletKey, Record]:
    """Records of the tracklets without a final line, put together from the frames they were seen in."""
    ended = {
        TrackletKey(record["camera"], record["local_id"])
        for _, record in read_records(path)
        if record["type"] == "tracklet" and record["final"]
    }
    rows: dict[TrackletKey, list[list[Any]]] = {}
    for _, record in read_records(path):
        if record["type"] == "frame":
            for local_id, *rest in record["tracks"]:
                key = TrackletKey(record["camera"], local_id)
                if key not in ended:
                    rows.setdefault(key, []).append([record["frame"], record["time_s"], *rest])
    return {key: _rebuilt(key, seen) for key, seen in rows.items()}


def _rebuilt(key: TrackletKey, rows: list[list[Any]]) -> Record:
    table = np.asarray(rows, dtype=np.float64)
    return {
        "type": "tracklet",
        "camera": key.camera_id,
        "local_id": key.local_id,
        "class": Counter(int(row[2]) for row in rows).most_common(1)[0][0],
        "final": False,
        "crops": 0,
        "frame": table[:, 0].astype(int).tolist(),
        "time_s": table[:, 1].tolist(),
        "xyxy_px": table[:, 4:8].tolist(),
        "confidence": table[:, 3].tolist(),
        "interpolated": [],
        "ground_m": None,
    }
