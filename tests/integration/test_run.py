"""Whole runs on the tiny site: what comes out, that it is always the same, and what bad input leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from pipeline.app import Outcome, run
from pipeline.config_loader import load_config
from pipeline.errors import ConfigError, ExportError, ModelError, SourceError, StageError

ROOT = Path(__file__).resolve().parent.parent.parent
QUIET = Console(file=open(os.devnull, "w"))  # noqa: SIM115


def go(config: Path, output: Path) -> Outcome:
    return run(load_config(config), output, QUIET)


def document(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "trajectories.json").read_text())
    return loaded


def identities(folder: Path) -> set[frozenset[tuple[str, int]]]:
    """Which tracklets are one identity, whatever its number."""
    return {
        frozenset((one["camera"], one["local_id"]) for one in trajectory["tracklets"])
        for trajectory in document(folder)["trajectories"]
    }


def essence(folder: Path) -> Any:
    """Everything but the list of models and settings, which differ between computing and replaying."""
    plain = document(folder)
    return {key: plain[key] for key in ("classes", "complete", "trajectories")}


@pytest.fixture
def config(site: Any, tmp_path: Path) -> Path:
    path: Path = site.config(tmp_path)
    return path


def test_two_people_through_two_cameras(config: Path, tmp_path: Path):
    outcome = go(config, tmp_path / "out")
    assert (outcome.exit_code, outcome.reason) == (0, None)
    assert (outcome.identities, outcome.cross_camera_links) == (2, 2)
    result = document(tmp_path / "out")
    assert result["complete"]
    for trajectory in result["trajectories"]:
        assert {one["camera"] for one in trajectory["tracklets"]} == {"a", "b"}
    first = result["trajectories"][0]["tracklets"][0]["observations"][0]
    assert (first["frame"], first["time_s"], first["xyxy_px"]) == (0, 0.0, [10, 20, 34, 84])


def test_same_input_twice_is_byte_identical(config: Path, tmp_path: Path):
    go(config, tmp_path / "one")
    go(config, tmp_path / "two")
    assert (tmp_path / "one/trajectories.json").read_bytes() == (
        tmp_path / "two/trajectories.json"
    ).read_bytes()


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_batch_size_and_camera_order_change_nothing(site: Any, tmp_path: Path, mode: str):
    go(site.config(tmp_path, association={"mode": mode}), tmp_path / "eight")
    for batch in (1, 3):
        go(
            site.config(tmp_path, association={"mode": mode}, run={"batch_size": batch}),
            tmp_path / f"{batch}",
        )
        assert (tmp_path / f"{batch}/trajectories.json").read_bytes() == (
            tmp_path / "eight/trajectories.json"
        ).read_bytes()
    turned = yaml.safe_load((tmp_path / "run.yaml").read_text())
    turned["cameras"].reverse()
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(turned))
    go(tmp_path / "run.yaml", tmp_path / "turned")
    assert (tmp_path / "turned/trajectories.json").read_bytes() == (
        tmp_path / "eight/trajectories.json"
    ).read_bytes()


def test_online_and_offline_agree_on_an_easy_scene(site: Any, config: Path, tmp_path: Path):
    go(config, tmp_path / "offline")
    outcome = go(site.config(tmp_path, association={"mode": "online"}), tmp_path / "online")
    assert identities(tmp_path / "online") == identities(tmp_path / "offline")
    lines = [json.loads(line) for line in (tmp_path / "online/trajectories.jsonl").read_text().splitlines()]
    kinds = [line["kind"] for line in lines if line["type"] == "event"]
    assert kinds.count("new") == kinds.count("end") == outcome.identities == 2


def test_saved_detections_and_embeddings_replay_without_pixels(site: Any, tmp_path: Path):
    saving = site.config(tmp_path, output={"save_detections": True, "save_embeddings": True})
    go(saving, tmp_path / "saved")
    replay = site.config(
        tmp_path,
        cameras=[{"id": camera, "source": "gone.mp4"} for camera in "ab"],
        detector={"detections": str(tmp_path / "saved/detections/{camera}.jsonl")},
        embedder={"backend": "replay", "embeddings": str(tmp_path / "saved/embeddings"), "weights": None},
    )
    go(replay, tmp_path / "replayed")
    assert essence(tmp_path / "replayed") == essence(tmp_path / "saved")


def test_one_camera_shorter_and_one_without_anybody(site: Any, tmp_path: Path):
    quiet = tmp_path / "quiet.txt"
    quiet.write_text("")
    (tmp_path / "a.txt").write_text((site.folder / "a.txt").read_text())
    (tmp_path / "b.txt").write_text("")
    path = site.config(tmp_path, detector={"detections": str(tmp_path / "{camera}.txt")})
    plain = yaml.safe_load(path.read_text())
    plain["cameras"][1]["end_s"] = 1.0
    path.write_text(yaml.safe_dump(plain))
    outcome = go(path, tmp_path / "out")
    assert outcome.exit_code == 0
    assert {end.camera_id: end.frames_decoded for end in outcome.ends} == {"a": 50, "b": 10}
    assert outcome.tracklets == {"a": 2}


def test_a_truncated_recording_gives_what_it_has(site: Any, tmp_path: Path, make_clip: Any):
    import numpy as np

    whole = make_clip(tmp_path / "whole.avi", [np.zeros((160, 240, 3), np.uint8)] * 50, 10, "mpeg4", g="1")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    path = site.config(tmp_path)
    plain = yaml.safe_load(path.read_text())
    plain["cameras"][1]["source"] = str(cut)
    path.write_text(yaml.safe_dump(plain))
    outcome = go(path, tmp_path / "out")
    assert outcome.exit_code == SourceError.exit_code
    result = document(tmp_path / "out")
    assert not result["complete"]
    cameras = {camera["id"]: camera for camera in result["cameras"]}
    assert (cameras["a"]["truncated"], cameras["b"]["truncated"]) == (False, True)
    assert {one["camera"] for trajectory in result["trajectories"] for one in trajectory["tracklets"]} >= {
        "a"
    }


def test_a_missing_recording_does_not_lose_the_others(site: Any, tmp_path: Path):
    path = site.config(tmp_path, embedder={"backend": "off"})
    plain = yaml.safe_load(path.read_text())
    plain["cameras"][0]["source"] = str(tmp_path / "gone.mp4")
    (tmp_path / "empty.mp4").touch()
    path.write_text(yaml.safe_dump(plain | {"detector": {"backend": "yolox", "weights": "x.onnx"}}))
    with pytest.raises(ModelError, match=r"x\.onnx"):
        go(path, tmp_path / "out")
    path.write_text(
        yaml.safe_dump(
            plain
            | {
                "embedder": {
                    "backend": "onnx",
                    "weights": str(site.folder / "colour.onnx"),
                    "image_size": [32, 16],
                }
            }
        )
    )
    outcome = go(path, tmp_path / "out")
    assert outcome.exit_code == SourceError.exit_code
    assert "camera a" in str(outcome.reason)
    assert "no such file" in str(outcome.reason)
    assert outcome.tracklets == {"b": 2}
    assert not document(tmp_path / "out")["complete"]


def test_no_camera_at_all_leaves_earlier_results_alone(site: Any, config: Path, tmp_path: Path):
    go(config, tmp_path / "out")
    before = (tmp_path / "out/trajectories.json").read_bytes()
    plain = yaml.safe_load(config.read_text())
    for camera in plain["cameras"]:
        camera["source"] = "gone.mp4"
    config.write_text(yaml.safe_dump(plain))
    with pytest.raises(SourceError, match="camera b"):
        go(config, tmp_path / "out")
    assert (tmp_path / "out/trajectories.json").read_bytes() == before


def test_sie_rows_that_do_not_exist_are_named(site: Any, tmp_path: Path):
    path = site.config(tmp_path)
    plain = yaml.safe_load(path.read_text())
    plain["cameras"][1]["sie"] = 7
    path.write_text(yaml.safe_dump(plain))
    with pytest.raises(ModelError, match=r"camera b: sie 7: colour\.onnx has no SIE table"):
        go(path, tmp_path / "out")


def test_calibration_faults_name_camera_and_file(site: Any, tmp_path: Path):
    (tmp_path / "cal.json").write_text('{"nothing": 1}')
    path = site.config(tmp_path)
    plain = yaml.safe_load(path.read_text())
    plain["cameras"][0]["calibration"] = str(tmp_path / "cal.json")
    path.write_text(yaml.safe_dump(plain))
    with pytest.raises(
        ConfigError, match=r"camera a: calibration .*cal\.json: calibration: expected homography"
    ):
        go(path, tmp_path / "out")


def test_ground_positions_are_in_the_result(site: Any, tmp_path: Path):
    (tmp_path / "cal.json").write_text(json.dumps({"homography": [[0.01, 0, 0], [0, 0.01, 0], [0, 0, 1]]}))
    path = site.config(tmp_path)
    plain = yaml.safe_load(path.read_text())
    plain["cameras"][0]["calibration"] = str(tmp_path / "cal.json")
    path.write_text(yaml.safe_dump(plain))
    go(path, tmp_path / "out")
    first = document(tmp_path / "out")["trajectories"][0]["tracklets"][0]
    assert first["camera"] == "a"
    assert first["observations"][0]["ground_m"] == [0.22, 0.84]


def test_nan_embeddings_stop_the_run_with_everything_kept(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import numpy as np

    from reid.backends.onnx import OnnxBackend

    monkeypatch.setattr(
        OnnxBackend, "run", lambda self, images, codes: np.full((len(images), 24), np.nan, np.float32)
    )
    with pytest.raises(ModelError, match=r"embedding crops of .*: colour: .*NaN"):
        go(site.config(tmp_path), tmp_path / "out")
    assert not document(tmp_path / "out")["complete"]


def test_a_failing_stage_is_named_and_results_are_kept(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from pipeline.stages.detect_replay import ReplayDetector

    detect = ReplayDetector.detect

    def failing(self: Any, frames: Any) -> Any:
        if frames[0].ref.frame_index >= 20:
            raise RuntimeError("out of memory")
        return detect(self, frames)

    monkeypatch.setattr(ReplayDetector, "detect", failing)
    with pytest.raises(StageError, match="detect failed on frames of a, b: RuntimeError: out of memory"):
        go(site.config(tmp_path, run={"batch_size": 4}), tmp_path / "out")
    result = document(tmp_path / "out")
    assert not result["complete"]
    assert result["trajectories"], "what was tracked before the fault is in the result"


def test_a_folder_that_cannot_be_written(config: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="file"):
        go(config, tmp_path / "file" / "out")


# -- as a process


def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env={**os.environ, **environment}
    )


def slow(site: Any, into: Path) -> Path:
    """A long run: the same short clip's detections over 30,000 frames, no pixels."""
    conftest = yaml.safe_load(site.config(into).read_text())
    for camera in "ab":
        line = "{},-1,10,20,24,64,0.9\n"
        (into / f"{camera}.txt").write_text("".join(line.format(number) for number in range(1, 30_000)))
    conftest["detector"]["detections"] = str(into / "{camera}.txt")
    conftest["embedder"] = {"backend": "off"}
    conftest["cameras"] = [{"id": camera, "source": "none", "fps": 10} for camera in "ab"]
    (into / "run.yaml").write_text(yaml.safe_dump(conftest))
    return into / "run.yaml"


def wait_for_lines(path: Path, count: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if path.exists() and path.read_bytes().count(b"\n") > count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not grow")


def test_ctrl_c_leaves_valid_json_and_exit_130(site: Any, tmp_path: Path):
    process = start("run", slow(site, tmp_path), "--output", tmp_path / "out")
    wait_for_lines(tmp_path / "out/trajectories.jsonl", 50)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    result = document(tmp_path / "out")
    assert (result["complete"], result["reason"]) == (False, "interrupted")
    assert result["trajectories"]


def test_kill_9_leaves_readable_lines_that_recover(site: Any, tmp_path: Path):
    process = start("run", slow(site, tmp_path), "--output", tmp_path / "out")
    wait_for_lines(tmp_path / "out/trajectories.jsonl", 50)
    process.kill()
    process.communicate(timeout=60)
    lines = (tmp_path / "out/trajectories.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["type"] == "frame" for line in lines[:-1]) > 40
    recovered = start("recover", tmp_path / "out")
    recovered.communicate(timeout=60)
    assert recovered.returncode == 0
    assert not document(tmp_path / "out")["complete"]


def test_a_full_disk_ends_with_6_and_keeps_the_lines(site: Any, tmp_path: Path):
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        f"sys.argv = ['crosscam', 'run', '{slow(site, tmp_path)}', '--output', '{tmp_path / 'out'}'];"
        "from pipeline.__main__ import main; main()"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert told.returncode == ExportError.exit_code, told.stderr
    assert "trajectories.jsonl" in told.stderr
    assert "Traceback" not in told.stderr
    assert (tmp_path / "out/trajectories.jsonl").read_bytes().count(b"\n") > 10


def test_associating_again_needs_no_pixels(site: Any, tmp_path: Path):
    from pipeline.commands.associate import associate_command

    config = site.config(tmp_path, output={"save_detections": True, "save_embeddings": True})
    go(config, tmp_path / "saved")
    stricter = site.config(
        tmp_path,
        association={"rules": {"max_cosine_distance": 1e-6}},
        cameras=[{"id": c, "source": "gone.mp4"} for c in "ab"],
    )
    assert associate_command(tmp_path / "saved", stricter, tmp_path / "again") == 0
    assert len(identities(tmp_path / "saved")) == 2
    assert len(identities(tmp_path / "again")) == 4
    with pytest.raises(ConfigError, match="this one is read"):
        associate_command(tmp_path / "saved", stricter, tmp_path / "saved")


def test_exit_codes_and_messages_of_the_command(site: Any, tmp_path: Path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("cameras: [{id: a, sorce: x}]\ndetector: {weights: w}\n")
    process = start("run", bad)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"error: {bad}:1:19: cameras[0].sorce: unknown key; did you mean source?" in told
    assert "Traceback" not in told
