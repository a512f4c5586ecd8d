"""Configuration files: every fault at once, each with its place; what YAML 1.1 would have guessed wrong."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from pipeline.config import Config
from pipeline.config_loader import PATH_KEYS, load_config, parse_config
from pipeline.errors import ConfigError

MINIMAL = """
cameras:
  - id: a
    source: a.mp4
detector:
  weights: yolo11n.pt
"""


def parse(text: str, folder: str = "/site") -> Config:
    return parse_config(text, Path(folder) / "run.yaml")


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parse(text)
    return list(raised.value.problems)


def test_minimal_config_takes_every_default_from_the_models():
    config = parse(MINIMAL)
    assert config.run == type(config.run)()
    assert config.tracker == type(config.tracker)()
    assert config.embedder.backend == "off"


def test_every_fault_is_told_at_once_with_its_place():
    told = faults(
        "cameras:\n"  # 1
        "  - id: a\n"  # 2
        "    souce: a.mp4\n"  # 3
        "    every_nth: 0\n"  # 4
        "detector:\n"  # 5
        "  backend: yolo\n"  # 6
        "  weights: w.pt\n"  # 7
        "tracker:\n"  # 8
        "  min_hit: 3\n"  # 9
        "output: {folder: '${CROSSCAM_NOT_SET}/x'}\n"  # 10
        "extra: 1\n"  # 11
    )
    expected = [
        "/site/run.yaml:2:5: cameras[0].source: is required",
        "/site/run.yaml:3:5: cameras[0].souce: unknown key; did you mean source?",
        "/site/run.yaml:4:5: cameras[0].every_nth: expected greater than or equal to 1",
        "/site/run.yaml:6:3: detector.backend: expected 'ultralytics', 'yolox' or 'replay'",
        "/site/run.yaml:9:3: tracker.min_hit: unknown key; did you mean min_hits?",
        "/site/run.yaml:10:10: output.folder: environment variable CROSSCAM_NOT_SET is not set",
    ]
    assert told[:6] == expected
    assert told[6].startswith("/site/run.yaml:11:1: extra: unknown key; known are association, cameras")
    assert len(told) == 7


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tracker: {max_lost_s: -1}", "TrackerConfig.max_lost_s: expected 0 or more"),
        ("association: {rules: {max_cosine_distance: 3}}", "max_cosine_distance: expected 0 < distance <= 2"),
        ("association: {rules: {max_cosine: 1}}", "did you mean max_cosine_distance?"),
        ("tracker: {noise: {postion: 1}}", "tracker.noise.postion: unknown key; did you mean position?"),
        ("crops: {policy: best}", "crops.policy: expected 'every_crop', 'every_s' or 'best_k'"),
        ("run: {batch_size: many}", "run.batch_size: expected a valid integer"),
        ("embedder: {backend: onnx}", "embedder: backend onnx needs weights"),
    ],
)
def test_wrong_values_are_named(line: str, message: str):
    assert any(message in fault for fault in faults(MINIMAL + line + "\n")), faults(MINIMAL + line + "\n")


def test_duplicate_keys_and_camera_ids_are_faults():
    assert faults(MINIMAL + "run: {seed: 1, seed: 2}\n") == [
        "/site/run.yaml:7:16: run.seed: given twice, first in line 7"
    ]
    twice = MINIMAL.replace("detector:", "  - {id: a, source: b.mp4}\ndetector:")
    assert faults(twice) == ["/site/run.yaml:2:1: cameras: camera ids given twice: a"]


def test_union_branches_give_one_line():
    told = faults(MINIMAL.replace("source: a.mp4", "source: a.mp4\n    sie: -1"))
    assert told == ["/site/run.yaml:5:5: cameras[0].sie: expected greater than or equal to 0, or expected 'mean' or 'off'"]


def test_yaml_1_1_guesses_are_not_made():
    config = parse(
        MINIMAL.replace(
            "source: a.mp4", "source: a.mp4\n    start_s: 1e-3\n    sie: off\n    start_time: 2026-03-01T09:00:00Z"
        )
        + "association: {topology: off, mode: online}\n"
    )
    camera = config.cameras[0]
    assert camera.start_s == 0.001
    assert camera.sie == "off"
    assert camera.start_time == datetime(2026, 3, 1, 9, tzinfo=timezone.utc)
    assert config.association.topology == "off"
    assert parse(MINIMAL.replace("id: a", "id: no")).cameras[0].id == "no"
    sexagesimal = faults(MINIMAL.replace("source: a.mp4", "source: a.mp4\n    start_s: 12:30:00"))
    assert "cameras[0].start_s: expected a valid number" in sexagesimal[0]


def test_text_looking_like_a_number_is_no_camera_id():
    assert "cameras[0].id: expected a valid string" in faults(MINIMAL.replace("id: a", "id: 1"))[0]
    assert parse(MINIMAL.replace("id: a", "id: '1'")).cameras[0].id == "1"


def test_relative_paths_are_relative_to_the_file():
    config = parse(
        """
cameras:
  - {id: a, source: ../clips/a.mp4, calibration: cal/a.json}
  - {id: b, source: /abs/b.mp4}
  - {id: c, source: 'rtsp://host/stream'}
  - {id: d, source: 'images/*.jpg', fps: 5}
detector: {weights: nets/y.pt}
embedder: {weights: transreid-vit-market1501}
output: {folder: out}
""",
        "/site/configs",
    )
    assert [camera.source for camera in config.cameras] == [
        "/site/clips/a.mp4",
        "/abs/b.mp4",
        "rtsp://host/stream",
        "/site/configs/images/*.jpg",
    ]
    assert config.cameras[0].calibration == Path("/site/configs/cal/a.json")
    assert config.detector.weights == "/site/configs/nets/y.pt"
    assert config.embedder.weights == "transreid-vit-market1501"
    assert config.output.folder == Path("/site/configs/out")


def test_environment_is_replaced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CAM_PASSWORD", "s3cret")
    config = parse(MINIMAL.replace("a.mp4", '"rtsp://me:${CAM_PASSWORD}@host/1"'))
    assert config.cameras[0].source == "rtsp://me:s3cret@host/1"


def test_merge_keys_share_settings():
    config = parse(
        """
cameras:
  - &shared {id: a, source: a.mp4, max_fps: 5}
  - {<<: *shared, id: b, source: b.mp4}
detector: {weights: w.pt}
"""
    )
    assert [(one.id, one.max_fps) for one in config.cameras] == [("a", 5.0), ("b", 5.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cameras: [a\n", "not valid YAML"),
        ("", "expected keys and values"),
        ("- 1\n", "expected keys and values"),
        ("cameras: []\ndetector: {weights: w}\n", "cameras: List should have at least 1 item"),
    ],
)
def test_what_is_no_config_at_all(text: str, message: str):
    assert message in faults(text)[0]


def test_unreadable_file(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.yaml")


def test_credentials_are_in_no_message(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CAM_PASSWORD", "s3cret")
    told = faults(MINIMAL.replace("a.mp4", '"rtsp://me:${CAM_PASSWORD}@host/1"').replace("id: a", "id: '?'"))
    assert told
    assert not any("s3cret" in fault for fault in told)


def test_a_latency_that_makes_every_live_frame_late_is_refused():
    live = MINIMAL.replace("a.mp4", 'rtsp://host/1\n    live: {latency_s: 3}')
    assert any("less than run.max_lateness_s (2)" in fault for fault in faults(live)), faults(live)


def _path_fields(model: type[Any]) -> set[str]:
    """Names of fields that hold a Path, in every section."""
    found = set()
    fields = model.model_fields if issubclass(model, BaseModel) else {}
    for name, info in fields.items():
        for part in _parts(info.annotation):
            if part is Path:
                found.add(name)
            elif isinstance(part, type) and (issubclass(part, BaseModel) or dataclasses.is_dataclass(part)):
                found |= _path_fields(part)
    return found


def _parts(annotation: Any) -> list[Any]:
    return [annotation, *(inner for part in get_args(annotation) for inner in _parts(part))]


def test_every_path_of_the_models_is_anchored():
    assert _path_fields(Config) <= PATH_KEYS
