"""Which cosine distance still means "the same": two histograms, the threshold they suggest, and how often it errs.

The suggestion is where the two error rates together are smallest, which is where the densities of same and
different pairs cross (minimum total error at equal priors). How often a threshold errs is estimated on other
identities than it was chosen on: each half of the identities scores the threshold of the other half.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PairDistances", "Threshold", "draw_histogram", "suggest_threshold"]

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]

FALSE_ACCEPT_RATES = (0.01, 0.001)


@dataclass(frozen=True, slots=True, eq=False)
class PairDistances:
    """Cosine distances of the pairs of two different cameras.

    Attributes:
        same: ``(P,)`` pairs of one identity.
        different: ``(N,)`` pairs of two identities.
    """

    same: npt.NDArray[np.float32]
    different: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls,
        distance: FloatArray,
        query_ids: IntArray,
        gallery_ids: IntArray,
        query_cameras: IntArray,
        gallery_cameras: IntArray,
    ) -> PairDistances:
        """Split a matrix ``(Q, G)``; pairs of one camera are left out, since no link is made between them.

        Raises:
            ValueError: no same or no different pair across two cameras.
        """
        across = query_cameras[:, None] != gallery_cameras[None]
        same = query_ids[:, None] == gallery_ids[None]
        pairs = cls(
            np.asarray(distance, np.float32)[same & across], np.asarray(distance, np.float32)[~same & across]
        )
        if not len(pairs.same) or not len(pairs.different):
            raise ValueError(
                f"a threshold needs same and different pairs across two cameras, got {len(pairs.same)} and "
                f"{len(pairs.different)}"
            )
        return pairs

    def error_rates(self, threshold: float) -> tuple[float, float]:
        """Share of same pairs above, and of different pairs at or below the threshold."""
        return float(np.mean(self.same > threshold)), float(np.mean(self.different <= threshold))

    def best_threshold(self) -> float:
        """Where the sum of both error rates is smallest; the middle, where a whole gap is."""
        same, different = np.sort(self.same), np.sort(self.different)
        values = np.unique(np.concatenate([same, different]))
        missed = 1.0 - np.searchsorted(same, values, side="right") / len(same)
        accepted = np.searchsorted(different, values, side="right") / len(different)
        best = int(np.argmin(missed + accepted))
        beyond = values[min(best + 1, len(values) - 1)]
        return float((values[best] + beyond) / 2)


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
    pairs = PairDistances.of(distance, labels[0], labels[1], labels[2], labels[3])
    halves = _halves(distance, labels)
    if halves is None:
        missed, linked = pairs.error_rates(pairs.best_threshold())
    else:
        rates = [halves[1 - i].error_rates(halves[i].best_threshold()) for i in (0, 1)]
        missed, linked = (float(rate) for rate in np.mean(rates, axis=0))
    return Threshold(
        max_cosine_distance=pairs.best_threshold(),
        missed=missed,
        wrongly_linked=linked,
        held_out=halves is not None,
        stricter={f"{rate:g}": float(np.quantile(pairs.different, rate)) for rate in FALSE_ACCEPT_RATES},
        same_pairs=len(pairs.same),
        different_pairs=len(pairs.different),
    )


def _halves(distance: FloatArray, labels: list[IntArray]) -> list[PairDistances] | None:
    """The pairs within either half of the identities; None where a half has too few."""
    identities = np.unique(np.concatenate(labels[:2]))
    halves = []
    for half in (identities[::2], identities[1::2]):
        query, gallery = np.isin(labels[0], half), np.isin(labels[1], half)
        chosen = [values[mask] for values, mask in zip(labels, (query, gallery, query, gallery), strict=True)]
        try:
            halves.append(
                PairDistances.of(distance[np.ix_(query, gallery)], chosen[0], chosen[1], chosen[2], chosen[3])
            )
        except ValueError:
            return None
    return halves


def draw_histogram(pairs: PairDistances, threshold: Threshold, path: str | Path) -> None:
    """Write a PNG of both histograms, each of area 1, with the threshold and its error rates."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    top = float(max(pairs.same.max(), pairs.different.max()))
    for values, colour, label in (
        (pairs.same, "tab:green", f"same identity ({len(pairs.same)} pairs)"),
        (pairs.different, "tab:red", f"different identities ({len(pairs.different)} pairs)"),
    ):
        axes.hist(values, bins=80, range=(0.0, top), density=True, color=colour, alpha=0.55, label=label)
    suggestion = f"suggested max_cosine_distance {threshold.max_cosine_distance:.3f}"
    errors = f"misses {threshold.missed:.1%}, links wrongly {threshold.wrongly_linked:.1%}"
    axes.axvline(
        threshold.max_cosine_distance, color="black", linestyle="--", label=f"{suggestion}\n{errors}"
    )
    axes.set(xlabel="cosine distance, pairs of two cameras", ylabel="density")
    axes.legend()
    figure.savefig(path, dpi=110)
