"""Identities a tracklet could join while the cameras run, and how clear the choice between them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracking.evidence import Evidence
from tracking.links import link_of
from tracking.sketch import SketchTable
from tracking.types import BoolArray, IntArray, Link

__all__ = ["Rival", "is_clear", "rival_of", "usable"]


@dataclass(frozen=True, slots=True)
class Rival:
    """An identity a tracklet could join: the mean weight over its members, and the best link."""

    global_id: int
    weight: float
    link: Link


def rival_of(
    gid: int, at: IntArray, table: SketchTable, evidence: Evidence, next_best: float | None
) -> Rival | None:
    """The identity whose members are the pairs ``at``, or None if the tracklet cannot join it."""
    if not len(at) or evidence.forbidden[at].any():
        return None
    weight, direct = np.where(evidence.demanded[at], np.inf, evidence.weight[at]), usable(evidence)[at]
    known = weight[~np.isnan(weight)]
    if not direct.any() or not known.mean() > 0:
        return None
    best = at[np.flatnonzero(direct)[np.argmax(weight[direct])]]
    return Rival(gid, float(known.mean()), link_of(table, evidence, int(best), next_best))


def usable(evidence: Evidence) -> BoolArray:
    """Pairs that may be linked directly."""
    alike = evidence.verdicts.linkable & ~evidence.forbidden & (evidence.weight > 0)
    return np.asarray(evidence.demanded | alike)


def is_clear(rivals: Sequence[Rival], margin: float) -> bool:
    """The best is nearer than the next by the margin; without appearance there is nothing to compare."""
    distances = [rival.link.cosine_distance for rival in rivals[:2]]
    if len(distances) < 2 or distances[0] is None or distances[1] is None:
        return True
    return distances[1] - distances[0] >= margin
