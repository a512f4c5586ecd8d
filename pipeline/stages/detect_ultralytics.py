"""Detection through ultralytics (AGPL-3.0): ``.pt``, ``.onnx``, an OpenVINO folder or ``.engine``. Its only importer.

A ``.pt`` file is a pickle and could run code when it is opened. ultralytics can read it through torch's restricted
unpickler against a list of its own classes (``ULTRALYTICS_SAFE_LOAD``); that is switched on before the import, and an
ultralytics too old to know it is refused. Its package installer, its downloads and its telemetry are switched off.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.packets import Frame
from pipeline.stages.detect import class_table
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
        image_size: longer side of the network's input, px.

    Raises:
        ModelError: the weights cannot be loaded or do not know a wanted class.
    """

    def __init__(
        self,
        weights: Path,
        classes: Sequence[str],
        min_confidence: float,
        max_iou: float,
        image_size: int,
        device: str = "cpu",
    ) -> None:
        self._weights = weights
        self._model = _load(weights)
        names = self._names()
        self._table = class_table([names[index] for index in sorted(names)], classes, str(weights))
        self._options = {
            "conf": min_confidence,
            "iou": max_iou,
            "imgsz": image_size,
            "device": None if device == "auto" else device,
            "classes": np.flatnonzero(self._table >= 0).tolist(),
            "verbose": False,
            "max_det": 1000,
        }

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
            results = self._model.predict([frames[row].image for row in rows], **self._options)
            found.update(zip(rows, map(self._boxes, results), strict=True))
        return [found[row] for row in range(len(frames))]

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
    dict.__setitem__(SETTINGS, "sync", False)  # for this process; the user's own settings file stays as it is
    if weights.suffix == ".pt" and not getattr(tasks, "SAFE_LOAD", False):
        raise ModelError(
            f"{weights}: this ultralytics cannot open .pt safely: upgrade it, or export the weights to ONNX"
        )
    try:
        return YOLO(str(weights), task="detect")
    except Exception as error:  # ultralytics raises whatever its loaders raise
        raise ModelError(f"{weights}: ultralytics cannot load it: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
