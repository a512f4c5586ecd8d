"""The reasons behind an identity: which tracklet was linked to which, and what the runner-up was."""

from __future__ import annotations

import numpy as np

from tracking.evidence import Evidence, Witness
from tracking.sketch import SketchTable
from tracking.types import IntArray, Link

__all__ = ["describe", "explain", "link_of"]


def explain(table: SketchTable, label: IntArray, evidence: Evidence, witness: Witness) -> dict[int, Link]:
    """One link per tracklet that joined an identity: to the earlier member with the strongest evidence.

    Args:
        table: rows in order of start.
        label: ``(N,)`` identity of each row.
        evidence: of the candidate pairs.
        witness: answers for members whose pairs were no candidates.

    Returns:
        row of the later tracklet to its link; the first tracklet of an identity has none.
    """
    own, rival = _best_inside(label, evidence), _runners_up(label, evidence)
    links = {row: link_of(table, evidence, pair, rival.get(row)) for row, pair in own.items()}
    for row, earlier in _unexplained(label, own).items():
        pairs = witness.testify(earlier, np.full(len(earlier), row))
        links[row] = link_of(table, pairs, _strongest(pairs), rival.get(row))
    return links


def _best_inside(label: IntArray, evidence: Evidence) -> dict[int, int]:
    """For each later row, the position in the evidence of its best pair inside its identity."""
    strength = np.where(evidence.demanded, np.inf, evidence.weight)
    allowed = evidence.demanded | (evidence.verdicts.linkable & (evidence.weight > 0))
    inside = np.flatnonzero((label[evidence.first] == label[evidence.second]) & allowed)
    order = inside[np.lexsort((evidence.first[inside], -strength[inside], evidence.second[inside]))]
    rows, at = np.unique(evidence.second[order], return_index=True)
    return dict(zip(rows.tolist(), order[at].tolist(), strict=True))


def _runners_up(label: IntArray, evidence: Evidence) -> dict[int, float]:
    """For each row, the smallest distance to a tracklet of another identity that the gates let through."""
    open_ = evidence.verdicts.linkable & ~evidence.forbidden & ~np.isnan(evidence.cosine)
    other = np.flatnonzero((label[evidence.first] != label[evidence.second]) & open_)
    rows = np.concatenate([evidence.first[other], evidence.second[other]])
    nearest = np.full(len(label), np.inf)
    np.minimum.at(nearest, rows, np.tile(evidence.cosine[other], 2).astype(np.float64))
    return {int(row): float(nearest[row]) for row in np.flatnonzero(np.isfinite(nearest))}


def _unexplained(label: IntArray, explained: dict[int, int]) -> dict[int, IntArray]:
    """Later members whom no direct pair joins to an earlier one by itself, with the earlier members of their identity."""
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return {
        int(row): rows[:number]
        for rows in groups
        for number, row in enumerate(rows)
        if number and int(row) not in explained
    }


def _strongest(evidence: Evidence) -> int:
    return int(np.argmax(np.where(evidence.demanded, np.inf, np.nan_to_num(evidence.weight, nan=-np.inf))))


def link_of(table: SketchTable, evidence: Evidence, pair: int, runner_up: float | None) -> Link:
    first, second = int(evidence.first[pair]), int(evidence.second[pair])
    cosine, ground = float(evidence.cosine[pair]), float(evidence.verdicts.ground_m[pair])
    low, high = (float(bound) for bound in evidence.verdicts.window_s[pair])
    crops = tuple(table.sketches[row].appearance.crops for row in (first, second))
    return Link(
        first=table.sketches[first].key,
        second=table.sketches[second].key,
        cosine_distance=None if np.isnan(cosine) else cosine,
        runner_up_distance=runner_up,
        gap_s=float(evidence.verdicts.gap_s[pair]),
        ground_distance_m=None if np.isnan(ground) else ground,
        gates=evidence.verdicts.passed(pair),
        travel_window_s=(low, high) if np.isfinite(low) else None,
        crops_used=(crops[0], crops[1]),
        camera_bias=float(evidence.bias[pair]),
        max_cosine_distance=None if np.isnan(cosine) else evidence.max_cosine_distance,
        view_agreement=_known(evidence.agreement[pair]),
        reason=_reason(bool(evidence.demanded[pair]), cosine, ground),
    )


def _known(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)


def _reason(demanded: bool, cosine: float, ground: float) -> str:
    if demanded:
        return "human"
    if np.isnan(ground):
        return "appearance"
    return "ground" if np.isnan(cosine) else "both"


def describe(link: Link) -> str:
    """A link in words."""
    parts = [f"{link.first} to {link.second}, gap {link.gap_s:.1f} s"]
    if link.cosine_distance is not None:
        parts.append(f"cosine distance {link.cosine_distance:.3f}")
    if link.ground_distance_m is not None:
        parts.append(f"{link.ground_distance_m:.2f} m apart")
    return ", ".join(parts)
