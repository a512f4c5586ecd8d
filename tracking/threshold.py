"""Which cosine distance still means one identity, from footage nobody has labelled.

What is surely the same: the early and the late crops of one tracklet, and two views that put a tracklet at one place of
the ground at one time. What is surely different: two tracklets of one camera at one time.

With views in common the threshold is the geometric mean of two medians: as many times further than the usual distance of
the same over two views as it is nearer than the usual one of the different. Of log-normal distances that spread alike it
makes the fewest errors (Bayes). Without, nothing tells how much further than inside a tracklet the same are between
cameras; it is then the distance below which few of the different lie.

Neither sample is clean: one person may be tracked twice at once, a tracklet may change hands, people may wear the same. A
few wrong pairs move medians and quartiles little, however wrong they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from tracking.appearance import Appearance, appearance_of, set_distances
from tracking.camera_bias import CameraMeans
from tracking.candidates import candidate_pairs
from tracking.gates import meeting_distances
from tracking.sketch import Sketch, SketchTable, sketch_of
from tracking.types import BoolArray, FloatArray, IntArray, Tracklet

__all__ = ["RunningThreshold", "ThresholdReport", "suggest_threshold", "threshold_of"]

_MIN_PAIRS = 30
"""Fewer pairs than this say nothing about a rate of a few percent."""

_FALSE_ACCEPT = 1e-3
"""Of the different, without views in common: a tracklet that meets ten strangers finds one alike in a hundred times."""

_RARE = float(ndtri(_FALSE_ACCEPT))
"""Where that share of a normal distribution ends, in standard deviations from its middle."""

_MIN_ACROSS = 3
"""So few pairs over two views have a median that one wrong pair does not move, and tell more than a rate of wrong links."""

_QUARTILE = 0.6745
"""Standard deviations from the median to a quartile."""

_NEAREST = 0.01
"""Distances below this share of strangers' are as good as none; some networks' embeddings all lie close together."""

_SAMPLE = 4000
"""Tracklets that are asked, from the middle of the recording: more say the same again."""

_USUAL = 0.4
"""Of networks trained on people or vehicles, where the footage itself does not tell."""


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdReport:
    """The two distributions and the cut between them.

    Attributes:
        max_cosine_distance: the suggestion.
        within, across: ``(N,)`` float32 distances of the same identity inside one tracklet, and over two
            views.
        different: ``(M,)`` float32 distances of different identities.
        false_reject: part of the positives beyond the suggestion.
        false_accept: part of the negatives at or below it.
        equal_error: error rate where both are equal, and ``equal_error_distance`` where that is.
        warnings: what makes the suggestion less sure, in words.
    """

    max_cosine_distance: float
    within: FloatArray
    across: FloatArray
    different: FloatArray
    false_reject: float
    false_accept: float
    equal_error: float
    equal_error_distance: float
    warnings: tuple[str, ...]

    @property
    def same(self) -> FloatArray:
        """The positives the suggestion rests on: over two views where there are enough, else inside tracklets."""
        return self.across if len(self.across) >= _MIN_ACROSS else self.within


def suggest_threshold(
    tracklets: Sequence[Tracklet],
    *,
    class_group: IntArray | None = None,
    max_prototypes: int = 4,
    max_ground_distance_m: float = 0.75,
) -> ThresholdReport:
    """Look at unlabelled tracklets and suggest ``max_cosine_distance``.

    Args:
        tracklets: with embeddings; ``ground_xy`` adds pairs of overlapping views.
        class_group, max_prototypes: as in association.
        max_ground_distance_m: two views this close, and no other tracklet of either camera twice as close,
            show one identity.

    Raises:
        ValueError: too few tracklets at one time in one camera to know what different looks like.
    """
    usable = [t for t in tracklets if len(t.embeddings)]
    table = SketchTable.of([sketch_of(t, max_prototypes, class_group) for t in _in_order(usable)])
    bias = CameraMeans.of(table).bias(table.cameras)
    within = _halves(usable, max_prototypes)
    different = _distances(table, bias, *_simultaneous(table))
    across = _distances(table, bias, *_same_place(table, max_ground_distance_m))
    if len(different) < _MIN_PAIRS:
        raise ValueError(
            f"only {len(different)} pairs of tracklets of one camera at one time, expected {_MIN_PAIRS} or more: "
            "use footage with several people or vehicles in view at once"
        )
    return _report(within, across, different)


def threshold_of(tracklets: Sequence[Tracklet], class_group: IntArray | None, max_prototypes: int) -> float:
    """``max_cosine_distance`` for these tracklets: what they suggest, or the usual one where they are too few."""
    middle = max(len(tracklets) - _SAMPLE, 0) // 2
    sample = _in_order(tracklets)[middle : middle + _SAMPLE]
    try:
        report = suggest_threshold(sample, class_group=class_group, max_prototypes=max_prototypes)
    except ValueError:
        return _USUAL
    return report.max_cosine_distance


class RunningThreshold:
    """The same while cameras run, from the latest pairs only.

    Args:
        given: a threshold that stays as it is; None estimates it.
        max_prototypes: as in association.
    """

    def __init__(self, given: float | None, max_prototypes: int) -> None:
        self._given = given
        self._max_prototypes = max_prototypes
        self._recent: dict[str, deque[Sketch]] = {}
        self._within: deque[float] = deque(maxlen=1000)
        self._different: deque[float] = deque(maxlen=1000)
        self._fresh = 0
        self.value = _USUAL if given is None else given

    def observe(self, tracklet: Tracklet, sketch: Sketch) -> None:
        """Count a finished tracklet: its own halves, and those of its camera that it was seen with."""
        if self._given is not None or not sketch.appearance.crops:
            return
        recent = self._recent.setdefault(sketch.key.camera_id, deque(maxlen=32))
        together = [one for one in recent if one.end_s >= sketch.start_s and one.group == sketch.group]
        recent.append(sketch)
        self._within.extend(_halves([tracklet], self._max_prototypes).tolist())
        if together:
            sides = [sketch.appearance, *(one.appearance for one in together)]
            rows = np.arange(1, len(sides))
            self._different.extend(set_distances(*_padded(sides), np.zeros_like(rows), rows).tolist())
            self._fresh += len(together)
        if self._fresh >= _MIN_PAIRS:
            self._fresh = 0
            within, different = (np.array(one, np.float32) for one in (self._within, self._different))
            self.value = _cut(within, np.zeros(0, np.float32), different)


def _in_order(tracklets: Sequence[Tracklet]) -> list[Tracklet]:
    return sorted(tracklets, key=lambda tracklet: (tracklet.start_s, tracklet.key))


def _halves(tracklets: Sequence[Tracklet], max_prototypes: int) -> FloatArray:
    """Early against late crops of one tracklet, where both have two or more."""
    pairs = []
    for tracklet in tracklets:
        order = np.argsort(tracklet.embedding_timestamp_s, kind="stable")
        half = len(order) // 2
        if half >= 2:
            pairs.append(
                [_appearance(tracklet, rows, max_prototypes) for rows in (order[:half], order[half:])]
            )
    if not pairs:
        return np.zeros(0, np.float32)
    flat = [side for pair in pairs for side in pair]
    first = np.arange(0, len(flat), 2)
    return set_distances(*_padded(flat), first, first + 1)


def _appearance(tracklet: Tracklet, rows: IntArray, max_prototypes: int) -> Appearance:
    return appearance_of(tracklet.embeddings[rows], tracklet.embedding_quality[rows], max_prototypes)


def _padded(sides: Sequence[Appearance]) -> tuple[FloatArray, FloatArray]:
    most = max(len(side.weight) for side in sides)
    prototypes = np.zeros((len(sides), most, len(sides[0].mean)), np.float32)
    weight = np.zeros((len(sides), most), np.float32)
    for row, side in enumerate(sides):
        prototypes[row, : len(side.weight)], weight[row, : len(side.weight)] = side.prototypes, side.weight
    return prototypes, weight


def _distances(table: SketchTable, bias: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
    """As association compares them: camera bias taken off."""
    raw = set_distances(table.prototypes, table.weight, first, second)
    return np.asarray(np.clip(raw - bias[table.camera[first], table.camera[second]], 0.0, 2.0), np.float32)


def _simultaneous(table: SketchTable) -> tuple[IntArray, IntArray]:
    """Pairs of one class group in one camera that overlap in time."""
    found = [np.zeros((2, 0), np.int64)]
    for camera in range(len(table.cameras)):
        rows = np.flatnonzero(table.camera == camera)
        meets = table.start_s[rows][:, None] <= table.end_s[rows][None]
        alike = table.group[rows][:, None] == table.group[rows][None]
        one, other = np.nonzero(np.triu(meets & meets.T & alike, 1))
        found.append(np.stack([rows[one], rows[other]]))
    first, second = np.concatenate(found, axis=1)
    return first, second


def _same_place(table: SketchTable, max_distance_m: float) -> tuple[IntArray, IntArray]:
    """Pairs over two cameras at one place and time, each the other's only neighbour there."""
    pairs = (
        candidate_pairs(table, 0.0, 2 * max_distance_m, 1) if table.on_ground.any() else np.zeros((0, 2), int)
    )
    wanted = np.asarray(table.camera[pairs[:, 0]] != table.camera[pairs[:, 1]])
    metres, shared_s = meeting_distances(table, pairs[:, 0], pairs[:, 1], wanted)
    close = np.flatnonzero((metres <= 2 * max_distance_m) & (shared_s >= 1.0))
    alone = _alone(table, pairs[close])
    chosen = close[alone & (metres[close] <= max_distance_m)]
    return pairs[chosen, 0], pairs[chosen, 1]


def _alone(table: SketchTable, pairs: IntArray) -> BoolArray:
    """Neither side of the pair is near a second tracklet of the other's camera."""
    sides = np.concatenate([pairs, pairs[:, ::-1]])
    code = sides[:, 0] * len(table.cameras) + table.camera[sides[:, 1]]
    _, inverse, seen = np.unique(code, return_inverse=True, return_counts=True)
    once = (seen == 1)[inverse]
    return np.asarray(once[: len(pairs)] & once[len(pairs) :])


def _report(within: FloatArray, across: FloatArray, different: FloatArray) -> ThresholdReport:
    warnings = []
    seen = len(across) >= _MIN_ACROSS
    same = across if seen else within
    if not seen:
        warnings.append(
            f"{len(across)} pairs over two calibrated views: what is the same was taken from inside tracklets, "
            "where it is more alike than between cameras"
        )
    if len(same) < _MIN_PAIRS:
        warnings.append(f"only {len(same)} pairs of the same identity: the miss rate is a guess")
    cut = _cut(within, across, different)
    equal_at, equal = _equal_error(same, different)
    reject, accept = _errors(same, different, np.array([cut]))
    if accept[0] > 0.1:
        warnings.append(f"{accept[0]:.0%} of different identities look alike: expect wrong links")
    return ThresholdReport(
        cut, within, across, different, float(reject[0]), float(accept[0]), equal, equal_at, tuple(warnings)
    )


def _errors(
    same: FloatArray, different: FloatArray, cuts: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Miss rate and false-accept rate at each cut."""
    rejected = 1.0 - np.searchsorted(np.sort(same), cuts, side="right") / max(len(same), 1)
    accepted = np.searchsorted(np.sort(different), cuts, side="right") / max(len(different), 1)
    return np.asarray(rejected), np.asarray(accepted)


def _cut(within: FloatArray, across: FloatArray, different: FloatArray) -> float:
    """Between what is usual of the same over two views and of the different, or what few of the different are nearer than.

    The different are as of a normal distribution, or, where that is too wide to be true, of a log-normal one. The cut
    is never so small that tracklets break in two, nor so large that a sixth of the different would pass.
    """
    middle, quarter = (float(one) for one in np.quantile(different, [0.5, 0.25]))
    nearest = max(_NEAREST * middle, 1e-6)
    spread = max((middle - quarter) / _QUARTILE, 0.1 * nearest)
    least = float(np.quantile(within, 0.95)) if len(within) else 0.0
    if len(across) >= _MIN_ACROSS:
        cut = float(np.sqrt(max(float(np.median(across)), nearest) * middle))
    else:
        cut = middle + spread * _RARE
        if cut < least and quarter > nearest:  # so wide a normal distribution reaches below where no two strangers are
            cut = middle * float(np.exp(np.log(middle / quarter) / _QUARTILE * _RARE))
    return float(np.clip(max(cut, least), nearest, max(middle - spread, nearest)))


def _equal_error(same: FloatArray, different: FloatArray) -> tuple[float, float]:
    cuts = np.unique(np.concatenate([same, different]).astype(np.float64))
    rejected, accepted = _errors(same, different, cuts)
    at = int(np.argmin(np.abs(rejected - accepted)))
    return float(cuts[at]), float((rejected[at] + accepted[at]) / 2)
