"""Detection pictures from rendered sites: frames as their clips give them back, with the labels of the truth."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2

from samples.footage import Footage, footage_of
from samples.labels import label_lines, make_folders

KEPT_EMPTY = 10
"""One in so many pictures of nobody is kept: a detector must know the bare place too."""


@dataclass(frozen=True, slots=True)
class YoloFootagePlan:
    """Frames of ``sites``, one every ``every_s`` seconds of each camera; the last site validates, the others train."""

    sites: tuple[Path, ...]
    every_s: float = 0.4

    def __post_init__(self) -> None:
        if len(self.sites) < 2:
            raise ValueError(f"sites: the last one validates, so two at least, got {len(self.sites)}")
        if not self.every_s > 0:
            raise ValueError(f"every_s must be more than 0, got {self.every_s}")


def write_yolo_footage(plan: YoloFootagePlan, out: Path, workers: int = 2) -> dict[str, int]:
    """Write ``images/{train,val}``, ``labels/{train,val}`` and ``data.yaml``; the number of images in each split.

    Raises:
        ValueError: a clip has fewer frames than its truth speaks of; the message names it.
        OSError: a site lacks a file.
    """
    make_folders(out)
    jobs = [
        (footage, plan.every_s, f"{number:02d}", _split(plan, number), out)
        for number, site in enumerate(plan.sites)
        for footage in footage_of(site)
    ]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        counts = list(pool.map(_write_camera, jobs))
    return {
        split: sum(n for n, job in zip(counts, jobs, strict=True) if job[3] == split) for split in ("train", "val")
    }


def _split(plan: YoloFootagePlan, number: int) -> str:
    return "val" if number == len(plan.sites) - 1 else "train"


def _write_camera(job: tuple[Footage, float, str, str, Path]) -> int:
    """The frames of one camera; returns how many."""
    footage, every_s, prefix, split, out = job
    cv2.setNumThreads(1)
    written = bare = 0
    for index, image, seen in footage.frames(every_s):
        actors = ((one.class_name, one.box_xyxy, one.visible) for one in seen)
        lines = label_lines(actors, (image.shape[1], image.shape[0]))
        bare += not lines
        if lines or bare % KEPT_EMPTY == 1:
            name = f"{prefix}_{footage.camera_id}_{index:06d}"
            cv2.imwrite(str(out / "images" / split / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
            (out / "labels" / split / f"{name}.txt").write_text("".join(lines))
            written += 1
    return written
