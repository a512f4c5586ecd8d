"""Crops in, unit embeddings out: TransReID and its checkpoints, training, evaluation and gallery.

Names are loaded when first used, so importing the package costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reid.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
    from reid.embedder import Embedder, EmbeddingError
    from reid.gallery import Gallery
    from reid.preprocess import InputForm
    from reid.pretrained import load_imagenet
    from reid.transreid import TransReID
    from reid.transreid_config import TransReIDConfig

# OpenVINO tells its maker of every import; without this module it does not. Nothing leaves the machine unasked.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

__all__ = [
    "CheckpointError",
    "Embedder",
    "EmbeddingError",
    "Gallery",
    "InputForm",
    "TransReID",
    "TransReIDConfig",
    "load_checkpoint",
    "load_imagenet",
    "save_checkpoint",
]

_HOME = {
    "CheckpointError": "reid.checkpoint",
    "Embedder": "reid.embedder",
    "EmbeddingError": "reid.embedder",
    "Gallery": "reid.gallery",
    "InputForm": "reid.preprocess",
    "TransReID": "reid.transreid",
    "TransReIDConfig": "reid.transreid_config",
    "load_checkpoint": "reid.checkpoint",
    "load_imagenet": "reid.pretrained",
    "save_checkpoint": "reid.checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'reid' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
