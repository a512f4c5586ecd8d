"""Side information for a new camera: the right row is found, a new one fits better, and it can be added."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reid.checkpoint import load_checkpoint, save_checkpoint
from reid.sie_fit import FitConfig, fit_files, fit_sie, with_new_camera
from reid.transreid import TransReID, TransReIDConfig

SHAPE = TransReIDConfig((48, 32), embed_dim=16, depth=2, num_heads=2, jpm=True, shift=2, num_cameras=4)


@pytest.fixture
def network() -> TransReID:
    torch.manual_seed(0)
    model = TransReID(SHAPE).eval()
    assert model.base.sie_embed is not None
    torch.nn.init.normal_(model.base.sie_embed, std=0.5)
    return model


@pytest.fixture
def crops() -> torch.Tensor:
    return torch.rand(64, 3, 48, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def trained_under(model: TransReID, crops: torch.Tensor, side: torch.Tensor) -> None:
    """Give the necks the statistics they would have had the training set been ``crops`` under ``side``."""
    with torch.no_grad():
        for suffix, values in zip(
            model.suffixes(), model.features(crops, side.expand(len(crops), -1)), strict=True
        ):
            neck = model.get_submodule(f"bottleneck{suffix}")
            neck.running_mean, neck.running_var = values.mean(dim=0), values.var(dim=0)


@pytest.mark.parametrize(("code", "name"), [(2, 2), (4, "mean"), (5, "off")])
def test_the_row_that_explains_the_crops_is_the_best(
    network: TransReID, crops: torch.Tensor, code: int, name: object
) -> None:
    trained_under(network, crops, network.sie_table()[code])
    fit = fit_sie(network, crops, FitConfig(steps=0))
    assert fit.best == name
    assert fit.mismatch[fit.best] == pytest.approx(0.0, abs=1e-4)
    assert list(fit.mismatch) == [0, 1, 2, 3, "mean", "off"]
    expected = network.sie_table()[code] / SHAPE.sie_coefficient
    torch.testing.assert_close(fit.row, expected.detach())


def test_a_new_row_explains_what_no_row_does(network: TransReID, crops: torch.Tensor) -> None:
    unseen = torch.randn(16, generator=torch.Generator().manual_seed(2)) * 1.5
    trained_under(network, crops, unseen)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fit = fit_sie(network, crops, FitConfig(steps=60))
    assert fit.row_mismatch < 0.5 * min(fit.mismatch.values())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_the_new_camera_is_the_last_row(network: TransReID, crops: torch.Tensor) -> None:
    row = torch.arange(16.0)
    grown = with_new_camera(network, row)
    assert grown.config.num_cameras == 5
    with torch.no_grad():
        expected = network.embedding(network.features(crops[:3], (3.0 * row).expand(3, -1)))
        torch.testing.assert_close(grown(crops[:3], camera=4), expected)
        torch.testing.assert_close(grown(crops[:3], camera=1), network(crops[:3], camera=1))


def test_what_cannot_be_fitted_is_refused(network: TransReID, crops: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="at least 16 crops, got 15"):
        fit_sie(network, crops[:15])
    with pytest.raises(ValueError, match="no side information"):
        fit_sie(TransReID(replace(SHAPE, num_cameras=0)), crops)
    views = TransReID(replace(SHAPE, num_views=2))
    with pytest.raises(ValueError, match="cameras only"):
        with_new_camera(views, torch.zeros(16))


def test_crops_on_disk_give_a_checkpoint_with_the_new_camera(
    network: TransReID, crops: torch.Tensor, tmp_path: Path
) -> None:
    save_checkpoint(network, tmp_path / "four.safetensors")
    files = [tmp_path / f"{index}.png" for index in range(20)]
    for file, crop in zip(files, crops, strict=False):
        pixels = np.rint((crop.permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8)
        Image.fromarray(pixels).save(file)
    fit = fit_files(tmp_path / "four.safetensors", files, tmp_path / "five.safetensors", FitConfig(steps=2))
    exact = fit_sie(network, crops[:20], FitConfig(steps=2))
    assert list(fit.mismatch.values()) == pytest.approx(list(exact.mismatch.values()), rel=0.02)
    five = load_checkpoint(tmp_path / "five.safetensors")
    assert five.config.num_cameras == 5 and five.base.sie_embed is not None
    assert torch.equal(five.base.sie_embed[4, 0], fit.row)
    with pytest.raises(ValueError, match=r"five\.safetensors: not a readable image"):
        fit_files(tmp_path / "four.safetensors", [tmp_path / "five.safetensors"] * 16)
