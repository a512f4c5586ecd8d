"""Trains the sample detector with ultralytics on a set that `yolo-set` rendered (the only importer of ultralytics here)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# Set before ultralytics is imported: it must never install, download or report anything.
os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true")

FIXED = {
    # The renderer already varies scale, light and place; rectangular batches cost 0.6 of square ones.
    "rect": True,
    "mosaic": 0.0,
    "scale": 0.15,
    "translate": 0.05,
    "optimizer": "AdamW",
    "warmup_epochs": 0.5,
    # The default starts the biases at a rate that is SGD's; it throws a round's first steps away.
    "warmup_bias_lr": 0.0,
    "val": False,
    "cos_lr": True,
    "amp": False,
    "plots": False,
    "save_period": -1,
    "deterministic": True,
    "verbose": False,
}


@dataclass(frozen=True, slots=True)
class Round:
    """One pass of the training at one image size (longer side, px), on the ``data``-th of the given sets or on several.

    ``multi_scale`` of the image size is how much larger or smaller the pictures of a batch may be.
    """

    image_size: int
    epochs: int
    batch: int
    lr0: float
    data: tuple[int, ...] = (0,)
    multi_scale: float = 0.0

    def __post_init__(self) -> None:
        one = self.data
        object.__setattr__(self, "data", (one,) if isinstance(one, int) else tuple(one))


@dataclass(frozen=True, slots=True)
class DetectorRecipe:
    """What is trained and how: from random weights of ``architecture``, narrowed to ``width``, or from those in ``start``.

    Read from ``configs/detector/*.yaml``.
    """

    seed: int
    rounds: tuple[Round, ...]
    architecture: str = ""
    width: float = 0.0
    start: Path | None = None

    def __post_init__(self) -> None:
        if not bool(self.architecture) == bool(self.width) == (self.start is None):
            raise ValueError("a recipe has an architecture and its width, or weights to start from")

    @classmethod
    def read(cls, path: Path) -> DetectorRecipe:
        """A recipe from its file; ``start`` is relative to it.

        Raises:
            ValueError: a key is missing or unknown; the message names the file.
        """
        raw = yaml.safe_load(path.read_text())
        try:
            rounds = tuple(Round(**entry) for entry in raw.pop("rounds"))
            start = raw.pop("start", None)
            return cls(rounds=rounds, start=path.parent / start if start else None, **raw)
        except (KeyError, TypeError, AttributeError, ValueError) as fault:
            raise ValueError(f"{path}: {fault}") from fault


def train(recipe: DetectorRecipe, data: Sequence[Path], out: Path, threads: int = 2) -> dict[str, float]:
    """Train in rounds; write ``detector.pt`` (half precision) into ``out``.

    Args:
        recipe: the network, and the rounds.
        data: folders with ``data.yaml`` as `yolo-set` writes it; rounds name them by their place.
        out: made if missing.
        threads: CPU threads of the training.

    Returns:
        precision, recall, map50 and map50_95 on the first set's validation images.

    Raises:
        ValueError: a round wants a set that was not given.
    """
    wanted = max(number for stage in recipe.rounds for number in stage.data) + 1
    if len(data) < wanted:
        raise ValueError(f"the recipe trains on {wanted} sets, {len(data)} given with --data")
    out.mkdir(parents=True, exist_ok=True)
    weights = recipe.start or _fresh_weights(recipe, data[0], out)
    for number, stage in enumerate(recipe.rounds):
        sets = [data[which] for which in stage.data]
        weights = _train_round(weights, stage, recipe.seed, sets, out / f"round{number}", threads)
    _publish(weights, out / "detector.pt")
    return _score(out / "detector.pt", recipe.rounds[-1].image_size, data[0])


def _publish(weights: Path, path: Path) -> None:
    """Save without what the training left in the file: arguments, among them folder names, and its curves."""
    from ultralytics import YOLO

    model = YOLO(weights, task="detect")
    model.model.args = {"task": "detect"}
    model.model.pt_path = path.name
    model.ckpt = {}
    model.save(path)


def _fresh_weights(recipe: DetectorRecipe, data: Path, out: Path) -> Path:
    """A checkpoint with random weights: the family's layers, narrowed."""
    import torch
    from ultralytics import YOLO
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    names = yaml.safe_load((data / "data.yaml").read_text())["names"]
    layout: dict[str, Any] = yaml_model_load(recipe.architecture)
    layout.update(scales={"n": [0.5, recipe.width, 1024]}, scale="n", nc=len(names))
    torch.manual_seed(recipe.seed)
    model = YOLO(recipe.architecture, task="detect")
    model.model = DetectionModel(layout, nc=len(names), verbose=False)
    model.model.args = {}
    path = out / "fresh.pt"
    model.ckpt = {"model": model.model}
    model.save(path)
    return path


def _joint(sets: Sequence[Path], path: Path) -> Path:
    """A ``data.yaml`` that trains on all of the sets and validates on the first."""
    said = yaml.safe_load((sets[0] / "data.yaml").read_text())
    folders = [str((one / said["train"]).resolve()) for one in sets]
    said |= {"path": str(sets[0].resolve()), "train": folders}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(said))
    return path


def _train_round(
    weights: Path, stage: Round, seed: int, sets: Sequence[Path], folder: Path, threads: int
) -> Path:
    import torch
    from ultralytics import YOLO

    model = YOLO(weights, task="detect")
    # ultralytics leaves one core free when it selects the device; the training may have all it was given.
    model.add_callback("on_train_start", lambda _: torch.set_num_threads(threads))
    model.train(
        data=str(_joint(sets, folder.with_suffix(".yaml"))),
        imgsz=stage.image_size,
        epochs=stage.epochs,
        batch=stage.batch,
        # One optimiser step per batch: gathering 64 pictures for each leaves too few steps in so short a training.
        nbs=stage.batch,
        lr0=stage.lr0,
        seed=seed,
        device="cpu",
        workers=0 if threads == 1 else 1,
        project=str(folder.parent.resolve()),
        name=folder.name,
        exist_ok=True,
        **FIXED,
        # Before version 8.4 this was a switch, and no number.
        **({"multi_scale": stage.multi_scale} if stage.multi_scale else {}),
    )
    return folder / "weights" / "last.pt"


def _score(weights: Path, image_size: int, data: Path) -> dict[str, float]:
    from ultralytics import YOLO

    model = YOLO(weights, task="detect")
    box = model.val(data=str(data / "data.yaml"), imgsz=image_size, rect=True, plots=False, device="cpu").box
    return {
        "precision": float(box.mp),
        "recall": float(box.mr),
        "map50": float(box.map50),
        "map50_95": float(box.map),
    }
