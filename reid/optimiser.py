"""Parameter groups and optimisers as TransReID is trained: one rate for weights, another for biases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """Which optimiser and its rates.

    Attributes:
        lr: base learning rate of weights.
        momentum: of SGD.
        bias_lr_factor: biases learn at ``bias_lr_factor * lr``.
        large_classifier_lr: classifiers learn at twice the base rate.
        max_grad_norm: longer gradients, over all parameters together, are shortened to it (arXiv 1211.5063); 0 for
            none. A single batch can throw a transformer trained from random weights back by epochs.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.008
    momentum: float = 0.9
    weight_decay: float = 1e-4
    weight_decay_bias: float = 1e-4
    bias_lr_factor: float = 2.0
    large_classifier_lr: bool = False
    max_grad_norm: float = 0.0

    def __post_init__(self) -> None:
        if not self.max_grad_norm >= 0:
            raise ValueError(f"max_grad_norm: expected 0 or more, got {self.max_grad_norm}")


def parameter_groups(model: nn.Module, config: OptimiserConfig) -> list[dict[str, Any]]:
    """Trainable parameters grouped by rate and decay; each group carries its peak rate as ``initial_lr``."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(_rate_and_decay(name, config), []).append(parameter)
    return [
        {"params": members, "lr": lr, "initial_lr": lr, "weight_decay": decay}
        for (lr, decay), members in groups.items()
    ]


def _rate_and_decay(name: str, config: OptimiserConfig) -> tuple[float, float]:
    lr, decay = config.lr, config.weight_decay
    if "bias" in name:
        lr, decay = config.lr * config.bias_lr_factor, config.weight_decay_bias
    if config.large_classifier_lr and "classifier" in name:
        lr = 2 * config.lr
    return lr, decay


def build_optimiser(model: nn.Module, config: OptimiserConfig) -> Optimizer:
    """SGD with momentum (no Nesterov) or AdamW over the trainable parameters of ``model``."""
    groups = parameter_groups(model, config)
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)
