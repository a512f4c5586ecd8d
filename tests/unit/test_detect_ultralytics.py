"""The ultralytics adapter on a small network with random weights: loading, batches, and files that are traps."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.packets import Frame
from pipeline.stages import detect_ultralytics
from pipeline.stages.detect_ultralytics import QUIET, UltralyticsDetector
from pipeline.stages.scales import in_range, size_ranges
from tracking.types import FrameRef

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.getbasetemp() / "cache"  # one for all tests of this file: an export takes seconds
    monkeypatch.setenv("CROSSCAM_CACHE", str(folder))
    return folder


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
    detector = UltralyticsDetector(weights, ["0", "7"], 1e-6, 0.7, (128,))
    together = detector.detect(frames())
    alone = [detector.detect([frame])[0] for frame in frames()]
    assert [len(one) for one in together] == [len(one) for one in alone]
    assert all(len(one) for one in together)
    for one, other in zip(together, alone, strict=True):
        assert np.allclose(one.xyxy, other.xyxy, atol=0.01)
        assert set(one.class_id.tolist()) <= {0, 1}


def test_every_size_of_the_picture_answers_for_its_own(weights: Path):
    sizes, given = (128, 384), frames()
    several = UltralyticsDetector(weights, ["0", "7"], 1e-6, 0.7, sizes).detect(given)
    single = {size: UltralyticsDetector(weights, ["0", "7"], 1e-6, 0.7, (size,)).detect(given) for size in sizes}
    for row, found in enumerate(several):
        longer = max(given[row].image.shape)
        expected = [
            in_range(single[size][row], longer, limits)
            for size, limits in zip(sizes, size_ranges(sizes), strict=True)
        ]
        assert np.array_equal(found.xyxy, np.concatenate([one.xyxy for one in expected]))
        assert 0 < len(found) < sum(len(found[row]) for found in single.values())


def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path: Path):
    import torch

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"model": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ModelError, match=r"trap\.pt"):
        UltralyticsDetector(tmp_path / "trap.pt", ["person"], 0.1, 0.7, (128,))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["broken.pt", "broken.onnx"])
def test_broken_weights_are_named(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(ModelError, match=name):
        UltralyticsDetector(tmp_path / name, ["person"], 0.1, 0.7, (128,))


def test_unknown_classes_are_told(weights: Path):
    with pytest.raises(ModelError, match="does not detect person"):
        UltralyticsDetector(weights, ["person"], 0.1, 0.7, (128,))


def clip_frames(count: int) -> list[Frame]:
    av = pytest.importorskip("av")
    with av.open(str(SAMPLES / "demo/clips/cam1.mp4")) as clip:
        pictures = [picture for picture, _ in zip(clip.decode(video=0), range(40 * count), strict=False)]
    return [
        Frame(FrameRef("a", index, float(index)), picture.to_ndarray(format="bgr24"))
        for index, picture in enumerate(pictures[::40])
    ]


def test_openvino_finds_what_torch_finds_whatever_the_batch(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("openvino")
    arguments = (SAMPLES / "weights/detector-synthetic.pt", ["person"], 0.25, 0.7, (640,))
    fast = UltralyticsDetector(*arguments)
    monkeypatch.setattr(detect_ultralytics, "find_spec", lambda name: None)
    plain = UltralyticsDetector(*arguments)
    assert (fast.runtime, plain.runtime) == ("openvino", "torch")
    given = clip_frames(6)
    found, expected = fast.detect(given), plain.detect(given)
    assert sum(map(len, expected)) > 6
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one.xyxy, other.xyxy, atol=0.02)
        assert np.allclose(one.confidence, other.confidence, atol=1e-4)
    for frame, together in zip(given, found, strict=True):
        (alone,) = fast.detect([frame])
        assert alone.xyxy.tobytes() == together.xyxy.tobytes()
        assert alone.confidence.tobytes() == together.confidence.tobytes()


def test_weights_are_exported_once(weights: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("openvino")
    assert UltralyticsDetector(weights, ["0"], 0.1, 0.7, (128,)).runtime == "openvino"
    assert sorted(path.name for path in weights.parent.iterdir()) == ["random.pt"]
    assert not list(cache.rglob("*.pt"))

    def never(*_: object) -> None:
        raise AssertionError("exported again")

    monkeypatch.setattr(detect_ultralytics, "_export", never)
    assert UltralyticsDetector(weights, ["0"], 0.1, 0.7, (128,)).runtime == "openvino"


def test_what_openvino_cannot_take_runs_on_torch(
    weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fails(*_: object) -> Path:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(detect_ultralytics, "_exported", fails)
    detector = UltralyticsDetector(weights, ["0"], 1e-6, 0.7, (128,))
    assert detector.runtime == "torch"
    assert "runs on torch, OpenVINO cannot take it: RuntimeError: no such operation" in caplog.text
    assert len(detector.detect(frames())) == 3
