"""The contract of every sink: records go out in order, and a record is gone from here only once the other side has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One record on its way out.

    Attributes:
        seq: ascending over restarts, never given twice; a record that is sent again keeps it.
        key: what must stay in order on the other side: the identity's or the camera's name.
        body: the JSON Lines record with ``seq`` in front, UTF-8, without the line's end.
    """

    seq: int
    key: str
    body: bytes


class DeliveryError(Exception):
    """The other side does not have the records for certain; the message says why, credentials masked."""


class Sink(Protocol):
    """Connects by itself when there is something to send, and again after a fault."""

    def send(self, messages: Sequence[Message]) -> None:
        """Hand over all of them, in order; returns once they are acknowledged.

        Raises:
            DeliveryError: not all of them are; some may be. They will be given again.
        """
        ...

    def close(self) -> None:
        """Let go of the connection; may be called twice."""
        ...
