"""Fitting the tracker's parameters to sequences with known truth, and telling whether it helped.

The search is CMA-ES (Hansen and Ostermeier, "Completely derandomized self-adaptation in evolution strategies", 2001; the
``cmaes`` package), started at what the tracker had: it moves a cloud of configurations, and the middle of the cloud is
the result, not the luckiest of those tried. A few crossings decide an identity score, so every generation of it is
scored on other frames: forwards and backwards, as they are and with 30 % missing at random.

What a search finds on some sequences flatters it all the same. So the gain is measured on sequences that the search did
not see: they are dealt into folds, each fold is scored with what was found on the others, and only if that beats the
starting point is the result of a last search over all sequences recommended.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing import Pool
from multiprocessing.pool import Pool as Workers
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from tracking.replay import Replay, follow, online_rows
from tracking.scoring import combine, score_sequence, summarise
from tracking.tracker import TrackerConfig

__all__ = ["SPACE", "Fold", "Parameter", "Tuning", "config_from", "tune"]

OBJECTIVE = ("HOTA", "IDF1", "MOTA")
"""What is maximised: the mean of these."""

_POPULATION = 12
"""Configurations that are compared with each other in a generation."""

_STEP = 0.05
"""How far they lie around the middle at first, as a part of each parameter's range."""

_DROPPED = 0.3
"""Share of the frames that is missing where some are."""

_UNSEEN_DRAWS = range(3)
"""Draws of missing frames that only gains are measured with; the generations' draws come after them."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One searched field of ``TrackerConfig`` (``cost.`` and ``noise.`` for those inside) and its range."""

    name: str
    low: float
    high: float
    logarithmic: bool = False

    def at(self, share: float) -> float:
        """The value so far up the range, 0 to 1."""
        if self.logarithmic:
            return float(self.low * (self.high / self.low) ** share)
        return float(self.low + share * (self.high - self.low))

    def share(self, value: float) -> float:
        """How far up the range a value lies, 0 to 1."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


SPACE: tuple[Parameter, ...] = (
    Parameter("strong_share", 0.0, 0.8),
    Parameter("told_share", 0.0, 0.9),
    Parameter("max_cost", 0.6, 1.4),
    Parameter("max_weak_cost", 0.0, 1.2),
    Parameter("cost_per_s", 0.0, 5.0),
    Parameter("max_recovery_cost", 0.0, 0.8),
    Parameter("min_evidence", 1.0, 40.0, logarithmic=True),
    Parameter("evidence_s", 0.01, 0.5, logarithmic=True),
    Parameter("max_lost_s", 0.3, 4.0, logarithmic=True),
    Parameter("max_tentative_s", 0.02, 0.8, logarithmic=True),
    Parameter("smoothing", 0.0, 1.0),
    Parameter("cost.buffer", 0.0, 0.5),
    Parameter("cost.size", 0.0, 0.6),
    Parameter("cost.motion", 0.0, 0.6),
    Parameter("cost.direction", 0.0, 0.4),
    Parameter("cost.direction_memory_s", 0.1, 1.0, logarithmic=True),
    Parameter("noise.position", 0.01, 0.2, logarithmic=True),
    Parameter("noise.size", 0.02, 0.4, logarithmic=True),
    Parameter("noise.doubt", 0.0, 4.0),
    Parameter("noise.acceleration", 0.1, 8.0, logarithmic=True),
    Parameter("noise.size_acceleration", 0.03, 4.0, logarithmic=True),
    Parameter("noise.initial_speed", 0.1, 5.0, logarithmic=True),
    Parameter("noise.velocity_decay_s", 0.3, 20.0, logarithmic=True),
    Parameter("noise.size_decay_s", 0.05, 5.0, logarithmic=True),
)
"""Fixed confidence thresholds are left alone: they belong to the detector; the two shares are of what is usual with it."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One round of cross-validation.

    Attributes:
        held_out: the sequences the search did not see.
        before: mean of HOTA, IDF1 and MOTA on them with the starting configuration.
        after: the same with what the search found.
    """

    held_out: tuple[str, ...]
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """What came out.

    Attributes:
        found: where the search over all sequences came to.
        before: mean of HOTA, IDF1 and MOTA over all sequences with the starting configuration.
        after: the same with ``found``; flattering, as the search chose it.
        folds: what such a search gains on sequences it did not see; empty without cross-validation.
    """

    found: TrackerConfig
    before: float
    after: float
    folds: tuple[Fold, ...]

    @property
    def unseen_gain(self) -> float | None:
        """Mean gain on held-out sequences, or None if none were held out."""
        return float(np.mean([fold.after - fold.before for fold in self.folds])) if self.folds else None


def config_from(values: Mapping[str, float], start: TrackerConfig | None = None) -> TrackerConfig:
    """``start`` with the named fields replaced."""
    start = start or TrackerConfig()
    fields: dict[str, Any] = {name: value for name, value in values.items() if "." not in name}
    for part in ("cost", "noise"):
        inner = {n.removeprefix(f"{part}."): v for n, v in values.items() if n.startswith(f"{part}.")}
        fields[part] = replace(getattr(start, part), **inner)
    return replace(start, **fields)


def values_of(config: TrackerConfig) -> dict[str, float]:
    """The searched fields of a configuration."""
    return {p.name: float(attrgetter(p.name)(config)) for p in SPACE}


def _variants(replays: Sequence[Replay], draws: Sequence[int]) -> list[list[Replay]]:
    """The sequences as they are, backwards, and for each of ``draws`` either way with other frames missing."""
    both_ways = (list(replays), [replay.backwards() for replay in replays])
    lossy = [
        [r.thinned(_DROPPED, draw * len(replays) + i) for i, r in enumerate(way)]
        for way, draw in product(both_ways, draws)
    ]
    return [*both_ways, *lossy]


def _score(config: TrackerConfig, replays: Sequence[Replay]) -> float:
    """Mean of TrackEval's HOTA (coarse), IDF1 and MOTA totals over sequences, online output."""
    raw = {r.name: _sequence_scores(config, r) for r in replays}
    total = summarise(combine(raw))
    return float(np.mean([total[name] for name in OBJECTIVE]))


def _sequence_scores(config: TrackerConfig, replay: Replay) -> dict[str, Any]:
    found = online_rows(follow(replay, config)).boxes()
    return score_sequence(replay.truth, found, replay.name, coarse=True)


def tune(
    replays: Sequence[Replay],
    trials: int,
    folds: int = 3,
    seed: int = 0,
    start: TrackerConfig | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Tuning:
    """Search ``trials`` configurations per fold and over all sequences, on all processors.

    Args:
        replays: sequences with truth.
        trials: configurations tried per search, in whole generations of twelve.
        folds: rounds of cross-validation, at most one per sequence; below 2 there is none.
        seed: the same seed finds the same.
        start: where the search starts, and what it must beat.
        report: told of progress, a line at a time.

    Raises:
        ValueError: no sequences, one of them without truth, or no trials.
        ImportError: ``cmaes`` is not installed.
    """
    blind = [replay.name for replay in replays if not len(replay.truth)]
    if not replays or blind or trials < 1:
        reason = f"no truth for {', '.join(blind)}" if blind else "needs sequences and at least one trial"
        raise ValueError(f"tune: {reason}")
    start = start or TrackerConfig()
    folds = min(folds, len(replays))
    rounds = []
    with Pool(initializer=_undisturbed) as pool:
        for k in range(folds if folds > 1 else 0):
            held_out, seen = list(replays)[k::folds], [r for i, r in enumerate(replays) if i % folds != k]
            found = _search(seen, trials, seed, start, pool, report)
            before, after = _scores((start, found), _variants(held_out, _UNSEEN_DRAWS), pool).tolist()
            rounds.append(Fold(tuple(r.name for r in held_out), before, after))
            report(f"held out {', '.join(rounds[-1].held_out)}: {before:.4f} -> {after:.4f}")
        found = _search(replays, trials, seed, start, pool, report)
        before, after = _scores((start, found), _variants(replays, _UNSEEN_DRAWS), pool).tolist()
        return Tuning(found, before, after, tuple(rounds))


def _undisturbed() -> None:
    """Ctrl-C is for the process that searches; its helpers end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _search(
    replays: Sequence[Replay],
    trials: int,
    seed: int,
    start: TrackerConfig,
    pool: Workers,
    report: Callable[[str], None],
) -> TrackerConfig:
    from cmaes import CMA

    values = values_of(start)
    middle = np.array([p.share(values[p.name]) for p in SPACE])
    bounds = np.tile((0.0, 1.0), (len(SPACE), 1))
    cloud = CMA(middle, _STEP, bounds, population_size=_POPULATION, seed=seed)
    generations = math.ceil(trials / _POPULATION)
    for generation in range(generations):
        points = [cloud.ask() for _ in range(_POPULATION)]
        configs = [_config_at(point, start) for point in points]
        draw = len(_UNSEEN_DRAWS) + generation
        scores = _scores(configs, _variants(replays, [draw]), pool)
        cloud.tell([(point, -score) for point, score in zip(points, scores, strict=True)])
        report(f"generation {generation + 1}/{generations}: mean {scores.mean():.4f}, best {scores.max():.4f}")
    return _config_at(cloud.mean, start)


def _config_at(point: npt.NDArray[np.float64], start: TrackerConfig) -> TrackerConfig:
    shares = np.clip(point, 0.0, 1.0)
    return config_from({p.name: p.at(share) for p, share in zip(SPACE, shares, strict=True)}, start)


def _scores(
    configs: Sequence[TrackerConfig], sets: Sequence[Sequence[Replay]], pool: Workers
) -> npt.NDArray[np.float64]:
    """``(C,)`` mean score of every configuration over the sets."""
    scores = pool.starmap(_score, product(configs, sets), chunksize=1)
    return np.asarray(np.reshape(scores, (len(configs), len(sets))).mean(axis=1))
