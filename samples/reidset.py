"""Re-identification crops with identity, camera and view, named as Market-1501 names them (Zheng et al. 2015).

``0002_c1s1_000451_03_v2.jpg`` is identity 2, camera 1, sequence 1, frame 451, crop 3 of the frame, view 2. Views are the
heading relative to the camera in ``VIEWS`` equal parts: 0 faces the camera, then counter-clockwise seen from above.
Cameras 1 to 4 are those of the known place (people: the campus, vehicles: the junction), the others hang in yards made
for this set; every one keeps its response.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from samples.appearance import cars, people
from samples.campus import campus
from samples.junction import junction
from samples.navigation import Navigation
from samples.plan import Site, SiteCamera
from samples.render.renderer import Renderer
from samples.response import Sensor
from samples.staging import Stage
from samples.types import ActorState, ActorView, Camera, CarAppearance, FloatArray, PersonAppearance
from samples.yard import random_yard

Image = npt.NDArray[np.uint8]
Kind = Literal["people", "vehicles"]
Box = tuple[float, float, float, float] | FloatArray
Cast = list[tuple[int, PersonAppearance]] | list[tuple[int, CarAppearance]]
SPLITS = ("bounding_box_train", "query", "bounding_box_test")
VIEWS = 4
PER_FRAME = {"people": 12, "vehicles": 7}
MIN_CROP_VISIBLE = 0.4
MIN_CROP_SIZE_PX = {"people": (10.0, 36.0), "vehicles": (30.0, 20.0)}
MAX_CAMERAS = 9
KNOWN_CAMERAS = 4


@dataclass(frozen=True, slots=True)
class ReidSetPlan:
    """How large a set is: ``crops`` wanted per identity over all cameras (a few fewer come out, where people hide)."""

    seed: int
    train: int = 400
    test: int = 100
    crops: int = 40
    cameras: int = 8
    kind: Kind = "people"
    lookalikes: float = 0.12

    def __post_init__(self) -> None:
        if not 2 <= self.cameras <= MAX_CAMERAS:
            raise ValueError(f"cameras must be 2..{MAX_CAMERAS} (names carry one digit), got {self.cameras}")
        if min(self.train, self.test, self.crops) < 1:
            raise ValueError("train, test and crops must be positive")


@dataclass(frozen=True, slots=True)
class _Crop:
    identity: int
    view: int
    image: Image


def relative_view(view: ActorView, camera: Camera, parts: int = VIEWS) -> int:
    """Which of ``parts`` sides the camera sees: 0 the front, then counter-clockwise by the actor's heading."""
    towards = camera.centre_m[:2] - np.asarray(view.ground_m)
    turn = view.heading_rad - np.arctan2(towards[1], towards[0])
    return int(np.round(turn / (2 * np.pi / parts))) % parts


def render_reid_set(plan: ReidSetPlan, out: Path, workers: int = 2) -> dict[str, int]:
    """Write ``bounding_box_train``, ``query`` and ``bounding_box_test``; the number of images in each.

    Identities ``1..train`` train; ``train+1..train+test`` are split into one query per camera and a gallery.
    """
    for split in SPLITS:
        (out / split).mkdir(parents=True, exist_ok=True)
    jobs = [(plan, number, out) for number in range(plan.cameras)]
    total = dict.fromkeys(SPLITS, 0)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for counts in pool.map(_render_camera, jobs):
            total = {split: total[split] + counts[split] for split in total}
    return total


def _cast(plan: ReidSetPlan) -> Cast:
    """Training and test identities are drawn apart, so that look-alikes of the tested are tested ones."""
    drawn = people if plan.kind == "people" else cars
    train = drawn(plan.seed, plan.train, plan.lookalikes)
    test = drawn(plan.seed + 1_000_003, plan.test, plan.lookalikes)
    return list(enumerate([*train, *test], 1))  # type: ignore[arg-type]


def _known_place(kind: Kind) -> Site:
    return campus() if kind == "people" else junction()


def _camera_of(plan: ReidSetPlan, number: int) -> tuple[Site, SiteCamera]:
    if number < KNOWN_CAMERAS:
        site = _known_place(plan.kind)
        return site, site.cameras[number]
    site = random_yard(plan.seed * 31 + number // 2, 2, prefix=f"yard{number // 2}-")
    return site, site.cameras[number % 2]


def sie_row(kind: Kind, site: Site, camera_id: str) -> int | None:
    """Row of a network trained on such a set that belongs to a camera; None for a camera no set has."""
    names = [camera.camera_id for camera in site.cameras[:KNOWN_CAMERAS]]
    return names.index(camera_id) if site.name == _known_place(kind).name and camera_id in names else None


def _render_camera(job: tuple[ReidSetPlan, int, Path]) -> dict[str, int]:
    plan, number, out = job
    cv2.setNumThreads(1)
    counts = dict.fromkeys(SPLITS, 0)
    asked: set[int] = set()
    for frame, crops in enumerate(_frames(plan, number)):
        for index, crop in enumerate(crops):
            split = "bounding_box_train" if crop.identity <= plan.train else "bounding_box_test"
            if split == "bounding_box_test" and crop.identity not in asked:
                asked.add(crop.identity)
                split = "query"
            name = f"{crop.identity:04d}_c{number + 1}s1_{frame:06d}_{index:02d}_v{crop.view}.jpg"
            cv2.imwrite(str(out / split / name), crop.image, [cv2.IMWRITE_JPEG_QUALITY, 93])
            counts[split] += 1
    return counts


def _frames(plan: ReidSetPlan, number: int) -> Iterator[list[_Crop]]:
    """Everybody in front of one camera, a dozen at a time, until each was asked for often enough."""
    site, site_camera = _camera_of(plan, number)
    stage = Stage(site, site_camera.camera, Navigation(site))
    renderer = Renderer(site.plan, site_camera.camera, plan.seed)
    sensor = Sensor(site_camera.response, site_camera.camera_id, plan.seed, site_camera.camera.size)
    rng = np.random.default_rng([plan.seed, 401, number])
    cast, frame, share = _cast(plan), 0, PER_FRAME[plan.kind]
    for _ in range(round(1.2 * plan.crops / plan.cameras)):
        order = rng.permutation(len(cast))
        for start in range(0, len(order), share):
            states = _staged(stage, [cast[i] for i in order[start : start + share]], plan.kind, rng)
            rendered = renderer.render(states)
            image = compressed(sensor.expose(rendered.image, frame), rng)
            frame += 1
            yield [
                _Crop(view.actor_id, relative_view(view, site_camera.camera), cut(image, view.box_xyxy, rng))
                for view in rendered.views
                if is_usable(view.box_xyxy, view.visible_fraction, plan.kind)
            ]


def _staged(stage: Stage, looks: Cast, kind: Kind, rng: np.random.Generator) -> list[ActorState]:
    if kind == "people":
        return stage.people(looks, rng, cluster=0.35)  # type: ignore[arg-type]
    return stage.vehicles(looks, rng, close=True)  # type: ignore[arg-type]


def is_usable(box_xyxy: Box, visible: float, kind: Kind) -> bool:
    """Whether a box (pixels) shows enough of somebody to know them by."""
    x0, y0, x1, y1 = box_xyxy
    least_width, least_height = MIN_CROP_SIZE_PX[kind]
    return visible >= MIN_CROP_VISIBLE and x1 - x0 >= least_width and y1 - y0 >= least_height


def compressed(image: Image, rng: np.random.Generator) -> Image:
    """The picture as a lossy recording leaves it."""
    _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 90))])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), dtype=np.uint8)


def cut(image: Image, box_xyxy: Box, rng: np.random.Generator) -> Image:
    """The crop of a detector that is off by a few percent on every side."""
    x0, y0, x1, y1 = box_xyxy
    sides = np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0]) * rng.normal(0.0, 0.045, 4)
    height, width = image.shape[:2]
    left, top = max(0, round(x0 + sides[0])), max(0, round(y0 + sides[1]))
    right, bottom = min(width, round(x1 + sides[2])), min(height, round(y1 + sides[3]))
    return image[top : max(bottom, top + 8), left : max(right, left + 4)]
