"""Detection: YOLOX's boxes, filters by class, region and overlap, stored detections."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.config import CameraConfig, DetectorConfig
from pipeline.errors import ModelError, SourceError
from pipeline.packets import Frame
from pipeline.roi import region_of
from pipeline.stages.detect import DetectStage, class_table, rounded, suppressed
from pipeline.stages.detect_replay import ReplayDetector
from pipeline.stages.detect_yolox import decoded, grid, letterbox
from pipeline.stages.detection_files import DetectionWriter, read_detections
from tracking.types import Detections, FrameRef


def detections(*rows: Sequence[float]) -> Detections:
    table = np.asarray(rows, dtype=np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def frame(camera: str = "a", index: int = 0, size: tuple[int, int] = (100, 100)) -> Frame:
    return Frame(FrameRef(camera, index, index / 10), np.zeros((*size, 3), np.uint8))


class Fixed:
    """A detector that always sees the same."""

    def __init__(self, seen: Detections) -> None:
        self.seen = seen

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        return [self.seen for _ in frames]


def test_letterbox_keeps_the_aspect_top_left_on_grey():
    image = np.full((50, 100, 3), 7, np.uint8)
    tensor, scale = letterbox(image, (416, 416))
    assert tensor.shape == (3, 416, 416)
    assert scale == 4.16
    assert tensor[:, :208].max() == 7
    assert tensor[:, 208:].min() == 114


def test_yolox_cells_decode_to_pixels():
    offset, stride = grid(64, 32)
    assert len(offset) == 8 * 4 + 4 * 2 + 2 * 1
    assert offset[5].tolist() == [1, 1]
    assert stride[[0, 31, 32, 39, 40]].ravel().tolist() == [8, 8, 16, 16, 32]
    raw = np.array([[0.5, 0.25, np.log(2), np.log(3)]], np.float32)
    box = decoded(raw, offset[5:6], stride[5:6])
    assert box[0].tolist() == pytest.approx([12 - 8, 10 - 12, 12 + 8, 10 + 12])


def test_each_class_has_its_own_confidence():
    config = DetectorConfig(
        weights="w", classes=["person", "car"], min_confidence={"person": 0.5, "car": 0.2}, max_iou=1
    )
    seen = detections(
        [0, 0, 10, 30, 0.4, 0], [20, 0, 30, 30, 0.6, 0], [40, 0, 60, 20, 0.25, 1], [70, 0, 90, 20, 0.1, 1]
    )
    found = DetectStage(Fixed(seen), config, {}).process([frame()])[0].detections
    assert found.confidence.tolist() == pytest.approx([0.6, 0.25])


def test_overlap_suppresses_inside_a_class_group_only():
    seen = detections([0, 0, 10, 10, 0.5, 0], [0, 0, 10, 10.5, 0.9, 1], [0, 0, 10, 10, 0.8, 2])
    apart = np.array([0, 1, 2])
    car_or_truck = np.array([0, 1, 1])
    assert len(suppressed(seen, apart, 0.5)) == 3
    assert suppressed(seen, car_or_truck, 0.5).class_id.tolist() == [0, 1]
    shifted = detections([0, 0, 10, 10, 0.5, 0], [1, 1, 11, 11.5, 0.9, 1], [0, 0, 10, 10, 0.8, 2])
    assert len(suppressed(shifted, car_or_truck, 0.99)) == 3


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([0, 0, 60, 40, 0.5, 1], [0.8]),
        ([0, 0, 60, 40, 0.9, 1], [0.9]),
        ([0, 0, 60, 40, 0.5, 0], [0.8, 0.5]),
        ([0, 0, 30, 30, 0.5, 1], [0.8, 0.5]),
        ([60, 0, 120, 40, 0.5, 1], [0.8, 0.5]),
    ],
    ids=["a part", "the whole of a part", "of another group", "a small one before it", "half outside"],
)
def test_the_part_in_view_and_the_whole_are_one_object(other: list[float], expected: list[float]):
    seen = detections([0, 0, 100, 40, 0.8, 2], other)
    assert suppressed(seen, np.array([0, 1, 1]), 0.9).confidence.tolist() == pytest.approx(expected)


def test_only_boxes_standing_in_the_region_count(tmp_path: Path):
    seen = detections([0, 0, 20, 50, 0.9, 0], [60, 0, 80, 90, 0.9, 0])
    config = DetectorConfig(weights="w")
    by_polygon = CameraConfig(id="a", source="x", roi=[[(0, 0), (100, 0), (100, 60), (0, 60)]])
    mask = np.zeros((100, 100), np.uint8)
    mask[:60] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    by_mask = CameraConfig(id="a", source="x", roi_mask=tmp_path / "mask.png")
    for camera in (by_polygon, by_mask):
        stage = DetectStage(Fixed(seen), config, {"a": region_of(camera, 100, 100)})
        assert stage.process([frame()])[0].detections.xyxy.tolist() == [[0, 0, 20, 50]]
        assert len(stage.process([frame("b")])[0].detections) == 2


def test_masks_must_fit(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros((10, 20), np.uint8))
    for name, message in [("mask.png", "is 20x10, frames are 100x100"), ("none.png", "not a readable image")]:
        camera = CameraConfig(id="hall", source="x", roi_mask=tmp_path / name)
        with pytest.raises(SourceError, match=f"camera hall: .*{message}"):
            region_of(camera, 100, 100)


def test_class_names_are_mapped_and_unknown_ones_told():
    assert class_table(["cat", "person", "car"], ["car", "person"], "w").tolist() == [-1, 1, 0]
    with pytest.raises(ModelError, match=r"w: does not detect persn; did you mean person\?"):
        class_table(["cat", "person"], ["persn"], "w")


def test_stored_detections_replay_exactly(tmp_path: Path):
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 500, (40, 2))
    xyxy = np.concatenate([corner, corner + rng.uniform(5, 90, (40, 2))], axis=1).astype(np.float32)
    seen = rounded(Detections(xyxy, rng.uniform(0, 1, 40).astype(np.float32), np.arange(40) % 2))
    writer = DetectionWriter(
        tmp_path / "a.jsonl",
        {"camera": "a", "classes": ["person", "car"], "width": 9, "height": 8, "fps": 10},
    )
    writer.write(3, 0.3, seen)
    writer.write(5, 0.5, Detections.empty())
    writer.close(truncated=True)
    stored = read_detections(tmp_path / "a.jsonl")
    assert stored.frame_index.tolist() == [3, 5]
    assert stored.position_s is not None
    assert stored.position_s.tolist() == [0.3, 0.5]
    assert stored.truncated
    again = ReplayDetector({"a": stored}, ["person", "car"]).detect([frame("a", 3), frame("a", 4)])
    for name in ("xyxy", "confidence", "class_id"):
        assert np.array_equal(getattr(again[0], name), getattr(seen, name))
    assert len(again[1]) == 0
    cars = ReplayDetector({"a": stored}, ["car"]).detect([frame("a", 3)])[0]
    assert np.array_equal(cars.xyxy, seen.xyxy[1::2])
    assert set(cars.class_id.tolist()) == {0}


def test_mot_text_counts_frames_from_one_and_may_have_no_score(tmp_path: Path):
    path = tmp_path / "det.txt"
    path.write_text("3,-1,10,20,30,40,0.5,-1,-1,-1\n1 -1 0 0 5 6 -1 -1 -1 -1\n")
    stored = read_detections(path)
    assert stored.frame_index.tolist() == [0, 1, 2]
    assert stored.of(0).confidence.tolist() == [1.0]
    assert stored.of(2).xyxy.tolist() == [[10, 20, 40, 60]]
    assert len(stored.of(1)) == len(stored.of(7)) == 0


HEADER = {"format": "crosscam-detections/1", "classes": ["person"], "width": 9, "height": 9}


def lines_of(*records: dict[str, object]) -> str:
    return "".join(json.dumps(record) + "\n" for record in (HEADER, *records))


def boxes_of(*box: object) -> str:
    return lines_of({"frame": 0, "position_s": 0.0, "boxes": [list(box)]})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.jsonl", json.dumps({"format": HEADER["format"]}) + "\n", "d.jsonl:1: the header has no classes"),
        ("d.jsonl", lines_of({"position_s": 0.0, "boxes": []}), "d.jsonl:2: not a frame .*'frame'"),
        ("d.jsonl", boxes_of(1, 2), "d.jsonl:2: expected boxes of six finite numbers"),
        ("d.jsonl", boxes_of(float("nan"), 2, 3, 9, 1, 0), "d.jsonl:2: expected boxes of six finite numbers"),
        ("d.jsonl", boxes_of(1, 2, 3, "x", 1, 0), "d.jsonl:2: not a frame with its boxes"),
        ("d.jsonl", boxes_of(5, 2, 3, 9, 1, 0), "d.jsonl:2: a box ends before it begins"),
        ("d.jsonl", boxes_of(1, 2, 3, 9, 7, 0), "d.jsonl:2: expected confidences in 0..1"),
        ("d.jsonl", boxes_of(1, 2, 3, 9, 1, 5), "d.jsonl:2: .*classes below 1"),
        (
            "d.jsonl",
            lines_of(*({"frame": frame, "position_s": 0.0, "boxes": []} for frame in (4, 4))),
            "d.jsonl:3: frame 4 follows frame 4",
        ),
        ("d.jsonl", "{}\n", "d.jsonl:1: expected format"),
        (
            "d.jsonl",
            json.dumps({"format": "crosscam-detections/1", "classes": [], "width": 1, "height": 1})
            + "\n{oops\n",
            "d.jsonl:2:",
        ),
        ("d.txt", "1,2,x\n", "d.txt:1:"),
        ("d.txt", "0,-1,1,1,5,5,1\n", "frames count from 1"),
    ],
)
def test_broken_files_are_named_with_their_line(tmp_path: Path, name: str, content: str, message: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=message):
        read_detections(tmp_path / name)


def _precision_recall(found: list[Detections], truth: dict[int, np.ndarray]) -> tuple[float, float]:
    from tracking.assignment import assign
    from tracking.boxes import iou_matrix

    hits = given = wanted = 0
    for index, one in enumerate(found, 1):
        boxes = truth.get(index, np.zeros((0, 4), np.float32))
        given, wanted = given + len(one), wanted + len(boxes)
        if len(one) and len(boxes):
            hits += len(assign(1 - iou_matrix(one.xyxy, boxes), 0.5)[0])
    return hits / given, hits / wanted


@pytest.mark.slow
def test_yolox_nano_finds_the_people_of_tud_campus(shared_data: Path):
    from pipeline.sources.images import read_image
    from pipeline.stages.detect_yolox import YoloxDetector
    from tracking.mot import read_mot

    detector = YoloxDetector(shared_data / "weights" / "yolox_nano.onnx", ["person"], 0.4)
    config = DetectorConfig(backend="yolox", weights="w", min_confidence=0.4, max_iou=0.45)
    stage = DetectStage(detector, config, {})
    paths = sorted((shared_data / "tud-campus" / "img1").glob("*.jpg"))
    images = [read_image(path) for path in paths]
    frames = [Frame(FrameRef("a", i, i / 25), image) for i, image in enumerate(images) if image is not None]
    found = [one.detections for one in stage.process(frames)]
    rows = read_mot(shared_data / "tud-campus" / "gt" / "gt.txt")
    truth = {int(number): rows.xyxy[rows.frame == number] for number in np.unique(rows.frame)}
    precision, recall = _precision_recall(found, truth)
    assert precision > 0.7
    assert recall > 0.7
