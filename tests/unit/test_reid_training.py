"""Whole training runs on a small set of drawn people: learning, resuming after a kill, several processes."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reid import load_checkpoint
from reid.data.datasets import ReIDDataset, load_dataset
from reid.data.transforms import Augmentation
from reid.optimiser import OptimiserConfig
from reid.train import Trainer, main
from reid.train_log import CsvLog
from reid.training_config import (
    DataConfig,
    LossConfig,
    ModelConfig,
    RunConfig,
    SamplerConfig,
    ScheduleConfig,
    TrainingConfig,
)

ROOT = Path(__file__).resolve().parents[2]
TINY = ModelConfig(
    "vit_tiny",
    image_size=(48, 32),
    embed_dim=16,
    depth=2,
    num_heads=2,
    jpm=True,
    shift=2,
    sie="camera",
    drop_path=0.2,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def drawn_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people per split, known by the colours of their two halves, seen by three tinted cameras."""
    root = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 256, (16, 2, 3))
    tints = np.array([[1.0, 0.8, 0.7], [0.7, 1.0, 0.8], [0.8, 0.7, 1.0]])
    for person, camera, shot in np.ndindex(16, 3, 4):
        split = "bounding_box_train" if person < 8 else "query" if shot == 0 else "bounding_box_test"
        halves = np.repeat(colours[person], 24, axis=0)[:, None].repeat(32, axis=1) * tints[camera]
        picture = np.clip(halves + rng.normal(0, 12, (48, 32, 3)), 0, 255).astype(np.uint8)
        (root / split).mkdir(exist_ok=True)
        Image.fromarray(picture).save(root / split / f"{person + 1:04d}_c{camera + 1}s1_{shot:06d}_00.jpg")
    return root


def tiny_run(root: Path, output: Path, epochs: int = 3, **run: object) -> TrainingConfig:
    return TrainingConfig(
        DataConfig("market1501", root),
        TINY,
        Augmentation(padding_px=2),
        SamplerConfig(4, 2),
        LossConfig(),
        OptimiserConfig("adamw", 2e-3, weight_decay=1e-4, bias_lr_factor=1.0, max_grad_norm=8.0),
        ScheduleConfig(epochs, 1, patch_dropout=0.5),
        RunConfig(output, device="cpu", log_every=2, evaluate_every=0, **run),  # type: ignore[arg-type]
    )


@pytest.fixture
def dataset(drawn_people: Path) -> ReIDDataset:
    return load_dataset("market1501", drawn_people)


def train(config: TrainingConfig, dataset: ReIDDataset, resume: bool = False) -> dict[str, float]:
    return Trainer(config, dataset).run(resume)


def weights(output: Path) -> dict[str, torch.Tensor]:
    content = torch.load(output / "last.pt", weights_only=True)
    state: dict[str, torch.Tensor] = content["model"]
    return state


def logged(output: Path) -> list[tuple[str, ...]]:
    """The log without what the clock decides."""
    with (output / "train.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [tuple(v for k, v in row.items() if k not in ("images_per_s", "train_s")) for row in rows]


def assert_same_run(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert logged(one) == logged(other) != []


def test_training_learns_and_its_weights_embed(
    drawn_people: Path, dataset: ReIDDataset, tmp_path: Path
) -> None:
    config = replace(
        tiny_run(drawn_people, tmp_path),
        augment=Augmentation(padding_px=2, erase_probability=0),
        schedule=ScheduleConfig(25, 1),
    )
    scores = train(config, dataset)
    first, *_, last = [float(row[3]) for row in logged(tmp_path)]
    assert last < 0.7 * first
    assert scores["mAP"] > 0.5
    model = load_checkpoint(tmp_path / "model.safetensors")
    again = load_checkpoint(tmp_path / "last.pt")
    images, cameras = torch.rand(3, 3, 48, 32), torch.tensor([0, 1, 2])
    assert model.config.num_cameras == 3
    assert torch.equal(model(images, cameras), again(images, cameras))
    assert (tmp_path / "evaluation.csv").read_text().count("\n") == 2
    assert list((tmp_path / "tensorboard").iterdir())


class Killed(Exception):
    pass


@pytest.mark.parametrize("step", [1, 5, 9])
@pytest.mark.parametrize("checkpoint_every_s", [0.0, 1e9])
def test_a_stopped_run_resumes_to_the_same_result(
    drawn_people: Path,
    dataset: ReIDDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    checkpoint_every_s: float,
) -> None:
    whole = tiny_run(drawn_people, tmp_path / "whole", checkpoint_every_s=checkpoint_every_s, accumulate=2)
    train(whole, dataset)
    parts = replace(whole, run=replace(whole.run, output=tmp_path / "parts"))
    with monkeypatch.context() as patch:
        steps_of(patch, stop_after=step)
        with pytest.raises(Killed):
            train(parts, dataset)
    train(parts, dataset, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def steps_of(patch: pytest.MonkeyPatch, stop_after: int) -> None:
    original = Trainer._step

    def step(self: Trainer, *arguments: object) -> None:
        if self.progress.step == stop_after:
            raise Killed
        original(self, *arguments)  # type: ignore[arg-type]

    patch.setattr(Trainer, "_step", step)


def test_resuming_with_other_settings_is_refused(
    drawn_people: Path, dataset: ReIDDataset, tmp_path: Path
) -> None:
    config = tiny_run(drawn_people, tmp_path, epochs=1)
    train(config, dataset)
    other = replace(config, optimiser=replace(config.optimiser, lr=1e-3))
    with pytest.raises(ValueError, match=r"last\.pt.*optimiser\.lr was 0\.002, now 0\.001"):
        train(other, dataset, resume=True)


def test_half_a_checkpoint_is_named(drawn_people: Path, dataset: ReIDDataset, tmp_path: Path) -> None:
    config = tiny_run(drawn_people, tmp_path, epochs=1)
    (tmp_path / "last.pt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match=r"last\.pt: not a training checkpoint"):
        train(config, dataset, resume=True)


@pytest.mark.parametrize("head", ["arcface", "cosface", "amsoftmax", "circle"])
def test_margin_heads_train_with_jigsaw_branches(
    drawn_people: Path, dataset: ReIDDataset, tmp_path: Path, head: str
) -> None:
    config = replace(tiny_run(drawn_people, tmp_path, epochs=1), loss=LossConfig(head=head))  # type: ignore[arg-type]
    train(config, dataset)
    state = weights(tmp_path)
    key = "W" if head == "amsoftmax" else "weight"
    shape = (16, 8) if head == "amsoftmax" else (8, 16)
    assert all(state[f"classifier{end}.{key}"].shape == shape for end in ("", "_1", "_2", "_3", "_4"))
    load_checkpoint(tmp_path / "model.safetensors")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains(
    drawn_people: Path, dataset: ReIDDataset, tmp_path: Path, precision: str
) -> None:
    train(tiny_run(drawn_people, tmp_path, epochs=2, precision=precision), dataset)
    assert all(bool(value.isfinite().all()) for value in weights(tmp_path).values())
    assert {value.dtype for value in weights(tmp_path).values()} <= {torch.float32, torch.int64}


@pytest.mark.parametrize(("precision", "steps"), [("fp32", 1), ("fp16", 6)])  # fp16's first steps only find its scale
def test_gradients_are_no_longer_than_allowed(
    drawn_people: Path,
    dataset: ReIDDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    steps: int,
) -> None:
    lengths = []
    plain = OptimiserConfig("sgd", 1e-3, momentum=0.0, weight_decay=0.0, weight_decay_bias=0.0, bias_lr_factor=1.0)
    for longest in (0.0, 0.01):
        config = tiny_run(drawn_people, tmp_path / str(longest), precision=precision)
        trainer = Trainer(replace(config, optimiser=replace(plain, max_grad_norm=longest)), dataset)
        before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
        with monkeypatch.context() as patch:
            steps_of(patch, stop_after=steps)
            with pytest.raises(Killed):
                trainer.run(resume=False)
        moved = [now.detach() - then for now, then in zip(trainer.model.parameters(), before, strict=True)]
        rate = trainer.schedule.rate(1)
        lengths.append(float(torch.cat([move.flatten() for move in moved]).norm()) / rate)
    assert lengths[0] > 0.1
    assert 0.005 < lengths[1] < 0.0101 * steps


def yaml_of(config: TrainingConfig, path: Path, epochs: int, identities: int, accumulate: int) -> Path:
    path.write_text(f"""
data: {{kind: market1501, root: {config.data.root}}}
model: {{backbone: vit_tiny, image_size: [48, 32], embed_dim: 16, depth: 2, num_heads: 2, jpm: true, shift: 2,
  sie: camera, drop_path: 0.2}}
augment: {{padding_px: 2}}
sampler: {{identities: {identities}, images: 2}}
optimiser: {{lr: 1e-2}}
schedule: {{epochs: {epochs}, warmup_epochs: 1}}
run: {{output: {config.run.output}, device: cpu, log_every: 2, accumulate: {accumulate}, checkpoint_every_s: 0}}
""")
    return path


def started(config_path: Path, *launcher: str, resume: bool = False) -> subprocess.Popen[bytes]:
    code = f"import sys; from reid.train import main; main({str(config_path)!r}, resume={resume})"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    if not launcher:
        return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
    script = config_path.with_suffix(".py")
    script.write_text(code)
    return subprocess.Popen([sys.executable, *launcher, str(script)], cwd=ROOT, env=environment)


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_result(drawn_people: Path, tmp_path: Path) -> None:
    whole = tiny_run(drawn_people, tmp_path / "whole")
    main(yaml_of(whole, tmp_path / "whole.yaml", epochs=12, identities=4, accumulate=1))
    parts = tiny_run(drawn_people, tmp_path / "parts")
    path = yaml_of(parts, tmp_path / "parts.yaml", epochs=12, identities=4, accumulate=1)
    rng = np.random.default_rng(0)
    kills = 0
    for _ in range(4):
        before = (tmp_path / "parts" / "last.pt").stat().st_mtime_ns if kills else 0
        process = started(path, resume=True)
        while process.poll() is None and not newer(tmp_path / "parts" / "last.pt", before):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills >= 1
    assert started(path, resume=True).wait() == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def newer(path: Path, than_ns: int) -> bool:
    return path.exists() and path.stat().st_mtime_ns > than_ns


@pytest.mark.slow
def test_two_processes_train_as_one_that_accumulates(drawn_people: Path, tmp_path: Path) -> None:
    """Two ranks of half a batch are one process that averages two batches; only running statistics are rank 0's."""
    one, two = tiny_run(drawn_people, tmp_path / "one"), tiny_run(drawn_people, tmp_path / "two")
    main(yaml_of(one, tmp_path / "one.yaml", epochs=3, identities=2, accumulate=2))
    path = yaml_of(two, tmp_path / "two.yaml", epochs=3, identities=4, accumulate=1)
    assert started(path, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2").wait() == 0
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    for key, value in first.items():
        if "running" not in key and "num_batches" not in key:
            torch.testing.assert_close(second[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_compiled_network_trains_as_an_eager_one(
    drawn_people: Path, dataset: ReIDDataset, tmp_path: Path
) -> None:
    eager = tiny_run(drawn_people, tmp_path / "eager", epochs=1)
    eager = replace(eager, model=replace(TINY, drop_path=0.0))
    compiled = replace(eager, run=replace(eager.run, output=tmp_path / "compiled", compile=True))
    train(eager, dataset)
    train(compiled, dataset)
    first, second = weights(tmp_path / "eager"), weights(tmp_path / "compiled")
    assert first.keys() == second.keys()
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, rtol=1e-3, atol=1e-4)


def test_a_repeated_step_is_told_once_and_later_rows_of_a_killed_run_are_forgotten(tmp_path: Path) -> None:
    for resume_step, steps in ((0, (10, 20, 30)), (20, (20, 25)), (25, (25,))):
        log = CsvLog(tmp_path / "log.csv", ("step",), resume_step)
        for step in steps:
            log.write({"step": step})
        log.close()
    assert (tmp_path / "log.csv").read_text().split() == ["step", "10", "20", "25"]
