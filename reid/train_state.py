"""The state of a training run on disk: everything to go on after a kill with the same result.

Randomness needs no state: every step seeds its generators from the run's seed, the epoch and the batch
number, and the sampler's order is a function of seed and epoch. What is left are the weights, the
optimiser, the gradient scaler and how far the run is. A file is written beside its place and moved into it,
so a kill leaves the old one or the new one, never half of one.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch.optim import Optimizer

from reid.data.loader import SideTable
from reid.preprocess import InputForm
from reid.transreid import TransReID, TransReIDConfig

FILE_MODE = 0o644
"""Readable by all: safetensors makes files that only their owner can read."""


@dataclass(slots=True)
class Progress:
    """How far a run is.

    Attributes:
        epoch: the epoch in progress, from 1.
        batch: batches of it that are done, on every rank.
        step: optimiser steps done since the start.
        identity_loss, triplet_loss: sums since the last line of the log.
        logged_steps: steps in those sums.
        train_s: seconds spent training so far.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    identity_loss: float = 0.0
    triplet_loss: float = 0.0
    logged_steps: int = 0
    train_s: float = 0.0


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` make the file under another name, then move it to ``path`` once it is on the disk."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    write(part)
    part.chmod(FILE_MODE)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


@dataclass(frozen=True, slots=True)
class TrainState:
    """The moving parts of a run."""

    model: TransReID
    form: InputForm
    optimiser: Optimizer
    scaler: torch.amp.GradScaler
    side: SideTable
    deciding: dict[str, Any]

    def save(self, path: Path, progress: Progress) -> None:
        """Write everything, atomically; `reid.load_checkpoint` reads the file too."""
        content = {
            "config": asdict(self.model.config),
            "input": asdict(self.form),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "progress": asdict(progress),
            "deciding": self.deciding,
            "side": asdict(self.side),
        }
        write_atomically(path, lambda part: torch.save(content, part))

    def load(self, path: Path) -> Progress:
        """Go back to what `save` wrote.

        Raises:
            ValueError: not such a file, or one of a run with other settings; the message lists them.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            self._check_settings(path, content["deciding"])
            self.model.load_state_dict(content["model"])
            self.optimiser.load_state_dict(content["optimiser"])
            self.scaler.load_state_dict(content["scaler"])
            return Progress(**content["progress"])
        except (KeyError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise ValueError(f"{path}: not a training checkpoint of this run ({error})") from error

    def _check_settings(self, path: Path, stored: dict[str, Any]) -> None:
        changed = list(_differences(stored, self.deciding))
        if changed:
            raise ValueError(f"{path}: belongs to a run with other settings: {'; '.join(changed)}")


def _differences(stored: dict[str, Any], own: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key in sorted(stored.keys() | own.keys()):
        before, now = stored.get(key), own.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            found += _differences(before, now, f"{prefix}{key}.")
        elif before != now:
            found.append(f"{prefix}{key} was {before}, now {now}")
    return found


def unused_prefixes(config: TransReIDConfig) -> tuple[str, ...]:
    """Keys that no feature depends on: the ImageNet head and, with jigsaw branches, what they were copied
    from."""
    return ("base.fc.", f"base.blocks.{config.depth - 1}.", "base.norm.") if config.jpm else ("base.fc.",)


def save_weights(model: TransReID, form: InputForm, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """The weights an embedding needs, as safetensors with the network's config and input form."""
    unneeded = ("classifier", *unused_prefixes(model.config))
    state = {
        key: value.to("cpu", dtype if value.is_floating_point() else value.dtype).contiguous()
        for key, value in model.state_dict().items()
        if not key.startswith(unneeded)
    }
    described = {"config": {**asdict(model.config), "num_classes": 0}, "input": asdict(form)}
    metadata = {key: json.dumps(value) for key, value in described.items()}
    write_atomically(path, lambda part: safetensors.torch.save_file(state, part, metadata))
