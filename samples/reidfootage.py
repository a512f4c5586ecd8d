"""Re-identification crops from rendered sites, added to the training split of a set that `samples.reidset` wrote.

Their people are cut from frames as the clips give them back, behind whatever hid them there. Names carry no view: a
site's truth says where somebody was, not which way they looked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from samples.footage import Footage, footage_of
from samples.reidset import SPLITS, cut, is_usable


@dataclass(frozen=True, slots=True)
class ReidFootagePlan:
    """The people of ``sites``, one crop every ``every_s`` seconds of each camera."""

    sites: tuple[Path, ...]
    every_s: float = 0.8

    def __post_init__(self) -> None:
        if not self.every_s > 0:
            raise ValueError(f"every_s must be more than 0, got {self.every_s}")


def add_reid_footage(plan: ReidFootagePlan, out: Path, workers: int = 2) -> dict[str, int]:
    """Add to ``out/bounding_box_train``; how many identities and images. Identities count on from those that are there.

    Raises:
        ValueError: ``out`` is no re-identification set; a clip has fewer frames than its truth speaks of.
        OSError: a site lacks a file.
    """
    jobs, first = [], _last_identity(out) + 1
    for number, site in enumerate(plan.sites, 1):
        footage = footage_of(site)
        people = {actor: first + rank for rank, actor in enumerate(_people(footage))}
        jobs += [(one, number, people, plan.every_s, out / SPLITS[0]) for one in footage]
        first += len(people)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        named = [identity for identities in pool.map(_write_camera, jobs) for identity in identities]
    return {"identities": len(set(named)), "images": len(named)}


def _last_identity(out: Path) -> int:
    if not all((out / split).is_dir() for split in SPLITS):
        raise ValueError(f"{out}: no re-identification set ({', '.join(SPLITS)}); make one with reid-set first")
    names = (re.match(r"\d+", path.name) for split in SPLITS for path in (out / split).iterdir())
    return max((int(name[0]) for name in names if name), default=0)


def _people(footage: Sequence[Footage]) -> list[int]:
    rows = (one for camera in footage for seen in camera.seen().values() for one in seen)
    return sorted({one.actor_id for one in rows if one.class_name == "person"})


def _write_camera(job: tuple[Footage, int, dict[int, int], float, Path]) -> list[int]:
    """The crops of one camera; the identity of each."""
    footage, sequence, people, every_s, folder = job
    cv2.setNumThreads(1)
    rng = np.random.default_rng([0, 409, sequence, footage.number])
    written = []
    for index, image, seen in footage.frames(every_s):
        for one in seen:
            if one.actor_id in people and is_usable(one.box_xyxy, one.visible, "people"):
                identity, rank = people[one.actor_id], len(written)
                name = f"{identity:04d}_c{footage.number}s{sequence}_{index:06d}_{rank:02d}.jpg"
                cv2.imwrite(str(folder / name), cut(image, one.box_xyxy, rng), [cv2.IMWRITE_JPEG_QUALITY, 93])
                written.append(identity)
    return written
