"""What travels between the stages of a shard. Images never leave the shard that decoded them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracking.types import Detections, FloatArray, FrameRef, TrackedFrame, Tracklet, TrackletKey

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A decoded picture: ``image`` is ``(H, W, 3)`` BGR uint8, full resolution."""

    ref: FrameRef
    image: Image


@dataclass(frozen=True, slots=True, eq=False)
class DetectedFrame:
    """A frame and what was detected in it."""

    frame: Frame
    detections: Detections


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One picked cut-out of one track, waiting to be embedded.

    ``image`` is ``(h, w, 3)`` BGR uint8 (a copy, so that the frame can go), ``quality`` lies in (0, 1].
    """

    key: TrackletKey
    timestamp_s: float
    frame_index: int
    image: Image
    quality: float


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedCrop:
    """A crop's embedding: ``(D,)`` float32 unit norm."""

    key: TrackletKey
    timestamp_s: float
    frame_index: int
    embedding: FloatArray
    quality: float


@dataclass(frozen=True, slots=True)
class Watermark:
    """Nothing of this camera older than ``time_s`` will follow."""

    camera_id: str
    time_s: float


@dataclass(frozen=True, slots=True)
class Silence:
    """A live camera has given nothing for long; what it saw before ``time_s`` will not be waited for."""

    camera_id: str
    time_s: float


@dataclass(frozen=True, slots=True)
class CameraEnd:
    """A camera's source has ended.

    ``truncated``: fewer frames decoded than the file declares. ``error``: why it ended early, or None.
    """

    camera_id: str
    frames_decoded: int
    frames_declared: int | None
    frames_skipped: int
    truncated: bool
    error: str | None = None


ShardMessage = TrackedFrame | Tracklet | Watermark | CameraEnd
