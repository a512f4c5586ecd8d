"""Global ids that outlive the process: SQLite keeps the last id given out and what open identities look like."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tracking.appearance import Appearance
from tracking.sketch import Sketch
from tracking.types import FloatArray, TrackletKey

__all__ = ["IdentityStore"]

_VERSION = 2
_SCHEMA = """
CREATE TABLE identity (
    global_id INTEGER PRIMARY KEY AUTOINCREMENT,
    superseded_by INTEGER REFERENCES identity (global_id)
);
CREATE TABLE member (
    global_id INTEGER NOT NULL REFERENCES identity (global_id),
    camera_id TEXT NOT NULL,
    local_id INTEGER NOT NULL,
    end_s REAL NOT NULL,
    facts TEXT NOT NULL,
    prototypes BLOB NOT NULL,
    stored_s REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (global_id, camera_id, local_id, end_s)
);
"""
_ERASURES = """
CREATE TABLE erasure (number INTEGER PRIMARY KEY AUTOINCREMENT, global_id INTEGER NOT NULL, at_s REAL NOT NULL);
"""
_FROM_1 = "ALTER TABLE member ADD COLUMN stored_s REAL NOT NULL DEFAULT 0;"


class IdentityStore:
    """Gives out ids that no run before gave out, and remembers the members of identities still open.

    What is deleted is overwritten in the file (SQLite's ``secure_delete``), not only unlinked. Another process may
    ``erase`` an identity while a run has the file open; the run learns of it by ``erased``.

    The ids come from ``AUTOINCREMENT``, which never returns a used number, and each is committed before it is
    given out: neither a crash nor a restart repeats one.

    Args:
        path: the SQLite file, made where it does not exist.

    Raises:
        ValueError: the file is no database, or of a version this code does not know.
    """

    def __init__(self, path: Path | str) -> None:
        self._connection = sqlite3.connect(path, timeout=10.0)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise ValueError(f"{path}: not an identity store ({error})") from error
        except ValueError as error:
            self._connection.close()
            raise ValueError(f"{path}: {error}") from error

    def _open(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        self._connection.execute("PRAGMA secure_delete = ON")
        if version == 0 and tables == 0:
            self._connection.executescript(_SCHEMA + _ERASURES + f"PRAGMA user_version = {_VERSION};")
        elif version == 1:
            now = f"UPDATE member SET stored_s = {time.time()};"
            self._connection.executescript(_FROM_1 + now + _ERASURES + f"PRAGMA user_version = {_VERSION};")
        elif version != _VERSION:
            raise ValueError(f"identity store of version {version}, expected {_VERSION}")

    def __enter__(self) -> IdentityStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write out and let go of the file."""
        self._connection.close()

    def allocate(self) -> int:
        """A new global id."""
        with self._connection:
            return int(self._connection.execute("INSERT INTO identity DEFAULT VALUES").lastrowid or 0)

    def remember(self, global_id: int, sketch: Sketch) -> None:
        """Keep a finished tracklet as a member of an open identity."""
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?, ?, ?, ?)",
                (global_id, *_row(sketch), time.time()),
            )

    def supersede(self, global_id: int, by: int) -> None:
        """``global_id`` turned out to be ``by``: its members go over, the number is never used again."""
        with self._connection:
            self._connection.execute(
                "UPDATE identity SET superseded_by = ? WHERE global_id = ?", (by, global_id)
            )
            self._connection.execute("UPDATE member SET global_id = ? WHERE global_id = ?", (by, global_id))

    def forget(self, global_id: int) -> None:
        """The identity has ended: nothing is kept of how it looked."""
        with self._connection:
            self._connection.execute("DELETE FROM member WHERE global_id = ?", (global_id,))

    def erase(self, global_id: int) -> int:
        """Delete how an identity looked because somebody asks for it, and note that; returns how many members went."""
        with self._connection:
            gone = self._connection.execute("DELETE FROM member WHERE global_id = ?", (global_id,)).rowcount
            self._connection.execute(
                "INSERT INTO erasure (global_id, at_s) VALUES (?, ?)", (global_id, time.time())
            )
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(gone)

    def erased(self, after: int = 0) -> tuple[tuple[int, ...], int]:
        """Identities erased since number ``after``, and the latest number."""
        query = "SELECT number, global_id FROM erasure WHERE number > ? ORDER BY number"
        rows = self._connection.execute(query, (after,)).fetchall()
        return tuple(int(global_id) for _, global_id in rows), int(rows[-1][0]) if rows else after

    def expire(self, before_s: float) -> int:
        """Delete what was stored before then (epoch seconds of the computer's clock); returns how many members went."""
        with self._connection:
            gone = self._connection.execute("DELETE FROM member WHERE stored_s < ?", (before_s,)).rowcount
        if gone:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(gone)

    def successor(self, global_id: int) -> int | None:
        """The id that stands for ``global_id`` now: itself, what superseded it, or None if never given out."""
        query = "SELECT superseded_by FROM identity WHERE global_id = ?"
        found = self._connection.execute(query, (global_id,)).fetchone()
        while found is not None and found[0] is not None:
            global_id = int(found[0])
            found = self._connection.execute(query, (global_id,)).fetchone()
        return None if found is None else global_id

    def recall(self) -> Iterator[tuple[int, Sketch]]:
        """Members of the identities that were open when the last run stopped, oldest first."""
        query = (
            "SELECT global_id, camera_id, local_id, facts, prototypes FROM member ORDER BY end_s, global_id"
        )
        for global_id, camera_id, local_id, facts, blob in self._connection.execute(query).fetchall():
            yield int(global_id), _sketch(TrackletKey(camera_id, local_id), json.loads(facts), blob)


def _row(sketch: Sketch) -> tuple[str, int, float, str, bytes]:
    appearance = sketch.appearance
    facts = {
        "class_id": sketch.class_id,
        "group": sketch.group,
        "start_s": sketch.start_s,
        "end_s": sketch.end_s,
        "crops": appearance.crops,
        "weight": appearance.weight.tolist(),
        "dimensions": len(appearance.mean),
        "foot_px": sketch.foot_px.tolist(),
        "height_px": sketch.height_px.tolist(),
        "time_s": sketch.time_s[-1:].tolist(),
        "ground_xy": sketch.ground_xy[-1:].tolist(),
    }
    vectors = np.concatenate([appearance.mean[None], appearance.prototypes]).astype("<f4")
    return sketch.key.camera_id, sketch.key.local_id, sketch.end_s, json.dumps(facts), vectors.tobytes()


def _sketch(key: TrackletKey, facts: dict[str, Any], blob: bytes) -> Sketch:
    vectors: FloatArray = np.frombuffer(blob, "<f4").reshape(-1, facts["dimensions"]).astype(np.float32)
    weight = np.array(facts["weight"], np.float32)
    return Sketch(
        key=key,
        class_id=facts["class_id"],
        group=facts["group"],
        start_s=facts["start_s"],
        end_s=facts["end_s"],
        appearance=Appearance(vectors[1:], weight, vectors[0], facts["crops"]),
        foot_px=np.array(facts["foot_px"], np.float32),
        height_px=np.array(facts["height_px"], np.float32),
        time_s=np.array(facts["time_s"], np.float64),
        ground_xy=np.array(facts["ground_xy"], np.float32).reshape(-1, 2),
    )
