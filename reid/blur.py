"""Makes people on pictures unrecognisable, for good: what is taken away is not in the picture any more.

An area is brought down to a handful of cells and smoothly up again. Unlike a Gaussian blur, which can be undone in part when
its kernel is guessed, this leaves fewer numbers than a face or a garment needs (5 cells across).
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["BlurTarget", "blur_areas", "blurred_crop"]

BlurTarget = Literal["faces", "bodies"]
Picture = npt.NDArray[np.uint8]

CELLS = 5
FACE_SHARE = 1 / 3
"""Of a box's height from its top: a head is an eighth of a standing person, a third of one seen from the waist up."""


def blur_areas(
    image: Picture, xyxy: npt.NDArray[np.floating[Any]], target: BlurTarget, margin: float = 0.12
) -> None:
    """Blur whoever stands in the boxes, in place.

    Args:
        image: ``(H, W, 3)`` uint8.
        xyxy: ``(N, 4)`` px; parts outside the picture are cut.
        target: the whole box, or its upper third, where heads are.
        margin: of the box's sides, added all around, since boxes are never exact.
    """
    for x0, y0, x1, y1 in np.asarray(xyxy, np.float64).reshape(-1, 4).tolist():
        pad_x, pad_y = margin * (x1 - x0), margin * (y1 - y0)
        bottom = y1 + pad_y if target == "bodies" else y0 + FACE_SHARE * (y1 - y0)
        height, width = image.shape[:2]
        left, right = (int(np.clip(side, 0, width)) for side in (np.floor(x0 - pad_x), np.ceil(x1 + pad_x)))
        top, low = (int(np.clip(side, 0, height)) for side in (np.floor(y0 - pad_y), np.ceil(bottom)))
        if left < right and top < low:
            area = image[top:low, left:right]
            area[:] = _smeared(area)


def blurred_crop(crop: Picture, target: BlurTarget) -> Picture:
    """A copy of a person's or vehicle's cut-out ``(H, W, 3)``, blurred in the same way."""
    image: Picture = crop.copy()
    height, width = crop.shape[:2]
    blur_areas(image, np.array([[0.0, 0.0, width, height]]), target, margin=0.0)
    return image


def _smeared(area: Picture) -> Picture:
    height, width = area.shape[:2]
    scale = min(1.0, CELLS / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(area, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
