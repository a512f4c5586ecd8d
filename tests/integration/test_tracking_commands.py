"""``track``, ``track-bench`` and ``tune`` from the command line, on sequences made here."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from pipeline.cli import app
from tracking.mot import read_mot


def sequence(folder, seed=0, frames=40):
    """Three walkers of a noisy detector, with truth."""
    rng = np.random.default_rng(seed)
    detected, true = [], []
    for frame in range(1, frames + 1):
        for person in range(3):
            box = np.array([50 + (person + 1) * 3.0 * frame, 100 + 150 * person, 40, 100])
            true.append([frame, person + 1, *box, 1, -1, -1, -1])
            if rng.random() > 0.1:
                detected.append([frame, -1, *(box + rng.normal(0, 1, 4)), rng.uniform(0.92, 1), -1, -1, -1])
    for name, rows in (("det", detected), ("gt", true)):
        (folder / name).mkdir(parents=True)
        text = "\n".join(",".join(f"{value:g}" for value in row) for row in rows)
        (folder / name / f"{name}.txt").write_text(text + "\n")
    (folder / "seqinfo.ini").write_text(f"[Sequence]\nframeRate=25\nseqLength={frames}\n")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_track_writes_mot(tmp_path):
    sequence(tmp_path / "A")
    found = {}
    for flag in ((), ("--repaired",)):
        out = tmp_path / "out.txt"
        detections = tmp_path / "A/det/det.txt"
        result = run("track", "--detections", detections, "--fps", 25, "--output", out, *flag)
        assert result.exit_code == 0, result.output
        assert "3 tracks" in result.output
        found[flag] = read_mot(out)
    online, repaired = found.values()
    assert set(online.id) == set(repaired.id) == {1, 2, 3}
    assert online.frame.min() > repaired.frame.min() == 1
    assert len(repaired) == 3 * 40 - np.sum(np.bincount(repaired.frame)[1:] < 3)
    assert len(repaired) > len(read_mot(tmp_path / "A/det/det.txt"))


@pytest.mark.parametrize(
    ("text", "fps", "complaint"),
    [("1,-1,x,0,5,5,1\n", 25, "det.txt:1:"), ("0,-1,0,0,5,5,1\n", 25, "count from 1"), ("", 0, "positive")],
)
def test_bad_input_to_track_is_named(tmp_path, text, fps, complaint):
    from pipeline.errors import ConfigError

    (tmp_path / "det.txt").write_text(text)
    arguments = ("--detections", tmp_path / "det.txt", "--fps", fps, "--output", tmp_path / "o.txt")
    result = run("track", *arguments)
    assert isinstance(result.exception, ConfigError)
    assert complaint in str(result.exception)


def test_no_detections_are_no_tracks(tmp_path):
    (tmp_path / "det.txt").write_text("")
    out = tmp_path / "out.txt"
    result = run("track", "--detections", tmp_path / "det.txt", "--fps", 25, "--output", out)
    assert result.exit_code == 0, result.output
    assert out.read_text() == ""


def test_track_bench_scores_each_sequence_and_the_total(tmp_path):
    for name, seed in (("A", 0), ("B", 1)):
        sequence(tmp_path / "site" / name, seed)
    result = run("track-bench", tmp_path / "site", "--json", tmp_path / "scores.json")
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert list(scores["online"]) == list(scores["repaired"]) == ["A", "B", "TOTAL"]
    assert scores["online"]["TOTAL"]["IDSW"] == 0
    assert scores["repaired"]["TOTAL"]["IDF1"] > 0.95


def test_tune_finds_something_cross_validated_that_track_can_read(tmp_path):
    pytest.importorskip("cmaes")
    for name, seed in (("A", 0), ("B", 1)):
        sequence(tmp_path / "site" / name, seed, frames=20)
    fitted = tmp_path / "tracker.yaml"
    result = run("tune", tmp_path / "site", "--trials", 2, "--folds", 2, "--output", fitted)
    assert result.exit_code == 0, result.output
    assert "unseen" in result.output
    assert set(yaml.safe_load(fitted.read_text())) == {"tracker"}
    result = run("track-bench", tmp_path / "site", "--tracker", fitted)
    assert result.exit_code == 0, result.output


def test_an_interrupted_tune_ends_and_leaves_no_helpers(tmp_path):
    pytest.importorskip("cmaes")
    sequence(tmp_path / "site" / "A", frames=20)
    command = [sys.executable, "-m", "pipeline", "tune", str(tmp_path / "site"), "--trials", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert "generation 1/" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)  # the pipe closes when the last helper that holds it is gone
    assert process.returncode == 130
