"""How long each stage took: wall seconds and items, for the summary; never part of a result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class StageTimes:
    """Seconds and items by stage, in the order the stages first ran."""

    seconds: dict[str, float] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def of(self, stage: str, items: int) -> Iterator[None]:
        """Count what happens inside."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - began, items)

    def add(self, stage: str, seconds: float, items: int) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.items[stage] = self.items.get(stage, 0) + items

    def as_json(self) -> dict[str, dict[str, float | int]]:
        return {
            stage: {"seconds": round(self.seconds[stage], 3), "items": self.items[stage]}
            for stage in self.seconds
        }
