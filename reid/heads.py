"""Margin classifiers for training: ArcFace, CosFace, AM-Softmax and Circle.

Each looks at the cosines between features and class weights and makes the target's logit harder to raise.
One sits behind every BNNeck, so they work with the jigsaw branches too.

Sources: Deng et al., *ArcFace* (arXiv 1801.07698); Wang et al., *CosFace* (arXiv 1801.09414), *AM-Softmax*
(arXiv 1801.05599); Sun et al., *Circle Loss* (arXiv 2002.10857), the classification form of section 3.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

HeadName = Literal["softmax", "arcface", "cosface", "amsoftmax", "circle"]


class MarginHead(nn.Module):
    """Features ``(N, D)`` and labels ``(N,)`` in, logits ``(N, classes)`` out; key ``weight`` ``(classes,
    D)``."""

    def __init__(self, features: int, classes: int, scale: float = 30.0, margin: float = 0.5) -> None:
        super().__init__()
        self.scale, self.margin = scale, margin
        self.make_weight(features, classes)

    def make_weight(self, features: int, classes: int) -> None:
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(classes, features)))

    def cosines(self, features: Tensor) -> Tensor:
        return functional.linear(functional.normalize(features), functional.normalize(self.weight))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        # The margins live on small differences near cos = 1, which half precision cannot hold.
        with torch.autocast(features.device.type, enabled=False):
            cosine = self.cosines(features if features.dtype == torch.float64 else features.float())
            return self.scale * self.with_margin(cosine, functional.one_hot(labels, cosine.shape[1]).bool())

    @abstractmethod
    def with_margin(self, cosine: Tensor, is_target: Tensor) -> Tensor:
        """Unscaled logits of ``cosine`` ``(N, classes)``; ``is_target`` is true once per row."""


class ArcFace(MarginHead):
    """``cos(theta + m)`` for the target; past ``theta = pi - m``, where that would rise again, a line below
    it."""

    def with_margin(self, cosine: Tensor, is_target: Tensor) -> Tensor:
        sine = (1.0 - cosine.square()).clamp(0.0, 1.0).sqrt()
        widened = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        beyond = cosine - self.margin * math.sin(math.pi - self.margin)
        target = torch.where(cosine > math.cos(math.pi - self.margin), widened, beyond)
        return torch.where(is_target, target, cosine)


class CosFace(MarginHead):
    """``cos(theta) - m`` for the target."""

    def with_margin(self, cosine: Tensor, is_target: Tensor) -> Tensor:
        return torch.where(is_target, cosine - self.margin, cosine)


class AMSoftmax(CosFace):
    """CosFace with its weight stored the other way round: key ``W`` ``(D, classes)``."""

    def make_weight(self, features: int, classes: int) -> None:
        self.W = nn.Parameter(nn.init.xavier_normal_(torch.empty(features, classes)))

    def cosines(self, features: Tensor) -> Tensor:
        return functional.normalize(features) @ functional.normalize(self.W, dim=0)


class Circle(MarginHead):
    """Similarities weighted by how far each is from its optimum; the weights carry no gradient."""

    def with_margin(self, cosine: Tensor, is_target: Tensor) -> Tensor:
        fixed = cosine.detach()
        positive = functional.relu(1 + self.margin - fixed) * (cosine - (1 - self.margin))
        negative = functional.relu(fixed + self.margin) * (cosine - self.margin)
        return torch.where(is_target, positive, negative)


HEADS: dict[str, type[MarginHead]] = {
    "arcface": ArcFace,
    "cosface": CosFace,
    "amsoftmax": AMSoftmax,
    "circle": Circle,
}


def use_head(model: nn.Module, name: HeadName, scale: float = 30.0, margin: float = 0.5) -> None:
    """Replace every linear ``classifier*`` of ``model`` by a margin head; ``softmax`` leaves them alone."""
    if name == "softmax":
        return
    for child_name, child in list(model.named_children()):
        if child_name.startswith("classifier") and isinstance(child, nn.Linear):
            head = HEADS[name](child.in_features, child.out_features, scale, margin)
            setattr(model, child_name, head.to(child.weight))
