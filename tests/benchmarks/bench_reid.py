"""Embedding speed on the CPU, side by side in one run: ViT-B/16, stride 12, JPM and SIE, 256x128, batch 8.

The yardstick is a plain eager fp32 forward pass written here: every block on all tokens, softmax attention
spelled out, each jigsaw part through the whole last block. Contenders take turns within every round, so that
whatever else the machine does meets them alike; medians over the rounds are compared, of wall time and of
processor time, which a busy machine disturbs less. The crops are real people where ``CROSSCAM_DATA`` has them.

No trained ViT-B is at hand, so this one's weights are random. How close 8 bits stay with trained weights is shown on the
sample network. ``make bench`` runs it; as a script it can keep what it exports and be run in pieces:

    python tests/benchmarks/bench_reid.py [--rounds 7] [--blocks 12] [--networks FOLDER] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
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

from reid import TransReID, TransReIDConfig, load_checkpoint
from reid.backends.backend import Backend
from reid.backends.onnx import OnnxBackend
from reid.backends.openvino import OpenVinoBackend
from reid.backends.torch import TorchBackend
from reid.export import ExportError, export
from reid.image_files import find_images, read_crop
from reid.preprocess import InputForm, prepare

CONFIG = TransReIDConfig.named("vit_base", stride=(12, 12), num_cameras=6, jpm=True)
ROOT = Path(__file__).parents[2]
SAMPLE_NETWORK = ROOT / "samples" / "weights" / "transreid-synthetic.safetensors"
BATCH, ROUNDS = 8, 7
ACCURACY_CROPS = 128
MIN_SPEEDUP_TORCH, MIN_SPEEDUP_BEST, MIN_COSINE = 1.2, 2.5, 0.999
PLAIN, TORCH, TORCH_INT8 = "plain eager fp32", "torch fp32", "torch int8"
FILES = {
    "onnx fp32": "fp32.onnx",
    "openvino fp32": "fp32.xml",
    "onnx int8": "int8.onnx",
    "openvino int8": "int8.xml",
}

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


def person_crops(count: int, size: tuple[int, int]) -> Array:
    """Prepared crops ``(count, 3, H, W)``: real people, or without ``CROSSCAM_DATA`` patches of colour under noise."""
    folder = Path(os.environ.get("CROSSCAM_DATA", ROOT.parent / "shared" / "data")) / "pku-reid"
    if folder.is_dir():
        paths = find_images([folder])
        chosen = np.random.default_rng(0).permutation(len(paths))[:count]
        return prepare([read_crop(paths[index]) for index in chosen], InputForm(size))
    print("CROSSCAM_DATA has no pku-reid: made-up crops")
    draw = np.random.default_rng(0)
    patches = draw.uniform(-1, 1, (count, 3, size[0] // 16, size[1] // 16)).repeat(16, axis=2).repeat(16, axis=3)
    return np.asarray(0.8 * patches + draw.uniform(-0.2, 0.2, patches.shape), dtype=np.float32)


def exported(model: TransReID, name: str, folder: Path) -> Backend | None:
    """The network behind a back end, exported unless ``folder`` has it; None where it is refused."""
    path = folder / FILES[name]
    if not path.is_file():
        try:
            export(model, path, precision="int8" if "int8" in name else "fp32")
        except ExportError as error:
            print(f"{name}: {error}")
            return None
    return OnnxBackend(path) if path.suffix == ".onnx" else OpenVinoBackend(path)


def contenders(folder: Path, only: set[str] | None) -> dict[str, Callable[[], Array]]:
    torch.manual_seed(0)
    model = TransReID(CONFIG).eval()
    images = person_crops(BATCH, CONFIG.image_size)
    codes = np.arange(BATCH, dtype=np.int64) % CONFIG.num_sie_rows
    state = {key: value.clone() for key, value in model.state_dict().items()}
    found = {name: exported(model, name, folder) for name in FILES if only is None or name in only}
    backends: dict[str, Backend] = {
        TORCH: TorchBackend(model, device="cpu"),
        TORCH_INT8: TorchBackend(deepcopy(model), device="cpu", precision="int8"),
    }
    backends.update({name: backend for name, backend in found.items() if backend is not None})
    able, network = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"), folder / FILES["openvino fp32"]
    if "BF16" in able and network.is_file():
        backends["openvino bf16"] = OpenVinoBackend(network, precision="bf16")

    def plain() -> Array:
        with torch.no_grad():
            return plain_forward(state, torch.from_numpy(images), torch.from_numpy(codes)).numpy()

    runs = {name: lambda backend=backend: backend.run(images, codes) for name, backend in backends.items()}
    return {PLAIN: plain, **runs}


class Result(NamedTuple):
    """Images per second of wall time and of processor time (medians), and the smallest cosine to the plain pass."""

    per_wall_s: float
    per_processor_s: float
    cosine: float


def measure(rounds: int = ROUNDS, networks: Path | None = None, only: set[str] | None = None) -> dict[str, Result]:
    """Every contender's result; prints them."""
    with tempfile.TemporaryDirectory() as folder:
        runs = contenders(networks or Path(folder), only)
        reference = runs[PLAIN]()
        cosines = {name: smallest_cosine(run(), reference) for name, run in runs.items()}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                wall_s, processor_s = time.perf_counter(), time.process_time()
                run()
                taken[name].append((time.perf_counter() - wall_s, time.process_time() - processor_s))
    medians = {name: np.median(times, axis=0) for name, times in taken.items()}
    results = {name: Result(*(BATCH / medians[name]), cosines[name]) for name in runs}
    base = results[PLAIN]
    for name, (wall, processor, cosine) in results.items():
        print(
            f"{name:18} {wall:6.2f} images/s (x{wall / base.per_wall_s:4.2f})   "
            f"{processor:6.2f} per processor second (x{processor / base.per_processor_s:4.2f})   cosine {cosine:.6f}"
        )
    return results


def sample_network_cosines() -> dict[str, float]:
    """Smallest cosine to torch on crops of people, of the sample network in 8 bits; prints the mean too."""
    model = load_checkpoint(SAMPLE_NETWORK)
    crops = person_crops(ACCURACY_CROPS, model.config.image_size)
    codes = np.arange(len(crops), dtype=np.int64) % (model.config.num_sie_rows + 2)
    reference = TorchBackend(model, device="cpu").run(crops, codes)
    with tempfile.TemporaryDirectory() as folder:
        small = {name: exported(model, name, Path(folder)) for name in FILES if "int8" in name}
        small[TORCH_INT8] = TorchBackend(deepcopy(model), device="cpu", precision="int8")
        cosines = {n: cosines_of(b.run(crops, codes), reference) for n, b in small.items() if b is not None}
    for name, values in cosines.items():
        print(f"sample network, {name:14} cosine {values.min():.6f} at least, {values.mean():.6f} on average")
    return {name: float(values.min()) for name, values in cosines.items()}


def cosines_of(ours: Array, theirs: Array) -> npt.NDArray[np.float64]:
    units = [rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True) for rows in (ours, theirs)]
    return (units[0] * units[1]).sum(axis=1)


def smallest_cosine(ours: Array, theirs: Array) -> float:
    return float(cosines_of(ours, theirs).min())


@pytest.mark.benchmark
@pytest.mark.timeout(3600)
def test_embedding_is_faster_than_a_plain_forward_pass() -> None:
    sample = sample_network_cosines()
    results = measure()
    base = results[PLAIN].per_processor_s
    precise = [
        result.per_processor_s
        for name, result in results.items()
        if min(result.cosine, sample.get(name, 1.0)) >= MIN_COSINE
    ]
    assert results[TORCH].per_processor_s >= MIN_SPEEDUP_TORCH * base
    assert max(precise) >= MIN_SPEEDUP_BEST * base


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--blocks", type=int, default=CONFIG.depth, help="fewer for a quick look")
    parser.add_argument("--networks", type=Path, help="keep the exported networks here")
    parser.add_argument("--only", nargs="*", metavar="NAME", help=f"of {', '.join(FILES)}; plain and torch always")
    options = parser.parse_args()
    CONFIG = replace(CONFIG, depth=options.blocks)
    if options.networks is not None:
        options.networks.mkdir(parents=True, exist_ok=True)
    measure(options.rounds, options.networks, None if options.only is None else {*options.only})
    sample_network_cosines()
