"""CAMPUS "Auditorium": four real cameras, real detections, no pixels. Identities by tracking and geometry alone.

``python tests/benchmarks/campus.py FOLDER --output out/campus`` writes a configuration and calibrations, runs the main job
on the stored detections, and scores it per camera and across cameras (TrackEval). Two of the views are calibrated; the
other two can only be tracked.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import yaml
from rich.console import Console

from pipeline.app import run
from pipeline.commands.evaluate import as_json, evaluate
from pipeline.config_loader import load_config
from pipeline.evaluation import evaluate as scored

VIEWS = ("HC3", "HC4", "IP2", "IP5")
FPS = 30.0


def calibrations(folder: Path) -> dict[str, dict[str, Any]]:
    """Intrinsics and pose of the calibrated views, in the form of our calibration files."""
    found = {}
    for entry in scipy.io.loadmat(folder / "cam_param.mat")["cam_param"][0]:
        intrinsic, rotation = entry["K"].astype(float), entry["R"]
        intrinsic[:2, 2] += entry["center"].ravel()
        found[str(entry["name"][0]).removeprefix("view-")] = {
            "intrinsics": intrinsic.tolist(),
            "rotation": rotation.tolist(),
            "translation": (-rotation @ entry["T"]).ravel().tolist(),
        }
    return found


def prepare(folder: Path, output: Path) -> Path:
    """Truth under MOT names, calibrations and the configuration; returns its path."""
    (output / "truth").mkdir(parents=True, exist_ok=True)
    known = calibrations(folder)
    cameras = []
    for view in VIEWS:
        (output / "truth" / f"{view}.txt").write_text((folder / "mot" / f"{view}.gt.txt").read_text())
        camera: dict[str, Any] = {"id": view, "source": f"{view}.mp4", "fps": FPS}
        if view in known:
            (output / f"{view}.json").write_text(json.dumps(known[view]))
            camera["calibration"] = f"{view}.json"
        cameras.append(camera)
    plain = {
        "cameras": cameras,
        "detector": {"backend": "replay", "detections": str((folder / "mot").absolute() / "{camera}.det.txt")},
        "embedder": {"backend": "off"},
        "output": {"folder": "run"},
    }
    path = output / "config.yaml"
    path.write_text(yaml.safe_dump(plain, sort_keys=False))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path("out/campus"))
    options = parser.parse_args()
    config = prepare(options.folder, options.output)
    with open(os.devnull, "w") as nowhere:
        outcome = run(load_config(config), options.output / "run", Console(file=nowhere))
    evaluate(options.output / "truth", outcome.path)
    scores = as_json(scored(options.output / "truth", outcome.path))
    (options.output / "scores.json").write_text(json.dumps(scores, indent=2) + "\n")
    print(json.dumps({name: np.round(scores["cross_camera"][name], 3) for name in ("HOTA", "IDF1", "MOTA")}))


if __name__ == "__main__":
    main()
