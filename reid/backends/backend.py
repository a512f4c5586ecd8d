"""The contract of a back end, and the card that travels inside exported files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from reid.preprocess import InputForm

__all__ = ["CARD_KEY", "Backend", "ModelCard", "foreign_card"]

CARD_KEY = "crosscam"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a network is, apart from its weights.

    Attributes:
        form: its input.
        dim: length of its embedding.
        num_sie_rows: rows of its SIE table, without the two for the mean and for nothing; 0 = no SIE.
        model_hash: SHA-256 of what decides its embeddings; an exported file keeps its checkpoint's.
    """

    form: InputForm
    dim: int
    num_sie_rows: int
    model_hash: str

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        values = json.loads(text)
        return cls(**{**values, "form": InputForm(**values["form"])})

    def with_form(self, form: InputForm | None) -> ModelCard:
        """The same card with another input form; None keeps its own."""
        return self if form is None else replace(self, form=form)


class Backend(Protocol):
    """Runs one network on prepared images."""

    @property
    def card(self) -> ModelCard: ...

    def run(self, images: npt.NDArray[np.float32], codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Raw embeddings ``(N, dim)`` of ``(N, 3, H, W)`` images under the SIE codes ``(N,)``.

        Codes are positions in the table of ``num_sie_rows + 2`` rows (:mod:`reid.sie`).
        """
        ...


def foreign_card(card_json: str | None, form: InputForm | None, dim: Any, path: Path) -> ModelCard:
    """The card of a network file: its own where it carries one, else made from the declared input form.

    Raises:
        ValueError: a foreign network without a declared form, or whose embedding length is not fixed.
    """
    if card_json:
        return ModelCard.from_json(card_json).with_form(form)
    if form is None:
        raise ValueError(f"{path}: a foreign network needs its input form (image_size, colour, mean, scale)")
    if not isinstance(dim, int) or dim < 1:
        raise ValueError(f"{path}: expected an output of shape (N, D) with a fixed D, got {dim}")
    weights = path.with_suffix(".bin")
    files = (path, weights) if path.suffix == ".xml" and weights.is_file() else (path,)
    return ModelCard(form=form, dim=dim, num_sie_rows=0, model_hash=_file_hash(*files))


def _file_hash(*paths: Path) -> str:
    """SHA-256 over the files' bytes, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
