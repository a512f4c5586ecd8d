"""The renderer: its truth must be what its pixels show."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from samples.cameras import look_at, project
from samples.render import Renderer
from samples.render.lens import Lens
from samples.types import (
    ActorState,
    ActorView,
    Box3,
    Camera,
    CarAppearance,
    FloorPatch,
    FloorPlan,
    PersonAppearance,
    RenderedFrame,
)

GREY, RED, BLUE = (0.3, 0.3, 0.3), (0.02, 0.02, 0.7), (0.7, 0.02, 0.02)
BARREL = (-0.22, 0.04, 0.001, -0.0006, 0.0)


def person(colour: tuple[float, float, float], height_m: float = 1.75) -> PersonAppearance:
    """Somebody of one colour all over, so that their pixels can be counted in the picture."""
    return PersonAppearance(
        height_m, 1.0, colour, colour, "bald", colour, "plain", colour, "long", False,
        colour, "trousers", colour, "none", colour, "none", colour,
    )  # fmt: skip


def bus() -> CarAppearance:
    return CarAppearance("bus", BLUE, 10.0, 2.5, 3.0, BLUE, None, False)


def plan(*solids: Box3) -> FloorPlan:
    floor = FloorPatch(((-20, -20), (20, -20), (20, 20), (-20, 20)), "asphalt", GREY)
    return FloorPlan((floor,), solids, (-20.0, -20.0, 20.0, 20.0))


def camera(distortion: tuple[float, float, float, float, float] = BARREL) -> Camera:
    return look_at("c", (-8.0, 0.0, 3.0), (0.0, 0.0, 0.8), 70.0, (480, 270), distortion)


def at(
    appearance: PersonAppearance | CarAppearance, x: float, y: float, heading: float = 0.0, actor_id: int = 1
) -> ActorState:
    return ActorState(actor_id, appearance, (x, y), heading, 0.0)


def red_pixels(frame: RenderedFrame) -> np.ndarray:
    blue, _, red = (frame.image[..., channel].astype(int) for channel in range(3))
    return red > 1.6 * blue + 12


def view_of(frame: RenderedFrame, actor_id: int = 1) -> ActorView:
    return next(view for view in frame.views if view.actor_id == actor_id)


@pytest.fixture(scope="module")
def open_floor() -> Renderer:
    return Renderer(plan(), camera(), 0)


def test_nobody_there_shows_the_background(open_floor: Renderer) -> None:
    frame = open_floor.render([])
    assert frame.views == ()
    assert np.array_equal(frame.image, open_floor.scene.image)
    assert frame.image.shape == (270, 480, 3)


def test_same_states_give_the_same_picture(open_floor: Renderer) -> None:
    states = [replace(at(person(RED), 0, 1), gait_phase=0.7, gait_amplitude=0.9), at(bus(), 6, -2, 0.4, 2)]
    again = Renderer(plan(), camera(), 0).render(states)
    first = open_floor.render(states)
    assert np.array_equal(first.image, again.image)
    assert [v.visible_fraction for v in first.views] == [v.visible_fraction for v in again.views]
    assert not np.array_equal(first.image, open_floor.render(states[:1]).image)


@pytest.mark.parametrize("place", [(0.0, 0.0), (-3.0, 1.5), (4.0, -5.0)])
def test_box_is_the_silhouette(open_floor: Renderer, place: tuple[float, float]) -> None:
    state = replace(at(person(RED), *place, heading=0.8), gait_phase=0.4, gait_amplitude=1.0)
    frame = open_floor.render([state])
    x, y, w, h = cv2.boundingRect(red_pixels(frame).astype(np.uint8))
    assert np.abs(view_of(frame).box_xyxy - (x, y, x + w, y + h)).max() < 2.2  # soles are grey
    assert view_of(frame).visible_fraction == pytest.approx(1.0)


@pytest.mark.parametrize("height_m", [1.5, 1.95])
@pytest.mark.parametrize("place", [(0.0, 0.0), (-2.5, -2.0), (2.0, 5.0)])
def test_height_and_place_follow_the_lens(
    open_floor: Renderer, height_m: float, place: tuple[float, float]
) -> None:
    frame = open_floor.render([at(person(RED, height_m), *place)])
    ends = np.array([(*place, 0.0), (*place, height_m)])
    (foot, head), _ = project(open_floor.camera, ends)
    x0, y0, x1, y1 = view_of(frame).box_xyxy
    assert y0 == pytest.approx(head[1], abs=2.0)
    assert y1 == pytest.approx(foot[1] + 2, abs=4.0)  # toes reach towards the camera
    assert 0.5 * (x0 + x1) == pytest.approx(0.5 * (foot[0] + head[0]), abs=4.0)


def test_boxes_differ_from_an_undistorted_lens() -> None:
    straight = Renderer(plan(), camera((0.0, 0.0, 0.0, 0.0, 0.0)), 0)
    bent = Renderer(plan(), camera(), 0)
    state = at(person(RED), 0.0, 5.0)
    boxes = [view_of(renderer.render([state])).box_xyxy for renderer in (straight, bent)]
    shift = 0.5 * (boxes[1][0] + boxes[1][2] - boxes[0][0] - boxes[0][2])
    expected = [project(r.camera, np.array([(0.0, 5.0, 0.9)]))[0][0, 0] for r in (straight, bent)]
    assert shift > 5
    assert shift == pytest.approx(expected[1] - expected[0], abs=2.0)


def test_a_wall_hides_what_it_covers(open_floor: Renderer) -> None:
    wall = Box3("wall", ((-2.2, -1.5), (-2.0, -1.5), (-2.0, 1.5), (-2.2, 1.5)), 1.2, GREY)
    state = at(person(RED), 0.0, 0.3)
    free, hidden = open_floor.render([state]), Renderer(plan(wall), camera(), 0).render([state])
    share = red_pixels(hidden).sum() / red_pixels(free).sum()
    assert 0.2 < share < 0.8
    assert view_of(hidden).visible_fraction == pytest.approx(share, abs=0.04)
    assert np.allclose(view_of(hidden).box_xyxy, view_of(free).box_xyxy)


def test_a_wall_behind_hides_nothing() -> None:
    wall = Box3("wall", ((1.0, -3), (1.4, -3), (1.4, 3), (1.0, 3)), 3.0, GREY)
    frame = Renderer(plan(wall), camera(), 0).render([at(person(RED), 0.0, 0.3)])
    assert view_of(frame).visible_fraction == pytest.approx(1.0, abs=0.01)


def test_the_nearer_person_covers_the_farther(open_floor: Renderer) -> None:
    behind, before = at(person(RED), 1.0, 0.0), at(person(BLUE), -1.0, 0.12, actor_id=2)
    alone, both = open_floor.render([behind]), open_floor.render([before, behind])
    share = red_pixels(both).sum() / red_pixels(alone).sum()
    assert 0.05 < share < 0.9
    assert view_of(both).visible_fraction == pytest.approx(share, abs=0.04)
    assert view_of(both, 2).visible_fraction == pytest.approx(1.0)


def test_a_long_vehicle_is_nearer_at_its_near_end(open_floor: Renderer) -> None:
    """The bus's middle is nearer than the first person and farther than the second, but not where they stand."""
    lengthwise = at(bus(), 4.0, 0.0, 0.0, 3)
    beside = at(person(RED), 6.0, 3.0, actor_id=1)
    frame = open_floor.render([lengthwise, beside])
    assert view_of(frame, 1).visible_fraction > 0.95
    across = at(bus(), 2.0, 0.0, np.pi / 2, 3)
    beyond = at(person(RED), 4.6, -0.5, actor_id=1)
    frame = open_floor.render([beyond, across])
    assert view_of(frame, 1).visible_fraction < 0.05
    assert view_of(frame, 3).visible_fraction == pytest.approx(1.0)


def test_the_border_cuts_boxes_and_counts_as_hiding(open_floor: Renderer) -> None:
    (left, _), _ = project(open_floor.camera, np.array([(0.0, 6.2, 0.9), (0, 0, 0)]))
    assert 0 < left[0] < 60
    edge = next(
        y
        for y in np.arange(5.5, 9.0, 0.02)
        if project(open_floor.camera, np.array([(0.0, y, 0.9)]))[0][0, 0] < 0
    )
    frame = open_floor.render([at(person(RED), 0.0, float(edge)), at(person(RED), 0.0, 14.0, actor_id=2)])
    assert [view.actor_id for view in frame.views] == [1]
    assert view_of(frame).box_xyxy[0] == 0
    assert 0.2 < view_of(frame).visible_fraction < 0.8


def test_who_is_behind_the_camera_is_not_there(open_floor: Renderer) -> None:
    assert open_floor.render([at(person(RED), -9.5, 0.0), at(bus(), -16, 0, 0.0, 2)]).views == ()


def test_people_cast_shadows_unless_a_roof_does(open_floor: Renderer) -> None:
    roof = Box3("roof", ((-4, -4), (4, -4), (4, 4), (-4, 4)), 0.3, GREY, "metal", 6.0)
    state = at(person(RED), 0.0, 0.0)

    def darkened(renderer: Renderer) -> int:
        before, after = renderer.render([]).image.astype(int), renderer.render([state])
        mask = ~cv2.dilate(red_pixels(after).astype(np.uint8), np.ones((5, 5))).astype(bool)
        return int(((before - after.image).sum(axis=2) > 45)[mask].sum())

    assert darkened(open_floor) > 150
    assert darkened(Renderer(plan(roof), camera(), 0)) < 0.3 * darkened(open_floor)


def test_undistortion_inverts_the_lens() -> None:
    lens = Lens(camera())
    pixels = np.random.default_rng(0).uniform((0, 0), (480, 270), (500, 2))
    back, _ = lens.project(lens.centre_m + 7.0 * lens.rays(pixels))
    assert np.abs(back - pixels).max() < 1e-3


@pytest.mark.benchmark
def test_twenty_frames_a_second_with_eight_people() -> None:
    """CPU seconds and the best of six, so that a busy machine does not decide."""
    cv2.setNumThreads(1)
    from samples.appearance import person as random_person

    rng = np.random.default_rng(3)
    renderer = Renderer(plan(), look_at("c", (-8.0, 0.0, 3.0), (0.0, 0.0, 0.8), 70.0, (640, 360), BARREL), 0)
    looks = [random_person(rng) for _ in range(8)]
    places = [(-2.0 + 0.8 * i, (-1) ** i * (0.5 + 0.3 * i)) for i in range(8)]

    def frame(step: int) -> RenderedFrame:
        return renderer.render(
            [
                ActorState(i + 1, look, place, 0.5 * i, 1.3, 0.3 * step + i, 0.9)
                for i, (look, place) in enumerate(zip(looks, places, strict=True))
            ]
        )

    assert len(frame(0).views) == 8
    rate = max(_rate(lambda: [frame(step) for step in range(8)], 8) for _ in range(6))
    print(f"{rate:.1f} frames/s of 640x360 with 8 people")
    assert rate >= 20


def _rate(work: Callable[[], object], count: int) -> float:
    start = time.process_time()
    work()
    return count / (time.process_time() - start)
