"""Side information for a camera the checkpoint never saw, estimated from unlabelled crops of it.

A row of the SIE table makes features of one person agree across cameras, so with the right row a new camera's features
are distributed as those of the training cameras were. What that distribution is, every checkpoint tells: its BNNecks
hold the mean and variance of every feature over the training set. The mismatch of a row is the Kullback-Leibler
divergence from the crops' features to these, both taken as normal and independent per dimension, averaged over
dimensions and necks (nats per dimension). The best row is the one with the smallest mismatch; a new row starts there
and descends the same mismatch by gradient. Neither labels nor training images are needed. Matching stored
batch-normalisation statistics without source data is from Ishii and Sugiyama (arXiv 2101.10842).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, autograd, nn

from reid.checkpoint import build_network, read_checkpoint, save_checkpoint
from reid.image_files import read_crop
from reid.preprocess import InputForm, prepare
from reid.sie import SieRow
from reid.transreid import TransReID

MIN_CROPS = 16
"""Fewer say too little about a distribution of features."""


@dataclass(frozen=True, slots=True)
class FitConfig:
    """How a new row is searched.

    Attributes:
        steps: gradient steps; 0 only ranks what the table has.
        lr: of Adam, in units of the rows' own spread.
        pull: weight of the squared distance to the starting row, in units of the rows' own spread.
        batch_size: crops per forward pass and per gradient step.
        seed: draws the batches.
    """

    steps: int = 40
    lr: float = 0.1
    pull: float = 0.01
    batch_size: int = 64
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SieFit:
    """What the crops say about a new camera.

    Attributes:
        mismatch: nats per dimension by row of the table, ``"mean"`` and ``"off"``.
        best: the entry of ``mismatch`` that is smallest.
        row: ``(D,)`` the new row, as ``base.sie_embed`` holds them (before lambda).
        row_mismatch: its mismatch.
    """

    mismatch: dict[SieRow, float]
    best: SieRow
    row: Tensor
    row_mismatch: float


def fit_sie(model: TransReID, images: Tensor, config: FitConfig | None = None) -> SieFit:
    """Rank the rows of ``model`` for a new camera and estimate a new one.

    Args:
        model: a network with side information; its parameters are left as they are.
        images: ``(N, 3, H, W)`` prepared crops of the new camera, many people, N >= `MIN_CROPS`.
        config: the search.

    Raises:
        ValueError: a network without side information, or too few crops.
    """
    config = config or FitConfig()
    if model.base.sie_embed is None:
        raise ValueError("this network has no side information, so there is no row to estimate")
    if len(images) < MIN_CROPS:
        raise ValueError(f"estimating a row needs at least {MIN_CROPS} crops, got {len(images)}")
    model.eval()
    table = model.sie_table().detach()
    names: list[SieRow] = [*range(len(table) - 2), "mean", "off"]
    found = {name: mismatch(model, images, side, config) for name, side in zip(names, table, strict=True)}
    best = min(found, key=lambda name: found[name])
    side = _descend(model, images, table[names.index(best)], config)
    fitted = mismatch(model, images, side, config)
    return SieFit(found, best, side / model.config.sie_coefficient, fitted)


@torch.no_grad()
def mismatch(model: TransReID, images: Tensor, side: Tensor, config: FitConfig) -> float:
    """Divergence of the features of ``images`` under ``side`` ``(D,)`` (already times lambda), nats per dimension."""
    batches = [_features(model, batch, side) for batch in torch.split(images, config.batch_size)]
    return float(_divergence(model, [torch.cat(parts) for parts in zip(*batches, strict=True)]))


def _features(model: TransReID, images: Tensor, side: Tensor) -> list[Tensor]:
    device = side.device
    return model.features(images.to(device), side.expand(len(images), -1))


def _divergence(model: TransReID, features: Sequence[Tensor]) -> Tensor:
    """KL divergence from the features' statistics to those the necks hold, per dimension, over all necks."""
    divergences = []
    for suffix, values in zip(model.suffixes(), features, strict=True):
        neck = model.get_submodule(f"bottleneck{suffix}")
        assert (
            isinstance(neck, nn.BatchNorm1d)
            and neck.running_mean is not None
            and neck.running_var is not None
        )
        variance = values.var(dim=0, unbiased=True) + neck.eps
        expected = neck.running_var + neck.eps
        ratio = variance / expected
        offset = (values.mean(dim=0) - neck.running_mean).square() / expected
        divergences.append(0.5 * (ratio + offset - 1 - ratio.log()).mean())
    return torch.stack(divergences).mean()


def _descend(model: TransReID, images: Tensor, start: Tensor, config: FitConfig) -> Tensor:
    """A side vector with a smaller mismatch than ``start``, near it."""
    rows = model.sie_table()[:-2].detach()
    spread = rows.std(dim=0).mean().clamp(min=1e-6)
    move = torch.zeros_like(start, requires_grad=True)
    optimiser = torch.optim.Adam([move], lr=config.lr)
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(config.steps):
        chosen = torch.randperm(len(images), generator=generator)[: config.batch_size]
        side = start + spread * move
        loss = _divergence(model, _features(model, images[chosen], side))
        loss = loss + config.pull * move.square().mean()
        (move.grad,) = autograd.grad(loss, [move])
        optimiser.step()
    return (start + spread * move).detach()


def with_new_camera(model: TransReID, row: Tensor) -> TransReID:
    """A network with one camera more, whose row is ``row`` ``(D,)``: the last one, number ``num_cameras - 1``.

    Raises:
        ValueError: a table that is not of cameras alone; a camera there has one row per view.
    """
    config = model.config
    if not config.num_cameras or config.num_views:
        raise ValueError("a row can be added to a table of cameras only, not to one with views")
    grown = TransReID(replace(config, num_cameras=config.num_cameras + 1))
    state = model.state_dict()
    state["base.sie_embed"] = torch.cat(
        [state["base.sie_embed"], row.reshape(1, 1, -1).to(state["base.sie_embed"])]
    )
    grown.load_state_dict(state)
    return grown.to(model.base.pos_embed.device).eval()


def fit_files(
    checkpoint: str | Path,
    images: Sequence[Path],
    output: str | Path | None = None,
    config: FitConfig | None = None,
    **known: Any,
) -> SieFit:
    """`fit_sie` for crops on disk; with ``output``, write the checkpoint with the new row as its last camera.

    ``known`` are fields of the network that its checkpoint does not show.

    Raises:
        ValueError: as `fit_sie` and `with_new_camera`; a checkpoint or an image that cannot be read.
        FileNotFoundError: no such checkpoint.
    """
    stored = read_checkpoint(checkpoint)
    model = build_network(stored, str(checkpoint), **known)
    form = stored.form or InputForm(model.config.image_size)
    fit = fit_sie(model, torch.from_numpy(prepare([read_crop(path) for path in images], form)), config)
    if output is not None:
        save_checkpoint(with_new_camera(model, fit.row), output, form=form)
    return fit
