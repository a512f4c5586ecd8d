"""How long embeddings stay, and how those of one identity go: the identity store, saved files, and an audit line.

Positions in the results stay: they name nobody. A line of a saved file is blanked where it stands, so that a run that
still appends to the file is not disturbed.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.errors import ConfigError, ExportError
from pipeline.export.clock import iso
from pipeline.export.ledger import files_of_run, read_ledger, read_records
from pipeline.export.lines import dumps
from pipeline.export.segments import LINES
from tracking.identity_store import IdentityStore
from tracking.types import TrackletKey

AUDIT = "audit.jsonl"
EMBEDDINGS = "embeddings"
SWEEP_S = 600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Erasure:
    """What went: ``global_id`` is the identity's name now, ``members`` of the store, ``crops`` of saved files."""

    global_id: int
    members: int
    crops: int


def erase_identity(global_id: int, folder: Path, store: IdentityStore | None) -> Erasure:
    """Delete every embedding of an identity, and of those that turned out to be it, and leave an audit line.

    Args:
        folder: a run's output, also of one that goes on.

    Raises:
        ConfigError: neither the store nor the results know this identity.
        ExportError: a file cannot be read or written.
    """
    successor = None if store is None else store.successor(global_id)
    own, keys = _tracklets(global_id, folder)
    if successor is None and own is None:
        raise ConfigError(
            f"identity {global_id} is neither in the identity store nor in the results of {folder}"
        )
    now = successor or own or global_id
    if now != own:
        keys |= _tracklets(now, folder)[1]
    keys = {key.whole for key in keys}  # crops are saved under it; of a tracklet that was split all go
    members = 0 if store is None or successor is None else store.erase(successor)
    crops = sum(_blank(path, lambda record, camera: TrackletKey(camera, record["tracklet"]) in keys)
                for path in _saved(folder))  # fmt: skip
    erased = Erasure(now, members, crops)
    audit(folder, {"action": "forget", "asked_for": global_id, "global_id": now, "store_members": members,
                   "saved_crops": crops})  # fmt: skip
    return erased


def expire(folder: Path, store: IdentityStore | None, max_age_s: float, *, is_live: bool) -> tuple[int, int]:
    """Delete embeddings older than ``max_age_s``; returns members of the store and crops of saved files that went.

    Args:
        is_live: the crops' times are of the wall clock; of a recording only a file's own age counts.

    Raises:
        ExportError: a file cannot be read or written.
    """
    before_s = time.time() - max_age_s
    members = 0 if store is None else store.expire(before_s)
    crops = 0
    for path in _saved(folder):
        is_old = is_file_old(path, before_s)
        crops += _blank(path, lambda record, _, old=is_old: old or (is_live and record["time_s"] < before_s))  # type: ignore[misc]
    if members or crops:
        audit(
            folder,
            {"action": "expire", "max_age_s": max_age_s, "store_members": members, "saved_crops": crops},
        )
    return members, crops


class Sweeper:
    """Deletes what has outlived its time, at once and every ten minutes, in a thread of its own; a context manager."""

    def __init__(self, folder: Path, state: Path | None, max_age_s: float, *, is_live: bool) -> None:
        self._folder, self._state = folder, state
        self._max_age_s, self._is_live = max_age_s, is_live
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def _run(self) -> None:
        while True:
            try:
                self._sweep()
            except (ExportError, ValueError, sqlite3.Error) as error:
                log.error("embeddings past their time could not be deleted: %s", error)
            if self._over.wait(SWEEP_S):
                return

    def _sweep(self) -> None:
        store = IdentityStore(self._state) if self._state is not None and self._state.exists() else None
        try:
            expire(self._folder, store, self._max_age_s, is_live=self._is_live)
        finally:
            if store is not None:
                store.close()

    def __enter__(self) -> Sweeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5.0)


def sweeper_of(config: Config, folder: Path) -> Sweeper | None:
    """What keeps ``privacy.embeddings_max_age_s``, or None."""
    max_age_s = config.protection.embeddings_max_age_s
    if max_age_s is None:
        return None
    is_live = all(camera.is_live for camera in config.cameras)
    return Sweeper(folder, config.association.state, max_age_s, is_live=is_live)


def is_file_old(path: Path, before_s: float) -> bool:
    """Whether nothing was written to it since."""
    return path.stat().st_mtime < before_s


def audit(folder: Path, entry: dict[str, Any]) -> None:
    """Append one line to ``audit.jsonl``: when, what, on whose account; it reaches the disk before this returns.

    Raises:
        ExportError: it cannot be written.
    """
    path = folder / AUDIT
    line = dumps({"time": iso(time.time()), **entry, "by": f"{_user()}@{socket.gethostname()}"})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror or error}") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        return str(os.getuid())


def _tracklets(global_id: int, folder: Path) -> tuple[int | None, set[TrackletKey]]:
    """What an identity of the folder's last run is called now, and its tracklets; None where there is none."""
    if not (folder / LINES).exists():
        return None, set()
    files = files_of_run(folder)
    stands_for = {
        record["from_id"]: record["global_id"]
        for path in files
        for _, record in read_records(path)
        if record["type"] == "event" and record["superseded"]
    }
    while global_id in stands_for:
        global_id = stands_for[global_id]
    ledger = read_ledger(files)
    keys = set(ledger.members.get(global_id, ()))
    if global_id in ledger.trajectories:
        keys |= set(ledger.trajectories[global_id].tracklets)
    known = global_id in ledger.members or global_id in ledger.trajectories
    return (global_id if known else None), keys


def _saved(folder: Path) -> Iterator[Path]:
    return iter(sorted((folder / EMBEDDINGS).rglob("*.jsonl")))


def _blank(path: Path, is_meant: Callable[[dict[str, Any], str], bool]) -> int:
    """Overwrite the lines that are meant with blanks of the same length; returns how many."""
    try:
        with path.open("r+b") as file:
            head = json.loads(file.readline())
            count, offset = 0, file.tell()
            for line in iter(file.readline, b""):
                if line.endswith(b"\n") and not line.isspace() and is_meant(json.loads(line), head["camera"]):
                    file.seek(offset)
                    file.write(b" " * (len(line) - 1) + b"\n")
                    count += 1
                offset += len(line)
                file.seek(offset)
            file.flush()
            os.fsync(file.fileno())
            return count
    except OSError as error:
        raise ExportError(f"{path}: cannot be changed: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path}: not a file of embeddings: {error!r}") from error
