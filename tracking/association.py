"""Link tracklets into identities, across cameras and within one camera after an occlusion, offline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tracking.camera_bias import CameraMeans
from tracking.candidates import candidate_pairs
from tracking.corrections import Corrections
from tracking.evidence import Evidence, Layout, Witness
from tracking.gallery import Gallery
from tracking.gates import GateLimits
from tracking.handovers import handovers
from tracking.links import explain
from tracking.partition import agglomerate, components, solve_exactly
from tracking.reordering import Reordering, Rerank
from tracking.sightings import Sightings
from tracking.sketch import SketchTable, sketch_of
from tracking.speeds import SpeedLimits
from tracking.threshold import threshold_of
from tracking.topology import Topology
from tracking.types import IntArray, Link, Tracklet, Trajectory

__all__ = ["AssociationConfig", "associate"]


@dataclass(frozen=True, slots=True)
class AssociationConfig:
    """How alike, how near and how soon two tracklets of one identity are.

    Attributes:
        max_cosine_distance: tracklets further apart than this speak against one identity. It belongs to the
            embedding model and the site: None estimates it from the tracklets themselves, as ``calibrate threshold``
            does.
        min_margin: how much nearer the best identity must be than the next, in parts of ``max_cosine_distance``,
            before an early decision online, and to count as a clear passage.
        max_gap_s: the longest absence a link may span where the topology does not say.
        max_ground_distance_m: simultaneous ground positions further apart belong to two identities.
        max_speed_mps: nobody moves faster on the ground plane; None learns it (see ``SpeedLimits``).
        clock_slack_s: how far camera clocks may disagree.
        max_prototypes: appearance prototypes kept per tracklet.
        neighbours: look-alikes considered per tracklet.
        max_exact: groups of up to this many connected tracklets are solved to the optimum.
        min_crops: online, crops a tracklet needs for a decision before it ends.
        max_members: online, tracklets remembered per identity.
        camera_bias: take off what two cameras add to every distance between them (see ``CameraMeans``).
    """

    max_cosine_distance: float | None = None
    min_margin: float = 0.125
    max_gap_s: float = 600.0
    max_ground_distance_m: float = 1.5
    max_speed_mps: float | None = None
    clock_slack_s: float = 0.5
    max_prototypes: int = 4
    neighbours: int = 20
    max_exact: int = 9
    min_crops: int = 3
    max_members: int = 12
    camera_bias: bool = True

    def __post_init__(self) -> None:
        if self.max_cosine_distance is not None and not 0 < self.max_cosine_distance <= 2:
            raise ValueError(
                f"max_cosine_distance: expected 0 < distance <= 2, got {self.max_cosine_distance}"
            )
        for name in ("max_gap_s", "max_ground_distance_m", "max_speed_mps"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a positive number, got {value}")
        for name in ("max_prototypes", "neighbours", "max_exact", "min_crops", "max_members"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")

    def settled(self, tracklets: Sequence[Tracklet], class_group: IntArray | None) -> AssociationConfig:
        """With a threshold: the stated one, or the one these tracklets suggest."""
        if self.max_cosine_distance is not None:
            return self
        return replace(self, max_cosine_distance=threshold_of(tracklets, class_group, self.max_prototypes))

    def limits(self, speeds: SpeedLimits) -> GateLimits:
        return GateLimits(self.max_gap_s, self.max_ground_distance_m, speeds.of, self.clock_slack_s)


def associate(
    tracklets: Sequence[Tracklet],
    config: AssociationConfig,
    *,
    topology: Topology | None = None,
    class_group: IntArray | None = None,
    gallery: Gallery | None = None,
    corrections: Corrections | None = None,
    rerank: Rerank | None = None,
    sightings: Sequence[Sightings] = (),
) -> tuple[Trajectory, ...]:
    """Partition tracklets into identities.

    Args:
        tracklets: any order; the last snapshot of each key.
        config: thresholds and sizes.
        topology: camera links; None leaves every pair of cameras possible.
        class_group: ``(num_classes,)`` int64, see ``class_groups_table``; None keeps every class to itself.
        gallery: an empty index for the look-alikes; None searches exactly.
        corrections: what a person decided.
        rerank: lets common neighbours decide between like distances; None leaves the distances alone.
        sightings: whom the tracklets of views that overlap show; see ``sightings_of``.

    Returns:
        Every tracklet in exactly one trajectory, ids from 1 in order of first appearance.

    Raises:
        ValueError: two tracklets with one key, embeddings of different lengths, or an unknown class.
    """
    if not tracklets:
        return ()
    ordered = sorted(tracklets, key=lambda tracklet: (tracklet.start_s, tracklet.key))
    _refuse_twins(ordered)
    limit = config.settled(ordered, class_group).max_cosine_distance or 0.0
    table = SketchTable.of([sketch_of(t, config.max_prototypes, class_group) for t in ordered])
    speeds = SpeedLimits(config.max_speed_mps)
    for sketch in table.sketches:
        speeds.observe(sketch)
    limits = config.limits(speeds)
    topology = topology or Topology()
    means = CameraMeans.of(table) if config.camera_bias else None
    layout = Layout.of(table.cameras, topology, config.max_gap_s, means)
    handed = handovers(ordered)
    witness = Witness(table, layout, limits, limit, corrections, sightings=sightings, handed=handed)
    longest_s = max([config.max_gap_s, *(link.max_s for link in topology.links)]) + config.clock_slack_s
    pairs = candidate_pairs(table, longest_s, config.max_ground_distance_m, config.neighbours, gallery)
    named = np.sort(np.concatenate([witness.together, witness.handed]), axis=1)
    pairs = np.unique(np.concatenate([pairs, named]), axis=0)
    if rerank is not None and table.prototypes.size:
        evidence = witness.testify(pairs[:, 0], pairs[:, 1])
        neighbourly = Reordering(rerank(table.mean), evidence)
        witness = Witness(table, layout, limits, limit, corrections, neighbourly.apply, sightings, handed)
    evidence = witness.testify(pairs[:, 0], pairs[:, 1])
    label = _identities(len(table), evidence, witness, config)
    return _trajectories(table, label, evidence, witness)


def _refuse_twins(ordered: Sequence[Tracklet]) -> None:
    keys = [tracklet.key for tracklet in ordered]
    if len(set(keys)) != len(keys):
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        raise ValueError(f"tracklets given twice: {', '.join(twice)}")


def _identities(count: int, evidence: Evidence, witness: Witness, config: AssociationConfig) -> IntArray:
    """Cluster label per row: every connected group of likely pairs is a problem of its own.

    Pairs of which neither can have followed the other directly count too: what was seen between may join them.
    """
    rows = np.flatnonzero(evidence.demanded | (~evidence.forbidden & (evidence.weight > 0)))
    first, second = evidence.first[rows], evidence.second[rows]
    weight = np.where(evidence.verdicts.linkable[rows], evidence.weight[rows], 0.0)
    weight[evidence.demanded[rows]] = _DEMAND
    tier = np.where(evidence.demanded[rows], 0, np.where(evidence.adjacent[rows], 1, 2))
    component = components(count, first, second)
    label = np.arange(count)
    edges_of = _grouped(component[first])
    for number, nodes in _grouped(component).items():
        if len(nodes) > 1:
            at = edges_of[number]
            edges = np.searchsorted(nodes, np.stack([first[at], second[at]], axis=1))
            label[nodes] = nodes[_first_rows(_solve(nodes, edges, weight[at], tier[at], witness, config))]
    return label


_DEMAND = 1e3
"""The weight of a person's word: more than any sum of evidence in one group."""


def _grouped(label: IntArray) -> dict[int, IntArray]:
    if not len(label):
        return {}
    order = np.argsort(label, kind="stable")
    names, starts = np.unique(label[order], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True))


def _first_rows(label: IntArray) -> IntArray:
    """For each element the position of the first one with its label."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(first[inverse], np.int64)


def _solve(
    nodes: IntArray,
    edges: IntArray,
    weight: np.ndarray,
    tier: IntArray,
    witness: Witness,
    config: AssociationConfig,
) -> IntArray:
    if len(nodes) > config.max_exact:
        return agglomerate(nodes, edges, weight, tier, witness.judge)
    one, other = np.triu_indices(len(nodes), 1)
    known, banned, direct = witness.judge(nodes[one], nodes[other])
    matrix = np.zeros((len(nodes), len(nodes)), np.float32)
    forbidden = np.zeros(matrix.shape, bool)
    matrix[one, other] = matrix[other, one] = known
    forbidden[one, other] = forbidden[other, one] = banned
    demanded = weight >= _DEMAND
    matrix[edges[demanded, 0], edges[demanded, 1]] = matrix[edges[demanded, 1], edges[demanded, 0]] = _DEMAND
    label = solve_exactly(matrix, forbidden)
    if _is_walkable(label, one[direct], other[direct]):
        return label
    return agglomerate(nodes, edges, weight, tier, witness.judge)


def _is_walkable(label: IntArray, first: IntArray, second: IntArray) -> bool:
    """Whether possible steps hold every cluster together: the optimum may join by looks what nobody can have walked."""
    inside = label[first] == label[second]
    return int(components(len(label), first[inside], second[inside]).max()) == len(np.unique(label)) - 1


def _trajectories(
    table: SketchTable, label: IntArray, evidence: Evidence, witness: Witness
) -> tuple[Trajectory, ...]:
    links = explain(table, label, evidence, witness)
    members = sorted(_grouped(label).values(), key=lambda rows: int(rows[0]))
    return tuple(
        Trajectory(
            number,
            _majority_class(table, rows),
            tuple(table.sketches[row].key for row in rows),
            _of(links, rows),
        )
        for number, rows in enumerate(members, start=1)
    )


def _of(links: dict[int, Link], rows: IntArray) -> tuple[Link, ...]:
    return tuple(links[row] for row in rows.tolist() if row in links)


def _majority_class(table: SketchTable, rows: IntArray) -> int:
    classes, seen = np.unique([table.sketches[row].class_id for row in rows], return_counts=True)
    return int(classes[np.argmax(seen)])
