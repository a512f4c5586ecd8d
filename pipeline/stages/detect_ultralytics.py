"""Detection through ultralytics (AGPL-3.0): ``.pt``, ``.onnx``, an OpenVINO folder or ``.engine``. Its only importer.

On a CPU with OpenVINO installed a ``.pt`` runs there, in half the time: ultralytics itself exports it, once, into the
cache, and still cuts the pictures and decodes the boxes.

A ``.pt`` file is a pickle and could run code when it is opened. ultralytics can read it through torch's restricted
unpickler against a list of its own classes (``ULTRALYTICS_SAFE_LOAD``); that is switched on before the import, and an
ultralytics too old to know it is refused. Its package installer, its downloads and its telemetry are switched off.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.packets import Frame, Image
from pipeline.stages.detect import class_table
from pipeline.stages.scales import in_range, joined, size_ranges
from pipeline.weights import cache_folder, weights_hash
from tracking.types import Detections

QUIET = {
    "YOLO_AUTOINSTALL": "false",
    "YOLO_OFFLINE": "true",
    "YOLO_VERBOSE": "false",
    "ULTRALYTICS_SAFE_LOAD": "true",
}

log = logging.getLogger(__name__)


class UltralyticsDetector:
    """A YOLO network loaded by ultralytics.

    Args:
        min_confidence: boxes below it are not returned.
        max_iou: non-maximum suppression inside each class.
        image_sizes: longer side of the network's input, px, ascending; of several each answers for the objects that
            it shows best, and boxes at their borders may be twofold.

    Attributes:
        runtime: what computes the network: ``torch``, ``openvino``, or what the exported file is made for.

    Raises:
        ModelError: the weights cannot be loaded or do not know a wanted class.
    """

    def __init__(
        self,
        weights: Path,
        classes: Sequence[str],
        min_confidence: float,
        max_iou: float,
        image_sizes: Sequence[int],
        device: str = "cpu",
    ) -> None:
        self._weights = weights
        self._model = _load(weights)
        names = self._names()
        self._table = class_table([names[index] for index in sorted(names)], classes, str(weights))
        self._ranges = dict(zip(image_sizes, size_ranges(image_sizes), strict=True))
        self._options = {
            "conf": min_confidence,
            "iou": max_iou,
            "device": None if device == "auto" else device,
            "classes": np.flatnonzero(self._table >= 0).tolist(),
            "verbose": False,
            "max_det": 1000,
        }
        self.runtime = weights.suffix.lstrip(".") or "openvino"
        if weights.suffix == ".pt":
            self.runtime = "torch"
            self._use_openvino()

    def _use_openvino(self) -> None:
        """Have the network itself computed by OpenVINO, where this is a CPU that has it and the network lets it."""
        if find_spec("openvino") is None or not _is_cpu(self._options["device"]):
            return
        try:
            predictor = _openvino_predictor(self._model, _exported(self._weights))
        except Exception as error:  # an export can fail in any of three libraries; torch computes the same
            log.warning("%s: runs on torch, OpenVINO cannot take it: %s", self._weights, _first_line(error))
            return
        if predictor is not None:
            self._options["predictor"] = predictor
            self.runtime = "openvino"

    def _names(self) -> dict[int, str]:
        try:
            return dict(self._model.names)
        except Exception as error:  # an exported network is only opened here; each runtime has its own errors
            raise ModelError(f"{self._weights}: ultralytics cannot open it: {_first_line(error)}") from error

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Pictures of one size go together: among others of another size, ultralytics would pad them otherwise,
        and what is found in a picture would depend on its neighbours in the batch."""
        found: dict[int, Detections] = {}
        for shape in {frame.image.shape for frame in frames}:
            rows = [row for row, frame in enumerate(frames) if frame.image.shape == shape]
            found.update(zip(rows, self._detect_alike([frames[row].image for row in rows]), strict=True))
        return [found[row] for row in range(len(frames))]

    def _detect_alike(self, images: Sequence[Image]) -> Iterator[Detections]:
        """Boxes in pictures of one shape, of every size of the network's input what it answers for."""
        longer = max(images[0].shape)
        by_size = [
            [in_range(self._boxes(result), longer, limits) for result in self._predict(images, size)]
            for size, limits in self._ranges.items()
        ]
        return map(joined, zip(*by_size, strict=True))

    def _predict(self, images: Sequence[Image], image_size: int) -> Any:
        return self._model.predict(list(images), imgsz=image_size, **self._options)

    def _boxes(self, result: Any) -> Detections:
        boxes = result.boxes
        if boxes is None:
            raise ModelError(f"{self._weights}: gives no boxes; detection weights are needed")
        xyxy, confidence = boxes.xyxy.cpu().numpy(), boxes.conf.cpu().numpy()
        if not (np.isfinite(xyxy).all() and np.isfinite(confidence).all()):
            raise ModelError(f"{self._weights}: the network gave NaN or infinity")
        return Detections(xyxy, confidence, self._table[boxes.cls.cpu().numpy().astype(np.int64)])


def _load(weights: Path) -> Any:
    os.environ.update(QUIET)
    from ultralytics import YOLO
    from ultralytics.nn import tasks
    from ultralytics.utils import LOGGER, SETTINGS

    LOGGER.setLevel(logging.ERROR)
    for key in ("sync", "openvino_msg"):
        dict.__setitem__(
            SETTINGS, key, False
        )  # for this process; the user's own settings file stays as it is
    if weights.suffix == ".pt" and not getattr(tasks, "SAFE_LOAD", False):
        raise ModelError(
            f"{weights}: this ultralytics cannot open .pt safely: upgrade it, or export the weights to ONNX"
        )
    try:
        return YOLO(str(weights), task="detect")
    except Exception as error:  # ultralytics raises whatever its loaders raise
        raise ModelError(f"{weights}: ultralytics cannot load it: {_first_line(error)}") from error


def _is_cpu(device: str | None) -> bool:
    import torch

    return device == "cpu" or (device is None and not torch.cuda.is_available())


def _openvino_predictor(model: Any, network: Path) -> Any:
    """ultralytics' way from pictures to boxes with the network in its middle replaced; None for other kinds of model."""
    import torch
    from ultralytics.models.yolo.detect import DetectionPredictor

    from pipeline.stages.openvino_network import OpenVinoNetwork

    if model._smart_load("predictor") is not DetectionPredictor:
        return None
    compute = OpenVinoNetwork(network)

    class OpenVinoPredictor(DetectionPredictor):  # type: ignore[misc]  # ultralytics is untyped
        def preprocess(self, im: Any) -> Any:
            """Cut as ever, but still bytes, in the shape (N, 3, H, W) that the boxes are scaled by later."""
            return torch.from_numpy(np.stack(self.pre_transform(im))).permute(0, 3, 1, 2)

        def inference(self, im: Any, *args: Any, **kwargs: Any) -> Any:
            return torch.from_numpy(compute(im.permute(0, 2, 3, 1).numpy()))

    return OpenVinoPredictor


def _exported(weights: Path) -> Path:
    """The weights as OpenVINO IR with free input sizes; made at most once for each file and ultralytics."""
    from ultralytics import __version__

    folder = cache_folder() / "openvino" / f"{weights_hash(weights)}-{__version__}"
    network = folder / "network_openvino_model" / "network.xml"
    if not network.is_file():
        log.info("%s: exporting to OpenVINO, once, into %s", weights.name, folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            _export(weights, Path(temporary) / "new")
            if not network.is_file():  # another run may have been faster
                (Path(temporary) / "new").replace(folder)
    return network


def _export(weights: Path, folder: Path) -> None:
    """ultralytics writes beside the weights, so a copy of them is exported."""
    folder.mkdir()
    copy = folder / "network.pt"
    shutil.copyfile(weights, copy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _load(copy).export(format="openvino", dynamic=True, device="cpu", verbose=False)
    copy.unlink()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
