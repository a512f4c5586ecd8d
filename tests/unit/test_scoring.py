"""Scores: scenario tables, the cross-camera rule, and equality with TrackEval's own run over files."""

import contextlib
import io

import numpy as np
import pytest

from tracking.mot import MotRows, read_sequence, write_mot
from tracking.scoring import Boxes, combine, score_cameras, score_sequence, summarise


def lane(identity, frames, x=0.0):
    """One object standing at ``x``."""
    frames = np.asarray(frames)
    return frames, np.full(len(frames), identity), np.tile([x, 0.0, x + 10, 20.0], (len(frames), 1))


def boxes(*lanes):
    return Boxes(*(np.concatenate(parts) for parts in zip(*lanes, strict=True)))


TRUTH = boxes(lane(1, range(10)), lane(2, range(10), x=100))

SCENARIOS = {
    "perfect": (TRUTH, {"HOTA": 1, "IDF1": 1, "MOTA": 1, "IDSW": 0, "FP": 0, "FN": 0}),
    "other names": (boxes(lane(70, range(10)), lane(9, range(10), x=100)), {"HOTA": 1, "IDF1": 1, "MOTA": 1}),
    "one missed": (boxes(lane(1, range(10))), {"MOTA": 0.5, "FN": 10, "DetRe": 0.5, "DetPr": 1}),
    "found nothing": (Boxes.empty(), {"HOTA": 0, "IDF1": 0, "MOTA": 0, "FN": 20}),
    "one invented": (
        boxes(lane(1, range(10)), lane(2, range(10), x=100), lane(3, range(4), x=300)),
        {"FP": 4, "MOTA": 0.8},
    ),
    "cut in half": (
        boxes(lane(1, range(5)), lane(3, range(5, 10)), lane(2, range(10), x=100)),
        {"IDSW": 1, "MOTA": 0.95, "IDF1": 0.75, "DetA": 1},
    ),
    "swapped midway": (
        boxes(
            lane(1, range(5)), lane(1, range(5, 10), x=100), lane(2, range(5), x=100), lane(2, range(5, 10))
        ),
        {"IDSW": 2, "MOTA": 0.9, "IDF1": 0.5, "AssA": 1 / 3},
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    result, expected = SCENARIOS[name]
    scores = summarise(score_sequence(TRUTH, result))
    assert {key: scores[key] for key in expected} == pytest.approx(expected)


def test_row_order_does_not_matter():
    order = np.random.default_rng(0).permutation(len(TRUTH))
    shuffled = Boxes(TRUTH.frame[order], TRUTH.id[order], TRUTH.xyxy[order])
    assert summarise(score_sequence(TRUTH, shuffled))["HOTA"] == pytest.approx(1)


def test_identity_must_hold_across_cameras():
    truth = {"a": boxes(lane(1, range(10))), "b": boxes(lane(1, range(3, 13)))}
    local = {"a": boxes(lane(1, range(10))), "b": boxes(lane(2, range(3, 13)))}
    same = score_cameras(truth, truth)
    apart = score_cameras(truth, local)
    assert same.cross_camera["IDF1"] == same.cross_camera["HOTA"] == 1
    assert apart.per_camera["b"]["HOTA"] == apart.combined["IDF1"] == 1
    assert apart.cross_camera["IDF1"] == pytest.approx(0.5)
    assert apart.cross_camera["IDSW"] == 1


def test_frames_of_one_camera_never_fall_on_anothers():
    truth = {"a": boxes(lane(1, range(10))), "b": boxes(lane(2, range(10)))}
    result = {"a": boxes(lane(2, range(10))), "b": boxes(lane(1, range(10)))}
    assert score_cameras(truth, result).cross_camera["HOTA"] == pytest.approx(1)


def test_camera_without_result_found_nothing():
    scores = score_cameras({"a": TRUTH, "b": TRUTH}, {"a": TRUTH})
    assert scores.per_camera["b"]["FN"] == 20
    assert scores.combined["MOTA"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("truth", "result", "complaint"),
    [
        ({"a": TRUTH}, {"a": TRUTH, "x9": TRUTH}, "x9"),
        ({}, {}, "none given"),
        ({"a": TRUTH}, {"a": boxes(lane(1, [4]), lane(1, [4], x=50))}, "a: result: id 1 .* frame 4"),
    ],
)
def test_bad_input_is_named(truth, result, complaint):
    with pytest.raises(ValueError, match=complaint):
        score_cameras(truth, result)


def test_mismatched_arrays_are_refused():
    with pytest.raises(ValueError, match=r"\(3,\), \(2,\), \(3, 4\)"):
        Boxes(np.zeros(3), np.zeros(2), np.zeros((3, 4)))


def noisy(truth, seed=0):
    """Truth with jitter, misses and a few swapped names."""
    rng = np.random.default_rng(seed)
    kept = rng.random(len(truth)) > 0.2
    xyxy = truth.xyxy + rng.normal(0, 4, truth.xyxy.shape)
    identity = truth.id * 10 + truth.frame // 90
    return Boxes(truth.frame[kept], identity[kept], xyxy[kept])


def test_equal_to_trackeval_over_files(shared_data, tmp_path):
    """The whole of TrackEval, folders and files, on two real sequences gives the same numbers."""
    import trackeval

    folder = shared_data / "mot15"
    names = ("TUD-Campus", "KITTI-13")
    sequences = {name: read_sequence(folder / name) for name in names}
    results = {name: noisy(sequence.truth) for name, sequence in sequences.items()}
    tracker_folder = tmp_path / "ours" / "data"
    tracker_folder.mkdir(parents=True)
    for name, found in results.items():
        rows = MotRows(found.frame, found.id, found.xyxy, np.ones(len(found)))
        write_mot(tracker_folder / f"{name}.txt", rows)
    quiet = {"PRINT_CONFIG": False}
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = trackeval.Evaluator(
            {
                **quiet,
                "PRINT_RESULTS": False,
                "TIME_PROGRESS": False,
                "OUTPUT_SUMMARY": False,
                "OUTPUT_DETAILED": False,
                "PLOT_CURVES": False,
            }
        )
        dataset = trackeval.datasets.MotChallenge2DBox(
            {
                **quiet,
                "GT_FOLDER": str(folder),
                "TRACKERS_FOLDER": str(tmp_path),
                "OUTPUT_FOLDER": str(tmp_path),
                "BENCHMARK": "MOT15",
                "SKIP_SPLIT_FOL": True,
                "SEQ_INFO": dict.fromkeys(names),
            }
        )
        metrics = [
            trackeval.metrics.HOTA(),
            trackeval.metrics.CLEAR(quiet),
            trackeval.metrics.Identity(quiet),
        ]
        raw, _ = evaluator.evaluate([dataset], metrics)
    reference = raw["MotChallenge2DBox"]["ours"]
    written = {name: read_back(tracker_folder / f"{name}.txt") for name in names}
    mine = {name: score_sequence(sequences[name].truth, written[name]) for name in names}
    for key, row in [*mine.items(), ("COMBINED_SEQ", combine(mine))]:
        expected = summarise(reference[key]["pedestrian"])
        assert summarise(row) == pytest.approx(expected, abs=1e-6), key


def read_back(path):
    from tracking.mot import read_mot

    return read_mot(path).boxes()


def test_coarse_scores_differ_in_the_number_of_thresholds_only():
    rng = np.random.default_rng(0)
    result = Boxes(TRUTH.frame, TRUTH.id, TRUTH.xyxy + rng.normal(0, 2, TRUTH.xyxy.shape))
    fine, coarse = (score_sequence(TRUTH, result, coarse=flag) for flag in (False, True))
    picked = [1, 5, 9, 13, 17]  # 0.1, 0.3, ... of 0.05, 0.1, ...
    np.testing.assert_allclose(coarse["HOTA"]["HOTA"], fine["HOTA"]["HOTA"][picked])
    totals = [summarise(combine({"a": raw, "b": raw})) for raw in (fine, coarse)]
    assert totals[0]["IDF1"] == totals[1]["IDF1"]
    assert totals[1]["HOTA"] == pytest.approx(np.mean(fine["HOTA"]["HOTA"][picked]))
