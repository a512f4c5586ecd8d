"""The contract every stage keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Stage(Protocol[In, Out]):
    """Turns a batch into outputs.

    Inputs are never modified; ``process([]) == []``; state is keyed by camera; no threads, clocks or
    configuration files inside. ``flush`` gives what is still held back, once, at the end.
    """

    def process(self, batch: Sequence[In]) -> Sequence[Out]: ...

    def flush(self) -> Sequence[Out]: ...
