"""One detector, several sizes of a picture: which objects count in which.

A network knows objects in the sizes it was trained on; in a street the near truck and the far car are hardly ever both
among them. So the picture is looked at more than once, and each size of it answers for what appears in it neither too
small nor too large (Singh & Davis, "An Analysis of Scale Invariance in Object Detection - SNIP", arXiv 1711.08189).
Two neighbouring sizes share the objects around their border, of which non-maximum suppression keeps the surest box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tracking.types import Detections

__all__ = ["in_range", "joined", "size_ranges"]

_LARGE_PX = 96.0
"""Objects are large from this size on (the square root of their area), as COCO counts."""

_SHARED = math.sqrt(2.0)
"""Both neighbours answer for objects up to so many times larger or smaller than the border between them."""


def size_ranges(image_sizes: Sequence[int]) -> list[tuple[float, float]]:
    """For each ascending size of the network's input, px, the object sizes it answers for.

    Returns:
        Lowest and highest size, as parts of the picture's longer side; 0 and infinity at the ends. The border between
        two sizes is what is large halfway between them.
    """
    borders = [_LARGE_PX / math.sqrt(small * large) for small, large in pairwise(image_sizes)]
    lowest = [border / _SHARED for border in borders] + [0.0]
    highest = [math.inf] + [border * _SHARED for border in borders]
    return list(zip(lowest, highest, strict=True))


def in_range(detections: Detections, longer_side_px: int, limits: tuple[float, float]) -> Detections:
    """Those whose size, as a part of the picture's longer side, is within the limits."""
    width, height = (detections.xyxy[:, 2:] - detections.xyxy[:, :2]).T
    size = np.sqrt(np.maximum(width * height, 0.0)) / longer_side_px
    return detections[(size >= limits[0]) & (size <= limits[1])]


def joined(parts: Sequence[Detections]) -> Detections:
    """What several sizes of one picture showed."""
    return Detections(
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.class_id for part in parts]),
    )
