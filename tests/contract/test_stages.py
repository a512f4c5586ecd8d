"""What every stage promises: nothing for nothing, one entry per entry, inputs untouched, batches make no difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.config import CropConfig, DetectorConfig
from pipeline.packets import DetectedFrame, Frame
from pipeline.stages.crop import CropStage
from pipeline.stages.detect import DetectStage
from pipeline.stages.embed import EmbedStage, NoEmbeddings, ReplayEmbeddings
from pipeline.stages.embedding_files import StoredCrop
from pipeline.stages.track import TrackStage, believed
from tracking.tracker import TrackerConfig
from tracking.types import Detections, FrameRef

COUNT = 12


def detections(index: int) -> Detections:
    xyxy = np.array([[5 + index, 10, 35 + index, 80], [80, 10, 110, 80 + index]], np.float32)
    return Detections(xyxy, np.array([0.9, 0.8], np.float32), np.array([0, 0]))


def frames() -> list[Frame]:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (COUNT, 100, 140, 3)).astype(np.uint8)
    return [
        Frame(FrameRef("ab"[index % 2], index // 2, index // 2 / 10), picture)
        for index, picture in enumerate(pictures)
    ]


class Seeing:
    def detect(self, batch: Sequence[Frame]) -> list[Detections]:
        return [detections(frame.ref.frame_index) for frame in batch]


class Colour:
    def embed(self, crops: Sequence[Any], sie_rows: Sequence[Any]) -> Any:
        raw = np.array([crop.mean(axis=(0, 1)) for crop in crops], np.float32)
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def detected() -> list[DetectedFrame]:
    return [DetectedFrame(frame, detections(frame.ref.frame_index)) for frame in frames()]


def seen() -> list[Any]:
    stage = TrackStage(TrackerConfig(min_hits=1), np.array([0]))
    return list(zip(frames(), stage.process(detected()), strict=True))


def stored() -> dict[str, dict[int, list[StoredCrop]]]:
    vector = np.array([1, 0, 0], np.float32)
    crops = {
        index: [StoredCrop(xyxy, 0.5, vector) for xyxy in detections(index).xyxy] for index in range(COUNT)
    }
    return {"a": crops, "b": crops}


CASES: dict[str, tuple[Callable[[], Any], Callable[[], list[Any]]]] = {
    "detect": (lambda: DetectStage(Seeing(), DetectorConfig(weights="w"), {}), frames),
    "track": (lambda: TrackStage(TrackerConfig(), np.array([0])), detected),
    "crop": (lambda: CropStage(CropConfig(policy="every_s", every_s=0.2)), seen),
    "embed": (
        lambda: EmbedStage(CropStage(CropConfig(policy="every_crop")), Colour(), {"a": "off", "b": 1}),
        seen,
    ),
    "replay": (lambda: ReplayEmbeddings(stored()), seen),
    "off": (NoEmbeddings, seen),
}


def told(value: Any) -> Any:
    """Anything a stage gives, as plain values."""
    if isinstance(value, (list, tuple)):
        return [told(one) for one in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    names = getattr(type(value), "__dataclass_fields__", None)
    return {name: told(getattr(value, name)) for name in names} if names else value


@pytest.mark.parametrize("name", CASES)
def test_nothing_for_nothing(name: str):
    assert CASES[name][0]().process([]) == []


@pytest.mark.parametrize("name", CASES)
def test_one_entry_per_entry_whatever_the_batch(name: str):
    make, inputs = CASES[name]
    whole = make().process(inputs())
    assert len(whole) == COUNT
    stage = make()
    single = [entry for one in inputs() for entry in stage.process([one])]
    assert told(single) == told(whole)


@pytest.mark.parametrize("name", CASES)
def test_inputs_are_not_modified(name: str):
    make, inputs = CASES[name]
    given = inputs()
    before = told(given)
    make().process(given)
    assert told(given) == before


def test_one_camera_does_not_change_another():
    both = TrackStage(TrackerConfig(min_hits=1), np.array([0])).process(detected())
    alone = TrackStage(TrackerConfig(min_hits=1), np.array([0])).process(
        [one for one in detected() if one.frame.ref.camera_id == "b"]
    )
    assert told([one for one in both if one.frame.camera_id == "b"]) == told(alone)


def test_a_cameras_end_ends_all_its_tracks_once():
    stage = TrackStage(TrackerConfig(min_hits=1), np.array([0]))
    stage.process(detected())
    (end,) = stage.end("a")
    assert (len(end), end.ended) == (0, (1, 2))
    assert stage.end("a") == []
    assert [one.frame.camera_id for one in stage.flush()] == ["b"]
    assert stage.flush() == []


def test_a_detector_that_understates_is_believed_more_and_quoted_as_it_is():
    modest = [
        DetectedFrame(
            one.frame, Detections(one.detections.xyxy, np.full(2, 0.35, np.float32), one.detections.class_id)
        )
        for one in detected()
    ]
    literal = TrackStage(TrackerConfig(), np.array([0])).process(modest)
    believing = TrackStage(TrackerConfig(), np.array([0]), confidence_gain=8.0).process(modest)
    assert not any(one.confirmed.any() for one in literal)
    assert believing[-1].confirmed.all()
    assert np.concatenate([one.confidence for one in believing]).tolist() == pytest.approx([0.35] * 2 * COUNT)


@pytest.mark.parametrize(
    ("confidence", "gain", "taken"), [(0.3, 2.5, 0.59), (0.0, 3.0, 0.0), (1.0, 2.5, 1.0), (0.6, 1.0, 0.6)]
)
def test_a_gain_counts_a_confidence_that_many_times(confidence: float, gain: float, taken: float):
    one = Detections(np.array([[0, 0, 1, 1]]), np.array([confidence]), np.array([0]))
    assert believed(one, gain).confidence[0] == pytest.approx(taken, abs=1e-3)


def test_stored_detections_are_taken_at_their_word_and_networks_are_not():
    assert DetectorConfig(backend="replay", detections="x").gain == 1.0
    assert DetectorConfig(weights="w").gain == 2.5
    assert DetectorConfig(weights="w", confidence_gain=1.7).gain == 1.7
