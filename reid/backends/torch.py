"""TransReID on torch: CPU or CUDA, in fp32, bf16 or fp16, on the CPU in int8 too."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reid.backends.backend import ModelCard
from reid.backends.int8 import int8_is_there, to_int8
from reid.preprocess import InputForm
from reid.transreid import TransReID

__all__ = ["TorchBackend", "card_of", "pick_device"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_NOT_HASHED = ("base.fc.", "classifier")


class TorchBackend:
    """Runs a :class:`TransReID`.

    Args:
        model: taken over: moved to the device, put in eval mode, with int8 its layers replaced.
        form: its input; None is TransReID's usual normalisation at the network's own size.
        device: ``cpu``, ``cuda``, ``cuda:1`` … or ``auto``.
        precision: ``fp32``, ``bf16`` / ``fp16`` by autocast, or ``int8`` (:mod:`reid.backends.int8`) on the CPU.

    Raises:
        ValueError: a precision that is unknown or not to be had here, a device that is not there, or a form of
            another size.
    """

    def __init__(
        self,
        model: TransReID,
        form: InputForm | None = None,
        *,
        device: str = "auto",
        precision: str = "fp32",
    ) -> None:
        if precision not in (*DTYPES, "int8"):
            raise ValueError(f"precision: expected one of {', '.join(DTYPES)}, int8, got {precision!r}")
        self.card = card_of(model, form)
        self._device, self._dtype = pick_device(device), DTYPES.get(precision, torch.float32)
        self._one_by_one = precision == "int8"
        self._model = model.to(self._device).eval()
        if self._one_by_one:
            if self._device.type != "cpu" or not int8_is_there():
                raise ValueError(f"precision: int8 on torch needs a CPU and a torch with oneDNN, not {self._device}")
            self._model = to_int8(self._model)
        self._table = model.sie_table().detach() if self.card.num_sie_rows else None

    def run(self, images: npt.NDArray[np.float32], codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        if self._one_by_one and len(images) > 1:
            rows = [self.run(images[i : i + 1], codes[i : i + 1]) for i in range(len(images))]
            return np.concatenate(rows)
        with torch.inference_mode(), self._autocast():
            batch = torch.from_numpy(images).to(self._device)
            side = None if self._table is None else self._table[torch.from_numpy(codes).to(self._device)]
            raw: Tensor = self._model.embedding(self._model.features(batch, side))
            array: npt.NDArray[np.float32] = raw.float().cpu().numpy()
        return array

    def _autocast(self) -> AbstractContextManager[object]:
        if self._dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self._device.type, dtype=self._dtype)


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one.

    Raises:
        ValueError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device: {name!r} is none") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device: {name!r} asked for, but torch sees no CUDA device")
    return device


def card_of(model: TransReID, form: InputForm | None = None) -> ModelCard:
    """The card of a network in memory; its hash covers weights, shape and input form."""
    config = model.config
    form = form or InputForm(config.image_size)
    if form.image_size != config.image_size:
        raise ValueError(f"image_size: the network takes {config.image_size}, not {form.image_size}")
    shape = {**asdict(config), "num_classes": 0}
    digest = hashlib.sha256(repr((sorted(shape.items()), asdict(form))).encode())
    for key, value in sorted(model.state_dict().items()):
        if value.ndim and not key.startswith(_NOT_HASHED):
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return ModelCard(form, config.feature_dim, config.num_sie_rows, digest.hexdigest())
