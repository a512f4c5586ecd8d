"""Checkpoints: what loads, what is inferred, and what is said about what does not fit."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reid import CheckpointError, TransReID, TransReIDConfig, load_checkpoint, load_imagenet, save_checkpoint
from reid.inference import infer_config
from reid.pretrained import resize_position

SMALL = TransReIDConfig(
    image_size=(64, 32), embed_dim=64, depth=2, num_heads=4, num_cameras=3, jpm=True, shift=2, num_classes=5
)
IMAGES = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(1))


def embed(model: TransReID) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IMAGES, camera=[0, 2])


@pytest.fixture(scope="module")
def model() -> TransReID:
    torch.manual_seed(0)
    return TransReID(SMALL).eval()


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
def test_our_files_load_without_a_word(model: TransReID, tmp_path: Path, name: str) -> None:
    save_checkpoint(model, tmp_path / name)
    loaded = load_checkpoint(tmp_path / name)
    assert loaded.config == replace(SMALL, num_classes=0)
    assert not loaded.training
    torch.testing.assert_close(embed(loaded), embed(model), rtol=0, atol=0)


def test_single_fields_override_a_stored_config(model: TransReID, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path / "model.pth", epoch=3)
    assert load_checkpoint(tmp_path / "model.pth", neck="after").config.neck == "after"
    with pytest.raises(ValueError, match="not both"):
        load_checkpoint(tmp_path / "model.pth", SMALL, neck="after")


def test_bare_and_parallel_state_dicts_load(model: TransReID, tmp_path: Path) -> None:
    torch.save(
        {f"module.{key}": value for key, value in model.state_dict().items()},
        tmp_path / "transformer_120.pth",
    )
    loaded = load_checkpoint(tmp_path / "transformer_120.pth", SMALL)
    torch.testing.assert_close(embed(loaded), embed(model), rtol=0, atol=0)


def test_what_no_embedding_reads_may_be_missing(model: TransReID) -> None:
    unread = ("classifier", "base.fc.", "base.blocks.1.", "base.norm.")
    state = {key: value for key, value in model.state_dict().items() if not key.startswith(unread)}
    torch.testing.assert_close(embed(load_checkpoint(state, SMALL)), embed(model), rtol=0, atol=0)


def test_everything_that_does_not_fit_is_said_at_once(model: TransReID) -> None:
    state = model.state_dict()
    state["base.cls_tokens"] = state.pop("base.cls_token")
    state["b1.1.weight"] = torch.zeros(7)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(state, SMALL)
    message = str(caught.value)
    assert "1 missing: base.cls_token" in message
    assert "1 unexpected: base.cls_tokens" in message
    assert "b1.1.weight is (7,) where the network has (64,)" in message


class _Payload:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("code ran",)


def test_files_that_could_run_code_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"base.cls_token": _Payload()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="can run code and are refused"):
        load_checkpoint(tmp_path / "evil.pth")
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
def test_broken_and_missing_files_name_themselves(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=name):
        load_checkpoint(tmp_path / name)
    (tmp_path / name).write_bytes(b"PK\x03\x04 not at all")
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"hello world\n", b"<!DOCTYPE html>", bytes(range(256))])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_bytes_that_are_no_checkpoint_name_their_file(tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"odd{suffix}").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"odd{suffix}: not a readable checkpoint"):
        load_checkpoint(tmp_path / f"odd{suffix}")


def test_other_trainers_entries_beside_the_weights_are_not_ours(model: TransReID, tmp_path: Path) -> None:
    content = {"state_dict": model.state_dict(), "config": {"MODEL": 1}, "input": {"size": 3}, "epoch": 120}
    torch.save(content, tmp_path / "theirs.pth")
    assert load_checkpoint(tmp_path / "theirs.pth", SMALL).config == replace(SMALL, num_classes=0)


def test_a_file_of_something_else_says_so(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other.pth: not a TransReID checkpoint"):
        load_checkpoint(tmp_path / "other.pth")


def official_shapes(reference: Path, name: str) -> dict[str, tuple[int, ...]]:
    published = json.loads((reference / "transreid_fixtures" / "state_dict_keys.json").read_text())
    return {key: tuple(shape) for key, shape in published[name].items() if not key.startswith("classifier")}


def test_published_files_need_no_config(reference: Path) -> None:
    base = TransReIDConfig.named("vit_base")
    full = replace(base, stride=(12, 12), jpm=True)
    expected = {
        "market_vit_base_s16_256x128": base,
        "market_vit_transreid_stride12_256x128": replace(full, num_cameras=6),
        "market_vit_transreid_stride12_384x128": replace(full, num_cameras=6, image_size=(384, 128)),
        "msmt_vit_transreid_stride12_256x128": replace(full, num_cameras=15),
        "occduke_vit_transreid_stride11_256x128": replace(full, num_cameras=8, stride=(11, 11)),
        "veri_vit_base_s16_256x256": replace(base, image_size=(256, 256), shift=8),
        "vehicleid_vit_transreid_stride12_256x256": replace(full, image_size=(256, 256), shift=8),
        "msmt_vit_small_s16_256x128": TransReIDConfig.named("vit_small"),
        "msmt_deit_small_s16_256x128": TransReIDConfig.named("deit_small"),
    }
    for name, config in expected.items():
        assert infer_config(official_shapes(reference, name)) == config, name


def test_a_camera_and_view_table_cannot_be_split_by_guessing(reference: Path) -> None:
    shapes = official_shapes(reference, "veri_vit_transreid_stride12_256x256")
    veri = infer_config(shapes)
    assert (veri.num_cameras, veri.num_views, veri.shift, veri.stride) == (20, 8, 8, (12, 12))
    shapes["base.sie_embed"] = (24, 1, 768)
    with pytest.raises(ValueError, match=r"24 rows.*say num_cameras and num_views"):
        infer_config(shapes)
    told = infer_config(shapes, num_cameras=6, num_views=4)
    assert (told.num_cameras, told.num_views) == (6, 4)


def test_any_stride_is_read_off_a_known_image_size(reference: Path) -> None:
    shapes = official_shapes(reference, "msmt_deit_small_s16_256x128")
    for step in (16, 12, 9, 8):
        patches = ((256 - 16) // step + 1) * ((128 - 16) // step + 1)
        shapes["base.pos_embed"] = (1, patches + 1, 384)
        assert infer_config(shapes, image_size=(256, 128)).stride == (step, step)


def test_what_cannot_be_inferred_is_named(model: TransReID) -> None:
    state = {key: value for key, value in model.state_dict().items() if key != "base.sie_embed"}
    with pytest.raises(CheckpointError, match="8 patches"):
        load_checkpoint(state)
    narrow = TransReID(TransReIDConfig(embed_dim=96, depth=1, num_heads=4)).state_dict()
    with pytest.raises(CheckpointError, match="num_heads cannot be read from a width of 96"):
        load_checkpoint(narrow)
    assert load_checkpoint(narrow, num_heads=4).config.num_heads == 4


def test_position_resize_is_that_of_the_reference(reference: Path) -> None:
    folder = reference / "transreid_fixtures"
    truth = np.load(folder / "pos_embed_resize.npz")
    for case in json.loads((folder / "pos_embed_resize.json").read_text()):
        source = case["scale"] * np.random.RandomState(case["seed"]).standard_normal(case["src_shape"])
        resized = resize_position(torch.from_numpy(source.astype(np.float32)), tuple(case["out_grid"]))
        np.testing.assert_allclose(resized, truth[f"out_{case['index']}"], atol=1e-5)


def imagenet_state(dim: int = 64, depth: int = 2, rows: int = 17) -> dict[str, torch.Tensor]:
    """A timm-like file: 4x4 grid, classifier head, optionally a distillation row."""
    torch.manual_seed(3)
    donor = TransReID(TransReIDConfig(image_size=(64, 64), embed_dim=dim, depth=depth, num_heads=4))
    state = {
        key: torch.randn_like(value) for key, value in donor.base.state_dict().items() if key[:3] != "fc."
    }
    state["pos_embed"] = torch.randn(1, rows, dim)
    return {**state, "head.weight": torch.zeros(10, dim), "pre_logits.fc.weight": torch.zeros(dim, dim)}


def test_imagenet_weights_reach_the_backbone_and_both_branches() -> None:
    model, state = TransReID(SMALL), imagenet_state()
    side = model.base.sie_embed.clone()
    load_imagenet(model, {"model": state})
    for branch in (model.b1, model.b2):
        torch.testing.assert_close(branch[0].mlp.fc1.weight, state["blocks.1.mlp.fc1.weight"])
        torch.testing.assert_close(branch[1].weight, state["norm.weight"])
    assert model.b1[0].mlp.fc1.weight.data_ptr() != model.b2[0].mlp.fc1.weight.data_ptr()
    torch.testing.assert_close(model.base.sie_embed, side)
    torch.testing.assert_close(model.base.pos_embed, resize_position(state["pos_embed"], (4, 2)))


def test_distilled_files_are_told_by_shape_not_by_name() -> None:
    plain, distilled = TransReID(SMALL), TransReID(SMALL)
    state = imagenet_state()
    position = torch.cat(
        [state["pos_embed"][:, :1], torch.full((1, 1, 64), 9.0), state["pos_embed"][:, 1:]], dim=1
    )
    extra = {
        "pos_embed": position,
        "dist_token": torch.zeros(1, 1, 64),
        "head_dist.weight": torch.zeros(10, 64),
    }
    load_imagenet(plain, state)
    load_imagenet(distilled, {**state, **extra})
    torch.testing.assert_close(plain.base.pos_embed, distilled.base.pos_embed)


def test_linear_patch_weights_become_a_convolution() -> None:
    model, state = TransReID(SMALL), imagenet_state()
    flat = {**state, "patch_embed.proj.weight": state["patch_embed.proj.weight"].flatten(1)}
    load_imagenet(model, flat)
    torch.testing.assert_close(model.base.patch_embed.proj.weight, state["patch_embed.proj.weight"])


def test_torchvision_files_load_and_give_the_same_network() -> None:
    from torchvision.models import VisionTransformer

    torch.manual_seed(5)
    donor = VisionTransformer(
        image_size=64, patch_size=16, num_layers=2, num_heads=4, hidden_dim=64, mlp_dim=256, num_classes=3
    ).eval()
    model = TransReID(TransReIDConfig(image_size=(64, 64), embed_dim=64, depth=2, num_heads=4)).eval()
    load_imagenet(model, donor.state_dict())
    images = torch.randn(2, 3, 64, 64)
    donor.heads = torch.nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(model(images), donor(images), rtol=1e-4, atol=1e-5)


def test_imagenet_files_that_do_not_fit_say_everything() -> None:
    state = imagenet_state(depth=3)
    state["norm.weight"] = torch.zeros(5)
    del state["cls_token"]
    with pytest.raises(CheckpointError) as caught:
        load_imagenet(TransReID(SMALL), state)
    message = str(caught.value)
    assert "1 missing: cls_token" in message
    assert "12 unexpected: blocks.2.attn.proj.bias" in message
    assert "norm.weight is (5,)" in message
    with pytest.raises(CheckpointError, match="neither 1 nor 2 more than a square grid"):
        load_imagenet(TransReID(SMALL), {**imagenet_state(), "pos_embed": torch.zeros(1, 12, 64)})


def test_a_stored_config_survives_as_plain_values(model: TransReID, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path / "model.pth")
    stored = torch.load(tmp_path / "model.pth", weights_only=True)["config"]
    assert TransReIDConfig.from_dict(stored) == SMALL
    assert stored == asdict(SMALL)
