"""Overlay videos: one per camera, all of them side by side in step, and the ground plane where it is known."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from pipeline.errors import ConfigError, ExportError
from pipeline.export.reader import read_run
from pipeline.export.record import ObservationTable, RunRecord, observations
from pipeline.packets import Frame, Image
from pipeline.render.drawing import clock_text, draw_caption, draw_objects
from pipeline.render.floor import FloorMap, write_picture
from pipeline.render.footage import Footage, open_footage, shown_range_s
from pipeline.render.privacy import Veil, blur_of, kept_detections
from pipeline.render.scene import CameraScene
from pipeline.render.video import BrowserVideo, fitted
from reid.blur import BlurTarget

FOLDER = "overlay"
GRID, MAP_VIDEO, MAP_PICTURE = "grid.mp4", "map.mp4", "map.png"
_GRID_WIDTH, _MAX_GRID_FPS, _MAP_SIZE, _GAP = 1920, 15.0, (960, 720), 2

Note = Callable[[str], None]


def render(
    folder: Path,
    *,
    cameras: Sequence[str] | None = None,
    moved: Mapping[str, Path] | None = None,
    blur: BlurTarget | None = None,
    note: Note = lambda text: None,
    progress: Callable[[str, float], None] = lambda camera, time_s: None,
) -> list[Path]:
    """Draw the results of ``folder/trajectories.json`` over the footage they came from.

    Args:
        folder: a run's output; videos go to ``folder/overlay``.
        cameras: only these.
        moved: where footage lies now, by camera.
        blur: whom to make unrecognisable, beyond what the run's own configuration says.
        note: told about cameras without pictures, and about what is not known of whom to blur.
        progress: told each camera's site time.

    Returns:
        The files, one video per camera, then the grid and the map.

    Raises:
        ConfigError: no such camera.
        ExportError: the results cannot be read, or the videos not written.
    """
    record = read_run(folder / "trajectories.json")
    wanted = _wanted(record, cameras)
    table = observations(record)
    footage = [
        open_footage(record.header.camera(name), table[table.camera == name], moved) for name in wanted
    ]
    for one in footage:
        if one.missing is not None:
            note(f"{one.missing}; drawn on blank frames")
    veils = _veils(record, folder, wanted, blur_of(record, blur), note)
    target = folder / FOLDER
    try:
        target.mkdir(parents=True, exist_ok=True)
        return _Canvas(record, table, footage, target, veils).draw(progress)
    except OSError as error:
        raise ExportError(f"{target}: cannot be written: {error.strerror or error}") from error


def _veils(
    record: RunRecord, folder: Path, cameras: Sequence[str], target: BlurTarget | None, note: Note
) -> dict[str, Veil]:
    if target is None:
        return {}
    kept = {name: kept_detections(folder, name) for name in cameras}
    without = [name for name, detections in kept.items() if detections is None]
    if without:
        note(
            f"no saved detections of {', '.join(without)}: blurred is who was followed, not who was only detected"
        )
    return {name: Veil(record, name, target, detections) for name, detections in kept.items()}


def _wanted(record: RunRecord, cameras: Sequence[str] | None) -> tuple[str, ...]:
    known = record.camera_ids()
    unknown = sorted(set(cameras or ()) - set(known))
    if unknown:
        raise ConfigError(f"no camera {', '.join(unknown)} in the result; it has {', '.join(known)}")
    return tuple(name for name in known if cameras is None or name in cameras)


class _Canvas:
    """Goes once through all footage in step and draws everything on the way."""

    def __init__(
        self,
        record: RunRecord,
        table: ObservationTable,
        footage: Sequence[Footage],
        target: Path,
        veils: Mapping[str, Veil],
    ) -> None:
        self._veils = veils
        self._footage = {one.camera.id: one for one in footage}
        self._scenes = {name: CameraScene(record, name) for name in self._footage}
        self._with_class = len(record.header.classes) > 1
        self._range_s = shown_range_s(table)
        self._target = target
        self._grid = _Grid(list(footage), FloorMap(table, _MAP_SIZE) if _has_ground(table) else None)

    def draw(self, progress: Callable[[str, float], None]) -> list[Path]:
        paths = [self._target / f"{name}.mp4" for name in self._footage]
        with ExitStack() as stack:
            videos = {
                name: stack.enter_context(BrowserVideo(path, one.width, one.height, one.fps))
                for path, (name, one) in zip(paths, self._footage.items(), strict=True)
            }
            ticker = stack.enter_context(_Ticker(self._grid, self._target))
            starts: dict[str, float] = {}
            for frame in self._in_step():
                name, now_s = frame.ref.camera_id, frame.ref.timestamp_s
                ticker.up_to(now_s)
                drawn = self._drawn(frame)
                videos[name].write(drawn, now_s - starts.setdefault(name, now_s))
                self._grid.show(name, drawn)
                progress(name, now_s)
            ticker.last()
            paths += ticker.paths
        if self._grid.floor is not None:
            write_picture(self._target / MAP_PICTURE, self._grid.floor.whole())
            paths.append(self._target / MAP_PICTURE)
        return [path for path in paths if path.exists()]

    def _in_step(self) -> Iterator[Frame]:
        def key(frame: Frame) -> tuple[float, str]:
            return frame.ref.timestamp_s, frame.ref.camera_id

        first_s, last_s = self._range_s
        for frame in heapq.merge(*(one.frames() for one in self._footage.values()), key=key):
            if frame.ref.timestamp_s > last_s:
                return
            if frame.ref.timestamp_s >= first_s:
                yield frame

    def _drawn(self, frame: Frame) -> Image:
        image: Image = frame.image.copy()
        if frame.ref.camera_id in self._veils:
            self._veils[frame.ref.camera_id].cover(Frame(frame.ref, image))
        draw_objects(image, self._scenes[frame.ref.camera_id].at(frame.ref.frame_index), self._with_class)
        draw_caption(image, frame.ref.camera_id, clock_text(frame.ref.timestamp_s))
        return image


def _has_ground(table: ObservationTable) -> bool:
    return bool(np.isfinite(table.ground).all(axis=1).any())


class _Grid:
    """The latest picture of every camera, and the map, in cells of one size."""

    def __init__(self, footage: Sequence[Footage], floor: FloorMap | None) -> None:
        self.floor = floor
        self.fps = min(_MAX_GRID_FPS, max((one.fps for one in footage), default=_MAX_GRID_FPS))
        count = len(footage) + (floor is not None)
        self._columns = int(np.ceil(np.sqrt(count)))
        rows = int(np.ceil(count / self._columns))
        aspect = float(np.median([one.height / one.width for one in footage]))
        width = min(_GRID_WIDTH // self._columns, max(one.width for one in footage)) // 2 * 2
        self._cell = (width, round(width * aspect) // 2 * 2)
        self._cells: dict[str, Image] = {}
        self._order = [one.camera.id for one in footage]
        self.size = (self._columns * self._cell[0], rows * self._cell[1])

    def show(self, camera: str, image: Image) -> None:
        self._cells[camera] = fitted(image, *self._cell)

    def at(self, floor: Image | None) -> Image:
        width, height = self._cell
        image = np.zeros((self.size[1], self.size[0], 3), np.uint8)
        pictures = [self._cells.get(name) for name in self._order]
        if floor is not None:
            pictures.append(fitted(floor, *self._cell))
        for number, picture in enumerate(pictures):
            if picture is not None:
                top, left = number // self._columns * height, number % self._columns * width
                # Cut, not shrunk, for the line between cells: resizing every picture by a hair costs more than drawing it.
                seen = picture[: height - _GAP, : width - _GAP]
                image[top : top + height - _GAP, left : left + width - _GAP] = seen
        return image


class _Ticker:
    """Writes the grid and the map at a steady rate, whatever the cameras' rates are."""

    def __init__(self, grid: _Grid, target: Path) -> None:
        self._grid = grid
        self._period_s = 1 / grid.fps
        self._start_s: float | None = None
        self._count = 0
        self._video = BrowserVideo(target / GRID, *grid.size, grid.fps)
        self._map = BrowserVideo(target / MAP_VIDEO, *_MAP_SIZE, grid.fps) if grid.floor else None
        self._open = ExitStack()
        self.paths = [video.path for video in (self._video, self._map) if video]

    def up_to(self, now_s: float) -> None:
        """Write every tick before ``now_s``: each shows what was known at its time."""
        if self._start_s is None:
            self._start_s = now_s
        while self._start_s + self._count * self._period_s < now_s - 1e-6:
            self.last()

    def last(self) -> None:
        """Write the next tick."""
        if self._start_s is None:
            return
        position_s = self._count * self._period_s
        time_s = self._start_s + position_s
        floor = self._grid.floor.at(time_s, clock_text(time_s)) if self._grid.floor else None
        self._video.write(self._grid.at(floor), position_s)
        if self._map is not None and floor is not None:
            self._map.write(floor, position_s)
        self._count += 1

    def __enter__(self) -> _Ticker:
        for video in filter(None, (self._video, self._map)):
            self._open.enter_context(video)
        return self

    def __exit__(self, *fault: object) -> None:
        self._open.__exit__(*fault)  # type: ignore[arg-type]
