"""From FFmpeg's pictures to the project's: ``(H, W, 3)`` BGR uint8."""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.packets import Image


class BgrPictures:
    """Converts one stream's pictures, whatever their size.

    One converter is kept, with one thread: setting up FFmpeg's scaler and its threads anew for every picture
    costs seven times the conversion itself.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def of(self, frame: Any) -> Image:
        """The pixels of PyAV's ``VideoFrame``."""
        converted = self._reformatter.reformat(frame, format="bgr24", threads=1)
        return np.asarray(converted.to_ndarray(), dtype=np.uint8)
