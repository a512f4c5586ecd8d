"""The vision transformer of TransReID: overlapping patches, pre-norm blocks, and a shortcut for the last one.

Architecture: arXiv 2010.11929 with the overlapping patches of arXiv 2102.04378, section 3.1. Only the CLS row
of the last block is ever read, so :meth:`Block.cls_rows` computes that row alone: query, projection and MLP of
one token, and no keys and values. The numbers are the same; the work of that block is nearly nothing.
"""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from reid.transreid_config import PATCH_PX, TransReIDConfig

__all__ = ["Block", "VisionTransformer", "last_layers"]

LAYER_NORM_EPS = 1e-6
IMAGENET_CLASSES = 1000


class DropPath(nn.Module):
    """Stochastic depth per sample (arXiv 1603.09382); kept samples are divided by the keep probability."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * mask / keep


class Attention(nn.Module):
    """Multi-head self-attention; one linear layer makes q, k and v, in that order."""

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool, scale: float) -> None:
        super().__init__()
        self.num_heads, self.scale = num_heads, scale
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def _heads(self, x: Tensor) -> Tensor:
        """``(B, N, D)`` to ``(B, heads, N, D / heads)``."""
        batch, tokens, dim = x.shape
        return x.view(batch, tokens, self.num_heads, dim // self.num_heads).transpose(1, 2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mixed = functional.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return mixed.transpose(1, 2).flatten(2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self._heads(part) for part in self.qkv(x).chunk(3, dim=-1))
        mixed: Tensor = self.proj(self._attend(q, k, v))
        return mixed

    def cls_rows(self, x: Tensor, log_counts: Tensor | None) -> Tensor:
        """Attention of the CLS token over all tokens, or over each of P sets of them: ``(B, P, D)``.

        One query for each head: its product with the key weights meets the tokens themselves, and the value
        weights meet their weighted sum, so keys and values of the tokens are never made. The key bias adds the
        same to every score of a head, which softmax takes out again.
        """
        dim = x.shape[-1]
        per_head = (self.num_heads, dim // self.num_heads)
        _, key, value = self.qkv.weight.view(3, *per_head, dim).unbind()
        bias = self.qkv.bias
        q = functional.linear(x[:, 0], self.qkv.weight[:dim], None if bias is None else bias[:dim])
        asked = torch.einsum("bhd,hdc->bhc", self.scale * torch.unflatten(q, 1, per_head), key)
        scores = (asked @ x.transpose(1, 2)).unsqueeze(1)
        if log_counts is not None:
            scores = scores + log_counts.unsqueeze(-2)
        sums = scores.softmax(dim=-1).flatten(1, 2) @ x
        mixed = torch.einsum("bphc,hdc->bphd", torch.unflatten(sums, 1, (-1, self.num_heads)), value).flatten(2)
        out: Tensor = self.proj(mixed if bias is None else mixed + bias[2 * dim :])
        return out


class Mlp(nn.Module):
    """Linear, exact (erf) GELU, linear."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, config: TransReIDConfig, drop_path: float) -> None:
        super().__init__()
        dim = config.embed_dim
        scale = config.qk_scale if config.qk_scale is not None else (dim // config.num_heads) ** -0.5
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(dim, config.num_heads, config.qkv_bias, scale)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, config.mlp_width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out

    def cls_rows(self, x: Tensor, log_counts: Tensor | None = None) -> Tensor:
        """The CLS row of this block's output, alone.

        Args:
            x: ``(B, 1 + N, D)`` tokens, CLS first.
            log_counts: ``(P, 1 + N)`` or, own ones for each image, ``(B, P, 1 + N)``: for each of P sequences
                the logarithm of how often each token is in it (-inf: not at all; CLS is in each); None is the
                one sequence of all tokens.

        Returns:
            ``(B, P, D)``, P = 1 for None.
        """
        attended: Tensor = self.attn.cls_rows(self.norm1(x), log_counts)
        batch, parts, dim = attended.shape
        # Every sequence draws its own stochastic depth, so the sequences become samples.
        rows: Tensor = x[:, :1].expand(batch, parts, dim).reshape(-1, dim)
        rows = rows + self.drop_path(attended.reshape(-1, dim))
        rows = rows + self.drop_path(self.mlp(self.norm2(rows)))
        return rows.view(batch, parts, dim)


class PatchEmbed(nn.Module):
    """Overlapping 16 px patches, each to one token; no padding."""

    def __init__(self, config: TransReIDConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.embed_dim, kernel_size=PATCH_PX, stride=config.stride)

    def forward(self, images: Tensor) -> Tensor:
        patches: Tensor = self.proj(images)
        return patches.flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Patches to tokens, and the blocks. Parameter names are those of the published checkpoints.

    ``fc``, the ImageNet classifier, is part of every published file and used by none.
    """

    sie_embed: Tensor | None

    def __init__(self, config: TransReIDConfig, drop_path: float = 0.0) -> None:
        super().__init__()
        dim, rows = config.embed_dim, config.num_sie_rows
        self.patch_embed = PatchEmbed(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, config.num_patches + 1, dim))
        self.register_parameter("sie_embed", nn.Parameter(torch.zeros(rows, 1, dim)) if rows else None)
        rates = [drop_path * index / max(config.depth - 1, 1) for index in range(config.depth)]
        self.blocks = nn.ModuleList(Block(config, rate) for rate in rates)
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.fc = nn.Linear(dim, IMAGENET_CLASSES)
        self._initialise(dim)

    def _initialise(self, dim: int) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.patch_embed.proj.weight, std=math.sqrt(2.0 / (PATCH_PX * PATCH_PX * dim)))
        for parameter in (self.cls_token, self.pos_embed, self.sie_embed):
            if parameter is not None:
                nn.init.trunc_normal_(parameter, std=0.02)

    def tokens(self, images: Tensor, side: Tensor | None = None) -> Tensor:
        """Images to the first block's input.

        Args:
            images: ``(B, 3, H, W)`` normalised.
            side: ``(B, D)`` side information, added to every token, or None.

        Returns:
            ``(B, 1 + N, D)``, CLS first.
        """
        patches = self.patch_embed(images)
        x = torch.cat([self.cls_token.expand(patches.shape[0], -1, -1), patches], dim=1) + self.pos_embed
        return x if side is None else x + side.unsqueeze(1)

    def trunk(self, tokens: Tensor) -> Tensor:
        """All blocks but the last: ``(B, 1 + N, D)`` in and out."""
        for block in list(self.blocks)[:-1]:
            tokens = block(tokens)
        return tokens

    def last_block(self) -> Block:
        block = self.blocks[-1]
        assert isinstance(block, Block)
        return block


def last_layers(backbone: VisionTransformer) -> nn.Sequential:
    """An own copy of the last block and norm: what a JPM branch consists of."""
    return nn.Sequential(deepcopy(backbone.last_block()), deepcopy(backbone.norm))
