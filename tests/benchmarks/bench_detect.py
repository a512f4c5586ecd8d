"""The sample detector on the sample site's frames: torch and OpenVINO side by side, in seconds of one core a frame."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import pytest

from pipeline.packets import Frame
from pipeline.stages import detect_ultralytics
from pipeline.stages.detect_ultralytics import UltralyticsDetector
from tracking.types import FrameRef

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
BATCH, ROUNDS = 8, 8


def pictures() -> list[Frame]:
    import av

    with av.open(str(SAMPLES / "demo/clips/cam1.mp4")) as clip:
        images = [one.to_ndarray(format="bgr24") for one in islice(clip.decode(video=0), 100, 100 + BATCH)]
    return [Frame(FrameRef("cam1", index, float(index)), image) for index, image in enumerate(images)]


def test_openvino_against_torch(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("openvino")
    arguments = (SAMPLES / "weights/detector-synthetic.pt", ["person"], 0.1, 0.7, (640,))
    detectors = {"openvino": UltralyticsDetector(*arguments)}
    monkeypatch.setattr(detect_ultralytics, "find_spec", lambda name: None)
    detectors["torch"] = UltralyticsDetector(*arguments)
    frames, spent = pictures(), {name: float("inf") for name in detectors}
    for detector in detectors.values():
        detector.detect(frames)
    for _ in range(ROUNDS):
        for name, detector in detectors.items():
            began = time.process_time()
            detector.detect(frames)
            spent[name] = min(spent[name], (time.process_time() - began) / BATCH)
    print("\n" + ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in spent.items()))
    assert spent["openvino"] < spent["torch"]
