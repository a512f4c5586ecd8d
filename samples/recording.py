"""From scenario to footage: what each camera records, streamed frame by frame, and the site folder made of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from samples.cameras import write_calibration
from samples.plan import Site, SiteCamera
from samples.reidset import Kind, sie_row
from samples.render.renderer import Renderer
from samples.response import Sensor, kept_frames
from samples.scenarios import Scenario, scenario
from samples.truth import CLASSES, MIN_HEIGHT_PX, MIN_VISIBLE, TruthRow, rows_of, write_camera, write_site
from samples.video import VideoWriter
from samples.world import World

Image = npt.NDArray[np.uint8]
DROP_BLOCK = 4096
WEIGHTS = Path(__file__).resolve().parent / "weights"
DETECTORS: dict[Kind, str] = {"people": "detector-synthetic.pt", "vehicles": "detector-synthetic-vehicles.pt"}
EMBEDDERS: dict[Kind, str] = {
    "people": "transreid-synthetic.safetensors",
    "vehicles": "transreid-synthetic-vehicles.safetensors",
}
VEHICLES: dict[str, Any] = {
    # A truck beside the camera fills half the picture, a car at its end is 15 px high.
    "detector": {"image_size": [640, 960]},
    # Far away they are wide and low, and where the middle of one is on the floor is known to a metre or so.
    "crops": {"min_width_px": 30, "min_height_px": 18},
    "embedder": {"neck": "after"},  # before it everybody's share outweighs what tells vehicles apart
    "association": {"rules": {"max_ground_distance_m": 3.0}},
}
SITE_START = "2026-01-01T12:00:00Z"


@dataclass(frozen=True, slots=True, eq=False)
class RecordedFrame:
    """A frame as recorded: ``index`` counts the frames that arrived, ``position_s`` is the recording's own clock."""

    index: int
    position_s: float
    time_s: float
    image: Image
    truth: list[TruthRow]


def record(staged: Scenario, camera_id: str) -> Iterator[RecordedFrame]:
    """Everything one camera records of a scenario, in bounded memory.

    The camera's own clock runs ``1 + drift_ppm * 1e-6`` times as fast as the site's; its first frame is taken at site
    time ``start_s - clock_offset_s`` while it claims ``start_s``.
    """
    cv2.setNumThreads(1)
    site_camera = staged.site.camera(camera_id)
    response, faults = site_camera.response, site_camera.faults
    world = World(staged.site, staged.cast, staged.seed)
    renderer = Renderer(staged.site.plan, site_camera.camera, staged.seed)
    sensor = Sensor(response, camera_id, staged.seed, site_camera.camera.size)
    index, frozen = 0, None
    for tick, arrives in enumerate(_arrivals(staged, site_camera)):
        if not arrives:
            continue
        position = tick / response.fps
        time = site_camera.start_s - response.clock_offset_s + position / (1 + response.drift_ppm * 1e-6)
        frozen = frozen if _within(position, faults.freeze_s) else None
        if frozen is None:
            states = world.states(max(time, 0.0))
            picture = renderer.render(states)
            frozen = picture, states, tick, time
        picture, states, drawn, true_s = frozen
        leap = faults.jump_s if faults.jump_at_s is not None and position >= faults.jump_at_s else 0.0
        image = sensor.expose(picture.image, drawn)
        yield RecordedFrame(
            index, position + leap, time, image, rows_of(picture.views, states, index, true_s)
        )
        index += 1


def _within(position_s: float, stretch_s: tuple[float, float] | None) -> bool:
    return stretch_s is not None and stretch_s[0] <= position_s < stretch_s[1]


def _arrivals(staged: Scenario, site_camera: SiteCamera) -> Iterator[bool]:
    """For each frame due in the scenario's time, whether it arrives."""
    due = int(np.floor((staged.duration_s - site_camera.start_s) * site_camera.response.fps))
    for block in range(0, due, DROP_BLOCK):
        kept = kept_frames(site_camera.response, site_camera.camera_id, staged.seed + block, DROP_BLOCK)
        yield from (bool(arrives) for arrives in kept[: due - block])


def render_site(
    name: str, seed: int, out: Path, duration_s: float | None = None, workers: int | None = None
) -> None:
    """Write clips, truth, calibration, topology and ``config.yaml`` of a scenario below ``out``.

    Raises:
        ValueError: unknown scenario or bad duration.
    """
    staged = scenario(name, seed, duration_s)
    jobs = [(name, seed, duration_s, camera.camera_id, out) for camera in staged.site.cameras]
    rows: dict[str, list[TruthRow]] = {}
    with ProcessPoolExecutor(workers or min(len(jobs), os.cpu_count() or 1), get_context("spawn")) as pool:
        for camera, truth in zip(staged.site.cameras, pool.map(_record_camera, jobs), strict=True):
            rows[camera.camera_id] = truth
            write_calibration(camera.camera, out / "calibration" / f"{camera.camera_id}.json")
    about = {
        "scenario": name, "seed": seed, "duration_s": staged.duration_s, "start_time": SITE_START,
        "classes": list(CLASSES), "min_visible": MIN_VISIBLE, "min_height_px": MIN_HEIGHT_PX,
    }  # fmt: skip
    write_site(out / "truth", staged.site.cameras, rows, about)
    write_config(staged, out)


def _record_camera(job: tuple[str, int, float | None, str, Path]) -> list[TruthRow]:
    name, seed, duration_s, camera_id, out = job
    staged = scenario(name, seed, duration_s)
    site_camera = staged.site.camera(camera_id)
    rows: list[TruthRow] = []
    clip = out / "clips" / f"{camera_id}.mp4"
    with VideoWriter(
        clip, site_camera.camera.size, site_camera.response.fps, site_camera.response.crf
    ) as video:
        for frame in record(staged, camera_id):
            video.write(frame.image, frame.position_s)
            rows.extend(frame.truth)
    write_camera(out / "truth", camera_id, rows)
    return rows


def stream(
    name: str, seed: int, camera_id: str, target: str, truth: Path | None, duration_s: float | None = None
) -> int:
    """Encode one camera into ``target`` (a URL such as ``udp://127.0.0.1:5000``) without storing it; frames sent."""
    staged = scenario(name, seed, duration_s)
    site_camera = staged.site.camera(camera_id)
    sent = 0
    lines = truth.open("w") if truth else None
    with VideoWriter(
        target, site_camera.camera.size, site_camera.response.fps, site_camera.response.crf, "mpegts"
    ) as video:
        for frame in record(staged, camera_id):
            video.write(frame.image, frame.position_s)
            sent += 1
            if lines:
                lines.writelines(row.mot_line() for row in frame.truth)
    if lines:
        lines.close()
    return sent


def write_config(staged: Scenario, out: Path) -> None:
    """``config.yaml`` for ``python -m pipeline run``; the weights are named relative to it."""
    weights = Path(os.path.relpath(WEIGHTS, out.resolve()))
    kind: Kind = "vehicles" if "car" in staged.classes else "people"
    config: dict[str, Any] = {
        "cameras": [_camera_config(kind, staged.site, camera) for camera in staged.site.cameras],
        "detector": {
            "backend": "ultralytics",
            "weights": str(weights / DETECTORS[kind]),
            "classes": list(staged.classes),
            # One vehicle may be called car here and truck there.
            **({"class_groups": [list(staged.classes)]} if kind == "vehicles" else {}),
        },
        "embedder": {"backend": "torch", "weights": str(weights / EMBEDDERS[kind])},
        "output": {"folder": "out"},
    }  # fmt: skip
    for key, values in (VEHICLES if kind == "vehicles" else {}).items():
        config[key] = config.get(key, {}) | values
    header = f"# Scenario {staged.name}, seed {staged.seed}, made by `python -m samples render`.\n"
    (out / "config.yaml").write_text(header + yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _camera_config(kind: Kind, site: Site, site_camera: SiteCamera) -> dict[str, Any]:
    name = site_camera.camera_id
    row = sie_row(kind, site, name)
    return {
        "id": name,
        "source": f"clips/{name}.mp4",
        "start_time": SITE_START,
        "start_offset_s": site_camera.start_s,
        "calibration": f"calibration/{name}.json",
        "sie": "mean" if row is None else row,
    }
