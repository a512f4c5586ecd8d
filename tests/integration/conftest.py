"""A tiny site for whole runs: two cameras, two people in plain colours, known boxes, a network that sees colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

FRAMES = 50
COLOURS = {"red": (40, 40, 220), "blue": (220, 60, 40)}
WALKS = {
    "a": {"red": (0, 40, 10, 3), "blue": (8, 50, 200, -3)},
    "b": {"blue": (0, 30, 20, 4), "red": (12, 50, 180, -4)},
}
"""By camera and person: first frame, last frame, x at the first frame, px per frame."""


def box_of(camera: str, person: str, frame: int) -> tuple[int, int, int, int] | None:
    first, last, x, step = WALKS[camera][person]
    if not first <= frame < last:
        return None
    left, top = x + step * (frame - first), 20 if person == "red" else 60
    return left, top, left + 24, top + 64


def picture(camera: str, frame: int) -> np.ndarray:
    image = np.full((160, 240, 3), 110 if camera == "a" else 140, np.uint8)
    for person in ("red", "blue"):
        box = box_of(camera, person, frame)
        if box is not None:
            image[box[1] : box[3], max(box[0], 0) : box[2]] = COLOURS[person]
    return image


@dataclass(frozen=True)
class Site:
    """Where the tiny site lies, and how to write configurations for it."""

    folder: Path

    def config(self, into: Path, **changes: Any) -> Path:
        """A runnable configuration; ``changes`` are merged into its sections."""
        plain: dict[str, Any] = {
            "cameras": [{"id": camera, "source": str(self.folder / f"{camera}.mp4")} for camera in WALKS],
            "detector": {"backend": "replay", "detections": str(self.folder / "{camera}.txt")},
            "tracker": {"min_hits": 2},
            "crops": {"k": 4, "every_s": 0.3},
            "embedder": {
                "backend": "onnx",
                "weights": str(self.folder / "colour.onnx"),
                "image_size": [32, 16],
            },
            "output": {"folder": str(into / "out")},
        }
        for section, fields in changes.items():
            plain[section] = {**plain.get(section, {}), **fields} if isinstance(fields, dict) else fields
        path = into / "run.yaml"
        path.write_text(yaml.safe_dump(plain), encoding="utf-8")
        return path


@pytest.fixture(scope="session")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    make_clip: Callable[..., Path],
    colour_network: Callable[[Path], None],
) -> Site:
    folder = tmp_path_factory.mktemp("site")
    for camera in WALKS:
        make_clip(folder / f"{camera}.mp4", [picture(camera, frame) for frame in range(FRAMES)], 10, g="10")
        (folder / f"{camera}.txt").write_text(detections_text(camera, FRAMES))
    colour_network(folder / "colour.onnx")
    return Site(folder)


def detections_text(camera: str, frames: int) -> str:
    """MOT text of the known boxes."""
    rows = []
    for frame in range(frames):
        for person in WALKS[camera]:
            box = box_of(camera, person, frame)
            if box is not None:
                rows.append(f"{frame + 1},-1,{box[0]},{box[1]},{box[2] - box[0]},{box[3] - box[1]},0.9")
    return "\n".join(rows) + "\n"
