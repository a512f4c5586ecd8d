"""Embedding speed on the CPU, side by side in one run: ViT-B/16, stride 12, JPM and SIE, 256x128, batch 8.

The yardstick is a plain eager fp32 forward pass written here: every block on all tokens, softmax attention
spelled out, each jigsaw part through the whole last block. Contenders take turns within every round, so that
whatever else the machine does meets them alike; medians over the rounds are compared, of wall time and of
processor time, which a busy machine disturbs less. Run as a script (``bench_reid.py [ROUNDS [BLOCKS]]``; fewer
blocks than 12 for a quick look) or by ``make bench``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import openvino
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from reid import TransReID, TransReIDConfig
from reid.backends.backend import Backend
from reid.backends.onnx import OnnxBackend
from reid.backends.openvino import OpenVinoBackend
from reid.backends.torch import TorchBackend
from reid.export import ExportError, export

CONFIG = TransReIDConfig.named("vit_base", stride=(12, 12), num_cameras=6, jpm=True)
BATCH, ROUNDS = 8, 7
MIN_SPEEDUP_TORCH, MIN_SPEEDUP_BEST, MIN_COSINE = 1.2, 2.5, 0.999

Array = npt.NDArray[np.float32]


def plain_forward(state: dict[str, Tensor], images: Tensor, rows: Tensor) -> Tensor:
    """TransReID as it is usually written, on a state_dict; ``(B, 3840)`` before the neck."""
    x = functional.conv2d(
        images, state["base.patch_embed.proj.weight"], state["base.patch_embed.proj.bias"], CONFIG.stride
    )
    x = torch.cat([state["base.cls_token"].expand(len(images), -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
    x = x + state["base.pos_embed"] + CONFIG.sie_coefficient * state["base.sie_embed"][rows]
    for index in range(CONFIG.depth - 1):
        x = plain_block(state, f"base.blocks.{index}.", x)
    features = [plain_branch(state, "b1.", x)]
    for part in CONFIG.parts():
        features.append(plain_branch(state, "b2.", x[:, [0, *part]]) / 4)
    return torch.cat(features, dim=1)


def plain_branch(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return plain_norm(state, f"{name}1.", plain_block(state, f"{name}0.", x))[:, 0]


def plain_norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], state[f"{name}weight"], state[f"{name}bias"], 1e-6)


def plain_linear(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return functional.linear(x, state[f"{name}weight"], state[f"{name}bias"])


def plain_block(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    batch, tokens, dim = x.shape
    heads = CONFIG.num_heads
    qkv = plain_linear(state, f"{name}attn.qkv.", plain_norm(state, f"{name}norm1.", x))
    q, k, v = qkv.reshape(batch, tokens, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
    attention = ((q @ k.transpose(-2, -1)) * (dim // heads) ** -0.5).softmax(dim=-1)
    mixed = (attention @ v).transpose(1, 2).reshape(batch, tokens, dim)
    x = x + plain_linear(state, f"{name}attn.proj.", mixed)
    hidden = functional.gelu(plain_linear(state, f"{name}mlp.fc1.", plain_norm(state, f"{name}norm2.", x)))
    return x + plain_linear(state, f"{name}mlp.fc2.", hidden)


def contenders(folder: Path) -> dict[str, Callable[[], Array]]:
    torch.manual_seed(0)
    model = TransReID(CONFIG).eval()
    draw = np.random.default_rng(0)
    images = draw.standard_normal((BATCH, 3, *CONFIG.image_size)).astype(np.float32)
    codes = np.arange(BATCH, dtype=np.int64) % CONFIG.num_sie_rows
    state = {key: value.clone() for key, value in model.state_dict().items()}
    backends: dict[str, Backend] = {"torch fp32": TorchBackend(model, device="cpu")}
    for name, precision in (
        ("net.onnx", "fp32"),
        ("net.xml", "fp32"),
        ("int8.onnx", "int8"),
        ("int8.xml", "int8"),
    ):
        try:
            export(model, folder / name, precision=precision)
        except ExportError as error:
            print(error)
            continue
        kind, opened = ("onnx", OnnxBackend) if name.endswith(".onnx") else ("openvino", OpenVinoBackend)
        backends[f"{kind} {precision}"] = opened(folder / name)
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        backends["openvino bf16"] = OpenVinoBackend(folder / "net.xml", precision="bf16")

    def plain() -> Array:
        with torch.no_grad():
            return plain_forward(state, torch.from_numpy(images), torch.from_numpy(codes)).numpy()

    runs = {name: lambda backend=backend: backend.run(images, codes) for name, backend in backends.items()}
    return {"plain eager fp32": plain, **runs}


class Result(NamedTuple):
    """Images per second of wall time and of processor time (medians), and the smallest cosine to the plain pass."""

    per_wall_s: float
    per_processor_s: float
    cosine: float


def measure(rounds: int = ROUNDS) -> dict[str, Result]:
    """Every contender's result; prints them."""
    with tempfile.TemporaryDirectory() as folder:
        runs = contenders(Path(folder))
        reference = runs["plain eager fp32"]()
        cosines = {name: smallest_cosine(run(), reference) for name, run in runs.items()}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                wall_s, processor_s = time.perf_counter(), time.process_time()
                run()
                taken[name].append((time.perf_counter() - wall_s, time.process_time() - processor_s))
    medians = {name: np.median(times, axis=0) for name, times in taken.items()}
    results = {name: Result(*(BATCH / medians[name]), cosines[name]) for name in runs}
    base = results["plain eager fp32"]
    for name, (wall, processor, cosine) in results.items():
        print(
            f"{name:18} {wall:6.2f} images/s (x{wall / base.per_wall_s:4.2f})   "
            f"{processor:6.2f} per processor second (x{processor / base.per_processor_s:4.2f})   cosine {cosine:.6f}"
        )
    return results


def smallest_cosine(ours: Array, theirs: Array) -> float:
    units = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (ours, theirs)]
    return float((units[0] * units[1]).sum(axis=1).min())


@pytest.mark.benchmark
@pytest.mark.timeout(3600)
def test_embedding_is_faster_than_a_plain_forward_pass() -> None:
    results = measure()
    base = results["plain eager fp32"].per_processor_s
    precise = [result.per_processor_s for result in results.values() if result.cosine >= MIN_COSINE]
    assert results["torch fp32"].per_processor_s >= MIN_SPEEDUP_TORCH * base
    assert max(precise) >= MIN_SPEEDUP_BEST * base


if __name__ == "__main__":
    CONFIG = replace(CONFIG, depth=int(sys.argv[2]) if len(sys.argv) > 2 else CONFIG.depth)
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
