"""The ultralytics adapter on a small network with random weights: loading, batches, and files that are traps."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.packets import Frame
from pipeline.stages.detect_ultralytics import QUIET, UltralyticsDetector
from tracking.types import FrameRef

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    os.environ.update(QUIET)
    import torch
    from ultralytics import YOLO

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("yolo") / "random.pt"
    YOLO("yolov8n.yaml").save(path)
    return path


def frames() -> list[Frame]:
    rng = np.random.default_rng(0)
    shapes = [(96, 128, 3), (160, 64, 3), (96, 128, 3)]
    return [
        Frame(FrameRef("a", index, float(index)), rng.integers(0, 255, shape).astype(np.uint8))
        for index, shape in enumerate(shapes)
    ]


def test_what_is_found_does_not_depend_on_the_batch(weights: Path):
    detector = UltralyticsDetector(weights, ["0", "7"], 1e-6, 0.7, 128)
    together = detector.detect(frames())
    alone = [detector.detect([frame])[0] for frame in frames()]
    assert [len(one) for one in together] == [len(one) for one in alone]
    assert all(len(one) for one in together)
    for one, other in zip(together, alone, strict=True):
        assert np.allclose(one.xyxy, other.xyxy, atol=0.01)
        assert set(one.class_id.tolist()) <= {0, 1}


def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path: Path):
    import torch

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"model": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ModelError, match=r"trap\.pt"):
        UltralyticsDetector(tmp_path / "trap.pt", ["person"], 0.1, 0.7, 128)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["broken.pt", "broken.onnx"])
def test_broken_weights_are_named(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(ModelError, match=name):
        UltralyticsDetector(tmp_path / name, ["person"], 0.1, 0.7, 128)


def test_unknown_classes_are_told(weights: Path):
    with pytest.raises(ModelError, match="does not detect person"):
        UltralyticsDetector(weights, ["person"], 0.1, 0.7, 128)
