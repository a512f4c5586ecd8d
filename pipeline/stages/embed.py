"""Crops to unit embeddings, in batches across cameras; each camera under its own row of the SIE table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline.config import SieChoice
from pipeline.errors import ModelError
from pipeline.packets import Crop, EmbeddedCrop, Image
from pipeline.stages.crop import CropStage, SeenFrame
from pipeline.stages.embedding_files import StoredCrop
from tracking.boxes import iou_matrix
from tracking.types import FloatArray, TrackletKey

MIN_SAME_BOX_IOU = 0.98


class CropEmbedder(Protocol):
    """What `reid.Embedder` offers."""

    def embed(self, crops: Sequence[Image], sie_rows: Sequence[SieChoice]) -> npt.NDArray[np.float32]: ...


class AppearanceStage(Protocol):
    """Frames with their tracks in; for every frame the crops embedded by now out."""

    def process(self, batch: Sequence[SeenFrame]) -> Sequence[Sequence[EmbeddedCrop]]: ...


class EmbedStage:
    """Embeds what a crop stage picks."""

    def __init__(self, crops: CropStage, embedder: CropEmbedder, sie: Mapping[str, SieChoice]) -> None:
        self._crops = crops
        self._embedder = embedder
        self._sie = sie

    def process(self, batch: Sequence[SeenFrame]) -> list[list[EmbeddedCrop]]:
        picked = self._crops.process(batch)
        vectors = iter(self._embed([crop for crops in picked for crop in crops]))
        return [[_embedded(crop, next(vectors)) for crop in crops] for crops in picked]

    def _embed(self, crops: Sequence[Crop]) -> npt.NDArray[np.float32]:
        if not crops:
            return np.zeros((0, 0), dtype=np.float32)
        rows = [self._sie[crop.key.camera_id] for crop in crops]
        try:
            vectors = self._embedder.embed([crop.image for crop in crops], rows)
        except (
            RuntimeError
        ) as error:  # reid.EmbeddingError, and what a back end throws when it runs out of memory
            cameras = ", ".join(sorted({crop.key.camera_id for crop in crops}))
            raise ModelError(f"embedding crops of {cameras}: {error}") from error
        return vectors


def _embedded(crop: Crop, vector: FloatArray) -> EmbeddedCrop:
    return EmbeddedCrop(crop.key, crop.timestamp_s, crop.frame_index, vector, crop.quality)


class ReplayEmbeddings:
    """Looks crops up by camera, frame and box in place of cutting and embedding them."""

    def __init__(self, stored: Mapping[str, Mapping[int, Sequence[StoredCrop]]]) -> None:
        self._stored = stored

    def process(self, batch: Sequence[SeenFrame]) -> list[list[EmbeddedCrop]]:
        return [
            [found for row in range(len(tracked)) for found in self._of((frame, tracked), row)]
            for frame, tracked in batch
        ]

    def _of(self, seen: SeenFrame, row: int) -> list[EmbeddedCrop]:
        ref, tracked = seen[0].ref, seen[1]
        crops = self._stored[ref.camera_id].get(ref.frame_index, ())
        if not crops:
            return []
        overlap = iou_matrix(tracked.xyxy[row : row + 1], np.stack([crop.xyxy for crop in crops]))[0]
        best = int(overlap.argmax())
        if overlap[best] < MIN_SAME_BOX_IOU:
            return []
        key = TrackletKey(ref.camera_id, int(tracked.local_id[row]))
        crop = crops[best]
        return [EmbeddedCrop(key, ref.timestamp_s, ref.frame_index, crop.embedding, crop.quality)]


class NoEmbeddings:
    """`embedder: off`: tracklets without appearance."""

    def process(self, batch: Sequence[SeenFrame]) -> list[list[EmbeddedCrop]]:
        return [[] for _ in batch]
