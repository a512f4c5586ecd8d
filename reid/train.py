"""Training TransReID: ``python -m reid train config.yaml``, or the same under ``torchrun`` on several GPUs.

A step averages the gradients of ``accumulate`` batches. In a distributed run every rank takes its own
batches of the shared plan, mines triplets among its own images, and gradients are averaged over ranks; rank
0 evaluates and writes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, autograd, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from reid.checkpoint import load_exactly, read_checkpoint
from reid.data.datasets import ReIDDataset, load_dataset
from reid.data.loader import GIGABYTE, CropStore, SideTable, TrainBatch, TrainLoader
from reid.data.sampler import Batch, pk_batches, rank_batches
from reid.heads import use_head
from reid.losses import ReIDLoss
from reid.optimiser import build_optimiser
from reid.patch_dropout import dropout_rate, kept_tokens
from reid.pretrained import load_imagenet
from reid.schedule import CosineSchedule
from reid.train_log import TrainLog
from reid.train_state import Progress, TrainState, save_weights, unused_prefixes
from reid.training_config import TrainingConfig, load_training_config
from reid.transreid import TransReID
from reid.validation import Validator

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def main(config_path: str | Path, resume: bool = False) -> dict[str, float]:
    """Train as the file says and return the last evaluation's scores.

    Writes ``last.pt`` (everything to resume, and loadable by `reid.load_checkpoint`), ``model.safetensors``
    (weights to embed with) and the logs into ``run.output``.

    Args:
        config_path: see `reid.training_config`.
        resume: go on from ``last.pt`` where there is one.

    Raises:
        ValueError: a bad config, dataset or checkpoint; the message names file and key.
    """
    return train(load_training_config(config_path), resume)


def train(config: TrainingConfig, resume: bool = False) -> dict[str, float]:
    """`main` for a config that is read already; ranks other than 0 return no scores."""
    with _process_group(config):
        dataset = load_dataset(config.data.kind, config.data.root, config.run.seed)
        return Trainer(config, dataset).run(resume)


class Trainer:
    """One training run on one rank."""

    def __init__(self, config: TrainingConfig, dataset: ReIDDataset) -> None:
        self.config, self.dataset = config, dataset
        self.rank, self.world_size = _rank_and_world_size()
        self.device = _device(config)
        torch.manual_seed(config.run.seed)
        side = config.model.side_table(dataset)
        self.model = _model(config, side, dataset.num_identities).to(self.device)
        self.network = _wrapped(self.model, config, self.world_size, self.device)
        optimiser = build_optimiser(self.model, config.optimiser)
        scaler = torch.amp.GradScaler(self.device.type, enabled=config.run.precision == "fp16")
        deciding = {**config.deciding(), "world_size": self.world_size, "images": len(dataset.train)}
        self.state = TrainState(self.model, config.input_form(), optimiser, scaler, side, deciding)
        self.schedule = CosineSchedule(
            config.optimiser.lr, config.schedule.epochs, config.schedule.warmup_epochs
        )
        loss = config.loss
        self.loss = ReIDLoss(loss.identity_weight, loss.triplet_weight, loss.smoothing, loss.margin)
        self.loader = TrainLoader(
            dataset.train,
            self._train_store(),
            side,
            config.augment,
            config.run.seed,
            self.rank,
            self.world_size,
        )
        self.validator = Validator(dataset, config, side)
        self.progress = Progress()
        self.scores: dict[str, float] = {}

    def run(self, resume: bool) -> dict[str, float]:
        """Train to the end, evaluate, write the weights; the scores of the last evaluation."""
        output = self.config.run.output
        output.mkdir(parents=True, exist_ok=True)
        checkpoint = output / "last.pt"
        if resume and checkpoint.is_file():
            self.progress = self.state.load(checkpoint)
        epochs = self.config.schedule.epochs
        with TrainLog(output, epochs, self.progress.step, silent=self.rank > 0) as log:
            while self.progress.epoch <= epochs:
                self._epoch(log)
            if self.rank == 0 and not self.scores:
                self._evaluate(epochs, log)
        if self.rank == 0:
            dtype = torch.float16 if self.config.run.weights == "fp16" else torch.float32
            save_weights(self.model, self.state.form, output / "model.safetensors", dtype)
        return self.scores

    def _epoch(self, log: TrainLog) -> None:
        """What is left of the current epoch, its evaluation, and the checkpoint behind it."""
        epoch, run = self.progress.epoch, self.config.run
        plan = self._plan(epoch)
        self.schedule.apply(self.state.optimiser, epoch)
        log.epoch(epoch, len(plan), self.progress.batch)
        self.network.train()
        saved = time.monotonic()
        for group in self._groups(plan, epoch):
            self._step(group, log)
            if time.monotonic() - saved > run.checkpoint_every_s:
                self._save()
                saved = time.monotonic()
        if self.rank == 0 and self._evaluation_due(epoch):
            self._evaluate(epoch, log)
        self.progress.epoch, self.progress.batch = epoch + 1, 0
        self._save()

    def _evaluation_due(self, epoch: int) -> bool:
        every = self.config.run.evaluate_every
        return epoch == self.config.schedule.epochs or (every > 0 and epoch % every == 0)

    def _plan(self, epoch: int) -> list[Batch]:
        """This rank's batches of an epoch, a multiple of ``accumulate``."""
        sampler, run = self.config.sampler, self.config.run
        if sampler.identities % self.world_size:
            raise ValueError(
                f"sampler.identities: {sampler.identities} cannot be shared by {self.world_size} processes"
            )
        identities = [image.identity for image in self.dataset.train]
        per_rank = sampler.identities // self.world_size
        batches = pk_batches(identities, per_rank, sampler.images, run.seed, epoch)
        own = rank_batches(batches, self.rank, self.world_size)
        whole = own[: len(own) - len(own) % run.accumulate]
        if not whole:
            raise ValueError(
                f"run.accumulate: an epoch holds {len(own)} batches per process, fewer than {run.accumulate}"
            )
        return whole

    def _groups(self, plan: list[Batch], epoch: int) -> Iterator[list[TrainBatch]]:
        """The batches of one optimiser step after another, from where the run is."""
        group: list[TrainBatch] = []
        for batch in self.loader.batches(plan, epoch, self.progress.batch):
            group.append(batch.to(self.device))
            if len(group) == self.config.run.accumulate:
                yield group
                group = []

    def _step(self, group: list[TrainBatch], log: TrainLog) -> None:
        started, images = time.monotonic(), 0
        optimiser, scaler, progress = self.state.optimiser, self.state.scaler, self.progress
        optimiser.zero_grad(set_to_none=True)
        for number, batch in enumerate(group):
            with self._gradients_shared(last=number == len(group) - 1):
                identity, triplet = self._backward(batch, len(group))
            progress.identity_loss += identity / len(group)
            progress.triplet_loss += triplet / len(group)
            images += len(batch.labels)
            log.batch()
        self._shorten_gradients()
        scaler.step(optimiser)
        scaler.update()
        progress.step += 1
        progress.logged_steps += 1
        progress.train_s += time.monotonic() - started
        if progress.logged_steps == self.config.run.log_every:
            self._log_steps(images / (time.monotonic() - started), log)

    def _backward(self, batch: TrainBatch, share: int) -> tuple[float, float]:
        """Gradients of one batch; ``(identity, triplet)`` losses."""
        self._seed_step(self.progress.epoch, self.progress.batch)
        kept = self._kept(len(batch.labels))
        with self._autocast():
            scores, features = self.network(batch.images, batch.cameras, batch.views, batch.labels, kept)
        # Distances of half-precision features would lose the small differences that matter.
        total, identity, triplet = self.loss(_float(scores), _float(features), batch.labels)
        autograd.backward(self.state.scaler.scale(total / share))
        self.progress.batch += 1
        return float(identity.detach()), float(triplet.detach())

    def _shorten_gradients(self) -> None:
        longest = self.config.optimiser.max_grad_norm
        if longest:
            self.state.scaler.unscale_(self.state.optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), longest)

    def _kept(self, count: int) -> Tensor | None:
        """The tokens that a batch is trained on, None for all."""
        schedule = self.config.schedule
        rate = dropout_rate(schedule.patch_dropout, self.progress.epoch, schedule.epochs)
        patches = self.model.config.num_patches
        return kept_tokens(count, patches, rate).to(self.device) if rate else None

    def _gradients_shared(self, last: bool) -> AbstractContextManager[Any]:
        """Ranks exchange gradients with the last batch of a step only."""
        if isinstance(self.network, DistributedDataParallel) and not last:
            return self.network.no_sync()
        return nullcontext()

    def _autocast(self) -> AbstractContextManager[Any]:
        dtype = AUTOCAST.get(self.config.run.precision)
        return torch.autocast(self.device.type, dtype) if dtype else nullcontext()

    def _seed_step(self, epoch: int, batch: int) -> None:
        """Chance (patches, depth) is a function of the run's seed and the batch's place in the plan of all ranks."""
        place = batch * self.world_size + self.rank
        sequence = np.random.SeedSequence((self.config.run.seed, epoch, place))
        torch.manual_seed(int(sequence.generate_state(1)[0]))

    def _log_steps(self, images_per_s: float, log: TrainLog) -> None:
        progress, weights = self.progress, self.config.loss
        identity = progress.identity_loss / progress.logged_steps
        triplet = progress.triplet_loss / progress.logged_steps
        progress.identity_loss = progress.triplet_loss = 0.0
        progress.logged_steps = 0
        total = weights.identity_weight * identity + weights.triplet_weight * triplet
        row = {"step": progress.step, "epoch": progress.epoch, "lr": self.schedule.rate(progress.epoch)}
        row |= {"loss": total, "identity_loss": identity, "triplet_loss": triplet}
        log.steps(row | {"images_per_s": images_per_s * self.world_size, "train_s": progress.train_s})

    def _evaluate(self, epoch: int, log: TrainLog) -> None:
        self.scores = self.validator.scores(self.model)
        self.network.train()
        place = {"step": self.progress.step, "epoch": epoch, "train_s": self.progress.train_s}
        log.evaluation(place | self.scores)

    def _save(self) -> None:
        if self.rank == 0:
            self.state.save(self.config.run.output / "last.pt", self.progress)

    def _train_store(self) -> CropStore:
        data, run = self.config.data, self.config.run
        size = self.config.model.image_size
        return CropStore(self.dataset.train, size, "bicubic", data.cache_gb * GIGABYTE, run.threads)


def _model(config: TrainingConfig, side: SideTable, num_identities: int) -> TransReID:
    model = TransReID(config.model.network(side, num_identities), drop_path=config.model.drop_path)
    if config.model.imagenet:
        load_imagenet(model, config.model.imagenet)
    elif config.model.checkpoint:
        _load_weights(model, config.model.checkpoint)
    use_head(model, config.loss.head, config.loss.scale, config.loss.head_margin)
    freeze_unused(model)
    return model


def _load_weights(model: TransReID, path: Path) -> None:
    """Start from a re-identification checkpoint: classifiers stay new, everything else that is used must
    fit."""
    tensors = read_checkpoint(path).tensors
    kept = {key: value for key, value in tensors.items() if not key.startswith("classifier")}
    load_exactly(model, kept, name=str(path), optional=("classifier", *unused_prefixes(model.config)))


def freeze_unused(model: TransReID) -> None:
    """Parameters that no loss reaches need no gradient (and would stall a distributed run)."""
    unused = unused_prefixes(model.config)
    for name, parameter in model.named_parameters():
        if name.startswith(unused):
            parameter.requires_grad_(False)


def _wrapped(model: TransReID, config: TrainingConfig, world_size: int, device: torch.device) -> nn.Module:
    network: nn.Module = torch.compile(model) if config.run.compile else model  # type: ignore[assignment]
    if world_size == 1:
        return network
    return DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)


def _float(outputs: list[Tensor]) -> list[Tensor]:
    return [output.float() for output in outputs]


def _rank_and_world_size() -> tuple[int, int]:
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def _device(config: TrainingConfig) -> torch.device:
    wanted = config.run.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ValueError("run.device: cuda is not available here")
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def _process_group(config: TrainingConfig) -> Iterator[None]:
    """Joins the processes started by ``torchrun`` for as long as the block runs; nothing for a single
    process."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    device = _device(config)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()
