"""What is remembered of recent tracklets while the cameras run: sketches, look-alike index, who belongs to whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from tracking.gallery import Gallery
from tracking.sketch import Shelf, Sketch, SketchTable
from tracking.types import TrackletKey

__all__ = ["Memory"]


class Memory:
    """Sketches by row number; a row is given once and never again.

    Args:
        gallery: an empty index, or None to compare with everything that is remembered.
        neighbours: how many look-alikes to name.
    """

    def __init__(self, gallery: Gallery | None, neighbours: int) -> None:
        self._gallery = gallery
        self._neighbours = neighbours
        self._row_of: dict[TrackletKey, int] = {}
        self._shelf = Shelf()
        self._unfinished: set[int] = set()
        self._on_ground: set[int] = set()
        self._next_row = 0

    def __len__(self) -> int:
        return len(self._shelf)

    def __getitem__(self, row: int) -> Sketch:
        return self._shelf[row]

    @property
    def cameras(self) -> tuple[str, ...]:
        """As the tables index them."""
        return self._shelf.cameras

    def table(self, rows: Sequence[int]) -> SketchTable:
        """Sketches side by side, in the order given."""
        return self._shelf.table(rows)

    def row_of(self, key: TrackletKey) -> int | None:
        """Of a tracklet of this run, while it is remembered."""
        return self._row_of.get(key)

    def keep(self, sketch: Sketch, is_final: bool) -> int:
        """Remember a sketch, in place of an earlier one of the same tracklet; returns its row."""
        row = self._row_of.get(sketch.key)
        if row is None:
            row = self.add(sketch)
            self._row_of[sketch.key] = row
        else:
            self._unindex([row])
            self._index(row, sketch)
        (self._unfinished.discard if is_final else self._unfinished.add)(row)
        return row

    def add(self, sketch: Sketch) -> int:
        """Remember a tracklet of another run, whose key may come again."""
        row, self._next_row = self._next_row, self._next_row + 1
        self._index(row, sketch)
        return row

    def forget(self, rows: Collection[int]) -> None:
        self._unindex(rows)
        for row in rows:
            key = self._shelf.drop(row).key
            if self._row_of.get(key) == row:
                del self._row_of[key]
            self._unfinished.discard(row)

    def is_unfinished(self, row: int) -> bool:
        return row in self._unfinished

    def near(self, row: int) -> set[int]:
        """Rows that look like this one, or were on the ground plane while it was."""
        sketch = self._shelf[row]
        found = set(self._lookalikes(sketch))
        if len(sketch.time_s):
            found |= {other for other in self._on_ground if self._shelf[other].end_s >= sketch.start_s}
        return found - {row}

    def _lookalikes(self, sketch: Sketch) -> Iterable[int]:
        if not sketch.appearance.crops:
            return ()
        if self._gallery is None:
            return self._shelf
        count = min(len(self._gallery), self._neighbours)
        ids = self._gallery.search(sketch.appearance.mean[None], count)[1][0]
        return [row for row in ids.tolist() if row in self._shelf]

    def fade(self, before_s: float) -> None:
        """Tracklets that ended before then are no longer met on the ground."""
        gone = [row for row in self._on_ground - self._unfinished if self._shelf[row].end_s < before_s]
        self._on_ground.difference_update(gone)

    def _index(self, row: int, sketch: Sketch) -> None:
        self._shelf.put(row, sketch)
        if self._gallery is not None and sketch.appearance.crops:
            self._gallery.add(np.array([row], np.int64), sketch.appearance.mean[None])
        if len(sketch.time_s):
            self._on_ground.add(row)

    def _unindex(self, rows: Collection[int]) -> None:
        embedded = [row for row in rows if self._shelf[row].appearance.crops]
        if self._gallery is not None and embedded:
            self._gallery.remove(np.array(embedded, np.int64))
        self._on_ground.difference_update(rows)
