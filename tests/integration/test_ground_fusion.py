"""``ground.jsonl``: one position per identity and instant, nearer to the truth than any single view."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pipeline.config import Config
from pipeline.export.header import CameraInfo, RunHeader
from pipeline.export.writer import RunWriter
from pipeline.fusion import write_ground
from pipeline.packets import CameraEnd
from tests.simulated import make_tracklet
from tracking.ground import FusionConfig, fuse
from tracking.types import Trajectory

TIMES = np.arange(0, 20, 0.2)
WAY = np.stack([0.8 * TIMES, 3 + np.sin(0.4 * TIMES)], axis=1)


def seen(camera: str, rng: np.random.Generator, late_s: float = 0.0):  # type: ignore[no-untyped-def]
    at = np.stack([0.8 * (TIMES + late_s), 3 + np.sin(0.4 * (TIMES + late_s))], axis=1)
    return make_tracklet(camera, 1, TIMES + late_s, ground=at + rng.normal(scale=0.2, size=at.shape))


def test_two_views_are_better_than_one_and_say_how_sure_they_are():
    rng = np.random.default_rng(0)
    members = [seen("a", rng), seen("b", rng, 0.1)]
    by_key = {one.key: one for one in members}
    (track,) = fuse([Trajectory(4, 0, tuple(by_key))], by_key, config=FusionConfig(calibration_noise_m=0.2))
    truth = np.stack([0.8 * track.time_s, 3 + np.sin(0.4 * track.time_s)], axis=1)
    error = np.linalg.norm(track.xy - truth, axis=1)
    alone = np.linalg.norm(members[0].ground_xy - WAY, axis=1)
    assert error.mean() < 0.6 * alone.mean()
    assert (track.views[5:-5] == 2).all()
    spread = np.sqrt(np.trace(track.covariance, axis1=1, axis2=2))
    assert 0.5 < error.mean() / spread.mean() < 1.5


def test_the_file_has_a_line_per_identity_and_site(tmp_path: Path):
    rng = np.random.default_rng(1)
    members = [seen("a", rng), seen("b", rng)]
    sites = {"a": "hall", "b": "roof"}
    cameras = tuple(CameraInfo(name, f"{name}.mp4", 640, 480, 5.0, ground=True, site=sites[name]) for name in sites)
    with RunWriter(tmp_path, RunHeader(("person",), cameras)) as writer:
        for one in members:
            writer.tracklet(one)
        for camera in cameras:
            writer.camera_end(CameraEnd(camera.id, 100, 100, 0, False))
        writer.finish([Trajectory(1, 0, tuple(one.key for one in members))])
    (tmp_path / "plane.json").write_text(json.dumps({"homography": np.diag([0.01, 0.01, 1]).tolist()}))
    plain = {
        "cameras": [
            {"id": one.id, "source": one.source, "site": one.site, "calibration": str(tmp_path / "plane.json")} for one in cameras
        ],
        "detector": {"backend": "replay", "detections": "{camera}.txt"},
    }
    path = write_ground(tmp_path, Config.model_validate(plain))
    assert path is not None
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["global_id"], line["site"]) for line in lines] == [(1, "hall"), (1, "roof")]
    for line in lines:
        assert len(line["time_s"]) == len(line["xy_m"]) == len(line["covariance_m2"]) == len(line["views"]) == len(TIMES)
    for camera in plain["cameras"]:
        del camera["calibration"]  # type: ignore[attr-defined]
    assert write_ground(tmp_path, Config.model_validate(plain)) is None
    assert not path.exists()
