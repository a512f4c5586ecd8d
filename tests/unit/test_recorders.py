"""What is taken down while running, read again: also of a camera that left and came back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.packets import CameraEnd, EmbeddedCrop
from pipeline.recorders import DetectionRecorder, EmbeddingRecorder
from pipeline.stages.detection_files import read_detections
from pipeline.stages.embedding_files import read_embeddings, read_tracklet_crops
from tracking.types import Detections, FrameRef, TrackletKey

BOX = np.array([[1, 2, 30, 40]], np.float32)
DETECTIONS = {"a": {"classes": ["person"], "width": 64, "height": 48, "fps": None, "model": None}}
EMBEDDINGS = {"a": {"model": "m", "model_hash": "h", "dim": 2, "sie": "off"}}
END = CameraEnd("a", 0, None, 0, truncated=False, error=None)


def detections(folder: Path, *stays: range) -> DetectionRecorder:
    """A run in which camera a is there for each of ``stays``, by frame number."""
    recorder = DetectionRecorder(folder, DETECTIONS, {"a": 0.0})
    for number, stay in enumerate(stays):
        if number:
            recorder.begin("a", 0.0)
        for frame in stay:
            found = Detections(BOX + frame, np.array([0.5], np.float32), np.zeros(1, np.int64))
            recorder.record(FrameRef("a", frame, 100.0 + frame), found)
        recorder.end(END)
    return recorder


def embeddings(folder: Path, *stays: range) -> None:
    recorder = EmbeddingRecorder(folder, EMBEDDINGS)
    for number, stay in enumerate(stays):
        if number:
            recorder.begin("a", 0.0)
        for frame in stay:
            vector = np.array([0.6, 0.8], np.float32)
            recorder.record(EmbeddedCrop(TrackletKey("a", 1 + number), frame, frame, vector, 0.5), BOX[0])
        recorder.end(END)


def test_what_a_camera_gave_after_it_came_back_is_replayed_too(tmp_path: Path):
    detections(tmp_path, range(3), range(3, 5), range(7, 8))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "a~2.jsonl", "a~3.jsonl"]
    stored = read_detections(tmp_path / "a.jsonl")
    assert stored.frame_index.tolist() == [0, 1, 2, 3, 4, 7]
    assert stored.position_s is not None
    assert stored.position_s.tolist() == [100, 101, 102, 103, 104, 107]
    assert stored.of(7).xyxy.tolist() == (BOX + 7).tolist()
    assert not stored.truncated


def test_so_are_its_embeddings(tmp_path: Path):
    embeddings(tmp_path, range(2), range(2, 4))
    assert sorted(read_embeddings(tmp_path / "a.jsonl")) == [0, 1, 2, 3]
    assert [crop.local_id for crop in read_tracklet_crops(tmp_path / "a.jsonl")] == [1, 1, 2, 2]


def test_a_new_run_leaves_nothing_of_an_old_one(tmp_path: Path):
    detections(tmp_path, range(2), range(2, 4), range(4, 6))
    detections(tmp_path, range(2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_numbers_that_run_back_are_named(tmp_path: Path):
    detections(tmp_path, range(3), range(3))
    with pytest.raises(SourceError, match=r"a~2\.jsonl:2: frame 0 follows frame 2"):
        read_detections(tmp_path / "a.jsonl")
