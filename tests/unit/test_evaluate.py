"""Scoring results against truth in the forms people have it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.commands.evaluate import evaluate
from pipeline.errors import ConfigError, ExportError
from pipeline.evaluation import evaluate as scored
from pipeline.export.header import CameraInfo
from pipeline.export.record import Row, record_of, table_of, write_run

FRAMES = 10


def walk(
    identity: int, left: float, frames: range = range(FRAMES), scored_row: int = 1, kind: int = 1
) -> str:
    """MOT truth of somebody who walks to the right; frames from 1."""
    return "".join(f"{f + 1},{identity},{left + 4 * f},50,20,60,{scored_row},{kind},1.0\n" for f in frames)


def found(camera: str, identity: int, left: float, frames: range = range(FRAMES), kind: int = 0) -> list[Row]:
    """The same walk as a result; frames from 0."""
    boxes = [(left + 4 * f, 50.0, left + 4 * f + 20, 110.0) for f in frames]
    return [
        Row(camera, identity, f, f / 10, box, class_id=kind) for f, box in zip(frames, boxes, strict=True)
    ]


def result(path: Path, rows: list[Row], classes: tuple[str, ...] = ("person",)) -> Path:
    cameras = [CameraInfo(name, "", 640, 360, 10.0) for name in sorted({row.camera for row in rows})]
    write_run(record_of(table_of(rows), classes, cameras), path / "trajectories.json")
    return path / "trajectories.json"


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Two people in camera a, one of them later in b."""
    folder = tmp_path / "truth"
    folder.mkdir()
    (folder / "a.txt").write_text(walk(1, 10) + walk(2, 300))
    (folder / "b.txt").write_text(walk(1, 100))
    return folder


def test_a_perfect_result(truth: Path, tmp_path: Path) -> None:
    path = result(tmp_path, [*found("a", 5, 10), *found("a", 6, 300), *found("b", 5, 100)])
    scores = scored(truth, path).scores
    for values in (*scores.per_camera.values(), scores.combined, scores.cross_camera):
        assert [values[name] for name in ("HOTA", "IDF1", "MOTA")] == pytest.approx([1, 1, 1])


def test_an_identity_must_hold_across_cameras(truth: Path, tmp_path: Path) -> None:
    path = result(tmp_path, [*found("a", 5, 10), *found("a", 6, 300), *found("b", 6, 100)])
    scores = scored(truth, path).scores
    assert [values["IDF1"] for values in scores.per_camera.values()] == pytest.approx([1, 1])
    assert scores.combined["IDF1"] == pytest.approx(1)
    assert scores.cross_camera["IDF1"] == pytest.approx(2 / 3), (
        "either way, one of three walks has the wrong id"
    )


def test_counts_by_hand(truth: Path, tmp_path: Path) -> None:
    """a: one person found in 8 of 10 frames, the other not at all, 3 false boxes: MOTA = (8 - 3) / 20."""
    path = result(tmp_path, [*found("a", 5, 10, range(8)), *found("a", 9, 500, range(3))])
    evaluation = scored(truth, path)
    values = evaluation.scores.per_camera["a"]
    assert [values[name] for name in ("TP", "FN", "FP")] == [8, 12, 3]
    assert values["MOTA"] == pytest.approx(5 / 20)
    assert values["IDF1"] == pytest.approx(2 * 8 / (20 + 11))
    assert evaluation.scores.per_camera["b"]["FN"] == 10
    assert evaluation.notes == ("camera b of the truth is not in the result: all of it counts as missed",)


def test_frames_are_aligned_by_their_place_in_the_source(truth: Path, tmp_path: Path) -> None:
    """Somebody who moves 30 px a frame is missed altogether when frames are off by one."""
    fast = "".join(f"{f + 1},1,{30 * f},50,20,60,1,1,1.0\n" for f in range(FRAMES))
    (truth / "a.txt").write_text(fast)
    rows = [Row("a", 1, f, f / 10, (30.0 * f, 50.0, 30.0 * f + 20, 110.0)) for f in range(FRAMES)]
    assert scored(truth, result(tmp_path, rows)).scores.per_camera["a"]["MOTA"] == pytest.approx(1)


def test_truth_that_is_not_scored_costs_nothing(truth: Path, tmp_path: Path) -> None:
    (truth / "a.txt").write_text(walk(1, 10) + walk(2, 300, scored_row=0))
    everybody = [*found("a", 5, 10), *found("a", 6, 302), *found("b", 5, 100)]
    seen = scored(truth, result(tmp_path, everybody))
    assert seen.ignored == {"a": 10, "b": 0}
    assert seen.scores.per_camera["a"]["MOTA"] == pytest.approx(1)
    missed = scored(truth, result(tmp_path, [row for row in everybody if row.global_id == 5]))
    assert missed.scores.per_camera["a"] == seen.scores.per_camera["a"]


def test_a_box_on_both_goes_to_the_truth_it_fits_better(truth: Path, tmp_path: Path) -> None:
    """The scored person stands before a hidden one; the only box fits the scored one, so it is a hit."""
    (truth / "a.txt").write_text(walk(1, 10) + walk(2, 14, scored_row=0))
    evaluation = scored(truth, result(tmp_path, found("a", 5, 11)))
    assert evaluation.ignored["a"] == 0
    assert evaluation.scores.per_camera["a"]["TP"] == 10


def test_frames_outside_the_truth_are_left_out_and_told(truth: Path, tmp_path: Path) -> None:
    rows = [*found("a", 5, 10), *found("a", 6, 300), *found("b", 5, 100, range(15))]
    evaluation = scored(truth, result(tmp_path, rows))
    assert evaluation.outside == {"a": 0, "b": 5}
    assert evaluation.scores.per_camera["b"]["FP"] == 0


def test_a_known_length_makes_boxes_after_the_last_truth_false(tmp_path: Path) -> None:
    folder = tmp_path / "mot"
    (folder / "a" / "gt").mkdir(parents=True)
    (folder / "a" / "gt" / "gt.txt").write_text(walk(1, 10))
    (folder / "a" / "seqinfo.ini").write_text("[Sequence]\nseqLength=12\n")
    evaluation = scored(folder, result(tmp_path, found("a", 5, 10, range(15))))
    assert evaluation.outside == {"a": 3}
    assert evaluation.scores.per_camera["a"]["FP"] == 2


def test_a_camera_without_truth_is_told(truth: Path, tmp_path: Path) -> None:
    path = result(tmp_path, [*found("a", 5, 10), *found("b", 5, 100), *found("c", 5, 1)])
    assert scored(truth, path).notes == ("camera c of the result has no truth: not scored",)


# -- forms of truth and result


def test_mot_folders_on_both_sides(truth: Path, tmp_path: Path) -> None:
    other = tmp_path / "mine"
    other.mkdir()
    (other / "a.gt.txt").write_text((truth / "a.txt").read_text())
    (other / "a.det.txt").write_text("not truth")
    (other / "b.gt.txt").write_text((truth / "b.txt").read_text())
    assert scored(other, truth).scores.cross_camera["HOTA"] == pytest.approx(1)


def test_aicity_text_names_cameras_by_their_number(tmp_path: Path) -> None:
    lines = [f"41 1 {f} {10 + 4 * f} 50 20 60 0 0\n" for f in range(FRAMES)]
    lines += [f"42 1 {f} {100 + 4 * f} 50 20 60 0 0\n" for f in range(FRAMES)]
    (tmp_path / "truth.txt").write_text("".join(lines))
    path = result(tmp_path, [*found("c041", 5, 10), *found("c042", 5, 100)])
    scores = scored(tmp_path / "truth.txt", path).scores
    assert list(scores.per_camera) == ["c041", "c042"]
    assert scores.cross_camera["IDF1"] == pytest.approx(1)


def site(folder: Path) -> Path:
    """A sample site's truth: a person and a car in camera a, for 12 frames."""
    (folder / "truth").mkdir()
    camera = {"id": "a", "number": 1, "fps": 10.0, "start_offset_s": 0.0}
    about = {"classes": ["person", "car"], "duration_s": 1.2, "cameras": [camera]}
    (folder / "truth" / "site.json").write_text(json.dumps(about))
    (folder / "truth" / "a.txt").write_text(walk(1, 10) + walk(2, 300, kind=2))
    return folder


def test_a_sample_site_knows_its_length(tmp_path: Path) -> None:
    rows = [*found("a", 5, 10, range(14)), *found("a", 6, 300, kind=1)]
    evaluation = scored(site(tmp_path), result(tmp_path, rows, ("person", "car")))
    assert evaluation.outside == {"a": 2}
    assert evaluation.scores.per_camera["a"]["FP"] == 2


def test_classes_that_were_not_looked_for_are_not_missed(tmp_path: Path) -> None:
    evaluation = scored(site(tmp_path), result(tmp_path, found("a", 5, 10)))
    assert evaluation.scores.per_camera["a"]["FN"] == 0


def test_the_sample_site_writes_what_is_read_here(tmp_path: Path) -> None:
    from samples.truth import TruthRow, write_camera

    rows = [TruthRow(f, f / 10, 3, "car", (5.0, 6.0, 65.0, 46.0), 0.9, (0.0, 0.0), 0.0) for f in range(4)]
    write_camera(site(tmp_path) / "truth", "a", rows)
    about = json.loads((tmp_path / "truth" / "site.json").read_text()) | {
        "classes": ["person", "car", "truck"]
    }
    (tmp_path / "truth" / "site.json").write_text(json.dumps(about))
    mine = [Row("a", 1, f, f / 10, (5.0, 6.0, 65.0, 46.0)) for f in range(4)]
    values = scored(tmp_path, result(tmp_path, mine, ("car",))).scores.per_camera["a"]
    assert (values["TP"], values["FP"], values["FN"]) == (4, 0, 0)


# -- the command


def test_the_command_prints_a_table_and_writes_json(truth: Path, tmp_path: Path) -> None:
    rows = [*found("a", 5, 10), *found("a", 6, 300), *found("b", 5, 100, range(15)), *found("c", 5, 1)]
    console = Console(record=True, width=80)
    evaluate(truth, result(tmp_path, rows), tmp_path / "scores.json", console)
    content = json.loads((tmp_path / "scores.json").read_text())
    assert set(content["per_camera"]) == {"a", "b"}
    for values in (*content["per_camera"].values(), content["cross_camera"]):
        assert {"HOTA", "IDF1", "MOTA"} <= values.keys()
        assert values["HOTA"] == pytest.approx(1.0)
    assert content["not_scored"]["boxes_outside_the_truth_frames"] == {"a": 0, "b": 5}
    told = console.export_text()
    assert "cross-camera" in told
    assert "100.0" in told
    assert "…" not in told, "the table fits 80 columns"
    assert "outside the truth, left out: b 5" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,1,1\n", r"a\.txt:1: expected at least 6 finite numbers"),
        ("0,1,1,1,5,5,1\n", r"a\.txt:1: frames count from 1"),
        ("1,1,1,1,5,5,1\n1,1,50,1,5,5,1\n", "a: ground truth: id 1 appears more than once in frame 0"),
    ],
)
def test_broken_truth_is_named(truth: Path, tmp_path: Path, text: str, message: str) -> None:
    (truth / "a.txt").write_text(text)
    with pytest.raises(ExportError, match=message):
        scored(truth, result(tmp_path, found("a", 5, 10)))


def test_nothing_to_compare(truth: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="share no camera: truth has a, b; the result has door"):
        scored(truth, result(tmp_path, found("door", 5, 10)))
    with pytest.raises(ConfigError, match="nowhere: no such file or folder"):
        scored(tmp_path / "nowhere", truth)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ExportError, match="empty: holds no"):
        scored(tmp_path / "empty", truth)
