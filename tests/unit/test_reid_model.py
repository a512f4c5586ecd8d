"""The network against the official implementation's numbers, and its refusals."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid import TransReID, TransReIDConfig, load_checkpoint

TINY = TransReIDConfig(image_size=(64, 32), embed_dim=32, depth=2, num_heads=4, num_classes=5)


def recipe(reference: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "fixture_lib", reference / "transreid_fixtures" / "fixture_lib.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cases(reference: Path) -> list[dict[str, Any]]:
    return json.loads((reference / "transreid_fixtures" / "models" / "manifest.json").read_text())["cases"]


def config_of(case: dict[str, Any], neck: str = "before") -> TransReIDConfig:
    arch = case["arch"]
    settings: dict[str, Any] = {
        "image_size": case["img_size"],
        "stride": case["stride"],
        "num_cameras": case["num_cameras"] if case["sie_camera"] else 0,
        "num_views": case["num_views"] if case["sie_view"] else 0,
        "sie_coefficient": case["sie_coe"],
        "jpm": case["jpm"],
        "shift": case["shift_num"],
        "groups": case["shuffle_group"],
        "divide_length": case["divide_length"],
        "rearrange": case["re_arrange"],
        "num_classes": case["num_classes"],
        "neck": neck,
    }
    return (
        TransReIDConfig.named(arch, **settings)
        if isinstance(arch, str)
        else TransReIDConfig(**arch, **settings)
    )


def state_of(lib: ModuleType, case: dict[str, Any]) -> dict[str, torch.Tensor]:
    arrays = lib.make_state(case["keys"], case["weight_seed"])
    assert {key: lib.crc(array) for key, array in arrays.items()} == case["key_crc32"]
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


def images_of(lib: ModuleType, case: dict[str, Any]) -> torch.Tensor:
    images = lib.make_images((case["batch"], 3, *case["img_size"]), case["image_seed"])
    assert lib.crc(images) == case["image_crc32"]
    return torch.from_numpy(images)


def check_case(reference: Path, case: dict[str, Any]) -> None:
    lib, folder = recipe(reference), reference / "transreid_fixtures" / "models"
    truth = np.load(folder / f"{case['name']}.npz")
    state, images = state_of(lib, case), images_of(lib, case)
    for neck in ("before", "after"):
        model = load_checkpoint(state, config_of(case, neck))
        with torch.no_grad():
            single = model(images, camera=case["cam"], view=case["view"]).numpy()
            double = model.double()(images.double(), camera=case["cam"], view=case["view"]).numpy()
        expected = truth[f"feat_{neck}_f64"]
        np.testing.assert_allclose(double, expected, rtol=0, atol=1e-10)
        limit = 2e-5 if neck == "before" else 1e-4 * (1 + np.abs(expected))
        assert single.shape == (case["batch"], case["feature_dim"])
        assert np.all(np.abs(single - expected) < limit)


def test_small_networks_give_the_reference_features(reference: Path) -> None:
    for case in cases(reference):
        if not isinstance(case["arch"], str):
            check_case(reference, case)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["vit_small", "vit_base", "deit_small"])
def test_official_networks_give_the_reference_features(reference: Path, arch: str) -> None:
    for case in cases(reference):
        if case["arch"] == arch:
            check_case(reference, case)


def test_intermediate_tokens_are_those_of_the_reference(reference: Path) -> None:
    lib, folder = recipe(reference), reference / "transreid_fixtures" / "models"
    seen = 0
    for case in cases(reference):
        if not case["intermediates"]:
            continue
        truth, model = (
            np.load(folder / f"{case['name']}.npz"),
            load_checkpoint(state_of(lib, case), config_of(case)),
        )
        with torch.no_grad():
            side = model.side_vectors(case["batch"], case["cam"], case["view"])
            tokens = model.base.tokens(images_of(lib, case), side)
            trunk = model.base.trunk(tokens)[:1]
        np.testing.assert_allclose(tokens[:1], truth["tokens_in"], atol=2e-5)
        np.testing.assert_allclose(trunk, truth["tokens_pre_last"], atol=2e-5)
        for index, part in enumerate(model.config.parts() if case["jpm"] else (), start=1):
            np.testing.assert_allclose(trunk[:, [0, *part]], truth[f"part{index}_in"], atol=2e-5)
        seen += 1
    assert seen


def test_keys_are_the_official_ones(reference: Path) -> None:
    for case in cases(reference):
        if not isinstance(case["arch"], str):
            own = {key: list(value.shape) for key, value in TransReID(config_of(case)).state_dict().items()}
            assert own == case["keys"]


def official_configs() -> dict[str, TransReIDConfig]:
    vit = TransReIDConfig.named("vit_base")
    stride12 = replace(vit, stride=(12, 12))
    vehicle = replace(stride12, image_size=(256, 256), jpm=True, shift=8)
    return {
        "market_vit_base_s16_256x128": replace(vit, num_classes=751),
        "market_vit_sie_s16_256x128": replace(vit, num_cameras=6, num_classes=751),
        "market_vit_jpm_s16_256x128": replace(vit, jpm=True, num_classes=751),
        "market_vit_transreid_s16_256x128": replace(vit, jpm=True, num_cameras=6, num_classes=751),
        "market_vit_transreid_stride12_256x128": replace(stride12, jpm=True, num_cameras=6, num_classes=751),
        "market_vit_transreid_stride12_384x128": replace(
            stride12, image_size=(384, 128), jpm=True, num_cameras=6, num_classes=751
        ),
        "msmt_vit_transreid_stride12_256x128": replace(stride12, jpm=True, num_cameras=15, num_classes=1041),
        "duke_vit_transreid_stride12_256x128": replace(stride12, jpm=True, num_cameras=8, num_classes=702),
        "occduke_vit_transreid_stride11_256x128": replace(
            vit, stride=(11, 11), jpm=True, num_cameras=8, num_classes=702
        ),
        "veri_vit_transreid_stride12_256x256": replace(vehicle, num_cameras=20, num_views=8, num_classes=576),
        "veri_vit_base_s16_256x256": replace(vit, image_size=(256, 256), num_classes=576),
        "vehicleid_vit_transreid_stride12_256x256": replace(vehicle, num_classes=13164),
        "msmt_vit_small_s16_256x128": TransReIDConfig.named("vit_small", num_classes=1041),
        "msmt_deit_small_s16_256x128": TransReIDConfig.named("deit_small", num_classes=1041),
    }


def test_published_configurations_have_the_published_keys(reference: Path) -> None:
    published = json.loads((reference / "transreid_fixtures" / "state_dict_keys.json").read_text())
    assert set(published) == set(official_configs())
    for name, config in official_configs().items():
        with torch.device("meta"):
            own = {key: list(value.shape) for key, value in TransReID(config).state_dict().items()}
        assert own == published[name], name


def test_training_mode_returns_scores_and_features_global_first() -> None:
    config = replace(TINY, jpm=True, num_cameras=3, shift=2)
    model = TransReID(config, drop_path=0.5)
    scores, features = model(torch.randn(4, 3, 64, 32), camera=torch.tensor([0, 1, 2, 0]))
    assert [tuple(x.shape) for x in scores] == [(4, 5)] * 5
    assert [tuple(x.shape) for x in features] == [(4, 32)] * 5
    torch.cat(scores).sum().backward()
    assert model.base.norm.weight.grad is None
    assert not model.bottleneck.bias.requires_grad
    assert model.base.sie_embed.grad.abs().sum() > 0


def test_single_feature_without_jpm_is_a_list_too() -> None:
    scores, features = TransReID(TINY)(torch.randn(2, 3, 64, 32))
    assert len(scores) == len(features) == 1


def test_the_cls_shortcut_equals_the_whole_block() -> None:
    torch.manual_seed(0)
    block = TransReID(TINY).base.last_block().double().eval()
    tokens = torch.randn(3, 9, 32, dtype=torch.float64)
    parts = [torch.tensor([0, 3, 5]), torch.tensor([0, 1, 2, 8, 8])]
    torch.testing.assert_close(block.cls_rows(tokens)[:, 0], block(tokens)[:, 0])
    rows = block.cls_rows(tokens, torch.stack([part.bincount(minlength=9) for part in parts]).double().log())
    for index, part in enumerate(parts):
        torch.testing.assert_close(rows[:, index], block(tokens[:, part])[:, 0])


def test_camera_and_view_share_one_table_camera_major() -> None:
    model = TransReID(replace(TINY, num_cameras=3, num_views=2)).eval()
    rows = 3.0 * model.base.sie_embed[:, 0]
    got = model.side_vectors(2, camera=[2, 0], view=[1, 0])
    torch.testing.assert_close(got, rows[[5, 0]])


def test_mean_and_off_are_the_average_row_and_nothing() -> None:
    model = TransReID(replace(TINY, num_cameras=3)).eval()
    images = torch.randn(2, 3, 64, 32)
    vectors = model.side_vectors(3, camera=[1, "mean", "off"], view=None)
    rows = 3.0 * model.base.sie_embed[:, 0]
    torch.testing.assert_close(vectors, torch.stack([rows[1], rows.mean(0), torch.zeros(32)]))
    torch.testing.assert_close(model(images, camera="off"), model.embedding(model.features(images)))


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        (-1, "camera -1: the table has 3 cameras, 0 to 2"),
        ([0, 3], "camera 3: the table has 3 cameras"),
        (None, "each image needs its camera id"),
        ([0, 1, 2], "expected 2 ids"),
        (torch.tensor([0.0, 1.0]), "whole numbers"),
        ("none", "'mean' or 'off'"),
        (["mean", 3], "3 rows, 0 to 2"),
    ],
)
def test_bad_cameras_are_refused(camera: Any, message: str) -> None:
    model = TransReID(replace(TINY, num_cameras=3)).eval()
    with pytest.raises(ValueError, match=message):
        model(torch.randn(2, 3, 64, 32), camera=camera)


def test_a_network_without_side_information_ignores_the_camera() -> None:
    model, images = TransReID(TINY).eval(), torch.randn(2, 3, 64, 32)
    torch.testing.assert_close(model(images, camera=7, view=1), model(images))


def test_hidden_widths_are_rounded_down_and_read_back_exactly() -> None:
    assert replace(TINY, embed_dim=36, mlp_ratio=3.3).mlp_width == 118
    for width in range(1, 200):
        assert replace(TINY, embed_dim=36, mlp_ratio=width / 36).mlp_width == width


def test_no_images_give_no_embeddings() -> None:
    model = TransReID(replace(TINY, num_cameras=3)).eval()
    assert model(torch.zeros(0, 3, 64, 32), camera=[]).shape == (0, 32)


def test_wrong_image_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected shape \(2, 3, 64, 32\), got \(2, 3, 32, 64\)"):
        TransReID(TINY).eval()(torch.randn(2, 3, 32, 64))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_cameras": 1}, "num_cameras: side information needs at least two cameras"),
        ({"num_views": 1, "num_cameras": 4}, "num_views: side information needs at least two views"),
        ({"num_cameras": -1}, "num_cameras: expected 0"),
        ({"jpm": True, "shift": 0}, "shift: expected 1 to 8"),
        ({"jpm": True, "shift": 9}, "shift: expected 1 to 8"),
        ({"jpm": True, "groups": 3, "stride": (16, 12)}, None),
        ({"jpm": True, "groups": 5}, "groups: 5 divides neither 8 patches nor one more"),
        ({"jpm": True, "divide_length": 9}, "divide_length"),
        ({"num_heads": 5}, "num_heads: 5 does not divide embed_dim 32"),
        ({"image_size": (8, 8)}, "smaller than one 16 px patch"),
        ({"stride": (0, 1)}, "stride: expected positive"),
        ({"neck": "middle"}, "neck: expected 'before' or 'after'"),
        ({"depth": "12"}, "depth: expected a whole number, got '12'"),
        ({"num_heads": 4.0}, "num_heads: expected a whole number"),
        ({"mlp_ratio": 0}, "mlp_ratio: 0 leaves no hidden units"),
        ({"qk_scale": "768**-0.5"}, "qk_scale: expected a number"),
        ({"jpm": "no"}, "jpm: expected true or false"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert replace(TINY, **changes).num_patches == 8
        return
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


def described(
    config: TransReIDConfig, state: dict[str, torch.Tensor], images: torch.Tensor, rows: Any
) -> Any:
    """The paper's network spelled out, with no short cut: what `TransReID` must equal for any config."""
    functional = torch.nn.functional

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))

    def block(name: str, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, dim = x.shape
        qkv = linear(f"{name}.attn.qkv", norm(f"{name}.norm1", x))
        q, k, v = qkv.view(batch, tokens, 3, config.num_heads, -1).permute(2, 0, 3, 1, 4)
        scale = (dim // config.num_heads) ** -0.5 if config.qk_scale is None else config.qk_scale
        mixed = (scale * q @ k.transpose(-1, -2)).softmax(dim=-1) @ v
        x = x + linear(f"{name}.attn.proj", mixed.transpose(1, 2).reshape(batch, tokens, dim))
        hidden = functional.gelu(linear(f"{name}.mlp.fc1", norm(f"{name}.norm2", x)))
        return x + linear(f"{name}.mlp.fc2", hidden)

    weight, bias = (state[f"base.patch_embed.proj.{name}"] for name in ("weight", "bias"))
    patches = functional.conv2d(images, weight, bias, config.stride).flatten(2).transpose(1, 2)
    x = torch.cat([state["base.cls_token"].expand(len(images), -1, -1), patches], dim=1)
    x = x + state["base.pos_embed"]
    if rows is not None:
        x = x + config.sie_coefficient * state["base.sie_embed"][rows]
    for index in range(config.depth - 1):
        x = block(f"base.blocks.{index}", x)
    if not config.jpm:
        features = [norm("base.norm", block(f"base.blocks.{config.depth - 1}", x))[:, 0]]
    else:
        features = [norm("b1.1", block("b1.0", x))[:, 0]]
        local, count = x[:, 1:], x.shape[1] - 1
        if config.rearrange:
            local = local.roll(1 - config.shift, dims=1)
            if count % config.groups:
                local = torch.cat([local, local[:, -2:-1]], dim=1)
            local = local.unflatten(1, (config.groups, -1)).transpose(1, 2).flatten(1, 2)
        length = count // config.divide_length
        for part in range(4):
            tokens = torch.cat([x[:, :1], local[:, part * length : (part + 1) * length]], dim=1)
            features.append(norm("b2.1", block("b2.0", tokens))[:, 0])
    if config.neck == "after":
        for index, suffix in enumerate(("", "_1", "_2", "_3", "_4")[: len(features)]):
            neck = {key: state[f"bottleneck{suffix}.{key}"] for key in ("running_mean", "running_var")}
            scale, shift = state[f"bottleneck{suffix}.weight"], state[f"bottleneck{suffix}.bias"]
            features[index] = functional.batch_norm(features[index], **neck, weight=scale, bias=shift)
    return torch.cat([features[0], *(feature / 4 for feature in features[1:])], dim=1)


SHAPES = st.fixed_dictionaries(
    {
        "image_size": st.tuples(st.integers(48, 90), st.integers(32, 64)),
        "stride": st.tuples(st.integers(8, 20), st.integers(8, 16)),
        "embed_dim": st.sampled_from([12, 24, 36]),
        "depth": st.integers(1, 3),
        "num_heads": st.sampled_from([1, 2, 3, 6]),
        "mlp_ratio": st.sampled_from([1.0, 2.5, 3.0, 4.0]),
        "qkv_bias": st.booleans(),
        "qk_scale": st.sampled_from([None, 0.3, 36**-0.5]),
        "num_cameras": st.sampled_from([0, 2, 5]),
        "num_views": st.sampled_from([0, 2, 3]),
        "sie_coefficient": st.sampled_from([0.5, 3.0]),
        "jpm": st.booleans(),
        "shift": st.integers(1, 4),
        "groups": st.sampled_from([1, 2, 3]),
        "divide_length": st.integers(2, 4),
        "rearrange": st.booleans(),
        "num_classes": st.sampled_from([0, 7]),
        "neck": st.sampled_from(["before", "after"]),
    }
)


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.integers(0, 2**31))
def test_any_configuration_is_the_network_described(shape: dict[str, Any], seed: int) -> None:
    try:
        config = TransReIDConfig(**shape)
    except ValueError as error:
        assert str(error).partition(":")[0] in ("shift", "groups", "divide_length")
        return
    draw = torch.Generator().manual_seed(seed)
    state = {
        key: torch.rand(value.shape, generator=draw, dtype=torch.float64) + (0.1 if "var" in key else -0.5)
        for key, value in TransReID(config).state_dict().items()
    }
    model = load_checkpoint({key: value.float() for key, value in state.items()}, config).double()
    state = {key: value.float().double() for key, value in state.items()}
    images = torch.rand((2, 3, *config.image_size), generator=draw, dtype=torch.float64)
    camera, view = (
        torch.randint(max(n, 1), (2,), generator=draw) for n in (config.num_cameras, config.num_views)
    )
    rows = camera * max(config.num_views, 1) + view if config.num_sie_rows else None
    with torch.no_grad():
        torch.testing.assert_close(
            model(images, camera=camera, view=view),
            described(config, state, images, rows),
            rtol=1e-9,
            atol=1e-9,
        )
