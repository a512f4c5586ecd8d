"""A checkpoint as ONNX or OpenVINO: images and a camera row in, embeddings out, any batch size.

The SIE table travels inside with two rows more, for the mean and for nothing (:mod:`reid.sie`), so every policy
works without torch. An exported file carries its card: input form, table size and the checkpoint's hash. It
is compared with torch before it takes its place.

``int8`` stores the weights of all linear layers as 8-bit integers with a scale for each output, and quantises
activations while running (dynamic quantisation, arXiv 2206.01861), so no calibration images are needed and an
embedding does not depend on what else is in its batch: OpenVINO takes a scale for each token; ONNX knows one
for each tensor, so that file takes one image at a time and the back end feeds it so. OpenVINO gains where the
processor has int8 dot products (VNNI, AMX), ONNX Runtime on plain AVX2 too.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from reid.backends.backend import CARD_KEY, Backend, ModelCard
from reid.backends.torch import TorchBackend, card_of
from reid.preprocess import InputForm
from reid.transreid import TransReID

__all__ = ["ExportError", "ExportReport", "export"]

MIN_COSINE = {"fp32": 0.99999, "int8": 0.999}
CHECKED_BATCHES = (1, 3)
OPSET = 18


class ExportError(RuntimeError):
    """An exported network that does not give the checkpoint's embeddings; it is not kept."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written and how close it is to torch, over every SIE row, the mean and off.

    Attributes:
        path: the file.
        min_cosine: smallest cosine between an exported and a torch embedding.
        max_difference: largest difference of one number, unit-norm embeddings.
    """

    path: str
    min_cosine: float
    max_difference: float


class _Deployed(nn.Module):
    """The network as it is exported: the extended SIE table looked up by code."""

    def __init__(self, model: TransReID) -> None:
        super().__init__()
        self.model = model
        if model.config.num_sie_rows:
            self.register_buffer("table", model.sie_table().detach())

    def forward(self, images: Tensor, sie_row: Tensor | None = None) -> Tensor:
        side = None if sie_row is None else self.get_buffer("table")[sie_row]
        return self.model.embedding(self.model.features(images, side))


def export(
    model: TransReID,
    path: str | Path,
    *,
    precision: Literal["fp32", "int8"] = "fp32",
    form: InputForm | None = None,
) -> ExportReport:
    """Write a network and check it against torch.

    Args:
        model: the network, on the CPU; put in eval mode.
        path: ``.onnx``, or ``.xml`` for OpenVINO (its ``.bin`` goes beside it).
        precision: of the linear layers.
        form: input form to note in the file; None is TransReID's usual one.

    Raises:
        ValueError: a suffix that does not fit.
        ExportError: the file's embeddings are too far from torch's.
    """
    path = Path(path)
    if path.suffix not in (".onnx", ".xml"):
        raise ValueError(f"{path}: expected a name ending in .onnx, or .xml for OpenVINO")
    card = card_of(model.eval(), form)
    with TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        draft = Path(folder) / path.name
        write = _write_onnx if path.suffix == ".onnx" else _write_openvino
        write(model, card, draft, precision)
        report = _compare(TorchBackend(model, form, device="cpu"), _opened(draft), card, path)
        limit = MIN_COSINE[precision]
        if not report.min_cosine >= limit:
            raise ExportError(f"{path}: cosine to torch {report.min_cosine:.6f}, at least {limit} is needed")
        for suffix in {path.suffix, ".bin"} if path.suffix == ".xml" else {path.suffix}:
            draft.with_suffix(suffix).replace(path.with_suffix(suffix))
    return report


def _example(model: TransReID, batch: int = 2) -> tuple[Tensor, ...]:
    """Inputs to trace with; for any batch size not a batch of one, which would be taken for a constant."""
    images = torch.zeros(batch, 3, *model.config.image_size)
    return (images, torch.zeros(batch, dtype=torch.long)) if model.config.num_sie_rows else (images,)


def _write_onnx(model: TransReID, card: ModelCard, path: Path, precision: str) -> None:
    any_batch = precision == "fp32"
    inputs, batch = _example(model, 2 if any_batch else 1), {0: torch.export.Dim("batch", min=1)}
    written = torch.onnx.export(
        _Deployed(model).eval(),
        inputs,
        dynamo=True,
        dynamic_shapes=(batch,) * len(inputs) if any_batch else None,
        opset_version=OPSET,
        output_names=["embedding"],
        external_data=False,
        verbose=False,
    )
    assert written is not None
    written.model.metadata_props[CARD_KEY] = card.to_json()
    written.save(path)
    if precision == "int8":
        _quantise_onnx(path)


def _quantise_onnx(path: Path) -> None:
    """Linear layers to int8, in place; the first pass folds constants, so that every weight is a plain one.

    Weights take 7 of the 8 bits: without VNNI a processor adds pairs of products in 16 bits, which then cannot
    overflow.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    folded = path.with_name("folded.onnx")
    quant_pre_process(path, folded, skip_symbolic_shape=True)
    settings = {"per_channel": True, "reduce_range": True, "weight_type": QuantType.QInt8}
    quantize_dynamic(folded, path, op_types_to_quantize=["MatMul"], **settings)


def _write_openvino(model: TransReID, card: ModelCard, path: Path, precision: str) -> None:
    import openvino

    with warnings.catch_warnings():
        # The trace keeps the one path an image takes; that it does is checked against torch afterwards.
        warnings.simplefilter("ignore")
        network = openvino.convert_model(_Deployed(model).eval(), example_input=_example(model))
    network.reshape({network.input(0): [-1, 3, *card.form.image_size]})
    network.output(0).get_tensor().set_names({"embedding"})
    if precision == "int8":
        quantise_weights(network)
        # One scale for each token: the width divides the inputs of every linear layer.
        groups = str(model.config.embed_dim)
        network.set_rt_info(groups, ["runtime_options", "DYNAMIC_QUANTIZATION_GROUP_SIZE"])
    network.set_rt_info(card.to_json(), [CARD_KEY])
    openvino.save_model(network, path, compress_to_fp16=False)


def quantise_weights(model: Any) -> None:
    """Replace every linear layer's weights by int8 and a float32 scale for each output, in place."""
    from openvino import opset13

    for node in model.get_ordered_ops():
        weights = _constant(node.input_value(1).get_node()) if node.get_type_name() == "MatMul" else None
        if weights is None or weights.ndim != 2:
            continue
        inputs_axis = 1 if node.get_attributes()["transpose_b"] else 0
        scale = np.maximum(np.abs(weights).max(axis=inputs_axis, keepdims=True), 1e-12) / 127.0
        whole = opset13.constant(np.round(weights / scale).astype(np.int8))
        restored = opset13.multiply(opset13.convert(whole, "f32"), opset13.constant(scale.astype(np.float32)))
        node.input(1).replace_source_output(restored.output(0))
    model.validate_nodes_and_infer_types()


def _constant(node: Any) -> npt.NDArray[np.float32] | None:
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return np.asarray(node.data, dtype=np.float32) if node.get_type_name() == "Constant" else None


def _opened(path: Path) -> Backend:
    if path.suffix == ".onnx":
        from reid.backends.onnx import OnnxBackend

        return OnnxBackend(path, device="cpu")
    from reid.backends.openvino import OpenVinoBackend

    return OpenVinoBackend(path, device="cpu")


def _compare(torch_backend: Backend, exported: Backend, card: ModelCard, path: Path) -> ExportReport:
    """Both on the same images, in batches of different size, over all rows of the extended table."""
    if exported.card != card:
        raise ExportError(f"{path}: the card came back as {asdict(exported.card)}")
    draw = np.random.default_rng(0)
    cosines, differences = [], []
    for batch in CHECKED_BATCHES:
        for start in range(0, card.num_sie_rows + 2, batch):
            images = _test_images(draw, batch, card.form.image_size)
            codes = (np.arange(start, start + batch) % (card.num_sie_rows + 2)).astype(np.int64)
            ours, theirs = (_unit(backend.run(images, codes)) for backend in (torch_backend, exported))
            cosines.append(float((ours * theirs).sum(axis=1).min()))
            differences.append(float(np.abs(ours - theirs).max()))
    return ExportReport(str(path), min(cosines), max(differences))


def _test_images(draw: np.random.Generator, count: int, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Normalised images ``(N, 3, H, W)``: patches of colour under noise that is weak in some and strong in others."""
    patches = (
        draw.uniform(-1, 1, (count, 3, 8, 4))
        .repeat(-(-size[0] // 8), axis=2)
        .repeat(-(-size[1] // 4), axis=3)
    )
    strength = draw.uniform(0, 1, (count, 1, 1, 1))
    noise = draw.uniform(-1, 1, (count, 3, *size))
    mixed = (1 - strength) * patches[:, :, : size[0], : size[1]] + strength * noise
    return np.asarray(mixed, dtype=np.float32)


def _unit(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    wide = raw.astype(np.float64)
    unit: npt.NDArray[np.float64] = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit
