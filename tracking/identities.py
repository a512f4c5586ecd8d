"""Identities while the cameras run: who gives out their ids, and what is kept of one that may still grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from tracking.sketch import Sketch
from tracking.types import Link, TrackletKey, Trajectory

__all__ = ["Identities", "OpenIdentity", "RunIds"]


class Identities(Protocol):
    """Gives out global ids, never one twice, and keeps open identities over a restart (``IdentityStore``)."""

    def allocate(self) -> int: ...

    def remember(self, global_id: int, sketch: Sketch) -> None: ...

    def supersede(self, global_id: int, by: int) -> None: ...

    def forget(self, global_id: int) -> None: ...

    def recall(self) -> Iterable[tuple[int, Sketch]]: ...


class RunIds:
    """Ids from 1, for one run."""

    def __init__(self) -> None:
        self._last = 0

    def allocate(self) -> int:
        self._last += 1
        return self._last

    def remember(self, global_id: int, sketch: Sketch) -> None:
        pass

    def supersede(self, global_id: int, by: int) -> None:
        pass

    def forget(self, global_id: int) -> None:
        pass

    def recall(self) -> Iterable[tuple[int, Sketch]]:
        return ()


@dataclass(slots=True)
class OpenIdentity:
    """An identity that may still grow.

    Attributes:
        classes, starts, links: of all its tracklets in this run.
        rows: the recent members it is recognised by.
    """

    global_id: int
    classes: Counter[int] = field(default_factory=Counter)
    starts: dict[TrackletKey, float] = field(default_factory=dict)
    links: dict[TrackletKey, Link] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)

    def trajectory(self) -> Trajectory:
        keys = sorted(self.starts, key=lambda key: (self.starts[key], key))
        class_id = min(self.classes, key=lambda name: (-self.classes[name], name))
        links = tuple(self.links[key] for key in keys if key in self.links)
        return Trajectory(self.global_id, class_id, tuple(keys), links)
