"""The learning-rate schedule of TransReID: a linear warm-up, then a cosine that the warm-up does not
shift."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch.optim import Optimizer

WARMUP_START = 0.01
"""The rate at epoch 0, as a share of the base rate."""
FLOOR = 0.002
"""The rate from the last epoch on, as a share of the base rate."""


@dataclass(frozen=True, slots=True)
class CosineSchedule:
    """Learning rate by epoch, counted from 1; it changes once per epoch, at its start.

    ``base_lr`` sets the start of the warm-up and the floor for every group; a group only scales the peak.
    """

    base_lr: float
    epochs: int
    warmup_epochs: int = 5

    def rate(self, epoch: float, group_lr: float | None = None) -> float:
        """The rate of a group whose own base rate is ``group_lr`` (``base_lr`` where None)."""
        peak = self.base_lr if group_lr is None else group_lr
        if epoch < self.warmup_epochs:
            start = WARMUP_START * self.base_lr
            return start + epoch * (peak - start) / self.warmup_epochs
        floor = FLOOR * self.base_lr
        if epoch >= self.epochs:
            return floor
        return floor + 0.5 * (peak - floor) * (1 + math.cos(math.pi * epoch / self.epochs))

    def apply(self, optimiser: Optimizer, epoch: float) -> None:
        """Set every group of ``optimiser`` to its rate at ``epoch``; a group's peak is its ``initial_lr``."""
        for group in optimiser.param_groups:
            group["lr"] = self.rate(epoch, group["initial_lr"])
