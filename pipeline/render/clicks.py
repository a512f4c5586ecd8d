"""Point pairs from a person: click on the picture, say where that is on the floor."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from pipeline.calibrations import PointPairs
from pipeline.errors import ConfigError
from pipeline.packets import Image
from pipeline.render.drawing import letter_px, stroke_px
from pipeline.render.text import draw_text

_WINDOW = "click where the floor is known; Enter or Esc to end"
_RING = (60, 60, 235)
_ENDING = (13, 27)

Ask = Callable[[str], str]


def click_points(image: Image, ask: Ask = input) -> PointPairs:
    """Show the picture, take clicks, and ask in the terminal for the metres of each.

    Args:
        ask: puts a question and gives the answer, ``x y`` in metres; an empty one takes the click back.

    Raises:
        ConfigError: no screen to show it on.
    """
    shown, pairs = image.copy(), []
    for pixel in _clicks(shown):
        place = _asked(pixel, ask)
        if place is not None:
            pairs.append((*pixel, *place))
            _mark(shown, len(pairs), pixel)
    table = np.array(pairs, np.float64).reshape(-1, 4)
    return PointPairs(table[:, :2], table[:, 2:])


def _clicks(shown: Image) -> Iterator[tuple[int, int]]:
    waiting: list[tuple[int, int]] = []

    def heed(event: int, u: int, v: int, _flags: int, _: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN:
            waiting.append((u, v))

    if not _has_screen():
        raise ConfigError("no screen to click on: list the point pairs in a file instead")
    cv2.namedWindow(_WINDOW, cv2.WINDOW_NORMAL)
    cv2.setMouseCallback(_WINDOW, heed)
    try:
        while True:
            cv2.imshow(_WINDOW, shown)
            key = cv2.waitKey(30) & 0xFF
            while waiting:
                yield waiting.pop(0)
            if key in _ENDING or cv2.getWindowProperty(_WINDOW, cv2.WND_PROP_VISIBLE) < 1:
                return
    finally:
        cv2.destroyWindow(_WINDOW)


def _has_screen() -> bool:
    """OpenCV's window toolkit ends the process where there is none, so it must not be asked."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _asked(pixel: tuple[int, int], ask: Ask) -> tuple[float, float] | None:
    while True:
        answer = ask(f"pixel {pixel[0]}, {pixel[1]}: x and y on the floor in metres (empty to skip): ").split()
        if not answer:
            return None
        try:
            x, y = (float(part.strip(",")) for part in answer)
            return x, y
        except ValueError:
            continue


def _mark(image: Image, number: int, pixel: tuple[int, int]) -> None:
    size = letter_px(image)
    cv2.circle(image, pixel, size // 3, _RING, stroke_px(image) + 1, cv2.LINE_AA)
    draw_text(image, str(number), pixel[0] + size // 2, pixel[1] - size, size, _RING)
