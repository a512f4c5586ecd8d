"""Ranking metrics and re-ranking against stored numbers and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from reid.metrics import cosine_distances, rank_scores, vehicle_id_scores
from reid.reranking import re_rank


def test_scores_are_those_of_the_reference(reference: Path) -> None:
    folder = reference / "transreid_fixtures"
    arrays = np.load(folder / "evaluation.npz")
    for case in json.loads((folder / "evaluation.json").read_text()):
        i = case["index"]
        labels = [arrays[f"{name}_{i}"] for name in ("q_pid", "g_pid", "q_cam", "g_cam")]
        features = cosine_distances(arrays[f"feat_q_{i}"], arrays[f"feat_g_{i}"])
        np.testing.assert_allclose(2 * features, arrays[f"feat_dist_{i}"], atol=1e-5)
        for distance, prefix in ((arrays[f"dist_{i}"], ""), (features, "feat_")):
            scores = rank_scores(distance, *labels, max_rank=case["max_rank"])
            np.testing.assert_allclose(scores.cmc, arrays[f"{prefix}cmc_{i}"], atol=1e-6)
            assert scores.mean_ap == pytest.approx(case[f"{prefix}mAP"], abs=1e-12)
            assert scores.rank(1) == pytest.approx(case[f"{prefix}rank1"], abs=1e-6)


def test_a_real_matrix_gives_the_numbers_of_the_market_code(shared_data: Path) -> None:
    folder = shared_data / "reid-reference"
    names = ("query_gallery_distance", "query_id", "gallery_id", "query_cam", "gallery_cam")
    values = [np.loadtxt(folder / "data" / f"{name}.txt") for name in names]
    trapezoid = rank_scores(*values, average_precision="trapezoid")
    precision_sum = rank_scores(*values)
    assert trapezoid.rank(1) == precision_sum.rank(1) == pytest.approx(0.68)
    # The stored distances have five digits; ties broken another way move mAP by 1.3e-6.
    assert trapezoid.mean_ap == pytest.approx(0.640336402151, abs=2e-6)
    assert precision_sum.mean_ap == pytest.approx(0.66519, abs=5e-6)
    expected = np.loadtxt(folder / "expected" / "CMC.txt")
    np.testing.assert_allclose(precision_sum.cmc, expected[:50], atol=1e-6)


def test_a_query_by_hand() -> None:
    # Ranked: own camera (passed over), hit, wrong, hit, wrong.
    distance = np.array([[0.0, 0.1, 0.2, 0.3, 0.4], [0.0, 0.1, 0.2, 0.3, 0.4]])
    scores = rank_scores(distance, [1, 9], [1, 1, 2, 1, 3], [0, 0], [0, 1, 1, 1, 1])
    assert scores.num_queries == 1
    assert scores.cmc.tolist() == [1.0] * 5
    assert scores.mean_ap == pytest.approx((1 + 2 / 3) / 2)
    assert scores.mean_inp == pytest.approx(2 / 3)
    trapezoid = rank_scores(
        distance, [1, 9], [1, 1, 2, 1, 3], [0, 0], [0, 1, 1, 1, 1], average_precision="trapezoid"
    )
    assert trapezoid.mean_ap == pytest.approx(((1 + 1) / 2 + (2 / 3 + 1 / 2) / 2) / 2)


def test_short_galleries_make_short_curves_and_ties_keep_their_order() -> None:
    scores = rank_scores(np.zeros((1, 3)), [5], [4, 5, 6])
    assert scores.cmc.tolist() == [0.0, 1.0, 1.0]
    assert scores.rank(10) == 1.0


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(ValueError, match="from another camera"):
        rank_scores(np.zeros((1, 1)), [1], [1], [0], [0])
    with pytest.raises(ValueError, match=r"expected shape \(1, 2\), got \(2, 1\)"):
        rank_scores(np.zeros((2, 1)), [1], [1, 2])
    with pytest.raises(ValueError, match="NaN"):
        rank_scores(np.array([[np.nan]]), [1], [1])
    with pytest.raises(ValueError, match="both"):
        rank_scores(np.zeros((1, 1)), [1], [1], [0])


def test_vehicle_protocol_puts_one_image_of_each_identity_in_the_gallery() -> None:
    centres = np.eye(6, dtype=np.float32)
    embeddings = np.repeat(centres, 3, axis=0)
    perfect = vehicle_id_scores(embeddings, np.repeat(np.arange(6), 3), trials=3)
    assert perfect["rank1"] == perfect["mAP"] == 1.0
    draw = np.random.default_rng(0).standard_normal((60, 8))
    blind = vehicle_id_scores(draw, np.arange(60) % 20, trials=5, seed=1)
    assert blind["rank1"] < 0.3
    assert blind == vehicle_id_scores(draw, np.arange(60) % 20, trials=5, seed=1)


def test_reranked_distances_are_those_of_the_reference_in_float64(reference: Path) -> None:
    folder = reference / "transreid_fixtures"
    arrays = np.load(folder / "reranking.npz")
    for case in json.loads((folder / "reranking.json").read_text()):
        i = case["index"]
        ours = re_rank(
            arrays[f"feat_q_{i}"],
            arrays[f"feat_g_{i}"],
            k1=case["k1"],
            k2=case["k2"],
            original_weight=case["lambda_value"],
        )
        np.testing.assert_allclose(ours, arrays[f"dist_ref_f64_{i}"], atol=1e-5)
        np.testing.assert_allclose(ours, arrays[f"dist_ref_{i}"], atol=6e-3)


def test_reranking_small_sets_and_bad_settings() -> None:
    unit = np.eye(3, dtype=np.float32)
    assert re_rank(unit[:1], unit).shape == (1, 3)
    assert re_rank(unit[:1], unit, k2=1).argmin() == 0
    with pytest.raises(ValueError, match="k1=0"):
        re_rank(unit, unit, k1=0)
