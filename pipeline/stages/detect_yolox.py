"""YOLOX through onnxruntime: the permissively licensed detector (Ge et al., "YOLOX", arXiv 2107.08430).

The exported network's output is undecoded: each cell of the strides 8, 16 and 32 gives an offset from its cell and
the logarithm of a size in strides. Pictures go in as BGR 0..255, scaled to fit and laid in the top left corner on 114.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.errors import ModelError
from pipeline.packets import Frame, Image
from pipeline.stages.coco import NAMES
from pipeline.stages.detect import class_table
from tracking.types import Detections, FloatArray

STRIDES = (8, 16, 32)
PADDING = 114


class YoloxDetector:
    """A YOLOX ONNX file; the number of classes is its own, names are COCO's or the file's ``names`` metadata.

    Args:
        min_confidence: boxes below it are not even looked at.

    Raises:
        ModelError: the file is no such network or does not know a wanted class.
    """

    runtime = "onnxruntime"

    def __init__(
        self, weights: Path, classes: Sequence[str], min_confidence: float, device: str = "cpu"
    ) -> None:
        self._weights = weights
        self._session = _session(weights, device)
        self._input = self._session.get_inputs()[0]
        batch, _, height, width = self._input_shape()
        self._size = (height, width)
        self._fixed_batch = batch if isinstance(batch, int) else None
        self._offset, self._stride = grid(height, width)
        self._table = class_table(self._names(), classes, str(weights))
        self._min_confidence = min_confidence

    def _input_shape(self) -> tuple[Any, int, int, int]:
        shape = self._input.shape
        if len(shape) != 4 or shape[1] != 3 or not all(isinstance(side, int) for side in shape[2:]):
            raise ModelError(f"{self._weights}: expected a YOLOX input (N, 3, height, width), found {shape}")
        return shape[0], shape[1], shape[2], shape[3]

    def _names(self) -> tuple[str, ...]:
        cells = len(self._stride)
        shape = self._session.get_outputs()[0].shape
        if len(shape) != 3 or shape[1] not in (cells, None) or not isinstance(shape[2], int) or shape[2] < 6:
            raise ModelError(
                f"{self._weights}: expected a YOLOX output (N, {cells}, 5 + classes), found {shape}"
            )
        count = shape[2] - 5
        stored = self._session.get_modelmeta().custom_metadata_map.get("names")
        names = tuple(json.loads(stored)) if stored else NAMES
        if len(names) != count:
            raise ModelError(f"{self._weights}: gives {count} classes but {len(names)} names are known")
        return names

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        inputs, scales = zip(*(letterbox(frame.image, self._size) for frame in frames), strict=True)
        outputs = self._infer(np.stack(inputs))
        return [
            self._boxes(output, scale, frame.image.shape)
            for output, scale, frame in zip(outputs, scales, frames, strict=True)
        ]

    def _infer(self, batch: FloatArray) -> FloatArray:
        """``(N, 3, H, W)`` to ``(N, cells, 5 + classes)``, in pieces where the file fixes its batch."""
        step = self._fixed_batch or len(batch)
        if len(batch) % step:
            batch = np.concatenate(
                [batch, np.zeros((step - len(batch) % step, *batch.shape[1:]), np.float32)]
            )
        pieces = [
            self._session.run(None, {self._input.name: batch[start : start + step]})[0]
            for start in range(0, len(batch), step)
        ]
        return np.concatenate(pieces)

    def _boxes(self, output: FloatArray, scale: float, shape: tuple[int, ...]) -> Detections:
        if not np.isfinite(output).all():
            raise ModelError(f"{self._weights}: the network gave NaN or infinity")
        score = output[:, 4:5] * output[:, 5:]
        native = score.argmax(axis=1)
        confidence = score[np.arange(len(score)), native]
        rows = np.flatnonzero((confidence >= self._min_confidence) & (self._table[native] >= 0))
        xyxy = decoded(output[rows, :4], self._offset[rows], self._stride[rows]) / scale
        xyxy = np.clip(xyxy, 0, [shape[1], shape[0], shape[1], shape[0]])
        return Detections(xyxy, np.clip(confidence[rows], 0, 1), self._table[native[rows]])


def letterbox(image: Image, size: tuple[int, int]) -> tuple[FloatArray, float]:
    """``(H, W, 3)`` to ``(3, *size)`` float32 0..255, scaled to fit, top left, on 114; and the scale."""
    scale = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = int(image.shape[0] * scale), int(image.shape[1] * scale)
    canvas = np.full((*size, 3), PADDING, dtype=np.uint8)
    canvas[:height, :width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(canvas.transpose(2, 0, 1), dtype=np.float32), scale


def grid(height: int, width: int) -> tuple[FloatArray, FloatArray]:
    """Cell positions ``(cells, 2)`` as x, y in cells, and strides ``(cells, 1)`` px, in the network's order."""
    offsets, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[0 : height // stride, 0 : width // stride]
        offsets.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(offsets).astype(np.float32), np.concatenate(strides).astype(np.float32)


def decoded(raw: FloatArray, offset: FloatArray, stride: FloatArray) -> FloatArray:
    """``(R, 4)`` undecoded centre and log size to ``(R, 4)`` xyxy in pixels of the network's input."""
    centre = (raw[:, :2] + offset) * stride
    half = np.exp(np.minimum(raw[:, 2:4], 10)) * stride / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def _session(weights: Path, device: str) -> Any:
    import onnxruntime

    wanted = ["CPUExecutionProvider"]
    if device != "cpu" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        wanted.insert(0, "CUDAExecutionProvider")
    try:
        return onnxruntime.InferenceSession(str(weights), providers=wanted)
    except Exception as error:  # onnxruntime's errors share no base but Exception
        raise ModelError(f"{weights}: not a readable ONNX network ({error})") from error
