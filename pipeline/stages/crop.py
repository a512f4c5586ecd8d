"""Which crops of a track are worth embedding: a quality gate and a policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.config import CropConfig
from pipeline.packets import Crop, Frame, Image
from tracking.boxes import greatest_overlap
from tracking.splits import MEETING_OVERLAP
from tracking.types import FloatArray, TrackedFrame, TrackletKey

SeenFrame = tuple[Frame, TrackedFrame]

SHARP_HEIGHT_PX = 128.0
"""A crop of this height is as good as any larger one: networks see 256 px at most."""

MAX_CROPS = 64
"""best_k: of all stretches of a track together, so that memory is bounded."""


class CropStage:
    """Frames with their tracks in, and for every frame the crops that are now to be embedded out.

    ``best_k`` keeps the best within each ``every_s``, of these the k best of each stretch between two meetings with others
    (whoever is followed may be another afterwards, see ``tracking.splits``), and gives them when the track ends;
    ``every_s`` and ``every_crop`` give them as they come. Nothing of a tentative track is given.

    Args:
        early_crops: best_k: give a track's crops once already when it is confirmed and has this many, so that its
            identity can be decided while it is still in view; None waits for its end.
    """

    def __init__(self, config: CropConfig, early_crops: int | None = None) -> None:
        self._config = config
        self._early_crops = early_crops
        self._pools: dict[TrackletKey, _Pool] = {}

    def process(self, batch: Sequence[SeenFrame]) -> list[list[Crop]]:
        return [self._crops(frame, tracked) for frame, tracked in batch]

    def flush(self) -> list[list[Crop]]:
        return []

    def _crops(self, frame: Frame, tracked: TrackedFrame) -> list[Crop]:
        quality = crop_quality(tracked, frame.image.shape, self._config)
        met = greatest_overlap(tracked.xyxy) >= MEETING_OVERLAP
        due: list[Crop] = []
        for row in range(len(tracked)):
            key = TrackletKey(frame.ref.camera_id, int(tracked.local_id[row]))
            pool = self._pools.setdefault(key, _Pool(self._config, self._early_crops))
            pool.meet(bool(met[row]))
            pool.offer(key, frame, tracked.xyxy[row], float(quality[row]))
            if tracked.confirmed[row]:
                due += pool.take_due()
        for local_id in tracked.ended:
            ended = self._pools.pop(TrackletKey(frame.ref.camera_id, local_id), None)
            due += ended.take_all() if ended is not None else []
        return due


class _Pool:
    """The crops of one track that are not embedded yet, and the places in time of those that were."""

    def __init__(self, config: CropConfig, early_crops: int | None) -> None:
        self._policy = config.policy
        self._k = config.k if config.policy == "best_k" else None
        self._spacing_s = 0.0 if config.policy == "every_crop" else config.every_s
        self._min_sharpness = config.min_sharpness
        self._early_crops = early_crops
        self._slots: list[_Slot] = []
        self._confirmed = False
        self._is_met = False
        self._stretch = 0

    def meet(self, is_met: bool) -> None:
        """Whether another's box overlaps this one's now: at either end of it begins another stretch."""
        self._stretch += is_met != self._is_met
        self._is_met = is_met

    def offer(self, key: TrackletKey, frame: Frame, xyxy: FloatArray, quality: float) -> None:
        """Keep this crop if it is better than what the pool has for this moment."""
        if quality <= 0:
            return
        time_s = frame.ref.timestamp_s
        open_slot = (
            self._slots[-1] if self._slots and time_s < self._slots[-1].opened_s + self._spacing_s else None
        )
        if open_slot is not None and (self._k is None or quality <= open_slot.quality or open_slot.taken):
            return
        image = cut(frame.image, xyxy)
        if self._min_sharpness and sharpness(image) < self._min_sharpness:
            return
        crop = Crop(key, time_s, frame.ref.frame_index, image, quality)
        if open_slot is not None:
            open_slot.crop, open_slot.quality = crop, quality
        else:
            self._slots.append(_Slot(time_s, quality, crop, self._stretch))
            self._drop_worst()

    def _drop_worst(self) -> None:
        """Forget the worst slot, or without a limit those already given, whose moment alone still counts."""
        if self._k is None:
            self._slots = [slot for slot in self._slots[:-1] if not slot.taken] + self._slots[-1:]
            return
        rivals = [row for row, slot in enumerate(self._slots) if slot.stretch == self._stretch]
        if len(rivals) <= self._k:
            if len(self._slots) <= MAX_CROPS:
                return
            rivals = list(range(len(self._slots)))
        del self._slots[min(rivals, key=lambda row: (self._slots[row].quality, -row))]

    def take_due(self) -> list[Crop]:
        """Crops to embed now that the track is confirmed."""
        self._confirmed = True
        if self._k is None:
            return self.take_all()
        if self._early_crops is None or len(self._slots) < min(self._early_crops, self._k):
            return []
        self._early_crops = None
        return self.take_all()

    def take_all(self) -> list[Crop]:
        """Every crop not given before; none of a track that was never confirmed."""
        taken = [slot.take() for slot in self._slots if not slot.taken] if self._confirmed else []
        return [crop for crop in taken if crop is not None]


@dataclass(slots=True)
class _Slot:
    """The best crop of one stretch of time; its image goes when it is taken."""

    opened_s: float
    quality: float
    crop: Crop | None
    stretch: int
    taken: bool = False

    def take(self) -> Crop | None:
        crop, self.crop, self.taken = self.crop, None, True
        return crop


def crop_quality(tracked: TrackedFrame, shape: tuple[int, ...], config: CropConfig) -> FloatArray:
    """``(N,)`` in [0, 1]; 0 is refused by a gate.

    The product of confidence, visible share, share of the border inside the picture, and height up to 128 px.
    """
    box = tracked.xyxy
    if not len(box):
        return np.zeros(0, dtype=np.float32)
    width, height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    truncation, overlap = border_share(box, shape), covered_share(box)
    passed = (width >= config.min_width_px) & (height >= config.min_height_px)
    passed &= (tracked.confidence >= config.min_confidence) & (truncation <= config.max_truncation)
    passed &= overlap <= config.max_overlap
    size = np.minimum(height / SHARP_HEIGHT_PX, 1.0)
    quality = tracked.confidence * (1 - overlap) * (1 - truncation) * size
    return np.where(passed, np.clip(quality, 1e-6, 1.0), 0.0).astype(np.float32)


def border_share(xyxy: FloatArray, shape: tuple[int, ...], margin_px: float = 1.0) -> FloatArray:
    """``(N,)``: the share of each box's border that lies on or beyond the picture's border."""
    height, width = shape[0], shape[1]
    wide, tall = xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1]
    across = (xyxy[:, 1] <= margin_px).astype(float) + (xyxy[:, 3] >= height - margin_px)
    upright = (xyxy[:, 0] <= margin_px).astype(float) + (xyxy[:, 2] >= width - margin_px)
    border = np.maximum(2 * (wide + tall), 1e-6)
    return np.asarray((across * wide + upright * tall) / border, dtype=np.float32)


def covered_share(xyxy: FloatArray) -> FloatArray:
    """``(N,)``: the share of each box that the nearest-to-camera (lowest reaching) other boxes cover at most."""
    low = np.maximum(xyxy[:, None, :2], xyxy[None, :, :2])
    high = np.minimum(xyxy[:, None, 2:], xyxy[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    area = np.maximum((xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1), 1e-6)
    in_front = xyxy[None, :, 3] > xyxy[:, None, 3]
    return np.asarray(
        np.where(in_front, common / area[:, None], 0).max(axis=1, initial=0.0), dtype=np.float32
    )


def cut(image: Image, xyxy: FloatArray) -> Image:
    """A copy of the box's pixels, cut at the picture's border; never empty."""
    height, width = image.shape[:2]
    x0, y0 = min(max(int(np.floor(xyxy[0])), 0), width - 1), min(max(int(np.floor(xyxy[1])), 0), height - 1)
    x1, y1 = max(min(int(np.ceil(xyxy[2])), width), x0 + 1), max(min(int(np.ceil(xyxy[3])), height), y0 + 1)
    return np.array(image[y0:y1, x0:x1])


def sharpness(image: Image) -> float:
    """Variance of the Laplacian of the grey picture (Pech-Pacheco et al., ICPR 2000)."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())
