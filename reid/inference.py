"""Reading a network's shape off its checkpoint: what the tensors show, and what they cannot.

Shown by shapes: width, depth, MLP, qkv bias, SIE rows, JPM. Told by the number of patches where only one
published image size and stride gives it: size and stride. By convention: heads of 64 (but 96 in the "small"
of 2020), lambda 3, and a shift of 5 for persons (2:1 images), 8 for vehicles (square ones). Anything else
must be said; so must the split of a camera x view table, which only ever shows its product. The one published such
table, VeRi-776's of 160 rows, is known to be 20 cameras x 8 views.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from reid.transreid_config import BACKBONES, PATCH_PX, TransReIDConfig

__all__ = ["infer_config"]

Shapes = Mapping[str, tuple[int, ...]]

# The published sizes and strides first; the others only where none of those fits.
SIZES = (
    ((256, 128), (384, 128), (256, 256)),
    ((128, 64), (192, 96), (320, 160), (384, 192), (128, 128), (384, 384)),
)
STRIDES = (16, 14, 12, 11)
VERI_ROWS, VERI_CAMERAS, VERI_VIEWS = 160, 20, 8
HEAD_DIM = 64
PERSON_SHIFT, VEHICLE_SHIFT = 5, 8


def infer_config(shapes: Shapes, **known: Any) -> TransReIDConfig:
    """The config of a state_dict.

    Args:
        shapes: shape of every tensor, by its official key.
        known: fields that are told instead of inferred.

    Raises:
        ValueError: not a TransReID state_dict, or a field that cannot be inferred (named, with what fits).
    """
    for key in ("base.pos_embed", "base.patch_embed.proj.weight", "base.blocks.0.mlp.fc1.weight"):
        if key not in shapes:
            raise ValueError(f"not a TransReID checkpoint: there is no {key}")
    fields: dict[str, Any] = {**_backbone(shapes, known), "jpm": any(key.startswith("b1.") for key in shapes)}
    fields.update(_image(shapes["base.pos_embed"][1] - 1, known))
    fields.update(known)
    height, width = fields["image_size"]
    fields.setdefault("shift", VEHICLE_SHIFT if height == width else PERSON_SHIFT)
    fields.update(_side_information(shapes.get("base.sie_embed"), fields))
    return TransReIDConfig(**fields)


def _backbone(shapes: Shapes, known: Mapping[str, Any]) -> dict[str, Any]:
    hidden, dim = shapes["base.blocks.0.mlp.fc1.weight"]
    blocks = {int(found[1]) for key in shapes if (found := re.match(r"base\.blocks\.(\d+)\.", key))}
    fields: dict[str, Any] = {
        "embed_dim": dim,
        "depth": max(blocks) + 1,
        "mlp_ratio": hidden / dim,
        "qkv_bias": "base.blocks.0.attn.qkv.bias" in shapes,
    }
    small = BACKBONES["vit_small"]
    if all(small[name] == value for name, value in fields.items()):
        return dict(small)
    if "num_heads" not in known and dim % HEAD_DIM:
        raise ValueError(f"num_heads cannot be read from a width of {dim}, no multiple of {HEAD_DIM}; say it")
    return {**fields, "num_heads": dim // HEAD_DIM}


def _image(num_patches: int, known: Mapping[str, Any]) -> dict[str, Any]:
    if "image_size" in known and "stride" in known:
        return {}
    published, any_step = (
        tuple((step, step) for step in steps) for steps in (STRIDES, range(PATCH_PX, 0, -1))
    )
    tries: list[tuple[Sequence[tuple[int, ...]], Sequence[tuple[int, ...]]]]
    if "image_size" in known:
        tries = [([tuple(known["image_size"])], strides) for strides in (published, any_step)]
    else:
        tries = [(sizes, [tuple(known["stride"])] if "stride" in known else published) for sizes in SIZES]
    for sizes, strides in tries:
        pairs = product(sizes, strides)
        fitting = [(size, stride) for size, stride in pairs if _patches(size, stride) == num_patches]
        if len(fitting) == 1:
            return {"image_size": fitting[0][0], "stride": fitting[0][1]}
        if fitting:
            raise ValueError(f"image_size and stride: {num_patches} patches fit {fitting}; say which")
    raise ValueError(f"image_size and stride: no known size and stride gives {num_patches} patches; say both")


def _patches(size: tuple[int, ...], stride: tuple[int, ...]) -> int:
    rows, columns = ((length - PATCH_PX) // step + 1 for length, step in zip(size, stride, strict=True))
    return rows * columns


def _side_information(shape: tuple[int, ...] | None, fields: Mapping[str, Any]) -> dict[str, int]:
    """Cameras and views of a table of R rows. Published person networks know cameras only."""
    if shape is None or "num_cameras" in fields or "num_views" in fields:
        return {}
    rows, (height, width) = shape[0], fields["image_size"]
    if height == width and rows == VERI_ROWS:
        return {"num_cameras": VERI_CAMERAS, "num_views": VERI_VIEWS}
    if height == width:
        raise ValueError(
            f"base.sie_embed has {rows} rows and does not show how many cameras and views that is; "
            f"say num_cameras and num_views (cameras only: {rows} and 0)"
        )
    return {"num_cameras": rows}
