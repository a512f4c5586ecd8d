"""The paper's training transforms, on batches of resized crops.

Order: resize (PIL, bicubic for training and bilinear for testing), horizontal flip, black padding, random
crop, scale to [0, 1], normalise, random erasing. Only the resize looks at the original file and it draws
nothing, so resized crops can be kept in memory and everything after it runs on whole batches, with results
equal to the image-by-image way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from reid.preprocess import read_rgb

UInt8Array = npt.NDArray[np.uint8]
Interpolation = Literal["bilinear", "bicubic"]

ERASED_AREA = (0.02, 1 / 3)
ERASED_ASPECT = (0.3, 1 / 0.3)
ERASE_TRIES = 10

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What happens to a training crop.

    Attributes:
        flip_probability, erase_probability: in [0, 1].
        padding_px: black border on every side before the random crop.
        mean, std: of the normalisation, per RGB channel in [0, 1].
    """

    flip_probability: float = 0.5
    padding_px: int = 10
    erase_probability: float = 0.5
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)


def resized(image: Image.Image, size: tuple[int, int], interpolation: Interpolation) -> UInt8Array:
    """``(H, W, 3)`` RGB uint8 of ``image`` stretched to ``size`` (height, width) with PIL's antialiasing."""
    height, width = size
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return np.asarray(rgb.resize((width, height), _RESAMPLING[interpolation]), np.uint8)


def read_resized(path: Path, size: tuple[int, int], interpolation: Interpolation) -> UInt8Array:
    """The same from a file.

    Raises:
        ValueError: the file is missing or not a readable image; the message names it.
    """
    return resized(read_rgb(path), size, interpolation)


def normalised(crops: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """``(N, 3, H, W)`` float32 network input of ``(N, H, W, 3)`` uint8 RGB crops."""
    scaled = crops.permute(0, 3, 1, 2).to(torch.float32) / 255
    return (scaled - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def augmented(crops: UInt8Array, config: Augmentation, generator: np.random.Generator) -> Tensor:
    """A training batch ``(N, 3, H, W)`` float32 from resized crops ``(N, H, W, 3)`` uint8 RGB."""
    moved = np.stack([_flipped_and_shifted(crop, config, generator) for crop in crops])
    batch = normalised(torch.from_numpy(moved), config.mean, config.std)
    for image in batch:
        if generator.random() < config.erase_probability:
            erase(image, generator)
    return batch


def _flipped_and_shifted(
    crop: UInt8Array, config: Augmentation, generator: np.random.Generator
) -> UInt8Array:
    """Flip, pad with black and crop back, done as one shifted copy."""
    source = crop[:, ::-1] if generator.random() < config.flip_probability else crop
    pad = config.padding_px
    down, right = generator.integers(-pad, pad, 2, endpoint=True)
    height, width = crop.shape[:2]
    shifted = np.zeros_like(crop)
    rows, columns = _overlap(int(down), height), _overlap(int(right), width)
    shifted[rows[0], columns[0]] = source[rows[1], columns[1]]
    return shifted


def _overlap(shift: int, length: int) -> tuple[slice, slice]:
    """Slices into (target, source) along one axis for a source moved by ``shift``."""
    target = slice(max(shift, 0), max(length + min(shift, 0), 0))
    return target, slice(max(-shift, 0), max(length - max(shift, 0), 0))


def erase(image: Tensor, generator: np.random.Generator) -> None:
    """Fill one random box of ``image`` ``(3, H, W)``, in place, with standard normal noise.

    Source: Zhong et al., *Random Erasing* (arXiv 1708.04896), with noise per pixel and channel. Nothing
    happens where no box fits within `ERASE_TRIES` draws.
    """
    _, height, width = image.shape
    for _ in range(ERASE_TRIES):
        area = generator.uniform(*ERASED_AREA) * height * width
        aspect = math.exp(generator.uniform(math.log(ERASED_ASPECT[0]), math.log(ERASED_ASPECT[1])))
        box_height, box_width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if box_height < height and box_width < width:
            top = int(generator.integers(0, height - box_height, endpoint=True))
            left = int(generator.integers(0, width - box_width, endpoint=True))
            noise = generator.standard_normal((3, box_height, box_width), np.float32)
            image[:, top : top + box_height, left : left + box_width] = torch.from_numpy(noise)
            return
