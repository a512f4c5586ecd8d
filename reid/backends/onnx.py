"""Networks in ONNX files on ONNX Runtime: ours, or any that maps images to one vector each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from reid.backends.backend import CARD_KEY, foreign_card
from reid.preprocess import InputForm

__all__ = ["OnnxBackend"]


class OnnxBackend:
    """Runs an ONNX file; its first input is the images, a second one (ours only) the SIE codes.

    Args:
        path: the file.
        form: its input; needed for a foreign network, otherwise overrides the file's own.
        device: ``cpu``, or ``cuda`` where ONNX Runtime has it; ``auto`` takes what is there.

    Raises:
        ValueError: not a readable ONNX file, no declared form, or a device that is not there.
    """

    def __init__(self, path: Path, form: InputForm | None = None, *, device: str = "auto") -> None:
        try:
            self._session = onnxruntime.InferenceSession(path, providers=_providers(device))
        except Exception as error:
            if type(error).__module__.startswith("onnxruntime"):
                raise ValueError(f"{path}: not a readable ONNX file ({error})") from error
            raise
        metadata = self._session.get_modelmeta().custom_metadata_map
        output = self._session.get_outputs()[0]
        self.card = foreign_card(metadata.get(CARD_KEY), form, output.shape[-1], path)
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._fixed_batch = isinstance(self._session.get_inputs()[0].shape[0], int)

    def run(self, images: npt.NDArray[np.float32], codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        if self._fixed_batch:
            rows = [self._run(images[i : i + 1], codes[i : i + 1]) for i in range(len(images))]
            return np.concatenate(rows)
        return self._run(images, codes)

    def _run(self, images: npt.NDArray[np.float32], codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        feed: dict[str, Any] = dict(zip(self._inputs, (images, codes), strict=False))
        raw = np.asarray(self._session.run(None, feed)[0], dtype=np.float32)
        return raw.reshape(len(images), -1)


def _providers(device: str) -> list[str]:
    kind, there = device.split(":")[0], onnxruntime.get_available_providers()
    if kind == "cpu" or (kind == "auto" and "CUDAExecutionProvider" not in there):
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in there:
        raise ValueError(f"device: {device!r} asked for, but ONNX Runtime here has {', '.join(there)}")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]
