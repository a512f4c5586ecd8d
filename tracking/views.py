"""What calibrated cameras see at one instant, and what is believed of people and boxes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tracking.geometry import Calibration
from tracking.types import BoolArray, Detections, IntArray

__all__ = ["MultiViewConfig", "Scan", "View", "one_box_per_head", "scan_of"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MultiViewConfig:
    """What is believed of people, boxes and cameras. Parts are of a person's height in the image.

    Attributes:
        height_m, height_spread_m: the population.
        acceleration_mps2: how much velocity changes within a second.
        velocity_memory_s: after so long a walker's velocity says little; with the acceleration it fixes the usual speed.
        middle_noise, top_noise, bottom_noise: box edges against the body, more than one box alone shows: a stride or a
            bow lasts for several.
        feet_visible: part of the boxes that reach the feet.
        detected: part of the people in full view that are detected.
        merged: part of those that lie over or under another in the image and get no box of their own: of two bodies
            that coincide non-maximum suppression leaves one.
        clutter: boxes of something else, per person-height squared of image.
        min_score: log-likelihood ratio at which a track is believed; it falls with every miss.
        max_lost_s: a track no camera has seen for longer ends.
        scans: instants a decision may still be changed.
        leaves: hypotheses kept per track.
        min_apart_m: no two people stand closer; the younger of two tracks that stay so is a double.
    """

    height_m: float = 1.65
    height_spread_m: float = 0.12
    acceleration_mps2: float = 1.0
    velocity_memory_s: float = 1.5
    middle_noise: float = 0.06
    top_noise: float = 0.04
    bottom_noise: float = 0.1
    feet_visible: float = 0.7
    detected: float = 0.95
    merged: float = 0.5
    clutter: float = 1.0
    min_score: float = 12.0
    max_lost_s: float = 2.0
    scans: int = 4
    leaves: int = 12
    min_apart_m: float = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A camera as the tracker needs it.

    Attributes:
        calibration: a full one.
        width_px, height_px: of its pictures.
        offset: ``(3,)`` where middle, top and bottom of its boxes lie against the people's, in parts of their height in
            the image (`tracking.offsets`).
    """

    calibration: Calibration
    width_px: int
    height_px: int
    offset: Array = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        if self.calibration.projection is None:
            raise ValueError("multi-view tracking needs full calibrations: a homography knows no heights")


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One camera's boxes at one instant.

    Attributes:
        edges: ``(M, 3)`` middle, top and bottom in undistorted px; offset: of the camera's boxes, see `View`.
        cut: ``(M, 3)`` bool, what the border cuts off; index: ``(M,)`` which of the detections each is.
    """

    camera: str
    edges: Array
    cut: BoolArray
    index: IntArray
    offset: Array

    def away(self, rows: IntArray | slice, edges: Array, size: Array) -> Array:
        """``(..., 3)`` how far these boxes are from bodies at ``edges`` of ``size`` px in the image, in parts of it."""
        return np.asarray((self.edges[rows] - edges) / size[..., None] - self.offset)


def scan_of(camera: str, view: View, found: Detections) -> Scan:
    """Boxes as the tracker measures them, of those that share a head the largest."""
    boxes = found.xyxy.astype(np.float64)
    keep = one_box_per_head(boxes)
    boxes = boxes[keep]
    middle = (boxes[:, 0] + boxes[:, 2]) / 2
    top = view.calibration.undistort(np.stack([middle, boxes[:, 1]], axis=1))
    bottom = view.calibration.undistort(np.stack([middle, boxes[:, 3]], axis=1))
    edges = np.stack([(top[:, 0] + bottom[:, 0]) / 2, top[:, 1], bottom[:, 1]], axis=1)
    margin = 0.01
    cut = np.stack(
        [
            (boxes[:, 0] < margin * view.width_px) | (boxes[:, 2] > (1 - margin) * view.width_px),
            boxes[:, 1] < margin * view.height_px,
            boxes[:, 3] > (1 - margin) * view.height_px,
        ],
        axis=1,
    )
    return Scan(camera, edges, cut, keep, view.offset)


def one_box_per_head(boxes: Array) -> IntArray:
    """Of boxes that share their top and middle (a body and its upper half), the largest stays."""
    height = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
    order = np.argsort(-height, kind="stable")
    kept: list[int] = []
    for row in order:
        u, top = (boxes[row, 0] + boxes[row, 2]) / 2, boxes[row, 1]
        width = boxes[row, 2] - boxes[row, 0]
        same = [
            other
            for other in kept
            if abs((boxes[other, 0] + boxes[other, 2]) / 2 - u) < 0.25 * width
            and abs(boxes[other, 1] - top) < 0.25 * width
            and (boxes[other, 2] - boxes[other, 0]) < 2.0 * width
        ]
        if not same:
            kept.append(int(row))
    return np.array(sorted(kept), np.int64)
