"""A convolutional network on a CPU through OpenVINO: pictures in, one tensor out. It knows no detector."""

from __future__ import annotations

from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from openvino.preprocess import ColorFormat, PrePostProcessor

from tracking.types import FloatArray

Images = npt.NDArray[np.uint8]

_MAX_SHAPES = 8
_SETTINGS = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}


class OpenVinoNetwork:
    """An IR file with free input sizes, compiled for each size it meets: that is a third faster than leaving them free.

    Every picture is a request of its own, as many at a time as the cores keep busy, so what comes out for it never
    depends on its neighbours in the batch. Arithmetic is fp32, whatever the CPU would rather do. Bytes become RGB planes
    of numbers in [0, 1] inside the compiled network: outside, on one thread, that took a fifth of a detection's time.

    Args:
        path: the ``.xml``, its ``.bin`` beside it; its input is ``(1, 3, H, W)`` RGB in [0, 1].

    Raises:
        RuntimeError: OpenVINO cannot read or compile it.
    """

    def __init__(self, path: Path) -> None:
        self._core = openvino.Core()
        self._path = path
        self._requests: OrderedDict[tuple[int, int], list[Any]] = OrderedDict()

    def __call__(self, images: Images) -> FloatArray:
        """``(N, H, W, 3)`` BGR uint8 to the network's first output, ``(N, ...)`` float32."""
        requests = self._requests_of((images.shape[1], images.shape[2]))
        busy: deque[Any] = deque()
        outputs = []
        for row in range(len(images)):
            if len(busy) == len(requests):
                outputs.append(_finished(busy.popleft()))
            request = requests[row % len(requests)]
            request.start_async([images[row : row + 1]], share_inputs=True)
            busy.append(request)
        return np.concatenate([*outputs, *map(_finished, busy)])

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
        compiled = self._core.compile_model(_taking_pictures(model), "CPU", _SETTINGS)
        count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        return [compiled.create_infer_request() for _ in range(count)]


def _finished(request: Any) -> FloatArray:
    request.wait()
    return np.array(request.get_output_tensor(0).data, dtype=np.float32)


def _taking_pictures(model: Any) -> Any:
    """The network with ``(1, H, W, 3)`` BGR bytes as its input."""
    steps = PrePostProcessor(model)
    given = steps.input().tensor()
    given.set_element_type(openvino.Type.u8)
    given.set_layout(openvino.Layout("NHWC"))
    given.set_color_format(ColorFormat.BGR)
    changed = steps.input().preprocess()
    changed.convert_element_type(openvino.Type.f32)
    changed.convert_color(ColorFormat.RGB)
    changed.scale(255.0)
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    return steps.build()
