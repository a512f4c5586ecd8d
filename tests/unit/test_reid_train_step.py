"""Optimiser steps against the reference's: losses, gradients, weights and running statistics in float64."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reid.losses import ReIDLoss
from reid.optimiser import OptimiserConfig, build_optimiser, parameter_groups
from reid.schedule import CosineSchedule
from reid.train import freeze_unused
from reid.transreid import TransReID, TransReIDConfig


@pytest.fixture(scope="module")
def fixtures(reference: Path) -> Path:
    return reference / "transreid_fixtures"


@pytest.fixture(scope="module")
def recipe(fixtures: Path) -> Any:
    """The numpy recipe that makes weights and images from seeds."""
    spec = importlib.util.spec_from_file_location("fixture_lib", fixtures / "fixture_lib.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def network(case: dict[str, Any], keys: dict[str, list[int]], recipe: Any) -> TransReID:
    config = TransReIDConfig(
        **case["arch"],
        image_size=tuple(case["img_size"]),
        stride=tuple(case["stride"]),
        num_cameras=case["num_cameras"] if case["sie_camera"] else 0,
        num_views=case["num_views"] if case["sie_view"] else 0,
        sie_coefficient=case["sie_coe"],
        jpm=case["jpm"],
        shift=case["shift_num"],
        groups=case["shuffle_group"],
        divide_length=case["divide_length"],
        rearrange=case["re_arrange"],
        num_classes=case["num_classes"],
    )
    model = TransReID(config, drop_path=case["drop_path"])
    state = recipe.make_state(keys, case["weight_seed"])
    model.load_state_dict({key: torch.from_numpy(np.asarray(value)) for key, value in state.items()})
    freeze_unused(model)
    return model.double().train()


def test_steps_are_the_references(fixtures: Path, recipe: Any) -> None:
    arrays = np.load(fixtures / "train_step.npz")
    for run in json.loads((fixtures / "train_step.json").read_text()):
        check_run(run, arrays, recipe)


def check_run(run: dict[str, Any], arrays: Any, recipe: Any) -> None:
    case, labels = run["case"], torch.tensor(run["labels"])
    model = network(case, run["keys"], recipe)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    images = torch.from_numpy(
        recipe.make_images((run["P"] * run["K"], 3, *case["img_size"]), case["image_seed"])
    ).double()
    loss = ReIDLoss(smoothing=0.1 if run["label_smooth"] else 0.0, margin=None if run["soft_margin"] else 0.3)
    optimiser = build_optimiser(
        model,
        OptimiserConfig(
            "sgd",
            run["base_lr"],
            run["momentum"],
            run["weight_decay"],
            run["weight_decay_bias"],
            run["bias_lr_factor"],
        ),
    )
    schedule = CosineSchedule(run["base_lr"], run["max_epochs"], run["warmup_epochs"])
    for step in range(1, run["steps"] + 1):
        schedule.apply(optimiser, step)
        optimiser.zero_grad()
        scores, features = model(images, torch.tensor(run["cam"]), torch.tensor(run["view"]))
        total = loss(scores, features, labels)[0]
        torch.autograd.backward(total)
        assert total.item() == pytest.approx(run["losses"][step - 1], rel=1e-10)
        if step == 1:
            check_outputs(run["index"], arrays, scores, features)
            check_gradients(run["grad_step1_l2_sum"], model)
        optimiser.step()
    check_state(run, arrays, model, before)


def check_outputs(index: int, arrays: Any, scores: list[torch.Tensor], features: list[torch.Tensor]) -> None:
    for branch, (score, feature) in enumerate(zip(scores, features, strict=True)):
        np.testing.assert_allclose(score.detach(), arrays[f"score_{index}_{branch}"], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(feature.detach(), arrays[f"feat_{index}_{branch}"], rtol=1e-9, atol=1e-9)


def check_gradients(expected: dict[str, list[float] | None], model: TransReID) -> None:
    parameters = dict(model.named_parameters())
    for name, summary in expected.items():
        gradient = parameters[name].grad
        if summary is None:
            assert gradient is None, name
        else:
            assert gradient is not None, name
            assert gradient.norm().item() == pytest.approx(summary[0], rel=1e-6, abs=1e-9), name
            assert gradient.sum().item() == pytest.approx(summary[1], rel=1e-6, abs=1e-6), name


def check_state(run: dict[str, Any], arrays: Any, model: TransReID, before: dict[str, torch.Tensor]) -> None:
    state = model.state_dict()
    for key, (norm, total) in run["state_after_l2_sum"].items():
        value = state[key].double()
        assert value.norm().item() == pytest.approx(norm, rel=1e-9, abs=1e-9), key
        assert value.sum().item() == pytest.approx(total, rel=1e-9, abs=1e-8), key
    for key in run["unchanged_keys"]:
        assert torch.equal(state[key], before[key]), key
    prefix = f"after_{run['index']}_"
    for name in arrays.files:
        if name.startswith(prefix):
            np.testing.assert_allclose(state[name.removeprefix(prefix)], arrays[name], rtol=1e-9, atol=1e-9)


def test_biases_and_classifiers_have_their_own_rates() -> None:
    model = TransReID(TransReIDConfig((32, 32), embed_dim=8, depth=1, num_heads=1, num_classes=3))
    config = OptimiserConfig(lr=0.1, weight_decay=0.2, weight_decay_bias=0.3, large_classifier_lr=True)
    groups = parameter_groups(model, config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rates = {
        names[id(p)]: (group["initial_lr"], group["weight_decay"])
        for group in groups
        for p in group["params"]
    }
    assert rates["base.norm.weight"] == (0.1, 0.2)
    assert rates["base.norm.bias"] == (0.2, 0.3)
    assert rates["classifier.weight"] == (0.2, 0.2)
    assert "bottleneck.bias" not in rates


def test_weight_decay_and_momentum_are_those_of_the_config() -> None:
    model = torch.nn.Linear(2, 2)
    (weights, biases) = build_optimiser(model, OptimiserConfig("adamw", 1e-3, weight_decay=0.05)).param_groups
    assert weights["weight_decay"] == 0.05 and biases["weight_decay"] == 1e-4
    sgd = build_optimiser(model, OptimiserConfig(momentum=0.7))
    assert {group["momentum"] for group in sgd.param_groups} == {0.7}
    assert not any(group["nesterov"] for group in sgd.param_groups)
