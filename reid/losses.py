"""What TransReID is trained on: an identity loss and a batch-hard triplet loss, weighted over the jigsaw
branches.

Sources: He et al., *TransReID* (arXiv 2102.04378), section 3.1 and equation 5; Hermans et al., *In Defense
of the Triplet Loss* (arXiv 1703.07737), section 2 (batch hard, soft margin); Szegedy et al. (arXiv
1512.00567), section 7 (label smoothing).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

MIN_SQUARED_DISTANCE = 1e-12
"""Keeps the square root differentiable where two features are the same."""

GLOBAL_SHARE = 0.5
"""With jigsaw branches: the global branch's share of each loss; the local branches share the rest evenly."""


class HardPairs(NamedTuple):
    """The hardest positive and negative of every row of a batch.

    Distances are Euclidean, ``(N,)`` in the features' dtype; indices are ``(N,)`` int64 rows of the batch.
    """

    positive_distance: Tensor
    negative_distance: Tensor
    positive: Tensor
    negative: Tensor


def pairwise_distance(features: Tensor) -> Tensor:
    """Euclidean distances ``(N, N)`` between the rows of ``features`` ``(N, D)``."""
    squared_norm = features.square().sum(dim=1)
    squared = squared_norm[:, None] + squared_norm[None, :] - 2 * features @ features.T
    return squared.clamp(min=MIN_SQUARED_DISTANCE).sqrt()


def hard_pairs(features: Tensor, labels: Tensor) -> HardPairs:
    """The farthest row of the same label (itself included) and the nearest row of another label, per row.

    Unlike the reference it does not need equally many rows per label.

    Raises:
        ValueError: the batch holds a single label, so there is no negative.
    """
    same = labels[:, None] == labels[None, :]
    if bool(same.all()):
        raise ValueError("a triplet loss needs at least two identities in every batch")
    distance = pairwise_distance(features)
    positive_distance, positive = distance.masked_fill(~same, -torch.inf).max(dim=1)
    negative_distance, negative = distance.masked_fill(same, torch.inf).min(dim=1)
    return HardPairs(positive_distance, negative_distance, positive, negative)


def triplet_loss(features: Tensor, labels: Tensor, margin: float | None = None) -> Tensor:
    """Batch-hard triplet loss, a scalar: soft margin ``softplus(d_ap - d_an)``, or a hinge with
    ``margin``."""
    pairs = hard_pairs(features, labels)
    gap = pairs.positive_distance - pairs.negative_distance
    return functional.softplus(gap).mean() if margin is None else functional.relu(gap + margin).mean()


def identity_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross entropy, a scalar; with ``smoothing`` the target is ``(1 - s) onehot + s / classes``."""
    return functional.cross_entropy(logits, labels, label_smoothing=smoothing)


def over_branches(loss: Callable[[Tensor], Tensor], outputs: Tensor | Sequence[Tensor]) -> Tensor:
    """One loss over the outputs of a network: a tensor, or a list with the global branch first."""
    whole, *parts = [outputs] if isinstance(outputs, Tensor) else outputs
    if not parts:
        return loss(whole)
    local = torch.stack([loss(part) for part in parts]).mean()
    return GLOBAL_SHARE * loss(whole) + (1 - GLOBAL_SHARE) * local


@dataclass(frozen=True, slots=True)
class ReIDLoss:
    """The whole training loss.

    Attributes:
        identity_weight, triplet_weight: factors of the two losses.
        smoothing: label smoothing of the identity loss, 0 for none.
        margin: of the triplet loss; None is the soft margin of the paper.
    """

    identity_weight: float = 1.0
    triplet_weight: float = 1.0
    smoothing: float = 0.0
    margin: float | None = None

    def __call__(
        self, scores: Tensor | Sequence[Tensor], features: Tensor | Sequence[Tensor], labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``(total, identity, triplet)`` scalars.

        ``scores`` are ``(N, classes)`` and ``features`` (before the neck) ``(N, D)``, or lists of them with
        the global branch first; ``labels`` ``(N,)`` int64.
        """
        identity = over_branches(lambda branch: identity_loss(branch, labels, self.smoothing), scores)
        triplet = over_branches(lambda branch: triplet_loss(branch, labels, self.margin), features)
        return self.identity_weight * identity + self.triplet_weight * triplet, identity, triplet
