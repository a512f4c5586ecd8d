"""The simulated site: deterministic, nobody in a solid, plausible speeds, people who come back, bounded memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from samples.navigation import Navigation
from samples.plan import Builder, rectangle
from samples.scenarios import SCENARIOS, scenario
from samples.types import ActorState
from samples.world import VEHICLE_ID, World


def run(
    name: str, seed: int, seconds: float, fps: float = 5.0, warmup_s: float = 40.0
) -> list[list[ActorState]]:
    staged = scenario(name, seed)
    world = World(staged.site, replace(staged.cast, warmup_s=warmup_s), staged.seed)
    return [world.states(k / fps) for k in range(int(seconds * fps))]


@pytest.fixture(scope="module")
def demo() -> list[list[ActorState]]:
    return run("demo", 5, 60.0)


@pytest.fixture(scope="module")
def vehicles() -> list[list[ActorState]]:
    return run("vehicles", 5, 30.0, warmup_s=25.0)


def places(frames: list[list[ActorState]]) -> dict[int, list[tuple[int, float, float]]]:
    found: dict[int, list[tuple[int, float, float]]] = {}
    for k, frame in enumerate(frames):
        for state in frame:
            found.setdefault(state.actor_id, []).append((k, *state.position_m))
    return found


def test_same_seed_same_events_other_seed_other_people():
    first, again, other = (run("demo", seed, 6.0, warmup_s=5.0) for seed in (3, 3, 4))
    assert first == again
    looks = {state.appearance for frame in first for state in frame}
    assert looks.isdisjoint(state.appearance for frame in other for state in frame)


def test_reading_rate_does_not_change_events():
    assert run("demo", 3, 4.0, 10.0, 5.0)[::2] == run("demo", 3, 4.0, 5.0, 5.0)


def test_time_goes_one_way():
    staged = scenario("demo", 1)
    world = World(staged.site, replace(staged.cast, warmup_s=0.0), 1)
    world.states(2.0)
    with pytest.raises(ValueError, match="cannot go back"):
        world.states(1.0)


@pytest.mark.parametrize("name", ["demo", "vehicles"])
def test_nobody_is_inside_a_solid(name, request):
    navigation = Navigation(scenario(name, 5).site)
    for frame in request.getfixturevalue(name):
        people = np.array([s.position_m for s in frame if s.kind == "person"]).reshape(-1, 2)
        assert navigation.clearance(people).min(initial=1.0) > 0.1


def test_people_keep_apart(demo):
    closest = []
    for frame in demo:
        at = np.array([s.position_m for s in frame if s.kind == "person"])
        apart = np.linalg.norm(at[:, None] - at[None], axis=2) + 9 * np.eye(len(at))
        closest.append(apart.min())
    assert np.min(closest) > 0.25
    assert np.mean(np.array(closest) < 0.42) < 0.02


def test_speeds_are_those_of_people(demo):
    speeds = np.array([s.speed_mps for frame in demo for s in frame if s.kind == "person"])
    assert speeds.max() < 2.6
    assert 0.9 < np.median(speeds[speeds > 0.3]) < 1.6
    assert (speeds < 0.2).mean() > 0.03, "nobody ever stops"


def test_walked_distance_drives_the_gait(demo):
    track = [s for frame in demo for s in frame if s.actor_id == demo[0][0].actor_id]
    for before, after in pairwise(track[:41]):
        step = np.hypot(*np.subtract(after.position_m, before.position_m))
        turned = (after.gait_phase - before.gait_phase) % (2 * np.pi)
        assert turned < 0.05 or step > 0.005


def test_people_face_where_they_walk(demo):
    errors = []
    for before, after in pairwise(demo):
        old = {s.actor_id: s for s in before}
        for state in after:
            if state.actor_id in old and state.kind == "person" and state.speed_mps > 0.8:
                moved = np.subtract(state.position_m, old[state.actor_id].position_m)
                turn = np.arctan2(moved[1], moved[0]) - state.heading_rad
                errors.append(abs((turn + np.pi) % (2 * np.pi) - np.pi))
    assert np.median(errors) < 0.2
    assert np.percentile(errors, 95) < 0.9


def test_who_leaves_returns_with_the_same_id_and_clothes(demo):
    looks: dict[int, set[object]] = {}
    for frame in demo:
        for state in frame:
            looks.setdefault(state.actor_id, set()).add(state.appearance)
    assert all(len(worn) == 1 for worn in looks.values())
    gaps = [max(b[0] - a[0] for a, b in pairwise(t)) for t in places(demo).values() if len(t) > 1]
    assert sum(gap >= 15 for gap in gaps) >= 3, "nobody was away for three seconds and came back"


def test_vehicles_do_not_overlap_and_keep_to_their_speed(vehicles):
    for frame in vehicles:
        cars = [s for s in frame if s.actor_id > VEHICLE_ID]
        for i, a in enumerate(cars):
            for b in cars[:i]:
                assert np.hypot(*np.subtract(a.position_m, b.position_m)) > 1.6
    speeds = [s.speed_mps for frame in vehicles for s in frame if s.actor_id > VEHICLE_ID]
    assert max(speeds) < 12.0
    moved = [
        np.hypot(t[-1][1] - t[0][1], t[-1][2] - t[0][2])
        for i, t in places(vehicles).items()
        if i > VEHICLE_ID
    ]
    assert sum(metres > 20 for metres in moved) >= 5, "traffic stands still"


@pytest.mark.parametrize("seed", [501, 502])
def test_vehicles_that_meet_at_the_junction_do_not_block_each_other(seed: int):
    paths = [np.array(t)[:, 1:3] for i, t in places(run("vehicles", seed, 40.0, fps=1.0)).items() if i > VEHICLE_ID]
    for path in paths:
        inside = path[np.abs(path).max(axis=1) < 6.0]
        moved = np.hypot(*np.diff(inside, axis=0).T) > 0.2
        assert np.count_nonzero(~moved) < 20, "somebody stands in the junction"


def test_some_vehicles_turn(vehicles):
    turned = 0
    for actor_id in {s.actor_id for frame in vehicles for s in frame if s.actor_id > VEHICLE_ID}:
        headings = np.array([s.heading_rad for frame in vehicles for s in frame if s.actor_id == actor_id])
        turned += bool(np.abs(np.cos(headings - headings[0])).min() < 0.3)
    assert turned >= 2


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_scenario_has_people_where_cameras_are(name):
    staged = scenario(name, 2, 10.0)
    assert staged.duration_s == 10.0
    assert len(staged.site.cameras) == 4
    assert len({c.camera_id for c in staged.site.cameras}) == 4


def test_unknown_scenario_names_the_known_ones():
    with pytest.raises(ValueError, match="demo, crowd"):
        scenario("dome", 1)


def test_every_door_reaches_every_spot():
    for name in ("demo", "vehicles"):
        site = scenario(name, 1).site
        navigation = Navigation(site)
        for door in site.doors:
            for spot in site.spots:
                assert navigation.path(door.position_m, spot.position_m)[-1] == spot.position_m


def test_no_way_is_an_error():
    builder = Builder()
    builder.walkable += [rectangle((0, 0, 4, 4)), rectangle((6, 0, 9, 4))]
    navigation = Navigation(builder.site("two islands", (-1, -1, 10, 5), ()))
    assert navigation.path((1.0, 1.0), (3.0, 3.0))[-1] == (3.0, 3.0)
    with pytest.raises(ValueError, match="no way"):
        navigation.path((1.0, 1.0), (8.0, 1.0))


@pytest.mark.slow
def test_the_long_scenario_takes_bounded_memory():
    staged = scenario("long", 1)
    world = World(staged.site, staged.cast, 1)
    world.states(120.0)
    tracemalloc.start()
    sizes = []
    for minute in range(3, 11):
        world.states(60.0 * minute)
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[-1] - sizes[1] < 500_000
