"""Training sets: who is staged where, what is labelled, how crops are named and split, where roadside cameras hang."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samples import detector, reidset, yoloset
from samples.appearance import cars
from samples.cameras import project
from samples.detector import DetectorRecipe, Round
from samples.junction import junction
from samples.labels import is_labelled
from samples.navigation import Navigation
from samples.reidset import ReidSetPlan
from samples.staging import Stage
from samples.traffic import Track
from samples.truth import TruthRow
from samples.types import ActorState, CarAppearance
from samples.yard import _inside, roadside_camera
from samples.yoloset import YoloSetPlan


@pytest.fixture(scope="module")
def stage() -> Stage:
    site = junction()
    return Stage(site, site.cameras[0].camera, Navigation(site))


def staged(stage: Stage, close: bool) -> list[ActorState]:
    looks = list(enumerate(cars(3, 6), 1001))
    return [s for seed in range(40) for s in stage.vehicles(looks, np.random.default_rng(seed), close=close)]


def depths_in_view(stage: Stage, states: list[ActorState]) -> np.ndarray:
    places = np.array([(*state.position_m, 0.8) for state in states])
    pixels, depth = project(stage.camera, places)
    inside = (np.abs(pixels / stage.camera.size - 0.5) < 0.8).all(axis=1)
    return depth[(depth > 1.5) & inside]


def test_vehicles_close_up_are_in_view_and_of_every_size(stage: Stage):
    close, even = depths_in_view(stage, staged(stage, True)), depths_in_view(stage, staged(stage, False))
    assert len(close) > 1.3 * len(even)
    near, far = np.mean(close < 16), np.mean(close > 40)
    assert near > 1.5 * np.mean(even < 16), "more of them near"
    assert far > 0.15, "and far ones still"


def queued(states: list[ActorState]) -> int:
    """How many have another one just ahead, on the same way."""
    found = 0
    for one in states:
        ahead = np.array([np.cos(one.heading_rad), np.sin(one.heading_rad)])
        for other in states:
            apart = np.subtract(other.position_m, one.position_m)
            gap = apart @ ahead - 0.5 * (one.appearance.length_m + other.appearance.length_m)  # type: ignore[union-attr]
            aside = abs(ahead[0] * apart[1] - ahead[1] * apart[0])
            found += 0.4 < gap < 4.5 and aside < 1.0
    return found


def test_queued_vehicles_stand_one_behind_another(stage: Stage):
    cast = list(enumerate(cars(3, 8), 1001))
    counts = [
        [queued(stage.vehicles(cast, np.random.default_rng(seed), queue=queue)) for seed in range(20)]
        for queue in (0.0, 0.8)
    ]
    assert np.mean(counts[0]) < 1.0
    assert np.mean(counts[1]) > 2.0


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("queue", [0.0, 0.9])
def test_staged_vehicles_stand_clear_of_each_other(stage: Stage, close: bool, queue: float):
    for seed in range(20):
        cast = list(enumerate(cars(seed, 8), 1001))
        states = stage.vehicles(cast, np.random.default_rng(seed), close=close, queue=queue)
        for number, one in enumerate(states):
            for other in states[:number]:
                assert isinstance(one.appearance, CarAppearance) and isinstance(other.appearance, CarAppearance)
                apart = np.hypot(*np.subtract(one.position_m, other.position_m))
                assert apart > 0.5 * (one.appearance.width_m + other.appearance.width_m)


def test_roadside_cameras_stand_outside_and_look_at_a_road():
    site = junction()
    lanes = np.concatenate([Track(route.points_m).positions(np.arange(0.0, 140.0)) for route in site.routes])
    for seed in range(30):
        camera = roadside_camera(site, np.random.default_rng(seed)).camera
        x, y, z = camera.centre_m
        assert not any(_inside(box.corners_m, x, y) for box in site.plan.solids)
        assert 3.0 <= z <= 7.0
        pixels, depth = project(camera, np.column_stack([lanes, np.zeros(len(lanes))]))
        seen = (depth > 0) & (pixels > 0).all(axis=1) & (pixels < camera.size).all(axis=1)
        assert seen.sum() > 5, f"seed {seed} sees no road"


@pytest.mark.parametrize(
    ("name", "width", "height", "visible", "labelled"),
    [
        ("person", 8, 18, 1.0, True),
        ("person", 30, 17, 1.0, False),
        ("car", 47, 16, 0.6, True),
        ("bus", 20, 9, 0.2, True),
        ("truck", 19, 30, 1.0, False),
        ("car", 200, 90, 0.19, False),
    ],
)
def test_what_is_labelled_holds_all_that_is_scored(name: str, width: int, height: int, visible: float, labelled: bool):
    box = (10.0, 10.0, 10.0 + width, 10.0 + height)
    row = TruthRow(0, 0.0, 1, name, box, visible, (0.0, 0.0), 0.0)
    assert is_labelled(name, box, visible) == labelled
    assert labelled or not row.is_scored


@pytest.mark.parametrize("wrong", [{"images": 3}, {"validation": 0.0}, {"hard": 1.5}, {"traffic": -0.1}, {"queues": 2.0}])
def test_a_plan_that_cannot_be_names_what_is_wrong(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        YoloSetPlan(1, **wrong)  # type: ignore[arg-type]


def test_a_recipe_names_what_it_lacks(tmp_path: Path):
    recipes = Path(__file__).parents[2] / "configs" / "detector"
    assert DetectorRecipe.read(recipes / "synthetic.yaml").rounds[-1].data == (1, 4, 5)
    lacking = tmp_path / "lacking.yaml"
    lacking.write_text("{width: 0.1, seed: 0, rounds: []}")
    with pytest.raises(ValueError, match=r"lacking\.yaml: .*architecture"):
        DetectorRecipe.read(lacking)


def test_a_recipe_goes_on_from_weights_or_begins_anew(tmp_path: Path):
    recipes = Path(__file__).parents[2] / "configs" / "detector"
    people = DetectorRecipe.read(recipes / "synthetic.yaml")
    start = DetectorRecipe.read(recipes / "synthetic-vehicles.yaml").start
    before_footage = f"runs/detector/round{len(people.rounds) - 4}/weights/last.pt"
    assert start is not None and start.resolve() == recipes.parents[1] / before_footage
    wrong = tmp_path / "wrong.yaml"
    for keys in ("architecture: yolo11n.yaml, width: 1, start: there.pt", "architecture: yolo11n.yaml", "width: 1"):
        wrong.write_text(f"{{{keys}, seed: 0, rounds: []}}")
        with pytest.raises(ValueError, match=r"wrong\.yaml: a recipe has an architecture and its width, or weights"):
            DetectorRecipe.read(wrong)


def test_a_round_goes_on_from_the_weights_before_it_at_its_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trained: list[tuple[Path, dict[str, Any]]] = []

    class Network:
        def __init__(self, weights: Path, task: str) -> None:
            self.weights = weights

        def add_callback(self, *arguments: object) -> None: ...

        def train(self, **settings: Any) -> None:
            trained.append((self.weights, settings))

    monkeypatch.setattr("ultralytics.YOLO", Network)
    monkeypatch.setattr(detector, "_publish", lambda weights, path: None)
    monkeypatch.setattr(detector, "_score", lambda *arguments: {})
    (tmp_path / "data.yaml").write_text("{train: images/train, val: images/val, names: {0: person}}")
    rounds = (Round(800, 1, 8, 1e-3, multi_scale=0.2), Round(640, 1, 8, 1e-3))
    detector.train(DetectorRecipe(0, rounds, start=tmp_path / "start.pt"), [tmp_path], tmp_path / "out")
    assert [weights for weights, _ in trained] == [tmp_path / "start.pt", tmp_path / "out/round0/weights/last.pt"]
    assert [settings.get("multi_scale") for _, settings in trained] == [0.2, None]


def test_views_of_traffic_only_train():
    plan = YoloSetPlan(5, images=64, traffic=1.0)
    for number in range(6):
        rng = [np.random.default_rng(number) for _ in range(2)]
        assert yoloset._view_of(plan, number, "train", rng[0])[0].name == "junction"
        assert yoloset._view_of(plan, number, "val", rng[1])[0].name.startswith("yard")


def test_reid_crops_of_vehicles_are_named_and_split_by_identity(tmp_path: Path):
    plan = ReidSetPlan(seed=1, train=3, test=3, crops=6, cameras=2, kind="vehicles")
    for split in ("bounding_box_train", "query", "bounding_box_test"):
        (tmp_path / split).mkdir()
    for number in range(plan.cameras):
        reidset._render_camera((plan, number, tmp_path))
    found: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for path in tmp_path.rglob("*.jpg"):
        identity, camera = path.stem.split("_")[:2]
        found[path.parent.name].add((int(identity), int(camera[1])))
    assert {identity for identity, _ in found["bounding_box_train"]} <= {1, 2, 3}
    assert {identity for identity, _ in found["query"]} == {4, 5, 6}
    assert found["bounding_box_test"] <= found["query"], "whoever is in the gallery is asked for, camera by camera"
    assert len(list((tmp_path / "query").iterdir())) == len(found["query"]), "once"
