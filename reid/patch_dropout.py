"""Training on a part of the patches (PatchDropout: Liu et al., WACV 2023, arXiv 2208.07220, section 3).

The time of a step falls nearly with the number of tokens: first epochs on fewer of them leave time for more
epochs. Patches are taken away after their positions and side information
are added, so those that stay know where they came from.
"""

from __future__ import annotations

import torch
from torch import Tensor


def dropout_rate(first: float, epoch: int, epochs: int) -> float:
    """The share of patches left out in an epoch (from 1): ``first``, then less linearly, none in the last."""
    return first * (epochs - epoch) / max(epochs - 1, 1)


def kept_tokens(count: int, num_patches: int, rate: float) -> Tensor:
    """Which tokens ``count`` images keep, each its own: ``(count, 1 + K)`` int64, CLS (0) first.

    K is the nearest whole number to ``(1 - rate) * num_patches``, at least 1; drawn from torch's generator.
    """
    size = max(round((1 - rate) * num_patches), 1)
    drawn = torch.rand(count, num_patches).topk(size, dim=1).indices
    return torch.cat([drawn.new_zeros(count, 1), drawn + 1], dim=1)


def take(tokens: Tensor, kept: Tensor) -> Tensor:
    """The kept tokens of each image: ``(B, 1 + N, D)`` and ``(B, 1 + K)`` to ``(B, 1 + K, D)``."""
    return tokens.gather(1, kept.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
