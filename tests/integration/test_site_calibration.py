"""The sample site's calibration files, read as the pipeline reads them, put feet where the truth says they stand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from samples.cameras import calibration, look_at, project
from tracking.geometry import calibration_from_dict


@pytest.mark.parametrize("distortion", [(0.0, 0.0, 0.0, 0.0, 0.0), (-0.16, 0.03, 0.0004, -0.0003, 0.0)])
def test_feet_come_back_to_the_floor(tmp_path: Path, distortion: tuple[float, float, float, float, float]) -> None:
    camera = look_at("cam1", (0.0, 0.0, 4.0), (6.0, 5.0, 0.0), distortion=distortion)
    floor = np.array([[5.0, 4.0, 0.0], [7.0, 5.0, 0.0], [9.0, 9.0, 0.0]])
    plain = json.loads(json.dumps(calibration(camera)))
    ground = calibration_from_dict(plain).to_ground(project(camera, floor)[0])
    np.testing.assert_allclose(ground, floor[:, :2], atol=1e-3)
