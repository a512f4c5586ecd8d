"""Labels of a detection set in YOLO's form, ``class cx cy w h`` relative to the picture, and its folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from samples.truth import CLASSES

MIN_LABEL_VISIBLE = 0.2
MIN_LABEL_HEIGHT_PX = 18.0
MIN_LABEL_WIDTH_PX = 20.0
"""Of vehicles, which are recognised by their length: far away they are low."""

Box = tuple[float, float, float, float]


def is_labelled(class_name: str, box_xyxy: Box, visible: float) -> bool:
    """Whether a detector should find it: enough of it is visible, and it is large enough."""
    x0, y0, x1, y1 = box_xyxy
    is_large = y1 - y0 >= MIN_LABEL_HEIGHT_PX if class_name == "person" else x1 - x0 >= MIN_LABEL_WIDTH_PX
    return visible >= MIN_LABEL_VISIBLE and is_large


def label_lines(actors: Iterable[tuple[str, Box, float]], size: tuple[int, int]) -> list[str]:
    """A line for each of ``(class name, xyxy px, visible share)`` that is labelled, in a picture ``size`` wide and high."""
    return [_line(name, box, size) for name, box, visible in actors if is_labelled(name, box, visible)]


def _line(class_name: str, box: Box, size: tuple[int, int]) -> str:
    width, height = size
    x0, y0, x1, y1 = box
    centre = f"{(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f}"
    return f"{CLASSES.index(class_name)} {centre} {(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"


def make_folders(out: Path) -> None:
    """``images/{train,val}``, ``labels/{train,val}`` and the ``data.yaml`` that names them."""
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (out / kind / split).mkdir(parents=True, exist_ok=True)
    data = {
        "path": str(out.resolve()),
        "train": "images/train",
        "val": "images/val",
        "names": dict(enumerate(CLASSES)),
    }
    (out / "data.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
