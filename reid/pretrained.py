"""ImageNet weights into a backbone: timm, DeiT (plain or distilled) and torchvision layouts."""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor
from torch.nn import functional

from reid.checkpoint import CheckpointError, Source, State, load_exactly, read_checkpoint
from reid.transreid import TransReID
from reid.vit import last_layers

__all__ = ["load_imagenet", "resize_position"]

# Heads and pre-logits belong to the classifier, the distillation token to its teacher.
_NOT_BACKBONE = ("head", "fc.", "dist_token", "pre_logits")

_TORCHVISION = (
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.ln\.", "norm."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.linear_(\d)\.", r".mlp.fc\1."),
    (r"\.mlp\.0\.", ".mlp.fc1."),
    (r"\.mlp\.3\.", ".mlp.fc2."),
    (r"^heads\.", "head."),
)


def load_imagenet(model: TransReID, source: Source) -> None:
    """Start from ImageNet: backbone weights, resized positions, and JPM branches copied from the last block.

    Side information, necks and classifiers keep their initialisation.

    Raises:
        CheckpointError: missing, unexpected or misshapen keys, all in one message; or positions that are no
            square grid.
        FileNotFoundError: no such file.
    """
    name = "state_dict" if not isinstance(source, str) and hasattr(source, "items") else str(source)
    state = _backbone_state(read_checkpoint(source).tensors)
    for key in ("pos_embed", "patch_embed.proj.weight"):
        if key not in state:
            raise CheckpointError(f"{name}: not a vision transformer, there is no {key}")
    try:
        state["pos_embed"] = resize_position(state["pos_embed"], model.config.grid)
    except ValueError as error:
        raise CheckpointError(f"{name}: {error}") from error
    load_exactly(model.base, state, name=name, optional=("fc.", "sie_embed"))
    if model.config.jpm:
        model.b1.load_state_dict(last_layers(model.base).state_dict())
        model.b2.load_state_dict(last_layers(model.base).state_dict())


def _backbone_state(state: State) -> State:
    if "conv_proj.weight" in state:
        state = {_renamed(key): value for key, value in state.items()}
    state = {key: value for key, value in state.items() if not key.startswith(_NOT_BACKBONE)}
    patches = state.get("patch_embed.proj.weight")
    if patches is not None and patches.ndim == 2:
        side = math.isqrt(patches.shape[1] // 3)
        state["patch_embed.proj.weight"] = patches.reshape(len(patches), 3, side, side)
    return state


def _renamed(key: str) -> str:
    for pattern, name in _TORCHVISION:
        key = re.sub(pattern, name, key)
    return key


def resize_position(position: Tensor, grid: tuple[int, int]) -> Tensor:
    """Fit a position embedding to another grid of patches.

    The CLS row stays; the rest, a square grid, is resized bilinearly (half-pixel centres, not antialiased),
    as the published networks were. A distillation row (row 1) is told by the count and dropped.

    Args:
        position: ``(1, 1 + n, D)`` or, distilled, ``(1, 2 + n, D)`` with n a square number.
        grid: rows and columns wanted.

    Returns:
        ``(1, 1 + rows * columns, D)``; unchanged where the count is right already.

    Raises:
        ValueError: no square grid.
    """
    count = position.shape[1]
    if count == 1 + grid[0] * grid[1]:
        return position
    if math.isqrt(count - 1) ** 2 != count - 1 and math.isqrt(count - 2) ** 2 == count - 2:
        return resize_position(torch.cat([position[:, :1], position[:, 2:]], dim=1), grid)
    side = math.isqrt(count - 1)
    if side * side != count - 1:
        raise ValueError(f"pos_embed has {count} rows: neither 1 nor 2 more than a square grid")
    patches = position[:, 1:].transpose(1, 2).reshape(1, -1, side, side)
    resized = functional.interpolate(patches, size=grid, mode="bilinear", align_corners=False)
    return torch.cat([position[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)
