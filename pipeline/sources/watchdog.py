"""Does a live stream still show something? Tells a frozen or black picture from a living one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.packets import Image

PictureState = Literal["live", "frozen", "black"]
THUMBNAIL = (32, 18)
BLACK_LEVEL = 8.0


@dataclass(slots=True)
class PictureWatchdog:
    """Looks at a thumbnail of every frame.

    A picture that has not changed at all for ``freeze_s`` is frozen: even a still scene has sensor and coding noise,
    a stuck encoder has none. One that is darker than ``BLACK_LEVEL`` of 255 everywhere for as long is black.
    """

    freeze_s: float = 10.0
    _last: npt.NDArray[np.uint8] | None = None
    _changed_s: float = 0.0
    _lit_s: float = 0.0

    def look(self, image: Image, time_s: float) -> PictureState:
        """State after this frame; ``time_s`` from any steady clock."""
        thumbnail = cv2.resize(image, THUMBNAIL, interpolation=cv2.INTER_AREA)
        if self._last is None or not np.array_equal(thumbnail, self._last):
            self._changed_s = time_s
        if self._last is None or thumbnail.max() > BLACK_LEVEL:
            self._lit_s = time_s
        self._last = np.asarray(thumbnail, dtype=np.uint8)
        if time_s - self._lit_s >= self.freeze_s:
            return "black"
        return "frozen" if time_s - self._changed_s >= self.freeze_s else "live"

    def restart(self) -> None:
        self._last = None
