"""Where vehicles stand: the middle, not the edge that faces the camera."""

from __future__ import annotations

import numpy as np
import pytest

from samples.cameras import calibration, project
from samples.junction import junction
from samples.types import Camera
from tracking.footprint import half_depth_m, positions_of
from tracking.geometry import calibration_from_dict

CAMERAS = {one.camera_id: one.camera for one in junction().cameras}


def box_of(camera: Camera, place: tuple[float, float], heading: float, size: tuple[float, float, float]) -> np.ndarray:
    """Bounding box of a cuboid on the floor, px."""
    corners = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0, 1)]) * size
    cos, sin = np.cos(heading), np.sin(heading)
    turned = corners @ np.array([(cos, sin, 0), (-sin, cos, 0), (0, 0, 1)])
    pixels, _ = project(camera, turned + (*place, 0.0))
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])[None].astype(np.float32)


def position(name: str, place: tuple[float, float], heading: float, what: str, size: tuple[float, float, float]):
    known = calibration_from_dict(calibration(CAMERAS[name]))
    return positions_of(box_of(CAMERAS[name], place, heading, size), known, half_depth_m(what))[0]


@pytest.mark.parametrize("heading", np.linspace(0, np.pi, 7))
@pytest.mark.parametrize(("what", "size", "within_m"), [("car", (4.4, 1.8, 1.5), 0.9), ("truck", (7.5, 2.4, 3.0), 1.7)])
def test_the_middle_is_found_whatever_the_heading(heading: float, what: str, size: tuple, within_m: float):
    for name in ("cam1", "cam2"):
        found = position(name, (1.0, 0.5), heading, what, size)
        assert np.linalg.norm(found - (1.0, 0.5)) < within_m


def test_opposite_cameras_agree_on_a_vehicle_that_edges_put_a_length_apart():
    size = (4.4, 1.8, 1.5)
    middles = [position(name, (0.0, 0.0), 0.4, "car", size) for name in ("cam1", "cam2")]
    edges = [position(name, (0.0, 0.0), 0.4, "person", size) for name in ("cam1", "cam2")]
    assert np.linalg.norm(np.subtract(*middles)) < 1.2
    assert np.linalg.norm(np.subtract(*edges)) > 3.0


def test_people_stand_on_the_lower_edge_and_nobody_above_the_horizon():
    assert half_depth_m("person") == 0.0
    known = calibration_from_dict(calibration(CAMERAS["cam1"]))
    sky = np.array([[10, 0, 40, 8]], np.float32)
    assert np.isnan(positions_of(sky, known, 2.0)).all()
