"""Crops to unit embeddings: preprocessing, side information by policy, refusals, foreign networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from reid import (
    CheckpointError,
    Embedder,
    EmbeddingError,
    InputForm,
    TransReID,
    TransReIDConfig,
    save_checkpoint,
)
from reid.backends.backend import ModelCard
from reid.backends.int8 import Int8Linear
from reid.image_files import embed_files, find_images
from reid.preprocess import prepare

CONFIG = TransReIDConfig(
    image_size=(64, 32), embed_dim=64, depth=2, num_heads=4, num_cameras=3, jpm=True, shift=2, num_classes=5
)


def crops(count: int = 5) -> list[npt.NDArray[np.uint8]]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (40 + 9 * i, 20 + 5 * i, 3), dtype=np.uint8) for i in range(count)]


@pytest.fixture(scope="module")
def model() -> TransReID:
    torch.manual_seed(0)
    return TransReID(CONFIG).eval()


def test_resize_and_input_are_those_of_the_reference(reference: Path) -> None:
    folder = reference / "transreid_fixtures"
    arrays = np.load(folder / "transforms.npz")
    for case in json.loads((folder / "transforms.json").read_text()):
        bgr = np.ascontiguousarray(arrays[f"rgb_{case['index']}"][..., ::-1])
        ours = prepare([bgr], InputForm(tuple(case["dst_hw"])))[0]
        pixels = arrays[f"test_resized_{case['index']}"].astype(np.float64)
        expected = ((pixels / 255 - 0.5) / 0.5).transpose(2, 0, 1)
        assert np.abs(ours - expected).max() < 2 / 255
        assert np.mean(ours) == pytest.approx(case["normalised_mean"], abs=1e-4)
        if np.abs(ours - expected).max() > 1e-6:
            pytest.fail("this Pillow resizes differently from the reference's")


def test_colour_mean_and_scale_reach_the_right_channels() -> None:
    blue = np.zeros((8, 4, 3), dtype=np.uint8)
    blue[..., 0] = 200
    form = InputForm((8, 4), mean=(10.0, 20.0, 30.0), scale=(1.0, 2.0, 5.0))
    np.testing.assert_allclose(prepare([blue], form)[0, :, 0, 0], [-10.0, -10.0, 34.0])
    np.testing.assert_allclose(prepare([blue], replace(form, colour="bgr"))[0, :, 0, 0], [190.0, -10.0, -6.0])


@pytest.mark.parametrize(
    "crop", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_crop_is_named(crop: npt.NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="crop 1: expected uint8"):
        prepare([np.zeros((4, 4, 3), np.uint8), crop], InputForm((8, 4)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"colour": "hsv"}, "colour"),
        ({"scale": (1.0, 0.0, 1.0)}, "scale"),
        ({"mean": (1.0,)}, "mean: expected 3"),
        ({"image_size": (0, 4)}, "image_size"),
    ],
)
def test_impossible_input_forms_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InputForm(**{"image_size": (8, 4), **settings})


def test_embeddings_are_the_networks_normalised(model: TransReID) -> None:
    embedder = Embedder(model, batch_size=2)
    rows = [0, 2, "mean", "off", 1]
    got = embedder.embed(crops(), rows)
    with torch.no_grad():
        raw = model(torch.from_numpy(prepare(crops(), InputForm((64, 32)))), camera=rows)
    np.testing.assert_allclose(got, torch.nn.functional.normalize(raw), atol=1e-6)
    assert got.dtype == np.float32
    assert got.shape == (5, embedder.dim) == (5, 320)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1.0, atol=1e-6)


def test_every_policy_gives_another_embedding_and_batches_do_not_matter(model: TransReID) -> None:
    crop = crops(1) * 5
    rows = [0, 1, 2, "mean", "off"]
    together = Embedder(model).embed(crop, rows)
    assert len(np.unique(together.round(5), axis=0)) == 5
    alone = np.concatenate([Embedder(model, batch_size=1).embed(crop[:1], row) for row in rows])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(
        Embedder(model).embed(crop, np.array([0, 1, 2, 0, 1]))[:3], together[:3], atol=1e-6
    )


def test_no_crops_is_a_normal_value(model: TransReID) -> None:
    assert Embedder(model).embed([], []).shape == (0, 320)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (3, "sie row 3: the table has 3 rows, 0 to 2"),
        (-1, "sie row -1"),
        ([0, 1], "expected 5, one for each image, got 2"),
        ("average", "'mean' or 'off', got 'average'"),
        (1.5, "expected a number"),
    ],
)
def test_rows_outside_the_table_are_refused(model: TransReID, rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Embedder(model).embed(crops(), [rows] * 5 if isinstance(rows, float) else rows)


def test_a_network_without_a_table_takes_no_row() -> None:
    embedder = Embedder(TransReID(replace(CONFIG, num_cameras=0)))
    assert embedder.num_sie_rows == 0
    assert embedder.embed(crops(2), ["mean", "off"]).shape == (2, 320)
    with pytest.raises(ValueError, match="no SIE table"):
        embedder.embed(crops(2), 0)


def test_nan_embeddings_are_detected(model: TransReID) -> None:
    class Broken:
        card = ModelCard(InputForm((8, 4)), dim=3, num_sie_rows=0, model_hash="")

        def run(
            self, images: npt.NDArray[np.float32], codes: npt.NDArray[np.int64]
        ) -> npt.NDArray[np.float32]:
            raw = np.ones((len(images), 3), dtype=np.float32)
            raw[1] = self.value
            return raw

    for value, word in ((np.nan, "NaN"), (np.inf, "NaN or infinity"), (0.0, "zero")):
        broken = Broken()
        broken.value = value
        with pytest.raises(EmbeddingError, match=f"net: the embedding of crop 1 is {word}"):
            Embedder(broken, name="net").embed(crops(3))


def test_a_checkpoint_opens_with_its_own_input_form(model: TransReID, tmp_path: Path) -> None:
    form = InputForm((64, 32), mean=(123.7, 116.3, 103.5), scale=(58.4, 57.1, 57.4))
    save_checkpoint(model, tmp_path / "imagenet_norm.pth", form=form)
    embedder = Embedder.open(tmp_path / "imagenet_norm.pth", device="cpu", batch_size=3)
    assert (embedder.form, embedder.name, embedder.num_sie_rows) == (form, "imagenet_norm", 3)
    again = Embedder.open(tmp_path / "imagenet_norm.pth", neck="after", form=InputForm((64, 32)))
    assert again.form.mean == (127.5, 127.5, 127.5)
    assert again.model_hash != embedder.model_hash
    assert Embedder.open(tmp_path / "imagenet_norm.pth").model_hash == embedder.model_hash


def test_bf16_stays_close_to_fp32(model: TransReID, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path / "model.pth")
    full = Embedder.open(tmp_path / "model.pth", device="cpu").embed(crops(), "mean")
    half = Embedder.open(tmp_path / "model.pth", device="cpu", precision="bf16").embed(crops(), "mean")
    assert 0.999 < (full * half).sum(axis=1).min() < 1.0


def test_int8_stays_close_to_fp32_and_batches_do_not_matter(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_checkpoint(TransReID(replace(CONFIG, depth=4, stride=(8, 8))), tmp_path / "model.pth")
    full, small = (
        Embedder.open(tmp_path / "model.pth", device="cpu", precision=precision) for precision in ("fp32", "int8")
    )
    rows = [0, 1, 2, "mean", "off"]
    together = small.embed(crops(), rows)
    assert 0.999 < (together * full.embed(crops(), rows)).sum(axis=1).min() < 0.999999
    alone = np.concatenate([small.embed([crop], row) for crop, row in zip(crops(), rows, strict=True)])
    np.testing.assert_array_equal(together, alone)
    assert small.model_hash == full.model_hash
    with pytest.raises(ValueError, match="int8, got 'int4'"):
        Embedder.open(tmp_path / "model.pth", precision="int4")


def test_int8_of_the_sample_network_stays_close_on_people(shared_data: Path) -> None:
    paths = find_images([shared_data / "pku-reid"])[::16]
    weights = Path(__file__).parents[2] / "samples" / "weights" / "transreid-synthetic.safetensors"
    full, small = (
        embed_files(Embedder.open(weights, device="cpu", precision=precision), paths, "mean")
        for precision in ("fp32", "int8")
    )
    assert (full * small).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("bias", [True, False])
def test_int8_layers_are_exact_on_their_integers(bias: bool) -> None:
    """The largest inputs on the largest weights: nothing may overflow, whatever the processor adds them in."""
    torch.manual_seed(1)
    linear = torch.nn.Linear(64, 40, bias=bias)
    with torch.no_grad():
        linear.weight.copy_(torch.distributions.StudentT(3.0).sample((40, 64)))
    layer = Int8Linear(linear)
    pairs = layer.integers.int().unflatten(1, (32, 2))
    assert pairs.clamp(min=0).sum(2).max() <= 128 and (-pairs).clamp(min=0).sum(2).max() <= 128
    assert pairs.abs().max() > 90
    x = torch.where(torch.rand(6, 64) < 0.5, 0.0, 254.0)
    x[0], x[1, 0] = 254.0, 254.0
    for row in x:
        whole = layer.integers.double() @ row.double()
        expected = whole * layer.scale.double() + (0.0 if linear.bias is None else linear.bias.double())
        torch.testing.assert_close(layer(row[None])[0].double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"backend": "tensorrt"}, ValueError, "expected torch, onnx or openvino"),
        ({"precision": "int4"}, ValueError, "precision"),
        ({"device": "gpu7"}, ValueError, "device"),
        ({"backend": "onnx", "neck": "after"}, ValueError, "neck: only a checkpoint takes this"),
        ({"form": InputForm((32, 32))}, ValueError, r"takes \(64, 32\)"),
        ({"backend": "onnx"}, ValueError, "not a readable ONNX file"),
        ({"backend": "openvino"}, ValueError, "not a readable network"),
    ],
)
def test_options_that_do_not_fit_are_named(
    model: TransReID, tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    save_checkpoint(model, tmp_path / "model.pth")
    with pytest.raises(error, match=message):
        Embedder.open(tmp_path / "model.pth", **options)


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        Embedder.open(tmp_path / "nothing.pth")
    (tmp_path / "broken.pth").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="broken"):
        Embedder.open(tmp_path / "broken.pth")


def test_foreign_onnx_networks_run_by_declared_form(shared_data: Path) -> None:
    path = shared_data / "weights" / "osnet_x0_25_msmt17.onnx"
    form = InputForm((256, 128), mean=(123.675, 116.28, 103.53), scale=(58.395, 57.12, 57.375))
    embedder = Embedder.open(path, "onnx", form=form)
    assert embedder.embed(crops()).shape == (5, embedder.dim) == (5, 512)
    same = Embedder.open(path, "openvino", form=form).embed(crops())
    np.testing.assert_allclose(same, embedder.embed(crops()), atol=1e-3)
    with pytest.raises(ValueError, match="needs its input form"):
        Embedder.open(path, "onnx")


def test_foreign_openvino_networks_of_batch_one_run_in_batches(shared_data: Path) -> None:
    folder = shared_data / "weights" / "openvino" / "person-reidentification-retail-0277"
    form = InputForm((256, 128), colour="bgr", mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0))
    embedder = Embedder.open(folder / "person-reidentification-retail-0277.xml", "openvino", form=form)
    together = embedder.embed(crops())
    alone = np.concatenate([embedder.embed([crop]) for crop in crops()])
    assert embedder.dim == 256
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_folder_of_an_openvino_network_stands_for_the_network(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "weights" / "openvino" / "person-reidentification-retail-0277"
    form = InputForm((256, 128), colour="bgr", mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0))
    by_file = Embedder.open(folder / "person-reidentification-retail-0277.xml", "openvino", form=form)
    assert Embedder.open(folder, "openvino", form=form).model_hash == by_file.model_hash
    with pytest.raises(FileNotFoundError, match=r"expected one \.xml in the folder, found 0"):
        Embedder.open(tmp_path, "openvino", form=form)
    with pytest.raises(FileNotFoundError, match=r"no such network \(a folder\)"):
        Embedder.open(tmp_path, "onnx", form=form)
