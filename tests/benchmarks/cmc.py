"""Ground-plane identities on CMC: four overlapping calibrated cameras, real detections, truth in metres.

``python tests/benchmarks/cmc.py FOLDER`` prints MOTA, IDF1 and HOTA (TrackEval) at a gate on the floor. Positions of the
truth are centroids; only x and y count. The truth holds the people inside the tracking area that the data set's authors
state; others stand and wait beside it, in full view. Scores are given for all positions and for those inside that area.
``--draws N`` follows CMC2 N more times, each without one box in a hundred: how much hangs on chance.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.calibrations import read_calibration
from tracking.following import follow, ground_tracks
from tracking.multiview import View
from tracking.scoring import Places, score_places, summarise
from tracking.types import Detections

FPS = 4.0
SIZE_PX = (1920, 1024)
AREA_M = ((2.03, 0.0), (6.3, 3.41))
"""Lowest and highest x and y of the tracking area, as in the authors' own programs for this data set."""

SEQUENCES = {"CMC1": "J_1_1", "CMC2": "J_5_2"}


def views(folder: Path) -> dict[str, View]:
    """The four calibrated cameras."""
    return {
        path.name[:4]: View(read_calibration(path), *SIZE_PX) for path in sorted((folder / "calib").glob("cam?_*.mat"))
    }


def detections(folder: Path, sequence: str) -> dict[int, dict[str, Detections]]:
    """By frame and camera; every camera looked at every frame."""
    tables = {
        f"cam{path.stem[-1]}": np.loadtxt(path, ndmin=2)
        for path in sorted((folder / "det").glob(f"DET_{sequence}_Cam?.txt"))
    }
    frames = range(1, int(max(table[:, 0].max() for table in tables.values())) + 1)
    return {frame: {camera: _of(table, frame) for camera, table in tables.items()} for frame in frames}


def _of(table: np.ndarray, frame: int) -> Detections:
    rows = table[table[:, 0] == frame]
    boxes = np.column_stack([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]])
    return Detections(boxes, np.ones(len(rows)), np.zeros(len(rows)))


def truth(folder: Path, sequence: str) -> Places:
    table = np.loadtxt(folder / "gt3d" / f"GT_{sequence}_WORLD_CENTROID.txt", ndmin=2)
    return Places(table[:, 0], table[:, 1], table[:, 7:9])


def thinned(seen: Mapping[int, Mapping[str, Detections]], seed: int) -> dict[int, dict[str, Detections]]:
    """Without one box in a hundred, at random."""
    rng = np.random.default_rng(seed)
    return {frame: {camera: _some(boxes, rng) for camera, boxes in of.items()} for frame, of in seen.items()}


def _some(boxes: Detections, rng: np.random.Generator) -> Detections:
    kept = rng.random(len(boxes.xyxy)) >= 0.01
    return Detections(boxes.xyxy[kept], boxes.confidence[kept], boxes.class_id[kept])


def followed(cameras: Mapping[str, View], seen: Mapping[int, Mapping[str, Detections]]) -> Places:
    """Identities over the floor, from boxes alone."""
    tracks = ground_tracks(follow(cameras, [(frame / FPS, boxes) for frame, boxes in seen.items()]))
    return Places(
        np.concatenate([np.round(track.time_s * FPS) for track in tracks]),
        np.concatenate([np.full(len(track.time_s), track.global_id) for track in tracks]),
        np.concatenate([track.xy for track in tracks]),
    )


def inside(places: Places) -> Places:
    """Those in the area."""
    low, high = np.array(AREA_M)
    rows = ((places.xy >= low) & (places.xy <= high)).all(axis=1)
    return Places(places.frame[rows], places.id[rows], places.xy[rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gate-m", type=float, default=1.0)
    parser.add_argument("--draws", type=int, default=0)
    options = parser.parse_args()
    for name, sequence in SEQUENCES.items():
        began = time.process_time()
        everywhere = followed(views(options.folder), detections(options.folder, sequence))
        spent = time.process_time() - began
        for where, found in (("everywhere", everywhere), ("inside the area", inside(everywhere))):
            scores = summarise(score_places(truth(options.folder, sequence), found, options.gate_m))
            shown = "  ".join(f"{key} {scores[key]:.3f}" for key in ("MOTA", "IDF1", "HOTA"))
            counts = "  ".join(f"{key} {scores[key]:.0f}" for key in ("FP", "FN", "IDSW"))
            print(f"{name}  {where:15}  {shown}  {counts}  ({spent:.1f} s of processor time)", flush=True)
    draws(options.folder, options.gate_m, options.draws)


def draws(folder: Path, gate_m: float, count: int) -> None:
    sequence = SEQUENCES["CMC2"]
    cameras, seen = views(folder), detections(folder, sequence)
    found = []
    for seed in range(1, count + 1):
        people = inside(followed(cameras, thinned(seen, seed)))
        found.append(summarise(score_places(truth(folder, sequence), people, gate_m))["IDF1"])
        print(f"CMC2  draw {seed}  inside the area  IDF1 {found[-1]:.3f}", flush=True)
    if found:
        print(f"CMC2  mean of {count} draws  IDF1 {np.mean(found):.3f}")


if __name__ == "__main__":
    main()
