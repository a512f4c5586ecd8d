"""What a camera does to a clean picture: white balance, exposure, gamma, colour, blur, vignette and noise.

The tone curve is a table per channel; noise comes from a fixed bank at a random offset, so that it is cheap and the
same for the same camera, seed and frame.
"""

from __future__ import annotations

from functools import cached_property
from zlib import crc32

import cv2
import numpy as np
import numpy.typing as npt

from samples.types import CameraResponse, FloatArray

Image = npt.NDArray[np.uint8]
BANK = 1 << 21


def random_response(rng: np.random.Generator, fps: float = 10.0) -> CameraResponse:
    """A camera that differs visibly from others: warm or cold, dark or bright, soft or noisy."""
    warmth, tint = rng.normal(0, 0.11), rng.normal(0, 0.03)
    return CameraResponse(
        white_balance=(float(1 - warmth), float(1 + tint), float(1 + warmth)),
        exposure=float(np.exp(rng.normal(0, 0.14))),
        gamma=float(np.exp(rng.normal(0, 0.11))),
        contrast=float(rng.normal(1.0, 0.06)),
        saturation=float(np.clip(rng.normal(1.0, 0.13), 0.6, 1.35)),
        blur_px=float(rng.uniform(0.2, 0.8)),
        noise=float(rng.uniform(1.0, 4.5)),
        vignette=float(rng.uniform(0.0, 0.28)),
        crf=int(rng.integers(22, 28)),
        fps=fps,
    )


class Sensor:
    """Applies a response to the frames of one camera.

    Args:
        response: of the camera.
        camera_id, seed: choose the noise.
        size: ``(width, height)`` px of the frames.
    """

    def __init__(self, response: CameraResponse, camera_id: str, seed: int, size: tuple[int, int]) -> None:
        self.response = response
        self._key = [seed, crc32(camera_id.encode())]
        self._size = size

    def expose(self, image: Image, frame_index: int) -> Image:
        """The recorded picture of a clean BGR ``image`` ``(H, W, 3)`` uint8; depends on ``frame_index`` by its noise."""
        response = self.response
        toned = cv2.LUT(image, self._curve)
        if response.saturation != 1.0:
            toned = cv2.transform(toned, self._colour)
        if response.blur_px > 0.05:
            toned = cv2.GaussianBlur(toned, (0, 0), response.blur_px)
        if response.vignette > 0:
            toned = cv2.multiply(toned, self._shade, dtype=cv2.CV_8U)
        if response.noise > 0:
            toned = cv2.add(toned, self._grain(frame_index), dtype=cv2.CV_8U)
        return np.asarray(toned, dtype=np.uint8)

    @cached_property
    def _curve(self) -> Image:
        """``(1, 256, 3)``: gains in linear light, then gamma and contrast about middle grey."""
        display = np.arange(256)[:, None] / 255.0
        gains = self.response.exposure * np.asarray(self.response.white_balance)
        shown = np.clip(display**2.2 * gains, 0, None) ** (self.response.gamma / 2.2)
        shown = _shoulder(0.5 + (shown - 0.5) * self.response.contrast)
        return np.asarray(np.clip(255 * shown + 0.5, 0, 255), dtype=np.uint8)[None]

    @cached_property
    def _colour(self) -> FloatArray:
        grey = np.tile([0.114, 0.587, 0.299], (3, 1))
        return np.asarray(grey + self.response.saturation * (np.eye(3) - grey))

    @cached_property
    def _shade(self) -> npt.NDArray[np.float32]:
        width, height = self._size
        x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
        shade = 1 - self.response.vignette * (x * x + y * y) / 2
        return np.repeat(shade[..., None], 3, axis=2).astype(np.float32)

    @cached_property
    def _bank(self) -> npt.NDArray[np.int8]:
        drawn = np.random.default_rng([*self._key, 1]).standard_normal(BANK, dtype=np.float32)
        return np.clip(np.round(drawn * self.response.noise), -127, 127).astype(np.int8)

    def _grain(self, frame_index: int) -> npt.NDArray[np.int8]:
        width, height = self._size
        count = width * height * 3
        start = int(np.random.default_rng([*self._key, 2, frame_index]).integers(BANK))
        taken = (
            np.take(self._bank, np.arange(start, start + count), mode="wrap")
            if start + count > BANK
            else None
        )
        return (self._bank[start : start + count] if taken is None else taken).reshape(height, width, 3)


def kept_frames(response: CameraResponse, camera_id: str, seed: int, count: int) -> npt.NDArray[np.bool_]:
    """``(count,)`` which frames of a recording arrive; dropped ones come in short bursts. The first always arrives."""
    if response.drop_rate <= 0:
        return np.ones(count, dtype=bool)
    rng = np.random.default_rng([seed, crc32(camera_id.encode()), 3])
    kept = np.ones(count, dtype=bool)
    for start in np.flatnonzero(rng.random(count) < response.drop_rate / 2.5):
        kept[start : start + int(rng.integers(1, 5))] = False
    kept[0] = True
    return kept


def _shoulder(shown: FloatArray) -> FloatArray:
    """Highlights roll off softly instead of clipping."""
    over = np.clip(shown - 0.85, 0, None)
    return np.asarray(np.where(shown > 0.85, 0.85 + 0.15 * (1 - np.exp(-over / 0.15)), shown))
