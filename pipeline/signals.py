"""What the system asks of a run: Ctrl-C and SIGTERM end it, SIGHUP makes it read its configuration again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Signals:
    """Which signals have come."""

    interrupted: threading.Event = field(default_factory=threading.Event)
    terminated: threading.Event = field(default_factory=threading.Event)
    hangup: threading.Event = field(default_factory=threading.Event)


@contextmanager
def heeded(stop: threading.Event, *, with_hangup: bool) -> Iterator[Signals]:
    """The first SIGINT or SIGTERM sets ``stop``; a second one ends the program as usual.

    Args:
        with_hangup: heed SIGHUP, too; else it does what it did before.
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    wanted = {signal.SIGINT: signals.interrupted, signal.SIGTERM: signals.terminated}
    before = {number: signal.getsignal(number) for number in (*wanted, signal.SIGHUP)}
    for number, event in wanted.items():
        signal.signal(number, _ending(event, stop, before[number]))
    if with_hangup:
        signal.signal(signal.SIGHUP, lambda *_: signals.hangup.set())
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ending(event: threading.Event, stop: threading.Event, then: Any) -> Callable[[int, Any], None]:
    def heed(number: int, _: Any) -> None:
        event.set()
        stop.set()
        signal.signal(number, then)

    return heed
