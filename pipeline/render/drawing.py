"""Draws boxes, labels, trails and the caption on a picture, in sizes that follow the picture's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.packets import Image
from pipeline.render.palette import colour_of, ink_on
from pipeline.render.scene import Shown
from pipeline.render.text import draw_text, shade, text_size

_WHITE = (255, 255, 255)
_GREY = (190, 190, 190)
_DAY_S = 86_400.0
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Area = tuple[int, int, int, int]


def clock_text(time_s: float) -> str:
    """``2026-03-01 09:00:03.1 UTC``; a clock that counts from 0, where no start was given, as ``00:00:03.1``."""
    tenths = _EPOCH + timedelta(milliseconds=100 * round(time_s * 10))
    clock = tenths.strftime("%H:%M:%S.") + str(tenths.microsecond // 100_000)
    return clock if abs(time_s) < _DAY_S else tenths.strftime("%Y-%m-%d ") + clock + " UTC"


def stroke_px(image: Image) -> int:
    """Line thickness that is seen when the picture fills a screen."""
    height, width, _ = image.shape
    return int(max(1, round(max(height, width) / 480)))


def letter_px(image: Image) -> int:
    """Height of labels."""
    height, width, _ = image.shape
    return int(max(12, round(max(height, width) / 52)))


def draw_objects(image: Image, objects: Sequence[Shown], with_class: bool) -> None:
    """Trails under boxes under labels, so that no label is hidden; ``with_class`` where there are several classes."""
    for one in objects:
        draw_trail(image, one.trail, one.global_id)
    for one in objects:
        _draw_box(image, one)
    taken: list[Area] = [_caption_area(image)]
    for one in reversed(objects):
        text = f"{one.global_id} {one.class_name}" if with_class else str(one.global_id)
        taken.append(_draw_label(image, text, one, taken))


def draw_trail(image: Image, points: npt.NDArray[np.float64], global_id: int) -> None:
    """A line that grows from thin and dark to thick and bright; it is broken before a row of NaN."""
    colour, stroke, count = colour_of(global_id), stroke_px(image), len(points)
    known = np.isfinite(points[:, 0]).tolist()
    corners = [(round(x), round(y)) for x, y in np.nan_to_num(points).tolist()]
    for step in range(1, count):
        if not (known[step - 1] and known[step]):
            continue
        age = step / count
        faded = tuple(round(channel * (0.35 + 0.65 * age)) for channel in colour)
        cv2.line(image, corners[step - 1], corners[step], faded, max(1, round(stroke * age)), cv2.LINE_AA)


def _draw_box(image: Image, one: Shown) -> None:
    x0, y0, x1, y1 = (round(value) for value in one.xyxy.tolist())
    stroke = stroke_px(image)
    thickness = stroke + 1 if one.is_seen else max(1, stroke // 2)
    cv2.rectangle(image, (x0, y0), (x1, y1), colour_of(one.global_id), thickness, cv2.LINE_8)


def _draw_label(image: Image, text: str, one: Shown, taken: Sequence[Area]) -> Area:
    """Above the box; where there is no room, in it; moved up or down off labels that are there already."""
    size, pad = letter_px(image), max(2, letter_px(image) // 5)
    width, height = text_size(text, size)
    width, height = width + 2 * pad, height + pad
    left = int(np.clip(round(one.xyxy[0]), 0, max(0, image.shape[1] - width)))
    above, inside = round(one.xyxy[1]) - height, max(round(one.xyxy[1]), taken[0][3])
    tops = [
        above,
        inside,
        *(above - step * height for step in (1, 2)),
        round(one.xyxy[3]) - height,
    ]
    free = [top for top in tops if 0 <= top <= image.shape[0] - height]
    areas = [(left, top, left + width, top + height) for top in free]
    area = next((a for a in areas if not any(_overlap(a, b) for b in taken)), areas[0] if areas else None)
    if area is None:
        return 0, 0, 0, 0
    colour = colour_of(one.global_id)
    cv2.rectangle(image, area[:2], (area[2] - 1, area[3] - 1), colour, cv2.FILLED)
    draw_text(image, text, area[0] + pad, area[1] + pad // 2, size, ink_on(colour))
    return area


def _overlap(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _caption_area(image: Image) -> Area:
    height = round(1.7 * letter_px(image))
    return 0, 0, image.shape[1], height


def draw_caption(image: Image, name: str, right: str) -> None:
    """A dark band on top: the camera's name at the left, the clock at the right."""
    size = letter_px(image)
    _, _, width, height = _caption_area(image)
    shade(image, 0, 0, width, height)
    top = (height - text_size(name, size)[1]) // 2
    draw_text(image, name, size // 2, top, size, _WHITE)
    draw_text(image, right, width - text_size(right, size)[0] - size // 2, top, size, _GREY)
