"""A calibration as a picture: the floor's grid of metres drawn into the camera's view, with the points it came from."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.packets import Image
from pipeline.render.drawing import letter_px, stroke_px
from pipeline.render.text import draw_text
from tracking.geometry import Calibration

_GRID, _AXIS = (90, 200, 90), (60, 170, 255)
_GIVEN, _MAPPED = (255, 255, 255), (60, 60, 235)
_STEPS_M = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_MAX_LINES = 24


def draw_floor_grid(
    image: Image, calibration: Calibration, image_px: npt.ArrayLike, ground_m: npt.ArrayLike
) -> Image:
    """A copy with grid lines of the floor around the given places.

    Args:
        image_px, ground_m: ``(N, 2)`` point pairs: drawn where they were given (rings) and where the calibration puts
            them (dots).
    """
    drawn: Image = image.copy()
    given, ground = np.asarray(image_px, np.float64), np.asarray(ground_m, np.float64)
    spots = ground if len(ground) else visible_floor(calibration, image)
    low, high = spots.min(axis=0) - 1.0, spots.max(axis=0) + 1.0
    step = next((s for s in _STEPS_M if (high - low).max() / s <= _MAX_LINES), _STEPS_M[-1])
    for axis in (0, 1):
        for value in np.arange(np.floor(low[axis] / step), np.ceil(high[axis] / step) + 1) * step:
            _line(drawn, calibration, axis, float(value), low, high)
    for number, (pixel, place) in enumerate(zip(given, ground, strict=True), 1):
        _pair(drawn, calibration, number, pixel, place)
    return drawn


def visible_floor(calibration: Calibration, image: Image) -> npt.NDArray[np.float64]:
    """Floor positions ``(N, 2)`` of a raster over the lower half of the picture."""
    height, width, _ = image.shape
    u, v = np.meshgrid(np.linspace(0, width, 9), np.linspace(0.55 * height, height, 5))
    ground = calibration.to_ground(np.stack([u.ravel(), v.ravel()], axis=1))
    known = ground[np.isfinite(ground).all(axis=1)]
    return known if len(known) else np.zeros((1, 2))


def _line(
    image: Image,
    calibration: Calibration,
    axis: int,
    value: float,
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
) -> None:
    """One line of the grid, broken where it leaves the view."""
    points = np.empty((65, 2))
    points[:, axis] = value
    points[:, 1 - axis] = np.linspace(low[1 - axis], high[1 - axis], 65)
    pixels = calibration.project(points)
    height, width, _ = image.shape
    near = np.isfinite(pixels).all(axis=1) & (np.abs(pixels) < 4 * max(height, width)).all(axis=1)
    colour = _AXIS if value == 0 else _GRID
    for step in np.flatnonzero(near[1:] & near[:-1]):
        ends = np.round(pixels[step : step + 2]).astype(int).tolist()
        cv2.line(image, ends[0], ends[1], colour, max(1, stroke_px(image) // 2), cv2.LINE_AA)


def _pair(
    image: Image,
    calibration: Calibration,
    number: int,
    pixel: npt.NDArray[np.float64],
    place: npt.NDArray[np.float64],
) -> None:
    size = letter_px(image)
    u, v = (round(float(value)) for value in pixel)
    cv2.circle(image, (u, v), size // 2, _GIVEN, stroke_px(image), cv2.LINE_AA)
    mapped = calibration.project(place[None])[0]
    if np.isfinite(mapped).all():
        spot = (round(float(mapped[0])), round(float(mapped[1])))
        cv2.circle(image, spot, max(2, size // 5), _MAPPED, cv2.FILLED, cv2.LINE_AA)
    draw_text(image, f"{number}: {place[0]:g}, {place[1]:g} m", u + size, v - size // 2, size, _GIVEN)
