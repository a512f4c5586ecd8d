"""``calibrate homography``: a camera's floor plane, from point pairs or a known calibration, and how good it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from rich.console import Console

    from pipeline.calibrations import PointPairs
    from pipeline.packets import Image
    from tracking.geometry import Calibration, LeftOut

    Array = npt.NDArray[np.float64]

_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
_VIDEOS = {".mp4", ".mkv", ".avi", ".mov", ".ts", ".webm", ".264", ".h264", ".m4v", ".mpg"}


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """A calibration and the pairs it is held against; ``left_out`` is None where nothing, or four pairs, were fitted."""

    calibration: Calibration
    pairs: PointPairs
    residual_m: Array
    residual_px: Array
    left_out: LeftOut | None


def calibrate_homography(
    source: Path, output: Path | None, check: Path | None, frame: Path | None, console: Console
) -> None:
    """Make or read a calibration, print its residuals, write it for ``cameras[].calibration``.

    Args:
        source: point pairs (CSV, YAML, JSON), a known calibration (JSON, YAML, MAT), or a picture or a video to click on.
        output: YAML to write.
        check: point pairs to hold the calibration against.
        frame: picture or video to draw the floor's grid into, beside the output; a clicked one is drawn anyway.

    Raises:
        ConfigError: a file is missing or malformed, the points do not determine a plane, or there is no screen to click on.
        ExportError: the output cannot be written.
    """
    from pipeline.errors import ConfigError

    clicked = source.suffix.lower() in _PICTURES | _VIDEOS
    frame = source if clicked else frame
    image = None if frame is None else first_picture(frame)
    if image is not None and output is None:
        raise ConfigError("--output is needed to know where to write the calibration and its picture")
    fitted = _fitted(source, image if clicked else None, check)
    _show(fitted, console)
    if output is not None:
        _write(fitted, output, console)
    if image is not None and output is not None:
        _draw(fitted, image, output.with_suffix(".png"), console)


def first_picture(path: Path) -> Image:
    """A picture, or a video's first frame.

    Raises:
        SourceError: it cannot be read.
    """
    from pipeline.config import CameraConfig
    from pipeline.errors import SourceError
    from pipeline.sources.opening import open_source

    rate = 1.0 if path.suffix.lower() in _PICTURES else None
    source = open_source(CameraConfig(id="frame", source=str(path), fps=rate))
    try:
        for frame in source:
            return frame.image
    finally:
        source.close()
    raise SourceError(f"{path}: holds no picture")


def _fitted(source: Path, clicked_on: Image | None, check: Path | None) -> _Fitted:
    from pipeline.calibrations import PointPairs, read_calibration, read_point_pairs
    from pipeline.errors import ConfigError

    if clicked_on is not None:
        from pipeline.render.clicks import click_points

        pairs: PointPairs | None = click_points(clicked_on)
    else:
        pairs = read_point_pairs(source)
    if pairs is not None:
        return _from_pairs(source, pairs, check)
    against = None if check is None else read_point_pairs(check)
    if check is not None and against is None:
        raise ConfigError(f"{check}: holds no point pairs")
    return _held_against(read_calibration(source), against or PointPairs(*_no_points()))


def _from_pairs(source: Path, pairs: PointPairs, check: Path | None) -> _Fitted:
    from pipeline.calibrations import read_point_pairs
    from pipeline.errors import ConfigError
    from tracking.geometry import Calibration, fit_homography, left_out

    try:
        fit = fit_homography(pairs.image_px, pairs.ground_m)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from error
    calibration = Calibration.from_homography(fit.image_to_ground)
    others = None if check is None else read_point_pairs(check)
    if others is not None:
        return _held_against(calibration, others)
    each = left_out(pairs.image_px, pairs.ground_m) if len(pairs) > 4 else None
    return _Fitted(calibration, pairs, fit.residual_m, fit.residual_px, each)


def _held_against(calibration: Calibration, pairs: PointPairs) -> _Fitted:
    import numpy as np

    metres = np.linalg.norm(calibration.to_ground(pairs.image_px) - pairs.ground_m, axis=1)
    pixels = np.linalg.norm(calibration.project(pairs.ground_m) - pairs.image_px, axis=1)
    return _Fitted(calibration, pairs, metres, pixels, None)


def _no_points() -> tuple[Array, Array]:
    import numpy as np

    return np.zeros((0, 2)), np.zeros((0, 2))


def warnings_of(fitted: _Fitted) -> list[str]:
    """What makes the calibration less sure, in words."""
    import numpy as np

    if not len(fitted.pairs):
        return ["no point pairs to hold it against: give some with --check"]
    if fitted.left_out is None and len(fitted.pairs) == 4 and np.allclose(fitted.residual_m, 0, atol=1e-6):
        return ["four points always fit: give two or more others to see how good it is"]
    row = None if fitted.left_out is None else fitted.left_out.suspect()
    if row is None or fitted.left_out is None:
        return []
    off = fitted.left_out.residual_m[row]
    return [f"pair {row + 1} is off by {off:.2f} m, the others agree without it: mistyped or swapped?"]


def _show(fitted: _Fitted, console: Console) -> None:
    import numpy as np
    from rich.table import Table

    if len(fitted.pairs):
        table = Table(title="Point pairs")
        columns = ["pair", "pixel", "floor, m", "residual, m", "residual, px"]
        for title in columns + (["left out, m"] if fitted.left_out else []):
            table.add_column(title, justify="right", no_wrap=True)
        for row in range(len(fitted.pairs)):
            table.add_row(*_cells(fitted, row))
        console.print(table)
        mean, worst = float(np.nanmean(fitted.residual_m)), float(np.nanmax(fitted.residual_m))
        console.print(f"residual: mean {mean:.3f} m, largest {worst:.3f} m", highlight=False)
    if fitted.left_out:
        typical = float(np.nanmedian(fitted.left_out.residual_m))
        console.print(
            f"expected elsewhere: {typical:.3f} m (each pair from the others alone)",
            highlight=False,
        )
    for warning in warnings_of(fitted):
        console.print(f"warning: {warning}", markup=False, highlight=False)


def _cells(fitted: _Fitted, row: int) -> list[str]:
    u, v = fitted.pairs.image_px[row]
    x, y = fitted.pairs.ground_m[row]
    cells = [str(row + 1), f"{u:.0f}, {v:.0f}", f"{x:g}, {y:g}"]
    cells += [f"{fitted.residual_m[row]:.3f}", f"{fitted.residual_px[row]:.1f}"]
    return cells + ([f"{fitted.left_out.residual_m[row]:.3f}"] if fitted.left_out else [])


def _write(fitted: _Fitted, output: Path, console: Console) -> None:
    import yaml

    from pipeline.calibrations import calibration_to_dict
    from pipeline.export.document import write_atomically

    plain: dict[str, Any] = calibration_to_dict(fitted.calibration)
    if fitted.calibration.projection is None:
        pairs = zip(fitted.pairs.image_px.tolist(), fitted.pairs.ground_m.tolist(), strict=True)
        plain["points"] = [[*pixel, *place] for pixel, place in pairs]
    text = yaml.safe_dump(plain, sort_keys=False, default_flow_style=None)
    write_atomically(output, [text.encode()])
    console.print(f"Calibration: {output}", markup=False, highlight=False, soft_wrap=True)


def _draw(fitted: _Fitted, image: Image, path: Path, console: Console) -> None:
    from pipeline.errors import ExportError
    from pipeline.render.floor import write_picture
    from pipeline.render.floor_grid import draw_floor_grid

    try:
        drawn = draw_floor_grid(image, fitted.calibration, fitted.pairs.image_px, fitted.pairs.ground_m)
        write_picture(path, drawn)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error}") from error
    console.print(f"Picture: {path}", markup=False, highlight=False, soft_wrap=True)
