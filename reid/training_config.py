"""What a training run is told: dataclasses with every default, read from YAML.

The defaults are the published ones of TransReID (arXiv 2102.04378, section 4.1) wherever it has one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from reid.data.datasets import DatasetKind, ReIDDataset
from reid.data.loader import SideTable
from reid.data.transforms import Augmentation
from reid.heads import HeadName
from reid.optimiser import OptimiserConfig
from reid.preprocess import InputForm
from reid.transreid_config import TransReIDConfig
from reid.yaml_dataclass import read_yaml


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where the images are.

    Attributes:
        kind: the dataset's convention.
        root: its folder, or the folder that holds it under its usual name.
        cache_gb: keep the resized crops of a split in memory up to this size.
    """

    kind: DatasetKind
    root: Path
    cache_gb: float = 4.0


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The network; identities, cameras and views are counted in the training split.

    Attributes:
        backbone: a name of `reid.transreid_config.BACKBONES`; ``embed_dim`` to ``qk_scale`` override its
        fields. sie: which side information is embedded. drop_path: stochastic depth of the last block.
        imagenet: a file of ImageNet weights to start from. checkpoint: a re-identification checkpoint to
        start from (classifiers start anew).
    """

    backbone: str = "vit_base"
    image_size: tuple[int, int] = (256, 128)
    stride: tuple[int, int] = (16, 16)
    embed_dim: int | None = None
    depth: int | None = None
    num_heads: int | None = None
    mlp_ratio: float | None = None
    qkv_bias: bool | None = None
    qk_scale: float | None = None
    sie: Literal["none", "camera", "view", "camera_view"] = "none"
    sie_coefficient: float = 3.0
    jpm: bool = False
    shift: int = 5
    groups: int = 2
    divide_length: int = 4
    rearrange: bool = True
    neck: Literal["before", "after"] = "before"
    drop_path: float = 0.1
    imagenet: Path | None = None
    checkpoint: Path | None = None

    def __post_init__(self) -> None:
        if self.imagenet and self.checkpoint:
            raise ValueError("imagenet and checkpoint are two starting points; give one")
        self.network(SideTable(), 0)

    def side_table(self, dataset: ReIDDataset) -> SideTable:
        """The cameras and views of ``dataset`` that this network embeds."""
        return SideTable(
            dataset.cameras if "camera" in self.sie else (), dataset.views if "view" in self.sie else ()
        )

    def network(self, side: SideTable, num_classes: int) -> TransReIDConfig:
        """The network's shape for a training split.

        Raises:
            ValueError: an unknown backbone, or a shape that cannot be.
        """
        settings = {name: value for name, value in asdict(self).items() if value is not None}
        for name in ("sie", "drop_path", "imagenet", "checkpoint"):
            settings.pop(name, None)
        settings |= {
            "num_cameras": len(side.cameras),
            "num_views": len(side.views),
            "num_classes": num_classes,
        }
        return TransReIDConfig.named(**settings)


@dataclass(frozen=True, slots=True)
class SamplerConfig:
    """A batch (over all ranks) is ``identities`` times ``images``."""

    identities: int = 16
    images: int = 4


@dataclass(frozen=True, slots=True)
class LossConfig:
    """The losses and their weights.

    Attributes:
        smoothing: label smoothing of the identity loss.
        margin: of the triplet loss; None is the soft margin.
        head: classifier behind every neck; ``scale`` and ``head_margin`` belong to the margin heads.
    """

    identity_weight: float = 1.0
    triplet_weight: float = 1.0
    smoothing: float = 0.0
    margin: float | None = None
    head: HeadName = "softmax"
    scale: float = 30.0
    head_margin: float = 0.5


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """Length of the run; the learning rate follows a cosine after a warm-up.

    Attributes:
        patch_dropout: share of the patches left out in the first epoch, less in each one after it, none in
            the last (`reid.patch_dropout`).
    """

    epochs: int = 120
    warmup_epochs: int = 5
    patch_dropout: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.patch_dropout < 1:
            raise ValueError(f"patch_dropout: expected 0 or more and less than 1, got {self.patch_dropout}")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How and where the run is computed; nothing here but ``seed``, ``precision`` and ``accumulate``
    changes its result.

    Attributes:
        output: folder of checkpoints and logs.
        precision: of the forward and backward pass; weights stay float32.
        weights: precision of the numbers in ``model.safetensors``.
        compile: compile the network with torch.compile.
        accumulate: batches whose gradients are averaged into one step of the optimiser.
        checkpoint_every_s: seconds between checkpoints within an epoch; every epoch ends with one too.
        evaluate_every: epochs between evaluations; 0 only evaluates at the end.
        log_every: optimiser steps per line of the log.
        threads: of the image readers.
    """

    output: Path = Path("runs/reid")
    seed: int = 1234
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    weights: Literal["fp32", "fp16"] = "fp32"
    compile: bool = False
    accumulate: int = 1
    checkpoint_every_s: float = 120.0
    evaluate_every: int = 20
    log_every: int = 20
    threads: int = 4


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """A whole training run."""

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: Augmentation = field(default_factory=Augmentation)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def input_form(self) -> InputForm:
        """What the trained network wants to see."""
        red, green, blue = (255 * value for value in self.augment.mean)
        mean = (red, green, blue)
        red, green, blue = (255 * value for value in self.augment.std)
        return InputForm(self.model.image_size, mean=mean, scale=(red, green, blue))

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the result, as plain values: a resumed run must have the same."""
        values = {section: asdict(getattr(self, section)) for section in _DECIDING_SECTIONS}
        values["run"] = {name: getattr(self.run, name) for name in ("seed", "precision", "accumulate")}
        values["model"] |= {name: str(values["model"][name]) for name in ("imagenet", "checkpoint")}
        return values


_DECIDING_SECTIONS = ("model", "augment", "sampler", "loss", "optimiser", "schedule")


def load_training_config(path: str | Path) -> TrainingConfig:
    """Read a run's YAML; relative paths are relative to the file.

    Raises:
        YamlError: every problem of the file, one per line.
        FileNotFoundError: no such file.
    """
    return read_yaml(Path(path), TrainingConfig)
