"""What waits to be delivered, on disk: bounded, in order, kept over a crash or a restart."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import ExportError
from pipeline.sinks.sink import Message

_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    body BLOB NOT NULL
);
"""
_SIZE = "length(body) + length(key)"


class Spool:
    """A queue in a SQLite file: one thread appends, another takes. The oldest is dropped, and counted, when it is full.

    Numbers come from ``AUTOINCREMENT``, which never returns a used one: they go on over restarts.

    Args:
        path: made where it does not exist.
        max_bytes: of bodies and keys together.

    Raises:
        ExportError: the file cannot be made, or is no spool. ``append`` raises it when the disk refuses.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.dropped = 0
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_SCHEMA)
            query = f"SELECT count(*), coalesce(sum({_SIZE}), 0) FROM message"
            count, size = self._connection.execute(query).fetchone()
            self._count, self._bytes = int(count), int(size)
        except (sqlite3.Error, OSError) as error:
            raise ExportError(f"{path}: cannot be used as a spool: {error}") from error

    def __len__(self) -> int:
        """Records that wait."""
        return self._count

    @property
    def size(self) -> int:
        """Their bytes."""
        return self._bytes

    def append(self, key: str, line: bytes) -> None:
        """Take a record, ``{...}`` as JSON text; what is too old to fit is dropped."""
        try:
            with self._lock, self._connection:
                self._connection.execute("INSERT INTO message (key, body) VALUES (?, ?)", (key, line))
                self._count += 1
                self._bytes += len(line) + len(key)
                while self._bytes > self._max_bytes and self._count > 1:
                    self.dropped += self._delete("seq = (SELECT min(seq) FROM message)")
        except sqlite3.Error as error:
            raise ExportError(f"{self.path}: cannot be written: {error}") from error

    def oldest(self, count: int) -> list[Message]:
        """Up to ``count`` records in the order they came; they stay until removed."""
        query = "SELECT seq, key, body FROM message ORDER BY seq LIMIT ?"
        with self._lock:
            rows = self._connection.execute(query, (count,)).fetchall()
        return [Message(seq, key, b'{"seq":%d,%s' % (seq, body[1:])) for seq, key, body in rows]

    def remove(self, delivered: Sequence[Message]) -> None:
        """Forget what was delivered; what was dropped while it was under way was not lost after all."""
        with self._lock, self._connection:
            gone = self._delete(f"seq BETWEEN {delivered[0].seq} AND {delivered[-1].seq}")
            self.dropped -= len(delivered) - gone

    def _delete(self, where: str) -> int:
        count, size = self._connection.execute(
            f"SELECT count(*), coalesce(sum({_SIZE}), 0) FROM message WHERE {where}"
        ).fetchone()
        self._connection.execute(f"DELETE FROM message WHERE {where}")
        self._count -= count
        self._bytes -= size
        return int(count)

    def close(self) -> None:
        """May be called twice."""
        with self._lock:
            self._connection.close()
