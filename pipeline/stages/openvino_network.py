"""A convolutional network on a CPU through OpenVINO: pictures in, one tensor out. It knows no detector."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from tracking.types import FloatArray

_MAX_SHAPES = 8
_SETTINGS = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}


class OpenVinoNetwork:
    """An IR file with free input sizes, compiled for each size it meets: that is a third faster than leaving them free.

    Every picture is a request of its own, as many at a time as the cores keep busy, so what comes out for it never
    depends on its neighbours in the batch. Arithmetic is fp32, whatever the CPU would rather do.

    Args:
        path: the ``.xml``, its ``.bin`` beside it.

    Raises:
        RuntimeError: OpenVINO cannot read or compile it.
    """

    def __init__(self, path: Path) -> None:
        self._core = openvino.Core()
        self._path = path
        self._requests: OrderedDict[tuple[int, int], list[Any]] = OrderedDict()

    def __call__(self, images: FloatArray) -> FloatArray:
        """``(N, 3, H, W)`` float32 to the network's first output, ``(N, ...)`` float32."""
        requests = self._requests_of((images.shape[2], images.shape[3]))
        outputs = []
        for start in range(0, len(images), len(requests)):
            busy = list(zip(requests, range(start, len(images)), strict=False))
            for request, row in busy:
                request.start_async([images[row : row + 1]], share_inputs=True)
            for request, _ in busy:
                request.wait()
                outputs.append(np.array(request.get_output_tensor(0).data, dtype=np.float32))
        return np.concatenate(outputs)

    def _requests_of(self, size: tuple[int, int]) -> list[Any]:
        if size not in self._requests:
            self._requests[size] = self._compiled(size)
            if len(self._requests) > _MAX_SHAPES:
                self._requests.popitem(last=False)
        self._requests.move_to_end(size)
        return self._requests[size]

    def _compiled(self, size: tuple[int, int]) -> list[Any]:
        model = self._core.read_model(self._path)
        model.reshape([1, 3, *size])
        compiled = self._core.compile_model(model, "CPU", _SETTINGS)
        count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        return [compiled.create_infer_request() for _ in range(count)]
