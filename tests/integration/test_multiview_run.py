"""The main job where calibrated views overlap: links say whether following over all views gave both to one person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.integration.test_run import document, go
from tests.unit.test_multiview import FPS, VIEWS, boxes, walks

FRAMES = 40


@pytest.fixture
def room(tmp_path: Path) -> dict[str, Any]:
    """Three calibrated cameras with stored detections of three people, and no pixels."""
    rng, paths = np.random.default_rng(0), walks(FRAMES)
    for camera, view in VIEWS.items():
        plain = {"projection": np.asarray(view.calibration.projection).tolist()}
        (tmp_path / f"{camera}.json").write_text(json.dumps(plain))
        rows = [
            f"{frame + 1},-1,{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f},0.95\n"
            for frame in range(FRAMES)
            for x0, y0, x1, y1 in boxes(view, paths[frame], rng, 0.0).xyxy
        ]
        (tmp_path / f"{camera}.txt").write_text("".join(rows))
    return {
        "cameras": [
            {"id": camera, "source": f"{camera}.mp4", "fps": FPS, "calibration": f"{camera}.json"}
            for camera in VIEWS
        ],
        "detector": {"backend": "replay", "detections": str(tmp_path / "{camera}.txt")},
        "embedder": {"backend": "off"},
        "output": {"folder": "out"},
    }


@pytest.mark.parametrize("multiview", [True, False])
def test_people_alike_are_told_apart_by_all_views_together(
    room: dict[str, Any], tmp_path: Path, multiview: bool
):
    room["association"] = {"multiview": multiview}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(room))
    go(tmp_path / "run.yaml", tmp_path / "out")
    links = [link for one in document(tmp_path / "out")["trajectories"] for link in one["links"]]
    across = [link for link in links if link["first"][0] != link["second"][0]]
    assert len(across) >= 6
    known = [link["view_agreement"] for link in across if link["view_agreement"] is not None]
    assert len(known) >= 6 if multiview else not known
    assert all(value > 0.5 for value in known)
