"""Scoring a network in training on its dataset's query and gallery splits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from reid.data.datasets import LabelledImage, ReIDDataset
from reid.data.loader import GIGABYTE, CropStore, SideTable, plain_batches
from reid.metrics import cosine_distances, rank_scores, vehicle_id_scores
from reid.training_config import TrainingConfig
from reid.transreid import TransReID

BATCH_SIZE = 128

FloatArray = npt.NDArray[np.float32]


class Validator:
    """Embeds query and gallery, unit norm, and scores them under the same-camera rule.

    Crops are resized once, at the first use.
    """

    def __init__(self, dataset: ReIDDataset, config: TrainingConfig, side: SideTable) -> None:
        self._dataset, self._config, self._side = dataset, config, side

    @cached_property
    def _images(self) -> Sequence[LabelledImage]:
        return (*self._dataset.query, *self._dataset.gallery)

    @cached_property
    def _store(self) -> CropStore:
        data, run = self._config.data, self._config.run
        size = self._config.model.image_size
        return CropStore(self._images, size, "bilinear", data.cache_gb * GIGABYTE, run.threads)

    def embeddings(self, model: TransReID) -> FloatArray:
        """``(queries + gallery, D)`` unit-norm embeddings; leaves ``model`` in eval mode."""
        model.eval()
        device = model.base.pos_embed.device
        codes = torch.from_numpy(self._side.codes(self._images)).to(device)
        table = model.sie_table() if model.config.num_sie_rows else None
        out = np.empty((len(self._images), model.config.feature_dim), np.float32)
        with torch.inference_mode():
            for rows, images in plain_batches(self._store, self._config.augment, BATCH_SIZE):
                side = None if table is None else table[codes[rows]]
                embedded = model.embedding(model.features(images.to(device), side))
                out[rows] = torch.nn.functional.normalize(embedded).cpu().numpy()
        return out

    def scores(self, model: TransReID) -> dict[str, float]:
        """``mAP``, ``rank1``, ``rank5``, ``rank10`` and ``mINP`` in [0, 1]; VehicleID over ten drawn galleries."""
        embeddings, split = self.embeddings(model), len(self._dataset.query)
        identities = np.array([image.identity for image in self._images])
        if self._config.data.kind == "vehicleid":
            return vehicle_id_scores(embeddings, identities, seed=self._config.run.seed)
        cameras = np.array([image.camera for image in self._images])
        distance = cosine_distances(embeddings[:split], embeddings[split:])
        return rank_scores(
            distance, identities[:split], identities[split:], cameras[:split], cameras[split:]
        ).summary()
