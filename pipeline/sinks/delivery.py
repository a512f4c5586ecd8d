"""One thread per sink: takes records from the spool and hands them over, for as long as it takes."""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.errors import ExportError
from pipeline.export.lines import Record
from pipeline.sinks.sink import DeliveryError, Sink
from pipeline.sinks.spool import Spool

FIRST_WAIT_S = 0.5
FLUSH_S = 3.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """One sink's counters since the run began; a snapshot.

    Attributes:
        is_up: the last attempt succeeded, or none was made yet.
        waiting, waiting_bytes: in the spool.
        sent, failures: records acknowledged, attempts that failed.
        dropped: records lost because the spool was full, or the disk refused them.
    """

    name: str
    is_up: bool
    waiting: int
    waiting_bytes: int
    sent: int
    failures: int
    dropped: int


class Delivery:
    """A sink with its spool. A broker that is down costs the run nothing but disk.

    Args:
        records: the types it wants.
        batch: records handed over at once, at most.
        max_backoff_s: longest wait between two attempts.
    """

    def __init__(
        self, name: str, sink: Sink, spool: Spool, records: Collection[str], batch: int, max_backoff_s: float
    ) -> None:
        self.name = name
        self._sink = sink
        self._spool = spool
        self._records = frozenset(records)
        self._batch = batch
        self._max_backoff_s = max_backoff_s
        self._sent = self._failures = self._refused = 0
        self._is_up = True
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)

    def start(self) -> None:
        if len(self._spool):
            log.info("sink %s: %d records of an earlier run wait", self.name, len(self._spool))
        self._thread.start()

    def take(self, record: Record, line: bytes) -> None:
        """Spool a record if it is wanted; ``line`` is its JSON text. Never waits for the broker, never fails the run."""
        if record["type"] not in self._records:
            return
        try:
            self._spool.append(_key(record), line)
        except ExportError as error:
            self._refused += 1
            if self._refused == 1:
                log.error("sink %s: %s; records are lost", self.name, error)
        self._wake.set()

    def status(self) -> SinkStatus:
        spool = self._spool
        dropped = spool.dropped + self._refused
        waiting = (len(spool), spool.size)
        return SinkStatus(self.name, self._is_up, *waiting, self._sent, self._failures, dropped)

    def close(self, flush_s: float = FLUSH_S) -> None:
        """Try for ``flush_s`` to get the rest out; what stays waits on disk for the next run."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(flush_s)
        if len(self._spool):
            log.warning(
                "sink %s: %d records wait in %s for the next run",
                self.name,
                len(self._spool),
                self._spool.path,
            )
        if not self._thread.is_alive():
            self._sink.close()
            self._spool.close()

    def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            try:
                if not self._deliver():
                    if self._closing.is_set():
                        return
                    self._wake.wait(1.0)
                    self._wake.clear()
                wait_s = FIRST_WAIT_S
            except DeliveryError as error:
                self._failed(error)
                if self._closing.is_set():
                    return
                self._closing.wait(wait_s * random.uniform(0.5, 1.0))
                wait_s = min(2 * wait_s, self._max_backoff_s)
            except sqlite3.Error as error:  # the disk failed us, or the program is ending around this thread
                log.error("sink %s: %s: %s; stopped", self.name, self._spool.path, error)
                return

    def _deliver(self) -> bool:
        """Hand over a batch; False where nothing waits."""
        batch = self._spool.oldest(self._batch)
        if not batch:
            return False
        self._sink.send(batch)
        self._spool.remove(batch)
        self._sent += len(batch)
        if not self._is_up:
            log.info("sink %s: delivering again, %d records to go", self.name, len(self._spool))
        self._is_up = True
        return True

    def _failed(self, error: DeliveryError) -> None:
        self._failures += 1
        if self._is_up:
            log.warning("sink %s: cannot deliver: %s; records wait on disk, trying again", self.name, error)
        self._is_up = False


def close_all(deliveries: Sequence[Delivery], flush_s: float = FLUSH_S) -> None:
    """Close them side by side: all together take no longer than the slowest."""
    closing = [threading.Thread(target=one.close, args=(flush_s,), daemon=True) for one in deliveries]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join(flush_s + 1.0)


def _key(record: Record) -> str:
    """What stays in order where a broker only orders by key."""
    for name in ("global_id", "camera", "camera_id"):
        if name in record:
            return str(record[name])
    return str(record["type"])
