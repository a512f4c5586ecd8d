"""Text on pictures: smooth letters from Pillow's own font, drawn once and kept."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from pipeline.packets import Image as Picture
from pipeline.render.palette import Colour


@lru_cache(maxsize=4)
def _font(height_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height_px)


@lru_cache(maxsize=2048)
def _letters(text: str, height_px: int) -> npt.NDArray[np.float32]:
    """``(h, w, 1)`` coverage in [0, 1] of one line of text; every line of one size is equally high."""
    font = _font(height_px)
    width = max(1, round(font.getlength(text)))
    canvas = Image.new("L", (width, round(1.25 * height_px)))
    ImageDraw.Draw(canvas).text((0, 0), text, fill=255, font=font)
    cover: npt.NDArray[np.float32] = np.asarray(canvas, np.float32)[:, :, None] / np.float32(255)
    return cover


def text_size(text: str, height_px: int) -> tuple[int, int]:
    """Width and height in pixels that ``draw_text`` covers."""
    height, width, _ = _letters(text, height_px).shape
    return width, height


def draw_text(image: Picture, text: str, left: int, top: int, height_px: int, ink: Colour) -> None:
    """Write one line with its upper left corner at ``left, top``; what lies outside the picture is cut."""
    letters = _letters(text, height_px)
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(image.shape[0], top + letters.shape[0]), min(image.shape[1], left + letters.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    cover = letters[y0 - top : y1 - top, x0 - left : x1 - left]
    below = image[y0:y1, x0:x1]
    below[:] = (below * (1 - cover) + np.asarray(ink, np.float32) * cover + 0.5).astype(np.uint8)


def shade(image: Picture, left: int, top: int, right: int, bottom: int, strength: float = 0.6) -> None:
    """Darken a rectangle, so that light text on it can be read."""
    part = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    part[:] = (part * (1 - strength)).astype(np.uint8)
