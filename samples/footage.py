"""Detection pictures from rendered sites: frames as their clips give them back, with the labels of the truth.

A camera's stills are sharper than its video: at the bit rates cameras use, what moves is smeared and loses its edges.
And people in recordings walk where the place makes them walk, behind its posts and hedges, in groups.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from samples.labels import Box, label_lines, make_folders
from samples.truth import CLASSES

Image = npt.NDArray[np.uint8]
Actor = tuple[str, Box, float]
KEPT_EMPTY = 10
"""One in so many pictures of nobody is kept: a detector must know the bare place too."""


@dataclass(frozen=True, slots=True)
class FootageSetPlan:
    """Frames of ``sites``, one every ``every_s`` seconds of each camera; the last site validates, the others train."""

    sites: tuple[Path, ...]
    every_s: float = 0.4

    def __post_init__(self) -> None:
        if len(self.sites) < 2:
            raise ValueError(f"sites: the last one validates, so two at least, got {len(self.sites)}")
        if not self.every_s > 0:
            raise ValueError(f"every_s must be more than 0, got {self.every_s}")


def write_footage_set(plan: FootageSetPlan, out: Path, workers: int = 2) -> dict[str, int]:
    """Write ``images/{train,val}``, ``labels/{train,val}`` and ``data.yaml``; the number of images in each split.

    Raises:
        ValueError: a clip has fewer frames than its truth speaks of; the message names it.
        OSError: a site lacks a file.
    """
    make_folders(out)
    jobs = [
        (site, entry["id"], max(1, round(plan.every_s * entry["fps"])), f"{number:02d}", _split(plan, number), out)
        for number, site in enumerate(plan.sites)
        for entry in json.loads((site / "truth" / "site.json").read_text())["cameras"]
    ]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        counts = list(pool.map(_write_camera, jobs))
    return {
        split: sum(n for n, job in zip(counts, jobs, strict=True) if job[4] == split) for split in ("train", "val")
    }


def _split(plan: FootageSetPlan, number: int) -> str:
    return "val" if number == len(plan.sites) - 1 else "train"


def _write_camera(job: tuple[Path, str, int, str, str, Path]) -> int:
    """Every ``step``-th frame of one camera; returns how many."""
    site, camera_id, step, prefix, split, out = job
    cv2.setNumThreads(1)
    truth = _actors_by_frame(site / "truth" / f"{camera_id}.txt")
    written = bare = 0
    for index, image in _frames(site / "clips" / f"{camera_id}.mp4", step, max(truth, default=-1)):
        lines = label_lines(truth.get(index, ()), (image.shape[1], image.shape[0]))
        bare += not lines
        if lines or bare % KEPT_EMPTY == 1:
            name = f"{prefix}_{camera_id}_{index:06d}"
            cv2.imwrite(str(out / "images" / split / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
            (out / "labels" / split / f"{name}.txt").write_text("".join(lines))
            written += 1
    return written


def _frames(clip: Path, step: int, last: int) -> Iterator[tuple[int, Image]]:
    """Every ``step``-th frame with its index, decoded in order: seeking is not exact everywhere."""
    video = cv2.VideoCapture(str(clip))
    index = 0
    try:
        while video.grab():
            if index % step == 0:
                yield index, np.asarray(video.retrieve()[1], np.uint8)
            index += 1
    finally:
        video.release()
    if index <= last:
        raise ValueError(f"{clip}: {index} frames, its truth speaks of frame {last + 1}")


def _actors_by_frame(path: Path) -> dict[int, Sequence[Actor]]:
    """Class, box and visible share of everybody in the lines of `TruthRow.mot_line`, by frame from 0."""
    actors: dict[int, list[Actor]] = defaultdict(list)
    for line in path.read_text().splitlines():
        frame, _, left, top, width, height, _, kind, visible = map(float, line.split(","))
        box = (left, top, left + width, top + height)
        actors[int(frame) - 1].append((CLASSES[int(kind) - 1], box, visible))
    return dict(actors)
