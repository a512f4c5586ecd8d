"""The boxes people took, and where those of each camera lie against the bodies in them.

A detector draws its boxes a little to one side, above the hair and below the shoes, a lens bends what no calibration
says, and all of it is much the same for everybody a camera sees. It is a few hundredths of a person's height: as much
as tells two people apart by height, which in a crowd is all that does. Once people have been followed over several
views, the median of what each camera's boxes are off is its offset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracking.bodies import project_body
from tracking.hypotheses import Node
from tracking.types import BoolArray, Detections, IntArray
from tracking.views import Scan, View, scan_of

__all__ = ["Instant", "TakenBoxes", "box_offsets"]

Array = npt.NDArray[np.float64]

Instant = tuple[float, Mapping[str, Detections]]
"""Seconds, and the boxes of every camera that looked."""

_MIN_BOXES = 40
"""Fewer say nothing of a camera."""

_WHOLE = 0.2
"""A box with an edge farther from the body's, in parts of its height, shows a part of it, or somebody else."""


@dataclass(frozen=True, slots=True, eq=False)
class TakenBoxes:
    """The K boxes of one camera that people took.

    Attributes:
        node: ``(K,)`` of whom and when: the position among all the nodes that were given.
        away: ``(K, 3)`` how far middle, top and bottom are from the body's, in parts of its height in the image, beyond
            what the view's offset says.
        height_m: ``(K,)`` how tall the person would be by the top edge alone.
        cut: ``(K, 3)`` bool, edges that the picture's border cuts off.
    """

    node: IntArray
    away: Array
    height_m: Array
    cut: BoolArray

    @classmethod
    def by_camera(
        cls, nodes: Sequence[Node], states: Array, views: Mapping[str, View], instants: Sequence[Instant]
    ) -> dict[str, TakenBoxes]:
        """Look up the boxes of all ``nodes``, ``states`` ``(N, 5)`` being the best that is known of each."""
        seen = dict(instants)
        scans: dict[tuple[float, str], Scan] = {}
        taken: dict[str, list[tuple[int, Array, BoolArray]]] = {}
        for number, node in enumerate(nodes):
            for camera, box in node.boxes:
                key = (node.time_s, camera)
                if key not in scans:
                    scans[key] = scan_of(camera, views[camera], seen[node.time_s][camera])
                row = int(np.searchsorted(scans[key].index, box))
                taken.setdefault(camera, []).append((number, scans[key].edges[row], scans[key].cut[row]))
        return {camera: cls._of(taken[camera], states, views[camera]) for camera in sorted(taken)}

    @classmethod
    def _of(cls, taken: list[tuple[int, Array, BoolArray]], states: Array, view: View) -> TakenBoxes:
        node = np.array([number for number, _, _ in taken])
        edges, cut = np.stack([edges for _, edges, _ in taken]), np.stack([cut for _, _, cut in taken])
        bodies, slope = project_body(states[node], np.asarray(view.calibration.projection))
        size = bodies[:, 2] - bodies[:, 1]
        away = (edges - bodies) / size[:, None] - view.offset
        taller = away[:, 1] * size / slope[:, 1, 4]
        return cls(node, away, states[node, 4] + taller, cut)


def box_offsets(taken: Mapping[str, TakenBoxes]) -> dict[str, Array]:
    """``(3,)`` by camera, see ``View.offset``: medians over the whole bodies among the boxes that people took.

    Cameras with few such boxes are left out.
    """
    found = {}
    for camera, boxes in taken.items():
        whole = (np.abs(boxes.away) < _WHOLE).all(axis=1) & ~boxes.cut.any(axis=1)
        if np.count_nonzero(whole) >= _MIN_BOXES:
            found[camera] = np.median(boxes.away[whole], axis=0)
    return found
