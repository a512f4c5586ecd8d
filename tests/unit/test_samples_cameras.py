"""Cameras, responses and recordings of the synthetic site."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samples.cameras import floor_homography, look_at, project, write_calibration
from samples.campus import RESPONSES, campus
from samples.junction import junction
from samples.navigation import Navigation
from samples.plan import Site, SiteCamera
from samples.response import Sensor, kept_frames, random_response
from samples.truth import MIN_HEIGHT_PX
from samples.types import CameraResponse
from samples.yard import random_yard

LENS = (-0.2, 0.04, 0.001, -0.0005, 0.0)
coordinate = st.floats(-3, 12)


@pytest.fixture
def picture() -> np.ndarray:
    x, y = np.meshgrid(np.arange(160), np.arange(90))
    return np.stack([x, 2 * y, 255 - x], axis=-1).astype(np.uint8)


def test_the_target_is_in_the_middle_and_up_is_up():
    camera = look_at("c", (0, 0, 3), (5, 5, 1), 60)
    pixels, depth = project(camera, np.array([[5, 5, 1.0], [5, 5, 2.0]]))
    np.testing.assert_allclose(pixels[0], (320, 180), atol=1e-9)
    assert pixels[1, 1] < pixels[0, 1]
    np.testing.assert_allclose(depth[0], np.sqrt(54))
    np.testing.assert_allclose(camera.centre_m, (0, 0, 3), atol=1e-12)
    np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(camera.rotation) == pytest.approx(1)


@settings(max_examples=40, deadline=None)
@given(coordinate, coordinate, st.floats(0, 3))
def test_projection_is_opencvs(x, y, z):
    camera = look_at("c", (-4.0, -3.0, 4.0), (5, 5, 1), 70, (640, 360), LENS)
    pixels, depth = project(camera, np.array([[x, y, z]]))
    if depth[0] > 0.5:
        rotation, _ = cv2.Rodrigues(camera.rotation)
        expected, _ = cv2.projectPoints(
            np.array([[x, y, z]]), rotation, camera.translation, camera.intrinsics, camera.distortion
        )
        np.testing.assert_allclose(pixels[0], expected.ravel(), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(1, 12), st.floats(1, 12))
def test_homography_maps_the_floor_to_undistorted_pixels(x, y):
    camera = look_at("c", (-1.0, -1.0, 4.0), (6, 6, 0), 70, (640, 360), LENS)
    pixels, _ = project(camera, np.array([[x, y, 0.0]]))
    straight = cv2.undistortPoints(
        pixels.reshape(1, 1, 2), camera.intrinsics, camera.distortion, P=camera.intrinsics,
        criteria=(cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 200, 1e-12),
    )  # fmt: skip
    mapped = floor_homography(camera) @ (x, y, 1.0)
    np.testing.assert_allclose(mapped[:2] / mapped[2], straight.ravel(), atol=0.02)


def test_points_behind_have_no_pixels():
    camera = look_at("c", (0, 0, 2), (5, 0, 1))
    pixels, depth = project(camera, np.array([[-5.0, 0, 1]]))
    assert depth[0] < 0
    assert np.isnan(pixels).all()


def test_looking_straight_down_is_refused():
    with pytest.raises(ValueError, match="upright"):
        look_at("c", (0, 0, 5), (0, 0, 0))


def test_calibration_file_holds_the_camera(tmp_path):
    camera = campus().cameras[0].camera
    write_calibration(camera, tmp_path / "cam1.json")
    read = json.loads((tmp_path / "cam1.json").read_text())
    assert read["camera_id"] == "cam1"
    assert read["size"] == [640, 360]
    np.testing.assert_allclose(read["floor_to_image_homography"], floor_homography(camera))
    np.testing.assert_allclose(read["rotation"], camera.rotation)


def seen_floor(site: Site, site_camera: SiteCamera) -> set[tuple[int, int]]:
    """Walkable half-metre cells whose person would be in the picture, large enough and not behind a solid."""
    x0, y0, x1, y1 = site.plan.extent_m
    tall = np.zeros((int((y1 - y0) * 10), int((x1 - x0) * 10)))
    for solid in site.plan.solids:
        if solid.base_m < 2:
            corners = np.round((np.array(solid.corners_m) - (x0, y0)) * 10).astype(np.int32)
            mask = cv2.fillPoly(np.zeros(tall.shape, np.uint8), [corners], 1).astype(bool)
            tall[mask] = np.maximum(tall[mask], solid.base_m + solid.height_m)
    cells = np.stack(np.meshgrid(np.arange(x0, x1, 0.5), np.arange(y0, y1, 0.5)), axis=-1).reshape(-1, 2)
    cells = cells[Navigation(site).clearance(cells) > 0.3]
    chest = np.column_stack([cells, np.full(len(cells), 1.1)])
    pixels, depth = project(site_camera.camera, chest)
    height = 1.75 * site_camera.camera.intrinsics[0, 0] / depth
    inside = (depth > 0) & (height > MIN_HEIGHT_PX) & (np.abs(pixels - (320, 180)) < (320, 180)).all(axis=1)
    share = np.linspace(0.02, 1, 250)[:, None, None]
    ray = (1 - share) * site_camera.camera.centre_m + share * chest[None]
    column = np.clip(((ray[..., 0] - x0) * 10).astype(int), 0, tall.shape[1] - 1)
    row = np.clip(((ray[..., 1] - y0) * 10).astype(int), 0, tall.shape[0] - 1)
    inside &= (tall[row, column] < ray[..., 2]).all(axis=0)
    return {(round(2 * x), round(2 * y)) for x, y in cells[inside]}


def test_two_campus_cameras_overlap_and_two_stand_apart():
    site = campus()
    floor = {c.camera_id: seen_floor(site, c) for c in site.cameras}
    assert min(len(cells) for cells in floor.values()) > 100
    assert len(floor["cam1"] & floor["cam2"]) > 150
    for first, second in (
        ("cam1", "cam3"),
        ("cam1", "cam4"),
        ("cam2", "cam3"),
        ("cam2", "cam4"),
        ("cam3", "cam4"),
    ):
        assert not floor[first] & floor[second], f"{first} and {second} see the same floor"


@pytest.mark.parametrize("site", [campus(), junction(), random_yard(3)], ids=lambda s: s.name)
def test_cameras_hang_in_free_air(site):
    for site_camera in site.cameras:
        eye = site_camera.camera.centre_m
        for solid in site.plan.solids:
            corners = np.asarray(solid.corners_m, dtype=np.float32)
            at_height = solid.base_m < eye[2] < solid.base_m + solid.height_m
            inside = cv2.pointPolygonTest(corners, (float(eye[0]), float(eye[1])), False) > 0
            assert not (at_height and inside), f"{site_camera.camera_id} is inside {solid.name}"


def test_response_is_deterministic_and_its_noise_changes_by_frame(picture):
    first, again = (Sensor(RESPONSES["cam2"], "cam2", 7, (160, 90)) for _ in range(2))
    np.testing.assert_array_equal(first.expose(picture, 3), again.expose(picture, 3))
    assert not np.array_equal(first.expose(picture, 3), first.expose(picture, 4))
    other = Sensor(RESPONSES["cam2"], "cam2", 8, (160, 90))
    assert not np.array_equal(first.expose(picture, 3), other.expose(picture, 3))


def test_the_neutral_response_changes_nothing_below_the_highlights(picture):
    shown = Sensor(CameraResponse(), "c", 1, (160, 90)).expose(picture, 0)
    dark = picture < 200
    assert np.abs(shown.astype(int) - picture)[dark].max() <= 1


def test_white_balance_moves_channels_and_exposure_moves_all(picture):
    plain = Sensor(CameraResponse(), "c", 1, (160, 90)).expose(picture, 0).astype(float)
    warm = Sensor(CameraResponse(white_balance=(0.8, 1, 1.2)), "c", 1, (160, 90)).expose(picture, 0)
    assert warm[..., 0].mean() < plain[..., 0].mean() - 3
    assert warm[..., 2].mean() > plain[..., 2].mean() + 3
    bright = Sensor(CameraResponse(exposure=1.3), "c", 1, (160, 90)).expose(picture, 0)
    assert (bright.mean(axis=(0, 1)) > plain.mean(axis=(0, 1)) + 3).all()


def test_camera_bias_is_visible(picture):
    """The four cameras show one grey card in clearly different colours."""
    card = np.full((90, 160, 3), 128, np.uint8)
    means = np.array(
        [Sensor(r, n, 1, (160, 90)).expose(card, 0).mean(axis=(0, 1)) for n, r in RESPONSES.items()]
    )
    apart = np.linalg.norm(means[:, None] - means[None], axis=2) + 99 * np.eye(4)
    assert apart.min() > 6


def test_drops_come_at_the_stated_rate():
    kept = kept_frames(CameraResponse(drop_rate=0.2), "cam1", 1, 20000)
    assert kept[0]
    assert 0.14 < 1 - kept.mean() < 0.26
    assert kept_frames(CameraResponse(), "cam1", 1, 50).all()


def test_random_responses_differ():
    rng = np.random.default_rng(1)
    assert len({random_response(rng) for _ in range(20)}) == 20
