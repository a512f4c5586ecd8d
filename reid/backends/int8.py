"""The linear layers of a TransReID in 8-bit integers on the CPU, by oneDNN inside torch.

Weights are symmetric with a scale for each output, made once. Inputs are unsigned, with the range they take in this very
image (dynamic quantisation; Wu et al., arXiv 2004.09602, sections 3 and 4): no sample crops are needed, and an embedding
does not depend on what else is in its batch. Norms, attention and residual sums stay in float32, and so does what sees
only the CLS tokens, the last block, since it costs nothing.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

from reid.transreid import TransReID

__all__ = ["Int8Linear", "int8_is_there", "to_int8"]

WEIGHT_LEVELS, INPUT_LEVELS = 127, 255
PAIR_LEVELS = 128
"""What two neighbouring weights of one sign may sum to. Without VNNI a processor adds their products with two inputs, up
to 255 each, in 16 bits, which hold 255 * 128 and no more."""


class Int8Linear(nn.Module):
    """A linear layer on integers.

    Args:
        linear: the layer it takes the place of.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        self.bias = None if linear.bias is None else linear.bias.detach()
        self.scale = torch.maximum(weight.abs().amax(dim=1) / WEIGHT_LEVELS, _pair_scale(weight)).clamp_min(1e-12)
        self.zero = torch.zeros(len(weight), dtype=torch.int32)
        self.integers = (weight / self.scale[:, None]).round().to(torch.int8)
        self._packed = torch.ops.onednn.qlinear_prepack(self.integers, None)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., K)`` to ``(..., N)`` float32; the range is that of all of ``x``."""
        low, high = (float(end) for end in x.aminmax())
        low, high = min(low, 0.0), max(high, 0.0)
        # One level is left over for rounding the zero point.
        scale = max(high - low, 1e-9) / (INPUT_LEVELS - 1)
        zero = round(-low / scale)
        # Casting cuts off, so half a level more rounds.
        levels = torch.add(torch.tensor(zero + 0.5), x, alpha=1.0 / scale).to(torch.uint8)
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            *(levels, scale, zero, self._packed, self.scale, self.zero, self.bias),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        return out


def _pair_scale(weight: Tensor) -> Tensor:
    """``(N,)`` the smallest scale at which no two neighbours exceed `PAIR_LEVELS`."""
    pairs = torch.unflatten(nn.functional.pad(weight, (0, weight.shape[1] % 2)), 1, (-1, 2))
    sums = torch.maximum(pairs.clamp(min=0).sum(dim=2), (-pairs).clamp(min=0).sum(dim=2))
    # Rounding may add half a step to each of the two.
    return sums.amax(dim=1) / (PAIR_LEVELS - 1)


def int8_is_there() -> bool:
    """Whether this torch has the integer products."""
    built_in: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return built_in and hasattr(torch.ops.onednn, "qlinear_pointwise")


def to_int8(model: TransReID) -> TransReID:
    """The same network, changed in place: integers in every block that works on all tokens."""
    for block, name in product(list(model.base.blocks)[:-1], ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")):
        linear = block.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        block.set_submodule(name, Int8Linear(linear))
    return model
