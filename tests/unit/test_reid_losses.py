"""Losses, margin heads and the schedule against the reference's numbers, and the properties behind them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from reid.heads import HEADS
from reid.losses import ReIDLoss, hard_pairs, identity_loss, triplet_loss
from reid.schedule import CosineSchedule


@pytest.fixture(scope="module")
def fixtures(reference: Path) -> Path:
    return reference / "transreid_fixtures"


def load(fixtures: Path, name: str) -> Any:
    return json.loads((fixtures / f"{name}.json").read_text())


def normal(shape: tuple[int, ...], seed: int, scale: float = 1.0) -> torch.Tensor:
    values = (scale * np.random.RandomState(seed).standard_normal(shape)).astype(np.float32)
    return torch.from_numpy(values)


@pytest.mark.parametrize(
    ("dtype", "suffix", "limit"), [(torch.float64, "f64", 1e-12), (torch.float32, "f32", 1e-5)]
)
def test_triplet_losses_and_gradients_are_the_references(
    fixtures: Path, dtype: torch.dtype, suffix: str, limit: float
) -> None:
    arrays = np.load(fixtures / "triplet.npz")
    for case in load(fixtures, "triplet"):
        index = case["index"]
        labels = torch.from_numpy(arrays[f"labels_{index}"])
        features = normal((case["P"] * case["K"], case["D"]), case["seed"], case["scale"]).to(dtype)
        pairs = hard_pairs(features, labels)
        for ours, key in zip(pairs, ("dist_ap", "dist_an", "hard_pos", "hard_neg"), strict=True):
            np.testing.assert_allclose(
                ours, arrays[f"{key}_{index}"], atol=1e-4 if "f32" in suffix else 1e-12
            )
        for name, margin in (("soft", None), ("margin0.3", 0.3)):
            leaf = features.clone().requires_grad_()
            loss = triplet_loss(leaf, labels, margin)
            loss.backward()
            assert loss.item() == pytest.approx(case[f"loss_{name}_{suffix}"], abs=limit)
            np.testing.assert_allclose(leaf.grad, arrays[f"grad_{name.replace('.', '')}_{index}"], atol=limit)


def test_cross_entropy_is_the_references(fixtures: Path) -> None:
    arrays = np.load(fixtures / "cross_entropy.npz")
    for case in load(fixtures, "cross_entropy"):
        index = case["index"]
        labels = torch.from_numpy(arrays[f"labels_{index}"])
        for name, smoothing in (("plain", 0.0), ("smooth", case["epsilon"])):
            logits = normal((case["B"], case["C"]), case["seed"], case["scale"]).double().requires_grad_()
            loss = identity_loss(logits, labels, smoothing)
            loss.backward()
            assert loss.item() == pytest.approx(case[f"loss_{name}"], abs=1e-12)
            np.testing.assert_allclose(logits.grad, arrays[f"grad_{name}_{index}"], atol=1e-12)


def test_total_loss_weights_jigsaw_branches_as_the_reference(fixtures: Path) -> None:
    data = load(fixtures, "total_loss")
    rows = data["P"] * data["K"]
    labels = torch.tensor(data["labels"])
    scores = [
        normal((rows, data["num_classes"]), s, data["score_scale"]).double() for s in data["score_seeds"]
    ]
    features = [normal((rows, data["D"]), s, data["feat_scale"]).double() for s in data["feat_seeds"]]
    for case in data["cases"]:
        loss = ReIDLoss(
            case["id_weight"], case["triplet_weight"], 0.1 if case["label_smooth"] else 0.0, case["margin"]
        )
        assert loss(scores, features, labels)[0].item() == pytest.approx(case["loss_jpm"], abs=1e-10)
        for single in ((scores[0], features[0]), (scores[:1], features[:1])):
            assert loss(*single, labels)[0].item() == pytest.approx(case["loss_single"], abs=1e-10)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_margin_heads_are_the_references(fixtures: Path, name: str) -> None:
    data, arrays = load(fixtures, "margin_heads"), np.load(fixtures / "margin_heads.npz")
    labels = torch.from_numpy(arrays["labels"])
    features = normal((data["B"], data["D"]), data["seed_feat"], data["feat_scale"]).double().requires_grad_()
    weight = normal((data["C"], data["D"]), data["seed_weight"], data["weight_scale"]).double()
    head = HEADS[name](data["D"], data["C"], data["s"], data["m"]).double()
    key, parameter = next(iter(head.named_parameters()))
    assert {key: list(parameter.shape)} == data[f"state_keys_{name}"]
    parameter.data = weight.T.clone() if name == "amsoftmax" else weight
    logits = head(features, labels)
    loss = functional.cross_entropy(logits, labels)
    loss.backward()
    np.testing.assert_allclose(logits.detach(), arrays[f"logits_{name}"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(features.grad, arrays[f"grad_feat_{name}"], rtol=1e-6, atol=1e-6)
    assert loss.item() == pytest.approx(data[f"ce_{name}"], rel=1e-6)


def test_learning_rates_are_the_references(fixtures: Path) -> None:
    for case in load(fixtures, "lr_schedule"):
        solver = case["solver"]
        schedule = CosineSchedule(solver["BASE_LR"], solver["MAX_EPOCHS"], solver["WARMUP_EPOCHS"])
        peaks = {"weight": schedule.base_lr, "bias": schedule.base_lr * solver["BIAS_LR_FACTOR"]}
        for epoch, rates in enumerate(case["lr"], start=case["epoch0"]):
            ours = [schedule.rate(epoch, peaks[group]) for group in case["groups"]]
            assert ours == pytest.approx(rates, abs=1e-15)


def test_identities_may_have_different_numbers_of_images() -> None:
    features = torch.tensor([[0.0], [3.0], [10.0], [11.0], [15.0]])
    pairs = hard_pairs(features, torch.tensor([0, 0, 1, 1, 1]))
    assert pairs.positive_distance.tolist() == pytest.approx([3, 3, 5, 4, 5], abs=1e-5)
    assert pairs.negative_distance.tolist() == pytest.approx([10, 7, 7, 8, 12], abs=1e-5)


def test_one_identity_has_no_negative() -> None:
    with pytest.raises(ValueError, match="two identities"):
        triplet_loss(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long))


def test_identical_features_have_a_finite_gradient() -> None:
    features = torch.zeros(4, 3, requires_grad=True)
    triplet_loss(features, torch.tensor([0, 0, 1, 1])).backward()
    assert features.grad is not None and bool(features.grad.isfinite().all())
