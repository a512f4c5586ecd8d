"""A colour for every identity: the same everywhere, and far from its neighbours' colours."""

from __future__ import annotations

import colorsys
from functools import lru_cache

Colour = tuple[int, int, int]
"""Blue, green, red, 0..255."""

_GOLDEN = 0.618_033_988_75
_SHADES = ((0.85, 1.0), (0.60, 1.0), (0.90, 0.80))
"""Saturation and value, taken in turn."""


@lru_cache(maxsize=4096)
def colour_of(global_id: int) -> Colour:
    """Hues a golden section apart, so that consecutive ids never look alike (Knuth, vol. 3, section 6.4)."""
    hue = (0.58 + (global_id - 1) * _GOLDEN) % 1.0
    saturation, value = _SHADES[(global_id - 1) // 8 % len(_SHADES)]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * blue), round(255 * green), round(255 * red)


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever reads better on ``colour`` (relative luminance, WCAG 2)."""
    blue, green, red = (channel / 255 for channel in colour)
    luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    return (0, 0, 0) if luminance > 0.18 else (255, 255, 255)
