"""``calibrate``: what the three commands find on material whose answer is known, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from pipeline.calibrations import PointPairs, read_calibration, read_point_pairs
from pipeline.cli import app
from pipeline.commands.calibrate_homography import first_picture
from pipeline.errors import ConfigError
from pipeline.export.header import CameraInfo, RunHeader
from pipeline.export.writer import RunWriter
from pipeline.packets import CameraEnd
from pipeline.render.clicks import click_points
from pipeline.stages.embedding_files import EmbeddingWriter, StoredCrop
from tests.simulated import make_tracklet, unit
from tracking.types import Tracklet, Trajectory

CAMERA = np.array([[800.0, 0, 320], [0, 800, 240], [0, 0, 1]])
TURNED = np.array([[1.0, 0, 0], [0, -0.5, -np.sqrt(0.75)], [0, np.sqrt(0.75), -0.5]])


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["calibrate", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def projected(places: np.ndarray) -> np.ndarray:
    """Pixels of floor places seen from three metres up."""
    seen = (np.column_stack([places, np.zeros(len(places))]) - [0, -4, 3]) @ TURNED.T @ CAMERA.T
    return seen[:, :2] / seen[:, 2:]


PLACES = np.array([[-2.0, 0], [2, 0], [2, 4], [-2, 4], [0.5, 1], [1, 3.5]])


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = np.column_stack([projected(PLACES), PLACES])
    path = tmp_path / "points.csv"
    path.write_text("u_px,v_px,x_m,y_m\n" + "\n".join(",".join(map(str, row)) for row in rows.tolist()) + "\n")
    return path


def stored_run(folder: Path, tracklets: list[Tracklet], fps: float = 10.0) -> Path:
    """An output folder with these tracklets, and their embeddings where they have some."""
    cameras = sorted({one.camera_id for one in tracklets})
    header = RunHeader(("person",), tuple(CameraInfo(name, f"{name}.mp4", 640, 480, fps, ground=True) for name in cameras))
    with RunWriter(folder, header) as writer:
        for tracklet in tracklets:
            writer.tracklet(tracklet)
        for name in cameras:
            writer.camera_end(CameraEnd(name, 100, 100, 0, False))
        writer.finish([Trajectory(number, 0, (one.key,)) for number, one in enumerate(tracklets, 1)])
    for name in cameras:
        saved = EmbeddingWriter(folder / "embeddings" / "net" / f"{name}.jsonl", {"camera": name})
        for one in tracklets:
            for row in range(len(one.embeddings) if one.camera_id == name else 0):
                crop = StoredCrop(one.xyxy[0], float(one.embedding_quality[row]), one.embeddings[row])
                saved.write(0, one.key.local_id, float(one.embedding_timestamp_s[row]), crop)
        saved.close()
    return folder


def people(count: int, spread: float = 0.4) -> list[Tracklet]:
    """One camera, everybody there at once, looks around one direction each."""
    rng = np.random.default_rng(5)
    who = unit(rng.normal(size=(count, 32)))
    return [
        make_tracklet("a", number, np.arange(0, 20, 0.5), embeddings=unit(one + rng.normal(scale=spread / 6, size=(8, 32))))
        for number, one in enumerate(who, 1)
    ]


def test_threshold_lies_between_the_distributions(tmp_path: Path):
    folder = stored_run(tmp_path / "run", people(12))
    said = invoke("threshold", folder, "--json", tmp_path / "numbers.json")
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert f"max_cosine_distance: {numbers['max_cosine_distance']:.3f}" in said
    assert 0.15 < numbers["max_cosine_distance"] < 0.8
    assert (numbers["pairs_inside_tracklets"], numbers["pairs_different"]) == (12, 66)
    assert numbers["misses"] == 0
    assert numbers["links_wrongly"] <= 0.02
    assert (folder / "threshold.png").read_bytes().startswith(b"\x89PNG")


def test_threshold_says_what_it_lacks(tmp_path: Path):
    bare = stored_run(tmp_path / "bare", [make_tracklet("a", 1, [0.0, 1.0])])
    with pytest.raises(ConfigError, match="save_embeddings: true"):
        invoke("threshold", bare)
    few = stored_run(tmp_path / "few", people(3))
    with pytest.raises(ConfigError, match="only 3 pairs of tracklets"):
        invoke("threshold", few)
    with pytest.raises(ConfigError, match=r"holds no trajectories\.json"):
        invoke("threshold", tmp_path)


def test_homography_from_pairs_comes_back_from_its_file(pairs: Path, tmp_path: Path):
    said = invoke("homography", pairs, "--output", tmp_path / "cam.yaml")
    assert "residual: mean 0.000 m, largest 0.000 m" in said
    calibration = read_calibration(tmp_path / "cam.yaml")
    np.testing.assert_allclose(calibration.to_ground(projected(PLACES)), PLACES, atol=1e-4)


def test_a_mistyped_pair_is_named(pairs: Path, tmp_path: Path):
    lines = pairs.read_text().splitlines()
    cells = lines[4].split(",")
    lines[4] = ",".join([*cells[:2], str(float(cells[2]) + 1.5), cells[3]])
    pairs.write_text("\n".join(lines))
    said = invoke("homography", pairs)
    assert "warning: pair 4 is off by" in said


def test_four_pairs_say_nothing_of_their_error(pairs: Path):
    pairs.write_text("\n".join(pairs.read_text().splitlines()[:5]))
    assert "four points always fit" in invoke("homography", pairs)


def test_a_known_calibration_is_held_against_pairs(pairs: Path, tmp_path: Path):
    moved = -TURNED @ np.array([0.0, -4, 3])
    straight = {"intrinsics": CAMERA.tolist(), "rotation": TURNED.tolist(), "translation": moved.tolist()}
    (tmp_path / "known.json").write_text(json.dumps(straight | {"distortion": [-0.1, 0.02, 0, 0, 0]}))
    (tmp_path / "straight.json").write_text(json.dumps(straight))
    assert "largest 0.000 m" in invoke("homography", tmp_path / "straight.json", "--check", pairs)
    invoke("homography", tmp_path / "known.json", "--output", tmp_path / "copy.yaml")
    pixels = np.array([[100.0, 300], [500, 400]])
    once, again = (read_calibration(tmp_path / name).to_ground(pixels) for name in ("known.json", "copy.yaml"))
    np.testing.assert_allclose(once, again, atol=1e-9)


def test_a_matlab_projection_is_a_known_calibration(pairs: Path, tmp_path: Path):
    import scipy.io

    matrix = CAMERA @ np.column_stack([TURNED, -TURNED @ np.array([0.0, -4, 3])])
    scipy.io.savemat(tmp_path / "cam.mat", {"P": matrix})
    assert "largest 0.000 m" in invoke("homography", tmp_path / "cam.mat", "--check", pairs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3,4\n5,6,x,8\n", "line 2: expected four numbers"),
        ("1,2,3,4\n5,6,7\n", "point pair 2: expected u_px, v_px, x_m, y_m"),
        ("1,2,3,4\n", "needs 4 or more point pairs, got 1"),
        ("0,0,0,0\n1,1,1,1\n2,2,2,2\n3,3,3,3\n", "lie on one line"),
    ],
)
def test_malformed_pairs_are_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        invoke("homography", tmp_path / "points.csv")


def test_the_floor_is_drawn_into_the_frame(pairs: Path, tmp_path: Path, make_clip: Any):
    clip = make_clip(tmp_path / "clip.mp4", [np.full((480, 640, 3), 60, np.uint8)] * 3)
    invoke("homography", pairs, "--output", tmp_path / "cam.yaml", "--frame", clip)
    drawn = first_picture(tmp_path / "cam.png")
    assert drawn.shape == (480, 640, 3)
    assert (np.abs(drawn.astype(int) - 60).max(axis=2) > 60).mean() > 0.01


def test_clicks_become_pairs(monkeypatch: pytest.MonkeyPatch):
    """The window is a stand-in: three clicks, of which the second is taken back."""
    heard: list[Any] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("cv2.namedWindow", lambda *_: None)
    monkeypatch.setattr("cv2.destroyWindow", lambda *_: None)
    monkeypatch.setattr("cv2.imshow", lambda *_: None)
    monkeypatch.setattr("cv2.getWindowProperty", lambda *_: 1.0)
    monkeypatch.setattr("cv2.setMouseCallback", lambda _, heed: heard.append(heed))
    presses = iter([(10, 20), (30, 40), (50, 60)])

    def wait(_: int) -> int:
        place = next(presses, None)
        if place is None:
            return 13
        heard[0](1, *place, 0, None)
        return 255

    monkeypatch.setattr("cv2.waitKey", wait)
    answers = iter(["1.5 2", "", "nonsense", "3, 4"])
    pairs = click_points(np.zeros((80, 80, 3), np.uint8), lambda _: next(answers))
    assert pairs.image_px.tolist() == [[10, 20], [50, 60]]
    assert pairs.ground_m.tolist() == [[1.5, 2], [3, 4]]


def test_clicking_without_a_screen_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ConfigError, match="list the point pairs in a file"):
        click_points(np.zeros((8, 8, 3), np.uint8))


def test_pairs_in_yaml(tmp_path: Path):
    (tmp_path / "points.yaml").write_text(yaml.safe_dump({"points": [[1, 2, 3, 4]]}))
    found = read_point_pairs(tmp_path / "points.yaml")
    assert isinstance(found, PointPairs)
    assert found.ground_m.tolist() == [[3, 4]]


def strolls(camera: str, late_s: float, noise: np.random.Generator) -> list[Tracklet]:
    times = np.arange(0, 120, 0.1)
    found = []
    for walker in range(3):
        phase = np.random.default_rng(walker).uniform(0, 6, 4)
        xy = np.stack([4 * np.sin(0.31 * times + phase[0]) + np.sin(0.9 * times + phase[1]),
                       3 * np.cos(0.23 * times + phase[2]) + np.cos(0.7 * times + phase[3])], 1)  # fmt: skip
        found.append(make_tracklet(camera, walker + 1, times - late_s, ground=xy + noise.normal(scale=0.05, size=xy.shape)))
    return found


def test_sync_finds_the_clock_that_is_off(tmp_path: Path):
    rng = np.random.default_rng(0)
    folder = stored_run(tmp_path / "run", strolls("a", 0.0, rng) + strolls("b", 0.7, rng) + strolls("c", 0.0, rng))
    said = invoke("sync", folder, "--json", tmp_path / "clocks.json")
    b, c = json.loads((tmp_path / "clocks.json").read_text())
    assert b["offset_s"] == pytest.approx(0.7, abs=0.06)
    assert c["offset_s"] == pytest.approx(0.0, abs=0.06)
    assert "warning: b: clock off by +0.7" in said
    assert "warning: c" not in said


def test_sync_needs_two_cameras_on_one_floor(tmp_path: Path):
    folder = stored_run(tmp_path / "run", strolls("a", 0.0, np.random.default_rng(0)))
    with pytest.raises(ConfigError, match="two cameras"):
        invoke("sync", folder)
    with pytest.raises(ConfigError, match="--reference"):
        both = strolls("a", 0.0, np.random.default_rng(0)) + strolls("b", 0.0, np.random.default_rng(1))
        invoke("sync", stored_run(tmp_path / "both", both), "--reference", "z")
