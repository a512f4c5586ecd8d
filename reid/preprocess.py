"""Crops to network input: stretched with an antialiased bilinear resize, as the reference trains and tests.

The resize is Pillow's own, so it is exact; OpenCV's linear and area resizes are off by up to 30 of 255 levels
when they shrink. Channels are resized one by one, so the colour order can be changed afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["Crop", "InputForm", "prepare", "read_rgb"]

Crop: TypeAlias = npt.NDArray[np.uint8]
Triple: TypeAlias = tuple[float, float, float]

HALF_RANGE: Triple = (127.5, 127.5, 127.5)


def read_rgb(path: Path) -> Image.Image:
    """An image file decoded by Pillow, RGB.

    Raises:
        ValueError: the file is missing or not a readable image; the message names it.
    """
    try:
        with Image.open(path) as image:
            rgb: Image.Image = image.convert("RGB")
            return rgb
    except (OSError, SyntaxError, ImportError) as error:
        # ImportError: where ultralytics was imported, Image.open is its own and wants a package for what is no image.
        raise ValueError(f"{path}: not a readable image ({error})") from error


@dataclass(frozen=True, slots=True)
class InputForm:
    """What a network wants to see.

    Attributes:
        image_size: height and width, px.
        colour: channel order.
        mean, scale: per channel in that order and in 0..255 units; the input is ``(pixel - mean) / scale``.
            The defaults are TransReID's.

    Raises:
        ValueError: naming the field.
    """

    image_size: tuple[int, int]
    colour: Literal["rgb", "bgr"] = "rgb"
    mean: Triple = HALF_RANGE
    scale: Triple = HALF_RANGE

    def __post_init__(self) -> None:
        for name, length in (("image_size", 2), ("mean", 3), ("scale", 3)):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if len(getattr(self, name)) != length:
                raise ValueError(f"{name}: expected {length} numbers, got {getattr(self, name)}")
        if min(self.image_size) < 1:
            raise ValueError(f"image_size: expected positive numbers, got {self.image_size}")
        if self.colour not in ("rgb", "bgr"):
            raise ValueError(f"colour: expected 'rgb' or 'bgr', got {self.colour!r}")
        if min(self.scale) <= 0:
            raise ValueError(f"scale: expected positive numbers, got {self.scale}")


def prepare(crops: Sequence[Crop], form: InputForm) -> npt.NDArray[np.float32]:
    """Resize and normalise a batch.

    Args:
        crops: BGR uint8 ``(h, w, 3)`` each, of any size.
        form: what the network wants.

    Returns:
        ``(N, 3, H, W)`` float32, contiguous.

    Raises:
        ValueError: a crop that is no such array, named by its position.
    """
    height, width = form.image_size
    pixels = np.empty((len(crops), height, width, 3), dtype=np.uint8)
    for index, crop in enumerate(crops):
        pixels[index] = _resized(_checked(crop, index), (width, height))
    if form.colour == "rgb":
        pixels = pixels[..., ::-1]
    batch = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
    batch -= np.array(form.mean, dtype=np.float32)[:, None, None]
    batch /= np.array(form.scale, dtype=np.float32)[:, None, None]
    return batch


def _resized(crop: Crop, size: tuple[int, int]) -> Any:
    if crop.shape[1::-1] == size:
        return crop
    return Image.fromarray(np.ascontiguousarray(crop)).resize(size, Image.Resampling.BILINEAR)


def _checked(crop: Crop, index: int) -> Crop:
    if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or crop.size == 0:
        found = f"{crop.dtype} {crop.shape}"
        raise ValueError(f"crop {index}: expected uint8 (h, w, 3) with pixels in it, got {found}")
    return crop
