"""Exported networks: the same embeddings as torch, any batch, every side-information policy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
import pytest
import torch

from reid import Embedder, InputForm, TransReID, TransReIDConfig
from reid import export as exporting
from reid.backends.torch import TorchBackend
from reid.export import ExportError, export

CONFIG = TransReIDConfig(
    image_size=(64, 32), embed_dim=64, depth=2, num_heads=4, num_cameras=3, jpm=True, shift=2, neck="after"
)
FORM = InputForm((64, 32), mean=(120.0, 110.0, 100.0), scale=(50.0, 60.0, 70.0))
POLICIES = [0, 1, 2, "mean", "off"]


def crops(count: int) -> list[npt.NDArray[np.uint8]]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (70, 30, 3), dtype=np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def model() -> TransReID:
    torch.manual_seed(0)
    model = TransReID(CONFIG).eval()
    for neck in (model.bottleneck, model.bottleneck_3):
        neck.running_mean.normal_()
        neck.running_var.uniform_(0.1, 2.0)
    return model


@pytest.fixture(scope="module")
def full(model: TransReID, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("full") / "net.xml"
    assert export(model, path, form=FORM).min_cosine > 0.99999
    return path


def check_embeds_as_torch(model: TransReID, path: Path, backend: str) -> None:
    original = Embedder(TorchBackend(model, FORM, device="cpu"))
    exported = Embedder.open(path, backend, batch_size=4)
    assert (exported.num_sie_rows, exported.dim, exported.form) == (3, 320, FORM)
    assert exported.model_hash == original.model_hash
    images = crops(5)
    np.testing.assert_allclose(exported.embed(images, POLICIES), original.embed(images, POLICIES), atol=1e-5)
    with pytest.raises(ValueError, match="3 rows"):
        exported.embed(images, 3)


def test_openvino_embeds_as_torch_does(model: TransReID, full: Path) -> None:
    check_embeds_as_torch(model, full, "openvino")


def test_onnx_embeds_as_torch_does(model: TransReID, tmp_path: Path) -> None:
    export(model, tmp_path / "net.onnx", form=FORM)
    check_embeds_as_torch(model, tmp_path / "net.onnx", "onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain.xml", "plain.onnx"])
def test_networks_without_side_information_and_jigsaw_export_too(tmp_path: Path, name: str) -> None:
    plain = TransReID(replace(CONFIG, num_cameras=0, jpm=False, neck="before"))
    export(plain, tmp_path / name)
    exported = Embedder.open(tmp_path / name, "onnx" if name.endswith("onnx") else "openvino")
    np.testing.assert_allclose(exported.embed(crops(3)), Embedder(plain).embed(crops(3)), atol=1e-5)


@pytest.mark.parametrize(("name", "backend"), [("small.xml", "openvino"), ("small.onnx", "onnx")])
def test_int8_weights_are_smaller_and_batches_do_not_matter(tmp_path: Path, name: str, backend: str) -> None:
    torch.manual_seed(0)
    model = TransReID(replace(CONFIG, neck="before")).eval()
    full = sum(value.numel() * 4 for key, value in model.state_dict().items() if "base.fc" not in key)
    export(model, tmp_path / name, form=FORM, precision="int8")
    weights = tmp_path / ("small.bin" if name.endswith("xml") else name)
    assert weights.stat().st_size < 0.75 * full
    small = Embedder.open(tmp_path / name, backend, batch_size=5)
    together = small.embed(crops(5), POLICIES)
    alone = np.concatenate([small.embed([crop], row) for crop, row in zip(crops(5), POLICIES, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    precise = Embedder(TorchBackend(model, FORM, device="cpu")).embed(crops(5), POLICIES)
    assert 0.999 < (together * precise).sum(axis=1).min() < 0.999999


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_precision_the_processor_lacks_is_refused(full: Path, precision: str) -> None:
    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision.upper() in able:
        pytest.skip(f"this processor computes in {precision}")
    with pytest.raises(ValueError, match=f"does not compute in {precision}"):
        Embedder.open(full, "openvino", precision=precision)


@pytest.mark.slow
def test_an_export_too_far_from_torch_is_not_kept(
    model: TransReID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(exporting.MIN_COSINE, "int8", 1.0)
    (tmp_path / "net.xml").write_text("an earlier export")
    with pytest.raises(ExportError, match=r"cosine to torch 0\.9"):
        export(model, tmp_path / "net.xml", precision="int8")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["an earlier export"]


def test_options_that_do_not_go_together(model: TransReID, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ending in \.onnx, or \.xml"):
        export(model, tmp_path / "net.trt")
