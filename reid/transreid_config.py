"""The shape of a TransReID network, checked once at construction. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, Literal

from reid.jigsaw import jigsaw_parts

__all__ = ["BACKBONES", "PATCH_PX", "TransReIDConfig"]

PATCH_PX = 16

_WHOLE = (
    *("embed_dim", "depth", "num_heads", "num_cameras", "num_views"),
    *("shift", "groups", "divide_length", "num_classes"),
)
_NUMBERS = ("mlp_ratio", "qk_scale", "sie_coefficient")
_SWITCHES = ("qkv_bias", "jpm", "rearrange")

BACKBONES: dict[str, dict[str, Any]] = {
    "vit_base": {"embed_dim": 768, "depth": 12, "num_heads": 12},
    "deit_base": {"embed_dim": 768, "depth": 12, "num_heads": 12},
    "deit_small": {"embed_dim": 384, "depth": 12, "num_heads": 6},
    # The "small" of 2020: wide, shallow, no qkv bias, and a scale that is not head_dim ** -0.5.
    "vit_small": {
        "embed_dim": 768,
        "depth": 8,
        "num_heads": 8,
        "mlp_ratio": 3.0,
        "qkv_bias": False,
        "qk_scale": 768**-0.5,
    },
    "vit_small_modern": {"embed_dim": 384, "depth": 12, "num_heads": 6},
    "vit_tiny": {"embed_dim": 192, "depth": 12, "num_heads": 3},
}


@dataclass(frozen=True, slots=True)
class TransReIDConfig:
    """Everything that decides the shape and the output of a network (arXiv 2102.04378, section 3).

    Attributes:
        image_size: input height and width, px.
        stride: vertical and horizontal step of the 16 px patches; below 16 they overlap.
        embed_dim, depth, num_heads, mlp_ratio, qkv_bias: the vision transformer.
        qk_scale: attention scale; None means ``head_dim ** -0.5``.
        num_cameras, num_views: size of the side-information (SIE) table; 0 = no such information.
        sie_coefficient: lambda, the factor of the SIE vector.
        jpm: whether the jigsaw patch module and its four local features exist.
        shift, groups, divide_length, rearrange: the jigsaw (see :mod:`reid.jigsaw`).
        num_classes: training identities; 0 = no classifiers.
        neck: the feature at test time, ``"before"`` or ``"after"`` the BNNeck.

    Raises:
        ValueError: naming the field, its value and what would be right.
    """

    image_size: tuple[int, int] = (256, 128)
    stride: tuple[int, int] = (16, 16)
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    qk_scale: float | None = None
    num_cameras: int = 0
    num_views: int = 0
    sie_coefficient: float = 3.0
    jpm: bool = False
    shift: int = 5
    groups: int = 2
    divide_length: int = 4
    rearrange: bool = True
    num_classes: int = 0
    neck: Literal["before", "after"] = "before"

    def __post_init__(self) -> None:
        for name in ("image_size", "stride"):
            object.__setattr__(self, name, _pair(name, getattr(self, name)))
        self._check_kinds()
        self._check_sizes()
        self._check_sie()
        if self.jpm:
            self.parts()

    def _check_kinds(self) -> None:
        for name in _WHOLE + _NUMBERS + _SWITCHES:
            value = getattr(self, name)
            if name in _WHOLE and (not isinstance(value, Integral) or isinstance(value, bool)):
                raise ValueError(f"{name}: expected a whole number, got {value!r}")
            if (
                name in _NUMBERS
                and not isinstance(value, Real)
                and not (name == "qk_scale" and value is None)
            ):
                raise ValueError(f"{name}: expected a number, got {value!r}")
            if name in _SWITCHES and isinstance(value, str):
                raise ValueError(f"{name}: expected true or false, got {value!r}")

    def _check_sizes(self) -> None:
        if min(self.image_size) < PATCH_PX:
            raise ValueError(f"image_size: {self.image_size} is smaller than one {PATCH_PX} px patch")
        for name in ("embed_dim", "depth", "num_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.mlp_width < 1:
            raise ValueError(f"mlp_ratio: {self.mlp_ratio} leaves no hidden units at width {self.embed_dim}")
        if self.embed_dim % self.num_heads:
            raise ValueError(f"num_heads: {self.num_heads} does not divide embed_dim {self.embed_dim}")
        if self.num_classes < 0:
            raise ValueError(f"num_classes: expected 0 or more, got {self.num_classes}")
        if self.neck not in ("before", "after"):
            raise ValueError(f"neck: expected 'before' or 'after', got {self.neck!r}")

    def _check_sie(self) -> None:
        for name, what in (("num_cameras", "camera"), ("num_views", "view")):
            count = getattr(self, name)
            if count < 0:
                raise ValueError(f"{name}: expected 0 (no {what} embedding) or at least 2, got {count}")
            if count == 1:
                raise ValueError(
                    f"{name}: side information needs at least two {what}s, got 1; one {what} tells "
                    f"nothing apart, so set {name} to 0 to switch its embedding off"
                )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches; pixels that no whole patch reaches are ignored."""
        (height, width), (step_y, step_x) = self.image_size, self.stride
        return (height - PATCH_PX) // step_y + 1, (width - PATCH_PX) // step_x + 1

    @property
    def mlp_width(self) -> int:
        """Hidden units of an MLP: rounded down, but a ratio read off a width gives that width back."""
        return int(self.embed_dim * self.mlp_ratio + 1e-6)

    @property
    def num_patches(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def num_sie_rows(self) -> int:
        """Rows of the SIE table: cameras x views where both exist; 0 without SIE."""
        if self.num_cameras and self.num_views:
            return self.num_cameras * self.num_views
        return self.num_cameras + self.num_views

    @property
    def num_features(self) -> int:
        """How many vectors are learned: the global one and, with JPM, four local ones."""
        return 5 if self.jpm else 1

    @property
    def feature_dim(self) -> int:
        """Length of the embedding at test time."""
        return self.embed_dim * self.num_features

    def parts(self) -> tuple[tuple[int, ...], ...]:
        """Token indices of the four jigsaw parts (0 = CLS, patches 1..N in raster order)."""
        return jigsaw_parts(
            self.num_patches,
            shift=self.shift,
            groups=self.groups,
            divide_length=self.divide_length,
            rearrange=self.rearrange,
        )

    @classmethod
    def named(cls, backbone: str, **settings: Any) -> TransReIDConfig:
        """A config of a known backbone (:data:`BACKBONES`); ``settings`` are any other fields.

        Raises:
            ValueError: no such backbone.
        """
        if backbone not in BACKBONES:
            raise ValueError(f"backbone: {backbone!r} is unknown; known are {', '.join(sorted(BACKBONES))}")
        return cls(**{**BACKBONES[backbone], **settings})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TransReIDConfig:
        """The inverse of ``dataclasses.asdict`` (tuples may have become lists).

        Raises:
            ValueError: a key that is no field, or a bad value.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"TransReIDConfig: unknown fields {', '.join(unknown)}")
        return cls(**values)


def _pair(name: str, value: Any) -> tuple[int, int]:
    try:
        first, second = (int(number) for number in value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected two whole numbers, vertical first, got {value!r}") from None
    if first < 1 or second < 1:
        raise ValueError(f"{name}: expected positive numbers, got {value!r}")
    return first, second
