"""Detection images of staged scenes with labels in YOLO's form, one text file each.

Most pictures show random yards, a share shows the campus and the junction with people no scenario has, another, if asked
for, traffic: the junction from its own cameras and from random places beside its roads. Boxes are of the whole figure,
clipped to the frame; who is hidden more than `samples.labels` allows has no label.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from samples.appearance import cars, people, vehicle_class
from samples.campus import campus
from samples.junction import junction
from samples.labels import label_lines, make_folders
from samples.navigation import Navigation
from samples.plan import Site, SiteCamera
from samples.reidset import compressed
from samples.render.renderer import Renderer
from samples.response import Sensor, random_response
from samples.staging import Stage, outside
from samples.truth import rows_of
from samples.types import ActorState, CarAppearance
from samples.yard import random_yard, roadside_camera

PER_VIEW = 16
KNOWN_SHARE = 0.25
HEAVY_SHARE = 0.5
QUEUE = 0.7
"""Share of the vehicles that wait behind another one, where vehicles queue."""
OWN_VIEWS = 0.4
"""Share of the junction's own cameras among the views of traffic."""


@dataclass(frozen=True, slots=True)
class YoloSetPlan:
    """``images`` in all; ``validation`` of them, from yards the training split never shows, validate.

    ``hard`` of the training pictures show people close up and behind one another, vehicles close up, and trucks and
    buses as often as cars. ``traffic`` of the training views look at roads. In ``queues`` of the training pictures
    vehicles wait behind one another.
    """

    seed: int
    images: int = 3000
    validation: float = 0.1
    hard: float = 0.0
    traffic: float = 0.0
    queues: float = 0.0

    def __post_init__(self) -> None:
        if self.images < 2 * PER_VIEW:
            raise ValueError(f"images must be at least {2 * PER_VIEW}, got {self.images}")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation must lie between 0 and 1, got {self.validation}")
        for name in ("hard", "traffic", "queues"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")


def render_yolo_set(plan: YoloSetPlan, out: Path, workers: int = 2) -> dict[str, int]:
    """Write ``images/{train,val}``, ``labels/{train,val}`` and ``data.yaml``; the number of images in each split."""
    views = -(-plan.images // PER_VIEW)
    held_out = max(1, round(views * plan.validation))
    jobs = [(plan, number, "val" if number < held_out else "train", out) for number in range(views)]
    make_folders(out)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        counts = list(pool.map(_render_view, jobs, chunksize=4))
    return {
        split: sum(n for n, job in zip(counts, jobs, strict=True) if job[2] == split)
        for split in ("train", "val")
    }


def _render_view(job: tuple[YoloSetPlan, int, str, Path]) -> int:
    """A few pictures of one camera; returns how many."""
    plan, number, split, out = job
    cv2.setNumThreads(1)
    rng = np.random.default_rng([plan.seed, 501, number])
    site, site_camera = _view_of(plan, number, split, rng)
    try:
        stage = Stage(site, site_camera.camera, Navigation(site))
    except ValueError:  # a random camera that looks at a wall
        site, site_camera = campus(), campus().cameras[number % 4]
        stage = Stage(site, site_camera.camera, Navigation(site))
    renderer = Renderer(site.plan, site_camera.camera, plan.seed + number)
    sensor = Sensor(site_camera.response, site_camera.camera_id, plan.seed + number, site_camera.camera.size)
    for index in range(PER_VIEW):
        hard = split == "train" and plan.hard > 0 and rng.random() < plan.hard
        queued = split == "train" and plan.queues > 0 and rng.random() < plan.queues
        states = _actors(plan, number * PER_VIEW + index, stage, rng, hard, queued)
        rendered = renderer.render(states)
        image = compressed(sensor.expose(rendered.image, index), rng)
        name = f"{number:05d}_{index:02d}"
        cv2.imwrite(str(out / "images" / split / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        rows = rows_of(rendered.views, states, 0, 0.0)
        lines = label_lines(((row.class_name, row.box_xyxy, row.visible) for row in rows), site_camera.camera.size)
        (out / "labels" / split / f"{name}.txt").write_text("".join(lines))
    return PER_VIEW


def _view_of(plan: YoloSetPlan, number: int, split: str, rng: np.random.Generator) -> tuple[Site, SiteCamera]:
    if split == "train" and plan.traffic > 0 and rng.random() < plan.traffic:  # no draw without: sets stay as they were
        return _traffic_view(rng)
    if split == "val" or rng.random() > KNOWN_SHARE:
        site = random_yard(plan.seed * 7919 + number, 1)
        return site, site.cameras[0]
    return _known_view(campus() if rng.random() < 0.6 else junction(), rng)


def _known_view(site: Site, rng: np.random.Generator) -> tuple[Site, SiteCamera]:
    known = site.cameras[int(rng.integers(len(site.cameras)))]
    return site, SiteCamera(known.camera, known.response if rng.random() < 0.5 else random_response(rng))


def _traffic_view(rng: np.random.Generator) -> tuple[Site, SiteCamera]:
    site = junction()
    return _known_view(site, rng) if rng.random() < OWN_VIEWS else (site, roadside_camera(site, rng))


def _actors(
    plan: YoloSetPlan, picture: int, stage: Stage, rng: np.random.Generator, hard: bool, queued: bool
) -> list[ActorState]:
    crowd = int(rng.choice([0, 2, 4, 7, 11, 16], p=[0.05, 0.2, 0.25, 0.25, 0.15, 0.1]))
    looks = list(enumerate(people(plan.seed * 13 + picture, crowd, 0.0, 0.0), 1)) if crowd else []
    vehicles: list[ActorState] = []
    if stage.site.routes:
        count = int(rng.integers(4, 13) if queued else rng.integers(0, 9))
        fleet = _fleet(plan.seed * 17 + picture, count, hard)
        queue = QUEUE if queued else 0.0
        vehicles = stage.vehicles(list(enumerate(fleet, 1001)), rng, close=hard or queued, queue=queue)
    crowded = stage.people(looks, rng, cluster=0.8 if hard else 0.5, close=hard)
    return [person for person in crowded if outside(person, vehicles)] + vehicles


def _fleet(seed: int, count: int, heavy: bool) -> list[CarAppearance]:
    """``count`` vehicles as a street has them, or half of them trucks and buses."""
    if not heavy:
        return cars(seed, count)
    drawn = cars(seed, 16 * count)
    large = [look for look in drawn if vehicle_class(look) != "car"][: round(HEAVY_SHARE * count)]
    small = [look for look in drawn if vehicle_class(look) == "car"]
    return large + small[: count - len(large)]

