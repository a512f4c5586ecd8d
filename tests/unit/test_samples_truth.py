"""Truth files, recordings, training sets and the command line of the synthetic site."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from pipeline.config_loader import load_config
from pipeline.evaluation import read_truth
from samples.campus import campus
from samples.cli import SCENARIO_NAMES, main
from samples.plan import SiteCamera
from samples.recording import RecordedFrame, record, write_config
from samples.reidset import relative_view
from samples.scenarios import SCENARIOS, scenario
from samples.truth import TruthRow, Visit, topology, travel_times, visits, write_camera, write_site
from samples.types import ActorView
from samples.video import VideoWriter
from tracking.mot import read_mot
from tracking.topology import Topology


def row(
    frame: int, actor_id: int = 3, visible: float = 1.0, height: float = 80.0, fps: float = 10.0
) -> TruthRow:
    return TruthRow(
        frame, frame / fps, actor_id, "person", (10.0, 20.0, 40.0, 20.0 + height), visible, (1.5, 2.5), 0.3
    )


def test_mot_file_reads_back_with_the_hidden_and_the_small_unscored(tmp_path):
    write_camera(tmp_path, "cam1", [row(0), row(1, visible=0.1), row(2, height=12.0)])
    read = read_mot(tmp_path / "cam1.txt")
    assert read.frame.tolist() == [1, 2, 3]
    assert read.confidence.tolist() == [1, 0, 0]
    np.testing.assert_allclose(read.xyxy[0], (10, 20, 40, 100))
    assert (tmp_path / "cam1.txt").read_text().splitlines()[0] == "1,3,10.00,20.00,30.00,80.00,1,1,1.000"


def test_site_files_are_read_by_the_evaluation(tmp_path):
    cameras = campus().cameras
    rows = {camera.camera_id: [row(k) for k in range(5)] for camera in cameras}
    for name, mine in rows.items():
        write_camera(tmp_path / "truth", name, mine)
    about = {"duration_s": 1.5, "classes": ["person", "car", "truck", "bus"]}
    write_site(tmp_path / "truth", cameras, rows, about)
    truth = read_truth(tmp_path)
    assert sorted(truth) == ["cam1", "cam2", "cam3", "cam4"]
    assert all(len(camera.boxes) == 5 for camera in truth.values())
    text = (tmp_path / "truth" / "aicity.txt").read_text().splitlines()
    assert text[0] == "1 3 0 10 20 30 80 1.500 2.500"
    identities = json.loads((tmp_path / "truth" / "identities.json").read_text())
    assert [len(one["visits"]) for one in identities] == [4]
    assert Topology.from_dict(yaml.safe_load((tmp_path / "topology.yaml").read_text())).links


def test_a_visit_ends_with_a_long_absence_only():
    rows = [row(k) for k in (0, 1, 2, 10, 11, 40, 41)]
    stays = visits("cam1", rows, max_absence_s=1.5)
    assert stays == {3: [Visit("cam1", 0.0, 1.1, 0, 11), Visit("cam1", 4.0, 4.1, 40, 41)]}


def test_travel_times_are_gaps_between_visits_and_negative_in_an_overlap():
    first = {1: [Visit("a", 0.0, 5.0, 0, 50)], 2: [Visit("a", 3.0, 9.0, 30, 90)]}
    second = {1: [Visit("b", 8.0, 9.0, 80, 90)], 2: [Visit("b", 7.0, 12.0, 70, 120)]}
    gaps = travel_times([first, second])
    assert gaps == {("a", "b"): [3.0, -2.0]}
    (link,) = topology(gaps)["links"]
    assert link["overlap"] and link["min_s"] <= 0 and link["max_s"] >= 3.0


def test_camera_windows_begin_at_the_first_glimpse():
    """Scored from 5 s to 6 s in a and from 10 s in b, but glimpsed till 7 s in a and from 8 s in b."""

    def stays(glimpsed: bool) -> list[dict[int, list[Visit]]]:
        parts = [("a", 50, 60, 1.0), ("a", 61, 70, 0.15), ("b", 80, 99, 0.15), ("b", 100, 110, 1.0)]
        rows = {name: [row(k, visible=v) for n, i, j, v in parts if n == name for k in range(i, j + 1)] for name in "ab"}
        return [visits(name, mine, glimpsed=glimpsed) for name, mine in rows.items()]

    gaps, shortest = travel_times(stays(False)), travel_times(stays(False), stays(True))
    assert gaps == {("a", "b"): [pytest.approx(4.0)]}
    assert shortest == {("a", "b"): [pytest.approx(1.0)]}
    (link,) = topology(gaps, shortest)["links"]
    assert (link["min_s"], link["max_s"]) == (0.0, 6.0)


@pytest.mark.parametrize(("name", "wanted", "suffix"), [("vehicles", "bus", "-vehicles"), ("demo", "person", "")])
def test_config_is_accepted_by_the_pipeline(tmp_path, name, wanted, suffix):
    staged = scenario(name, 1, 5.0)
    write_config(staged, tmp_path)
    config = load_config(tmp_path / "config.yaml")
    assert [camera.id for camera in config.cameras] == [c.camera_id for c in staged.site.cameras]
    assert wanted in config.detector.classes
    weights = [Path(config.detector.weights), Path(config.embedder.weights)]
    assert [path.name for path in weights] == [f"detector-synthetic{suffix}.pt", f"transreid-synthetic{suffix}.safetensors"]
    assert all(path.exists() for path in weights)


def test_the_view_is_the_heading_relative_to_the_camera():
    camera = campus().cameras[0].camera
    away = float(np.arctan2(6.0 - camera.centre_m[1], 8.0 - camera.centre_m[0]))
    for view, heading in ((0, away + np.pi), (2, away), (1, away - np.pi / 2), (3, away + np.pi / 2)):
        seen = ActorView(1, "person", np.zeros(4), 1.0, (8.0, 6.0), heading)
        assert relative_view(seen, camera) == view


def test_video_keeps_fractional_rates_and_gaps(tmp_path):
    clip = tmp_path / "clip.mp4"
    shown = [k / 12.5 for k in range(30) if k not in (7, 8)]
    with VideoWriter(clip, (64, 48), 12.5) as video:
        for k, position in enumerate(shown):
            video.write(np.full((48, 64, 3), 8 * k, np.uint8), position)
    capture = cv2.VideoCapture(str(clip))
    times = []
    while capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    assert len(times) == 28
    np.testing.assert_allclose(times, shown, atol=0.002)


def test_help_knows_every_scenario(capsys):
    assert tuple(SCENARIOS) == SCENARIO_NAMES
    with pytest.raises(SystemExit) as stop:
        main(["render", "--help"])
    assert stop.value.code == 0
    assert "lookalikes" in capsys.readouterr().out


def test_bad_duration_is_a_message(tmp_path, capsys):
    assert main(["render", "--scenario", "demo", "--out", str(tmp_path), "--duration-s", "-1"]) == 2
    assert "duration_s must be positive" in capsys.readouterr().err


@pytest.fixture(scope="module")
def recorded() -> list[RecordedFrame]:
    """Two seconds of a plaza camera, frozen for half a second, its clock leaping."""
    staged = scenario("demo", 7, 3.0)
    broken = staged.site.camera("cam1")
    response = replace(broken.response, drop_rate=0.0, clock_offset_s=0.2)
    faults = replace(broken.faults, freeze_s=(0.5, 1.0), jump_at_s=1.5, jump_s=2.5)
    camera = SiteCamera(broken.camera, response, 1.0, faults)
    site = replace(staged.site, cameras=(camera,))
    return list(record(replace(staged, site=site), "cam1"))


def test_recording_has_one_row_of_frames_with_freeze_and_leap(recorded):
    assert [frame.index for frame in recorded] == list(range(20))
    np.testing.assert_allclose([f.position_s for f in recorded[:15]], np.arange(15) / 10)
    assert recorded[15].position_s == pytest.approx(4.0)
    assert recorded[0].time_s == pytest.approx(0.8)
    for frozen in recorded[6:10]:
        np.testing.assert_array_equal(frozen.image, recorded[5].image)
        assert [(r.actor_id, r.box_xyxy) for r in frozen.truth] == [
            (r.actor_id, r.box_xyxy) for r in recorded[5].truth
        ]
        assert all(r.frame == frozen.index for r in frozen.truth)
    assert not np.array_equal(recorded[11].image, recorded[10].image)


def test_truth_boxes_lie_in_the_frame_and_on_their_feet(recorded):
    rows = [r for frame in recorded for r in frame.truth if r.is_scored]
    assert rows
    for one in rows:
        x0, y0, x1, y1 = one.box_xyxy
        assert 0 <= x0 < x1 <= 640 and 0 <= y0 < y1 <= 360


@pytest.mark.slow
def test_render_makes_a_complete_site_twice_the_same(tmp_path):
    for name in ("one", "two"):
        command = [
            "render",
            "--scenario",
            "demo",
            "--seed",
            "3",
            "--duration-s",
            "2",
            "--out",
            str(tmp_path / name),
        ]
        assert main(command) == 0
    for path in sorted((tmp_path / "one").rglob("*")):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        if path.is_file():
            assert path.read_bytes() == twin.read_bytes(), path.name
    for wanted in (
        "clips/cam4.mp4",
        "truth/cam1.txt",
        "calibration/cam2.json",
        "config.yaml",
        "topology.yaml",
    ):
        assert (tmp_path / "one" / wanted).is_file()


@pytest.mark.slow
def test_sets_follow_their_naming(tmp_path):
    reid = [
        "reid-set",
        "--train",
        "6",
        "--test",
        "4",
        "--crops",
        "4",
        "--cameras",
        "2",
        "--out",
        str(tmp_path / "reid"),
    ]
    assert main(reid) == 0
    found = {
        split: sorted((tmp_path / "reid" / split).iterdir())
        for split in ("bounding_box_train", "query", "bounding_box_test")
    }
    pattern = re.compile(r"(\d{4})_c(\d)s1_\d{6}_\d\d_v[0-3]\.jpg")
    people = {split: {int(pattern.fullmatch(p.name)[1]) for p in paths} for split, paths in found.items()}
    assert people["bounding_box_train"] <= set(range(1, 7))
    assert people["query"] | people["bounding_box_test"] <= set(range(7, 11))
    assert main(["yolo-set", "--images", "32", "--validation", "0.5", "--out", str(tmp_path / "yolo")]) == 0
    labels = sorted((tmp_path / "yolo" / "labels").rglob("*.txt"))
    assert len(labels) == 32
    for line in "".join(path.read_text() for path in labels).splitlines():
        kind, *box = line.split()
        assert int(kind) in range(4)
        assert all(0 <= float(value) <= 1 for value in box)
