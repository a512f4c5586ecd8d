"""The ground plane from above: where everybody is, and the ways they came, in metres."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.export.record import ObservationTable
from pipeline.packets import Image
from pipeline.render.drawing import draw_caption, draw_trail, letter_px, stroke_px
from pipeline.render.palette import colour_of, ink_on
from pipeline.render.text import draw_text, text_size

_PAPER, _LINE, _INK = (38, 34, 30), (70, 64, 58), (150, 145, 140)
_TRAIL_S, _FRESH_S, _SMOOTH_S, _UNSEEN_S = 6.0, 0.6, 0.5, 2.0
_STEPS_M = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


@dataclass(frozen=True, slots=True, eq=False)
class Path2:
    """One identity's way: positions of all cameras averaged in steps of half a second.

    Attributes:
        time_s: ``(N,)``, ascending.
        ground: ``(N, 2)`` metres.
    """

    global_id: int
    time_s: npt.NDArray[np.float64]
    ground: npt.NDArray[np.float64]


class FloorMap:
    """A map of fixed scale that holds every ground position of a run but the wildest.

    Args:
        table: observations; those without a ground position are left out.
        size: width and height in pixels.
    """

    def __init__(self, table: ObservationTable, size: tuple[int, int]) -> None:
        known = table[np.flatnonzero(np.isfinite(table.ground).all(axis=1))]
        self.paths = _paths(known)
        points = np.concatenate([path.ground for path in self.paths]) if self.paths else np.zeros((1, 2))
        low, high = np.percentile(points, 0.5, axis=0) - 1.0, np.percentile(points, 99.5, axis=0) + 1.0
        width, height = size
        self._size = size
        self._scale = float(min(width / (high[0] - low[0]), 0.9 * height / (high[1] - low[1])))
        self._middle = 0.5 * (low + high)
        self._paper = self._ruled()

    def pixels(self, ground: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """``(N, 2)`` metres to ``(N, 2)`` pixels; +y points up."""
        centre = np.array([0.5 * self._size[0], 0.53 * self._size[1]])
        scale = np.array([self._scale, -self._scale])
        return np.asarray(centre + (ground - self._middle) * scale)

    def at(self, time_s: float, clock: str) -> Image:
        """The map at one moment: who is there, and where they have been since they were last out of sight."""
        image: Image = self._paper.copy()
        for path in self.paths:
            rows = slice(*np.searchsorted(path.time_s, [time_s - _TRAIL_S, time_s + 1e-6]).tolist())
            times = path.time_s[rows]
            if len(times) and times[-1] >= time_s - _FRESH_S:
                points = self.pixels(path.ground[rows][_since_unseen(times) :])
                draw_trail(image, points, path.global_id)
                self._marker(image, points[-1], path.global_id)
        draw_caption(image, "ground plane", clock)
        return image

    def whole(self) -> Image:
        """Every way at once, named where it ends; dotted where nobody saw it."""
        image: Image = self._paper.copy()
        ways = [(path, self.pixels(path.ground)) for path in self.paths]
        for path, points in ways:
            self._way(image, path, points)
        for path, points in ways:
            self._marker(image, points[-1], path.global_id)
        draw_caption(image, "ground plane (dotted: unseen)", f"{len(ways)} identities")
        return image

    def _way(self, image: Image, path: Path2, points: npt.NDArray[np.float64]) -> None:
        colour, stroke = colour_of(path.global_id), stroke_px(image)
        seen = np.split(np.round(points).astype(np.int32), _reappearances(path.time_s))
        cv2.polylines(image, seen, False, colour, stroke, cv2.LINE_AA)
        for before, after in pairwise(seen):
            count = max(2, round(float(np.linalg.norm(after[0] - before[-1])) / (5 * stroke)))
            for dot in np.linspace(before[-1], after[0], count).round().astype(int).tolist():
                cv2.circle(image, dot, max(1, stroke // 2), colour, cv2.FILLED, cv2.LINE_AA)

    def _ruled(self) -> Image:
        width, height = self._size
        image = np.full((height, width, 3), _PAPER, np.uint8)
        step = next((step for step in _STEPS_M if step * self._scale >= 60), _STEPS_M[-1])
        span = np.array([width, height]) / self._scale
        low, high = self._middle - 0.6 * span, self._middle + 0.6 * span
        size = max(10, round(0.75 * letter_px(image)))
        for axis in (0, 1):
            for value in np.arange(np.ceil(low[axis] / step), np.floor(high[axis] / step) + 1) * step:
                self._grid_line(image, axis, float(value), size)
        return image

    def _grid_line(self, image: Image, axis: int, value: float, size: int) -> None:
        place = np.array([self._middle])
        place[0, axis] = value
        at = round(float(self.pixels(place)[0, axis]))
        ends = ((at, 0), (at, self._size[1])) if axis == 0 else ((0, at), (self._size[0], at))
        cv2.line(image, *ends, _LINE, 1)
        text = f"{value:g} m"
        height = text_size(text, size)[1]
        corner = (at + 3, self._size[1] - height) if axis == 0 else (3, at - height)
        draw_text(image, text, *corner, size, _INK)

    def _marker(self, image: Image, point: npt.NDArray[np.float64], global_id: int) -> None:
        colour, text, size = colour_of(global_id), str(global_id), letter_px(image)
        width, height = text_size(text, size)
        centre = (round(float(point[0])), round(float(point[1])))
        cv2.circle(image, centre, round(0.85 * max(size, width)), colour, cv2.FILLED, cv2.LINE_AA)
        draw_text(image, text, centre[0] - width // 2, centre[1] - height // 2, size, ink_on(colour))


def _reappearances(time_s: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Rows before which nobody saw the identity for a while."""
    return np.flatnonzero(np.diff(time_s) > _UNSEEN_S) + 1


def _since_unseen(time_s: npt.NDArray[np.float64]) -> int:
    return int(_reappearances(time_s).max(initial=0))


def _paths(table: ObservationTable) -> list[Path2]:
    found = []
    for global_id in np.unique(table.global_id).tolist():
        rows = table[table.global_id == global_id]
        _, slot = np.unique(np.round(rows.time_s / _SMOOTH_S), return_inverse=True)
        count = np.bincount(slot)
        columns = [np.bincount(slot, values) / count for values in (rows.time_s, *rows.ground.T)]
        found.append(Path2(global_id, columns[0], np.stack(columns[1:], axis=1)))
    return found


def write_picture(path: Path, image: Image) -> None:
    """Write a PNG.

    Raises:
        OSError: it cannot be written.
    """
    done, data = cv2.imencode(".png", image)
    if not done:
        raise OSError(f"{path}: not a picture that PNG can hold: {image.shape}")
    path.write_bytes(data.tobytes())
