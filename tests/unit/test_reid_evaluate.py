"""Scoring a dataset, the suggested threshold, the pictures, and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from reid import Embedder, TransReID, TransReIDConfig, save_checkpoint, threshold
from reid.cli import app, main
from reid.data.datasets import load_dataset
from reid.evaluate import evaluate, side_table
from reid.ranklist import draw_rank_list, ranked_gallery
from reid.threshold import PairDistances, suggest_threshold

CONFIG = TransReIDConfig(
    image_size=(64, 32), embed_dim=64, depth=2, num_heads=4, num_cameras=3, jpm=True, shift=2
)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Market-style folder: six people of plain colours, seen by three cameras."""
    root, draw = tmp_path_factory.mktemp("market1501"), np.random.default_rng(0)
    for split, cameras in (
        ("bounding_box_train", (1, 2, 3)),
        ("query", (1,)),
        ("bounding_box_test", (1, 2, 3)),
    ):
        (root / split).mkdir()
        for person in range(1, 7):
            colour = np.random.default_rng(person).integers(0, 256, 3)
            for camera in cameras:
                pixels = np.clip(colour + draw.integers(-20, 20, (60, 30, 3)), 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / split / f"{person:04d}_c{camera}s1_{person:06d}_00.jpg"), pixels)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    save_checkpoint(TransReID(CONFIG), path)
    return path


def test_a_dataset_is_scored_with_everything_written(market: Path, weights: Path, tmp_path: Path) -> None:
    embedder = Embedder.open(weights, device="cpu")
    report = evaluate(embedder, "market1501", market, rerank=True, output=tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == report
    # Untrained, the camera's own row outweighs the person: other people in the query's camera come first.
    assert report["scores"]["rank1"] < 0.5
    assert 0 < report["scores"]["mAP_trapezoid"] <= report["scores"]["mAP"] <= 1
    assert set(report["reranked"]) == {"mAP", "rank1", "rank5", "rank10", "mINP"}
    assert 0 < report["threshold"]["max_cosine_distance"] < 2
    for name in ("rank_list.png", "distances.png"):
        picture = cv2.imread(str(tmp_path / name))
        assert picture is not None
        assert picture.shape[0] > 300
    assert evaluate(embedder, "market1501", market, sie="off")["scores"]["rank1"] > 0.5


def test_rows_of_the_table_are_told_by_its_size(market: Path) -> None:
    dataset = load_dataset("market1501", market)
    assert side_table(dataset, 3).cameras == (0, 1, 2)
    with pytest.raises(ValueError, match="7 rows, the training split 3 cameras"):
        side_table(dataset, 7)


def test_thresholds_of_separated_and_of_mixed_distances() -> None:
    ids, cameras = np.arange(40), np.zeros(40)
    distance = np.full((40, 40), 0.8) + np.random.default_rng(0).normal(0, 0.02, (40, 40))
    np.fill_diagonal(distance, 0.2)
    clear = suggest_threshold(distance, ids, ids, cameras, cameras + 1)
    assert 0.2 < clear.max_cosine_distance < distance[~np.eye(40, dtype=bool)].min()
    assert (clear.missed, clear.wrongly_linked, clear.held_out) == (0.0, 0.0, True)
    assert (clear.same_pairs, clear.different_pairs) == (40, 1560)
    draw = np.random.default_rng(1)
    mixed = np.where(
        np.eye(400, dtype=bool), draw.normal(0.4, 0.1, (400, 400)), draw.normal(0.6, 0.1, (400, 400))
    )
    found = suggest_threshold(mixed, np.arange(400), np.arange(400), np.zeros(400), np.ones(400))
    assert found.max_cosine_distance == pytest.approx(0.5, abs=0.03)
    assert found.missed == pytest.approx(0.159, abs=0.05)
    assert found.wrongly_linked == pytest.approx(0.159, abs=0.05)
    assert found.stricter["0.01"] == pytest.approx(0.6 - 2.326 * 0.1, abs=0.01)


def test_blocks_of_queries_give_the_numbers_of_all_pairs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(5)
    ids, cameras = [draw.integers(0, 12, count) for count in (60, 90)], [draw.integers(0, 3, c) for c in (60, 90)]
    alike = ids[0][:, None] == ids[1]
    # Rounded, so that many pairs have the very same distance.
    distance = np.where(alike, draw.normal(0.4, 0.1, alike.shape), draw.normal(0.6, 0.1, alike.shape)).round(2)
    distance = distance.astype(np.float32)
    whole = suggest_threshold(distance, *ids, *cameras)
    monkeypatch.setattr(threshold, "BLOCK_PAIRS", 200)
    assert suggest_threshold(distance, *ids, *cameras) == whole
    across = cameras[0][:, None] != cameras[1]
    same, different = (np.sort(distance[across & kind]) for kind in (alike, ~alike))
    assert (whole.same_pairs, whole.different_pairs) == (len(same), len(different))
    values = np.unique(np.concatenate([same, different]))
    errors = [np.mean(same > value) + np.mean(different <= value) for value in values]
    best = int(np.argmin(errors))
    assert whole.max_cosine_distance == pytest.approx((values[best] + values[best + 1]) / 2, rel=1e-6)
    for rate, value in whole.stricter.items():
        assert value == pytest.approx(np.quantile(different, float(rate)), rel=1e-6)


def test_pairs_of_one_camera_say_nothing_about_links() -> None:
    one, two = np.array([1, 2]), np.array([0, 0])
    with pytest.raises(ValueError, match="across two cameras, got 0 and 0"):
        PairDistances.of(np.zeros((2, 2)), [one, one, two, two])


def test_rank_lists_pass_over_the_own_camera_and_frame_right_and_wrong(tmp_path: Path) -> None:
    order = ranked_gallery(np.array([0.1, 0.3, 0.2]), 5, 0, np.array([5, 5, 6]), np.array([0, 1, 0]), top=10)
    assert order.tolist() == [2, 1]
    grey = np.full((40, 20, 3), 128, np.uint8)
    draw_rank_list([(grey, "q")], [[(grey, "a", True), (grey, "b", False)]], tmp_path / "list.png")
    picture = cv2.imread(str(tmp_path / "list.png")).reshape(-1, 3)
    for colour in ((60, 170, 40), (50, 40, 220)):
        assert (picture == colour).all(axis=1).sum() > 500
    with pytest.raises(ValueError, match="0 queries"):
        draw_rank_list([], [], tmp_path / "list.png")


def test_evaluate_and_embed_from_the_command_line(market: Path, weights: Path, tmp_path: Path) -> None:
    run = CliRunner()
    scored = run.invoke(
        app,
        [
            "evaluate",
            str(weights),
            "--data",
            "market1501",
            "--root",
            str(market),
            "--output",
            str(tmp_path / "e"),
        ],
    )
    assert scored.exit_code == 0, scored.output
    assert "suggested max_cosine_distance" in scored.output
    target = tmp_path / "all.npz"
    options = ["--weights", str(weights), "--camera", "mean", "--output", str(target)]
    embedded = run.invoke(app, ["embed", str(market / "query"), *options])
    assert embedded.exit_code == 0, embedded.output
    with np.load(target) as arrays:
        assert arrays["embeddings"].shape == (6, 320)
        assert arrays["paths"][0].endswith(".jpg")


@pytest.mark.slow
def test_export_and_sie_fit_from_the_command_line(market: Path, weights: Path, tmp_path: Path) -> None:
    run = CliRunner()
    written = run.invoke(app, ["export", str(weights), str(tmp_path / "net.xml"), "--set", "neck=after"])
    assert written.exit_code == 0, written.output
    assert "cosine to torch" in written.output
    grown = tmp_path / "grown.pth"
    fitted = run.invoke(
        app, ["sie-fit", str(weights), str(market / "bounding_box_train"), "--output", str(grown)]
    )
    assert fitted.exit_code == 0, fitted.output
    assert Embedder.open(grown, device="cpu").num_sie_rows == 4


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["embed", "nowhere", "--weights", "none.pth"], 2, "nowhere: no such file or folder"),
        (["export", "none.pth", "net.onnx"], 2, "none.pth: no such checkpoint"),
        (["export", "none.pth", "net.onnx", "--set", "heads"], 2, "expected NAME=VALUE"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["reid", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == code
    output = capsys.readouterr().err
    assert message in output
    assert output.count("\n") == 1


def test_help_imports_no_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from reid.cli import app;"
        "result = CliRunner().invoke(app, ['--help']); assert result.exit_code == 0;"
        "assert all(name in result.output for name in ('train', 'evaluate', 'embed', 'export', 'sie-fit'));"
        "assert not {'torch', 'faiss', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
