"""Which cosine distance still means "the same": two histograms, the threshold they suggest, and how often it errs.

The suggestion is where the two error rates together are smallest, which is where the densities of same and
different pairs cross (minimum total error at equal priors). How often a threshold errs is estimated on other
identities than it was chosen on: each half of the identities scores the threshold of the other half.

MSMT17 has a thousand million pairs, nearly all of them different: those are read again and again from the distance
matrix, a block of queries at a time, and never held together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PairDistances", "Threshold", "draw_histogram", "suggest_threshold"]

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]

FALSE_ACCEPT_RATES = (0.01, 0.001)
BLOCK_PAIRS = 1 << 22
HISTOGRAM_BINS = 80


@dataclass(frozen=True, slots=True, eq=False)
class PairDistances:
    """Cosine distances of the pairs of two different cameras.

    Attributes:
        distance: the matrix ``(Q, G)`` they are read from.
        labels: query and gallery identities, query and gallery cameras: ``(Q,)`` and ``(G,)`` in turn.
        queries, gallery: rows and columns that take part.
        same: ``(P,)`` pairs of one identity, sorted.
        num_different: pairs of two identities.
    """

    distance: FloatArray
    labels: Sequence[IntArray]
    queries: IntArray
    gallery: IntArray
    same: Float32Array
    num_different: int

    @classmethod
    def of(
        cls, distance: FloatArray, labels: Sequence[IntArray], identities: IntArray | None = None
    ) -> PairDistances:
        """Split a matrix; pairs of one camera are left out, since no link is made between them.

        Args:
            distance: ``(Q, G)``.
            labels: as the attribute.
            identities: whose pairs alone take part; None is everybody.

        Raises:
            ValueError: no same or no different pair across two cameras.
        """
        queries, gallery = (
            np.arange(len(ids)) if identities is None else np.flatnonzero(np.isin(ids, identities))
            for ids in labels[:2]
        )
        blocks = [(same, len(other)) for same, other in _blocks(distance, labels, queries, gallery)]
        same = np.sort(np.concatenate([np.empty(0, np.float32), *(block for block, _ in blocks)]))
        num_different = sum(count for _, count in blocks)
        if not len(same) or not num_different:
            raise ValueError(
                f"a threshold needs same and different pairs across two cameras, got {len(same)} and {num_different}"
            )
        return cls(distance, labels, queries, gallery, same, num_different)

    def different(self) -> Iterator[Float32Array]:
        """The pairs of two identities, a block at a time."""
        for _, other in _blocks(self.distance, self.labels, self.queries, self.gallery):
            yield other

    def error_rates(self, threshold: float) -> tuple[float, float]:
        """Share of same pairs above, and of different pairs at or below the threshold."""
        linked = sum(np.count_nonzero(block <= threshold) for block in self.different())
        return float(np.mean(self.same > threshold)), linked / self.num_different

    def best_threshold(self) -> float:
        """Where the sum of both error rates is smallest; the middle, where a whole gap is.

        Between two distances of same pairs only wrong links are added, so the best is at one of a same pair.
        """
        values, counts = np.unique(self.same, return_counts=True)
        missed = 1.0 - np.cumsum(counts) / len(self.same)
        accepted = np.zeros(len(values), np.int64)
        for block in self.different():
            accepted += np.searchsorted(np.sort(block), values, side="right")
        best = int(np.argmin(missed + accepted / self.num_different))
        nearest = [float(block[block > values[best]].min(initial=np.inf)) for block in self.different()]
        beyond = min([*nearest, *values[best + 1 : best + 2].tolist()])
        return float((values[best] + np.float32(beyond)) / 2) if math.isfinite(beyond) else float(values[best])

    def smallest_different(self, shares: Sequence[float]) -> list[float]:
        """Quantiles of the different pairs (linear between neighbours, as numpy's), for small shares only."""
        places = [share * (self.num_different - 1) for share in shares]
        wanted = min(math.floor(max(places)) + 2, self.num_different)
        kept, bound = np.empty(0, np.float32), np.inf
        for block in self.different():
            kept = np.concatenate([kept, block[block <= bound]])
            if len(kept) > 2 * wanted:
                kept = np.partition(kept, wanted - 1)[:wanted]
                bound = kept.max()
        ordered = np.sort(kept)[:wanted].astype(np.float64)
        return [float(np.interp(place, np.arange(len(ordered)), ordered)) for place in places]


def _blocks(
    distance: FloatArray, labels: Sequence[IntArray], queries: IntArray, gallery: IntArray
) -> Iterator[tuple[Float32Array, Float32Array]]:
    """Same and different pairs across two cameras, for some queries at a time."""
    query_ids, gallery_ids, query_cameras, gallery_cameras = labels
    step = max(1, BLOCK_PAIRS // max(1, len(gallery)))
    for start in range(0, len(queries), step):
        rows = queries[start : start + step]
        values = np.asarray(distance[np.ix_(rows, gallery)], np.float32)
        across = query_cameras[rows, None] != gallery_cameras[gallery]
        same = query_ids[rows, None] == gallery_ids[gallery]
        yield values[same & across], values[~same & across]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A suggested cosine threshold and what to expect of it.

    Attributes:
        max_cosine_distance: pairs at or below it are taken for the same.
        missed: expected share of same pairs that are not taken.
        wrongly_linked: expected share of different pairs that are.
        held_out: whether these two were estimated on other identities than the threshold was chosen on.
        stricter: for some smaller shares of wrongly linked pairs the threshold that gives them.
        same_pairs, different_pairs: how many pairs it stands on.
    """

    max_cosine_distance: float
    missed: float
    wrongly_linked: float
    held_out: bool
    stricter: dict[str, float]
    same_pairs: int
    different_pairs: int


def suggest_threshold(
    distance: FloatArray,
    query_ids: npt.ArrayLike,
    gallery_ids: npt.ArrayLike,
    query_cameras: npt.ArrayLike,
    gallery_cameras: npt.ArrayLike,
) -> Threshold:
    """Suggest a threshold from labelled pairs.

    Args:
        distance: cosine distances ``(Q, G)``.
        query_ids, gallery_ids, query_cameras, gallery_cameras: as in :func:`reid.metrics.rank_scores`.

    Raises:
        ValueError: no same or no different pair across two cameras.
    """
    labels = [np.asarray(v, np.int64) for v in (query_ids, gallery_ids, query_cameras, gallery_cameras)]
    pairs = PairDistances.of(distance, labels)
    best = pairs.best_threshold()
    halves = _halves(distance, labels)
    if halves is None:
        missed, linked = pairs.error_rates(best)
    else:
        rates = [halves[1 - i].error_rates(halves[i].best_threshold()) for i in (0, 1)]
        missed, linked = (float(rate) for rate in np.mean(rates, axis=0))
    stricter = pairs.smallest_different(FALSE_ACCEPT_RATES)
    return Threshold(
        max_cosine_distance=best,
        missed=missed,
        wrongly_linked=linked,
        held_out=halves is not None,
        stricter={f"{rate:g}": value for rate, value in zip(FALSE_ACCEPT_RATES, stricter, strict=True)},
        same_pairs=len(pairs.same),
        different_pairs=pairs.num_different,
    )


def _halves(distance: FloatArray, labels: Sequence[IntArray]) -> list[PairDistances] | None:
    """The pairs within either half of the identities; None where a half has too few."""
    identities = np.unique(np.concatenate(labels[:2]))
    try:
        return [PairDistances.of(distance, labels, half) for half in (identities[::2], identities[1::2])]
    except ValueError:
        return None


def draw_histogram(pairs: PairDistances, threshold: Threshold, path: str | Path) -> None:
    """Write a PNG of both histograms, each of area 1, with the threshold and its error rates."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    top = max(float(block.max(initial=0.0)) for block in (pairs.same, *pairs.different()))
    edges = np.linspace(0.0, top, HISTOGRAM_BINS + 1)
    other = sum(np.histogram(block, edges)[0] for block in pairs.different())
    for counts, colour, label in (
        (np.histogram(pairs.same, edges)[0], "tab:green", f"same identity ({len(pairs.same)} pairs)"),
        (other, "tab:red", f"different identities ({pairs.num_different} pairs)"),
    ):
        axes.hist(edges[:-1], edges.tolist(), weights=counts, density=True, color=colour, alpha=0.55, label=label)
    suggestion = f"suggested max_cosine_distance {threshold.max_cosine_distance:.3f}"
    errors = f"misses {threshold.missed:.1%}, links wrongly {threshold.wrongly_linked:.1%}"
    axes.axvline(
        threshold.max_cosine_distance, color="black", linestyle="--", label=f"{suggestion}\n{errors}"
    )
    axes.set(xlabel="cosine distance, pairs of two cameras", ylabel="density")
    axes.legend()
    figure.savefig(path, dpi=110)
