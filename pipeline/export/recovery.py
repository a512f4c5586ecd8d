"""A document out of the JSON Lines alone: the way every document is made, and the way back after a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ExportError
from pipeline.export.document import write_document
from pipeline.export.ledger import Ledger, files_of_run, read_ledger, read_records, record_at
from pipeline.export.lines import Record, RunEnd
from tracking.types import TrackletKey, Trajectory

DOCUMENT = "trajectories.json"
KILLED = "the run was killed; recovered from its JSON Lines"


def recover(folder: Path) -> Path:
    """Make ``trajectories.json`` out of the ``trajectories.jsonl`` of a run that was killed, and all it continues.

    Identities are the association's last word where it came to one, else the online decisions, else every
    tracklet is an identity of its own. Tracklets that were going on are rebuilt from their frames.

    Raises:
        ExportError: there are no JSON Lines, or the document cannot be written.
    """
    files = files_of_run(folder)
    return assemble(folder, files, read_ledger(files), _unfinished(files))


def assemble(
    folder: Path, files: Sequence[Path], ledger: Ledger, loose: dict[TrackletKey, Record] | None = None
) -> Path:
    """Write the document of an indexed run; ``loose`` are records of tracklets without a line of their own.

    Args:
        files: the ledger's, by number.

    Raises:
        ExportError: a trajectory names a tracklet that was never written, or the disk refuses.
    """
    loose = loose or {}
    if ledger.header is None:
        raise ExportError(f"{files[0]}: has no line of type run")
    path = folder / DOCUMENT
    try:
        with ExitStack() as stack:
            opened = [stack.enter_context(file.open("rb")) for file in files]

            def load(key: TrackletKey) -> Record:
                if key in loose:
                    return loose[key]
                if key not in ledger.offsets:
                    raise ExportError(f"{path}: a trajectory names tracklet {key}, which was never written")
                number, offset = ledger.offsets[key]
                return record_at(opened[number], offset)

            trajectories = _identities(ledger, loose, load)
            end = ledger.end or RunEnd(False, KILLED)
            write_document(path, ledger.header, ledger.cameras, trajectories, load, end)
    except OSError as error:
        raise ExportError(f"{files[-1]}: cannot be read: {error.strerror or error}") from error
    return path


def _identities(ledger: Ledger, loose: dict[TrackletKey, Record], load: Any) -> Sequence[Trajectory]:
    written = set(ledger.offsets) | set(loose)
    if ledger.end is not None:
        found = ledger.trajectories.values()
        return list(found) if ledger.is_whole else [one for one in (_kept(t, written) for t in found) if one]
    decided = [_decided(ledger, gid, members, written) for gid, members in ledger.members.items()]
    known = [trajectory for trajectory in decided if trajectory is not None]
    taken = {key for trajectory in known for key in trajectory.tracklets}
    first_free = max(ledger.classes, default=0) + 1
    alone = sorted((_order(load(key)), key) for key in written - taken)
    return known + [
        Trajectory(number, load(key)["class"], (key,)) for number, (_, key) in enumerate(alone, first_free)
    ]


def _kept(trajectory: Trajectory, written: Collection[TrackletKey]) -> Trajectory | None:
    """What is left of an identity whose older tracklets were rotated away."""
    kept = tuple(key for key in trajectory.tracklets if key in written)
    links = tuple(link for link in trajectory.links if {link.first, link.second} <= set(kept))
    return Trajectory(trajectory.global_id, trajectory.class_id, kept, links) if kept else None


def _decided(
    ledger: Ledger, global_id: int, members: Sequence[TrackletKey], written: set[TrackletKey]
) -> Trajectory | None:
    links = tuple(ledger.links[key] for key in members if key in ledger.links)
    return _kept(Trajectory(global_id, ledger.classes[global_id], tuple(members), links), written)


def _order(record: Record) -> tuple[float, str, int]:
    return record["time_s"][0], record["camera"], record["local_id"]


def _unfinished(files: Sequence[Path]) -> dict[TrackletKey, Record]:
    """Records of the tracklets without a final line, put together from the frames they were seen in."""
    ended = {
        TrackletKey(record["camera"], record["local_id"])
        for record in _records(files)
        if record["type"] == "tracklet" and record["final"]
    }
    rows: dict[TrackletKey, list[list[Any]]] = {}
    for record in _records(files):
        if record["type"] == "frame":
            for local_id, *rest in record["tracks"]:
                key = TrackletKey(record["camera"], local_id)
                if key not in ended:
                    rows.setdefault(key, []).append([record["frame"], record["time_s"], *rest])
    return {key: _rebuilt(key, seen) for key, seen in rows.items()}


def _records(files: Sequence[Path]) -> Iterator[Record]:
    return (record for path in files for _, record in read_records(path))


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
