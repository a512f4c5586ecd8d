"""People over several views from beginning to end: followed, each camera's boxes set right, told apart by height.

What the tracker decides while it goes, this does better afterwards, in the order in which each step needs the one
before: positions of people say what every camera's boxes are off by (`tracking.offsets`), views that agree measure
heights, and heights say who was taken for whom (`tracking.heights`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tracking.ground import GroundTrack
from tracking.heights import Walk, told_apart
from tracking.hypotheses import Node
from tracking.multiview import MultiViewTracker, drawn, smoothed
from tracking.offsets import Instant, TakenBoxes, box_offsets
from tracking.views import MultiViewConfig, View

__all__ = ["Instant", "People", "follow", "ground_tracks"]

Array = npt.NDArray[np.float64]

_HEAD = 0.1
"""A box whose top is farther from the head, in parts of the height, does not show whose height it is."""

People = Mapping[int, Sequence[Node]]
"""By id, from 1, where each person was at every instant and which boxes were theirs."""


def follow(
    views: Mapping[str, View], instants: Sequence[Instant], config: MultiViewConfig | None = None
) -> People:
    """Follow people as the calibrations say, once more without what each camera's boxes are off by, and undo swaps.

    Args:
        views: by camera id; boxes of other cameras are refused.
        instants: in order of time.
        config: beliefs.

    Raises:
        ValueError: see ``MultiViewTracker.update``.
    """
    config = config or MultiViewConfig()
    first = _followed(views, instants, config)
    offsets = box_offsets(_taken(first, views, instants, config)[0])
    better = {camera: replace(view, offset=offsets.get(camera, view.offset)) for camera, view in views.items()}
    people = _followed(better, instants, config)
    taken, states = _taken(people, better, instants, config)
    nodes = [node for path in people.values() for node in path]
    paths = told_apart(_walks(people, states, _heights(len(nodes), taken)))
    return {person: [nodes[row] for row in path] for person, path in zip(people, paths, strict=True)}


def ground_tracks(people: People, config: MultiViewConfig | None = None) -> tuple[GroundTrack, ...]:
    """Smoothed positions of everybody, in order of id."""
    return tuple(drawn(person, nodes, config or MultiViewConfig()) for person, nodes in sorted(people.items()))


def _followed(views: Mapping[str, View], instants: Sequence[Instant], config: MultiViewConfig) -> People:
    tracker = MultiViewTracker(views, config)
    for time_s, detections in instants:
        tracker.update(time_s, detections)
    return tracker.believed()


def _taken(
    people: People, views: Mapping[str, View], instants: Sequence[Instant], config: MultiViewConfig
) -> tuple[dict[str, TakenBoxes], Array]:
    """Everybody's boxes by camera, and everybody's smoothed states one after another."""
    nodes = [node for path in people.values() for node in path]
    states = np.concatenate([np.zeros((0, 5)), *(smoothed(path, config)[0] for path in people.values())])
    return TakenBoxes.by_camera(nodes, states, views, instants), states


def _heights(count: int, taken: Mapping[str, TakenBoxes]) -> Array:
    """``(count,)`` metres, the mean over the boxes of each node, NaN where there is none."""
    total, boxes = np.zeros(count), np.zeros(count)
    for of in taken.values():
        whole = ~of.cut[:, 1] & (np.abs(of.away[:, 1]) < _HEAD)
        np.add.at(total, of.node[whole], of.height_m[whole])
        np.add.at(boxes, of.node[whole], 1.0)
    return np.where(boxes > 0, total / np.maximum(boxes, 1.0), np.nan)


def _walks(people: People, states: Array, height_m: Array) -> list[Walk]:
    ends = np.cumsum([len(path) for path in people.values()])
    rows = np.split(np.arange(len(states)), ends[:-1]) if len(ends) else []
    return [
        Walk(row, np.array([node.time_s for node in path]), states[row, :2], height_m[row])
        for row, path in zip(rows, people.values(), strict=True)
    ]
