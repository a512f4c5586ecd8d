"""Networks in OpenVINO IR or ONNX files on OpenVINO, in fp32 or bf16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from reid.backends.backend import CARD_KEY, foreign_card
from reid.preprocess import InputForm

__all__ = ["OpenVinoBackend"]

_PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoBackend:
    """Runs an IR (``.xml`` with its ``.bin``) or an ONNX file; inputs as in :class:`OnnxBackend`.

    Args:
        path: the file.
        form: its input; needed for a foreign network, otherwise overrides the file's own.
        device: ``cpu`` (``auto`` too) or any OpenVINO device name.
        precision: what the device computes in; bf16 is for processors that have it (AMX, AVX512-BF16).

    Raises:
        ValueError: not a readable file, no declared form, an unknown device, or a precision that is unknown or
            that the device does not compute in.
    """

    def __init__(
        self, path: Path, form: InputForm | None = None, *, device: str = "auto", precision: str = "fp32"
    ) -> None:
        if precision not in _PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(_PRECISIONS)}, got {precision!r}")
        core = openvino.Core()
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            raise ValueError(f"{path}: not a readable network ({str(error).splitlines()[0]})") from error
        dim = model.output(0).partial_shape[-1]
        length = dim.get_length() if dim.is_static else str(dim)
        self.card = foreign_card(_card_json(model), form, length, path)
        model.reshape(_any_batch(model))
        settings = {"INFERENCE_PRECISION_HINT": _PRECISIONS[precision], "PERFORMANCE_HINT": "LATENCY"}
        name = "CPU" if device in ("auto", "cpu") else device
        try:
            able = core.get_property(name, "OPTIMIZATION_CAPABILITIES") if precision != "fp32" else []
            compiled = core.compile_model(model, name, settings)
        except RuntimeError as error:
            raise ValueError(
                f"device: {device!r} cannot run {path} ({str(error).splitlines()[0]})"
            ) from error
        if precision != "fp32" and precision.upper() not in able:
            # OpenVINO takes the hint and computes in fp32 without a word.
            raise ValueError(
                f"precision: this {name} does not compute in {precision} ({', '.join(able)}); use fp32"
            )
        self._request = compiled.create_infer_request()
        self._num_inputs = len(model.inputs)

    def run(self, images: npt.NDArray[np.float32], codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        self._request.infer([images, codes][: self._num_inputs], share_inputs=True)
        raw = np.array(self._request.get_output_tensor(0).data, dtype=np.float32)
        return raw.reshape(len(images), -1)


def _card_json(model: Any) -> str | None:
    return str(model.get_rt_info([CARD_KEY]).value) if model.has_rt_info([CARD_KEY]) else None


def _any_batch(model: Any) -> dict[Any, Any]:
    """The same input shapes with the first dimension free."""
    shapes = {}
    for node in model.inputs:
        shape = node.partial_shape
        shape[0] = openvino.Dimension.dynamic()
        shapes[node] = shape
    return shapes
