"""TransReID (He et al., ICCV 2021, arXiv 2102.04378): the network, its side information and jigsaw branches.

The parameter names are those of the authors' checkpoints, so their files load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from reid.patch_dropout import take
from reid.sie import SieRow, row_codes
from reid.transreid_config import BACKBONES, TransReIDConfig
from reid.vit import Block, VisionTransformer, last_layers

__all__ = ["BACKBONES", "TransReID", "TransReIDConfig"]

SideInput: TypeAlias = SieRow | Sequence[SieRow] | Tensor


class TransReID(nn.Module):
    """Images in, one embedding each out; in training mode, scores and features for the losses.

    Args:
        config: the network's shape.
        drop_path: stochastic depth of the last block; earlier ones less, linearly down to 0 (training only).
    """

    def __init__(self, config: TransReIDConfig, *, drop_path: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.base = VisionTransformer(config, drop_path)
        if config.jpm:
            self.b1, self.b2 = last_layers(self.base), last_layers(self.base)
            self.register_buffer("part_log_counts", _part_log_counts(config), persistent=False)
        for suffix in self.suffixes():
            self.add_module(f"bottleneck{suffix}", _bn_neck(config.embed_dim))
            if config.num_classes:
                self.add_module(f"classifier{suffix}", _classifier(config.embed_dim, config.num_classes))

    def suffixes(self) -> tuple[str, ...]:
        """Ends of the names of necks and classifiers, the global one's first: ``"", "_1", … "_4"``."""
        return ("", *(f"_{index}" for index in range(1, self.config.num_features)))

    def forward(
        self,
        images: Tensor,
        camera: SideInput | None = None,
        view: SideInput | None = None,
        labels: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> Tensor | tuple[list[Tensor], list[Tensor]]:
        """Embed a batch.

        Args:
            images: ``(B, 3, H, W)``, normalised, of exactly ``config.image_size``.
            camera, view: 0-based ids, one for all images or one each; ignored where there is no such table.
                ``camera`` may also be ``"mean"`` or ``"off"``; a list that holds one of these
                words holds rows of the table (camera * views + view) besides.
            labels: ``(B,)`` identities, for classifiers that need them (margin heads), in training only.
            kept: ``(B, 1 + K)`` tokens to go on with (`reid.patch_dropout`), None for all.

        Returns:
            In eval mode ``(B, feature_dim)``, not normalised: the global vector, with JPM followed by the
            four local ones divided by 4. In training mode ``(scores, features)``, lists of 1 or 5, global
            first; features are those before the BNNeck.

        Raises:
            ValueError: wrong image size; an id that is missing or outside the table.
        """
        features = self.features(images, self.side_vectors(len(images), camera, view), kept)
        if not self.training:
            return self.embedding(features)
        return self._scores(self._normed(features), labels), features

    def features(
        self, images: Tensor, side: Tensor | None = None, kept: Tensor | None = None
    ) -> list[Tensor]:
        """The vectors before the BNNeck, each ``(B, D)``, the global one first.

        Args:
            images: ``(B, 3, H, W)``.
            side: ``(B, D)`` side information, already times lambda, or None.
            kept: ``(B, 1 + K)`` indices of the tokens to go on with, CLS first, or None for all.
        """
        if tuple(images.shape[1:]) != (3, *self.config.image_size):
            expected = (len(images), 3, *self.config.image_size)
            raise ValueError(f"images: expected shape {expected}, got {tuple(images.shape)}")
        tokens = self.base.tokens(images, side)
        tokens = self.base.trunk(tokens if kept is None else take(tokens, kept))
        if not self.config.jpm:
            return [self.base.norm(self.base.last_block().cls_rows(tokens))[:, 0]]
        whole = self.b1[1](cast(Block, self.b1[0]).cls_rows(tokens))
        counts = self.get_buffer("part_log_counts")
        counts = counts if kept is None else counts[:, kept].transpose(0, 1)
        parts = self.b2[1](cast(Block, self.b2[0]).cls_rows(tokens, counts))
        return [whole[:, 0], *parts.unbind(1)]

    def embedding(self, features: Sequence[Tensor]) -> Tensor:
        """Join the vectors to one ``(B, feature_dim)``, through the BNNecks where ``config.neck`` says so."""
        if self.config.neck == "after":
            features = self._normed(features)
        return torch.cat([features[0], *(local / 4 for local in features[1:])], dim=1)

    def side_vectors(self, count: int, camera: SideInput | None, view: SideInput | None) -> Tensor | None:
        """What SIE adds to every token of each image: ``(count, D)``, or None without SIE.

        Raises:
            ValueError: an id that is missing or outside the table.
        """
        if self.base.sie_embed is None:
            return None
        if isinstance(camera, Sequence) and any(isinstance(row, str) for row in (camera, *camera)):
            codes = torch.from_numpy(row_codes(camera, count, self.config.num_sie_rows))
            return self.sie_table()[codes.to(self.base.sie_embed.device)]
        rows = torch.zeros(count, dtype=torch.long, device=self.base.pos_embed.device)
        tables = (("camera", camera, self.config.num_cameras), ("view", view, self.config.num_views))
        for name, ids, size in tables:
            if size:
                rows = rows * size + _checked_ids(name, ids, size, rows)
        return self.config.sie_coefficient * nn.functional.embedding(rows, self.base.sie_embed[:, 0])

    def sie_table(self) -> Tensor:
        """All that SIE can add: ``(R + 2, D)``, the R rows times lambda, then their mean, then zero.

        Raises:
            ValueError: this network has no SIE.
        """
        if self.base.sie_embed is None:
            raise ValueError("this network has no SIE table")
        rows = self.config.sie_coefficient * self.base.sie_embed[:, 0]
        return torch.cat([rows, rows.mean(dim=0, keepdim=True), torch.zeros_like(rows[:1])])

    def _normed(self, features: Sequence[Tensor]) -> list[Tensor]:
        necks = [self.get_submodule(f"bottleneck{end}") for end in self.suffixes()]
        return [neck(x) for neck, x in zip(necks, features, strict=True)]

    def _scores(self, normed: Sequence[Tensor], labels: Tensor | None) -> list[Tensor]:
        if not self.config.num_classes:
            raise ValueError("num_classes is 0: there is no classifier to train; call eval() for embeddings")
        heads = [self.get_submodule(f"classifier{end}") for end in self.suffixes()]
        pairs = zip(heads, normed, strict=True)
        return [head(x) if isinstance(head, nn.Linear) else head(x, labels) for head, x in pairs]


def _bn_neck(dim: int) -> nn.BatchNorm1d:
    """Batch normalisation whose bias stays 0 (arXiv 1903.07071, section 3.5)."""
    neck = nn.BatchNorm1d(dim)
    neck.bias.requires_grad_(False)
    return neck


def _classifier(dim: int, num_classes: int) -> nn.Linear:
    head = nn.Linear(dim, num_classes, bias=False)
    nn.init.normal_(head.weight, std=0.001)
    return head


def _part_log_counts(config: TransReIDConfig) -> Tensor:
    """``(4, 1 + N)``: how often each token is in each jigsaw part with its CLS token, as a logarithm."""
    counts = [np.bincount([0, *part], minlength=config.num_patches + 1) for part in config.parts()]
    return torch.tensor(np.stack(counts), dtype=torch.float32).log()


def _checked_ids(name: str, ids: SideInput | None, size: int, like: Tensor) -> Tensor:
    """``ids`` as int64 of ``like``'s shape and device, every one of them in ``[0, size)``."""
    if ids is None:
        raise ValueError(f"{name}: this network knows {size} {name}s, so each image needs its {name} id")
    values = torch.as_tensor(ids, device=like.device)
    if values.is_floating_point() and values.numel():
        raise ValueError(f"{name}: expected whole numbers, got {values.dtype}")
    if values.ndim and values.shape != like.shape:
        raise ValueError(f"{name}: expected {len(like)} ids, one for each image, got {tuple(values.shape)}")
    # Inside a compiled graph the look-up itself refuses ids outside the table.
    if not torch.compiler.is_compiling():
        wrong = values[(values < 0) | (values >= size)]
        if wrong.numel():
            raise ValueError(f"{name} {wrong[0].item()}: the table has {size} {name}s, 0 to {size - 1}")
    return values.long().expand_as(like)
