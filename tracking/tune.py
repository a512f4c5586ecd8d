"""Fitting the tracker's parameters to sequences with known truth, and telling whether it helped.

The search itself is Optuna's (tree-structured Parzen estimator, Bergstra et al., 2011; a trial that is worse than the
median of the others after as many sequences is given up). What a search finds on some sequences flatters it, so the
gain is measured on sequences the search did not see: the sequences are dealt into folds, each fold is scored with
what was found on the others, and only if that beats the starting point is the result of a last search over all
sequences recommended. Each sequence also counts backwards with frames missing, so that one lucky crossing decides
little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from operator import attrgetter
from typing import Any

import numpy as np

from tracking.replay import Replay, follow, online_rows
from tracking.scoring import combine, score_sequence, summarise
from tracking.tracker import TrackerConfig

__all__ = ["SPACE", "Fold", "Parameter", "Tuning", "config_from", "objective", "suggest", "tune"]

Known = dict[tuple[TrackerConfig, str], dict[str, Any]]
"""Scores of a configuration on a sequence."""

OBJECTIVE = ("HOTA", "IDF1", "MOTA")
"""What is maximised: the mean of these."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One searched field of ``TrackerConfig`` (``cost.`` and ``noise.`` for those inside) and its range."""

    name: str
    low: float
    high: float
    logarithmic: bool = False


SPACE: tuple[Parameter, ...] = (
    Parameter("strong_share", 0.0, 0.8),
    Parameter("told_share", 0.0, 0.9),
    Parameter("max_cost", 0.6, 1.4),
    Parameter("max_weak_cost", 0.0, 1.2),
    Parameter("cost_per_s", 0.0, 5.0),
    Parameter("max_recovery_cost", 0.0, 0.8),
    Parameter("min_evidence", 1.0, 40.0, logarithmic=True),
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
        before: objective on them with the starting configuration.
        after: the same with what the search found.
    """

    held_out: tuple[str, ...]
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """What came out.

    Attributes:
        found: the best configuration of the search over all sequences.
        before: objective over all sequences with the starting configuration.
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


def suggest(draw: Callable[[Parameter], float]) -> dict[str, float]:
    """One value per parameter of the space."""
    return {parameter.name: draw(parameter) for parameter in SPACE}


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


def variants(replays: Sequence[Replay]) -> list[list[Replay]]:
    """The sequences as they are, and backwards with 30 % of the frames missing."""
    return [list(replays), [replay.backwards().thinned(0.3) for replay in replays]]


def objective(
    config: TrackerConfig,
    sets: Sequence[Sequence[Replay]],
    hear: Callable[[float], None] = lambda so_far: None,
    known: Known | None = None,
) -> float:
    """Mean of TrackEval's HOTA (coarse), IDF1 and MOTA totals over sets of sequences, online output.

    ``hear`` is told the mean so far after every sequence; what it raises ends the evaluation. What is ``known`` is
    not computed again.
    """
    known = {} if known is None else known
    totals: list[float] = []
    for replays in sets:
        raw, before = {}, list(totals)
        for replay in replays:
            key = (config, replay.name)
            if key not in known:
                found = online_rows(follow(replay, config)).boxes()
                known[key] = score_sequence(replay.truth, found, replay.name, coarse=True)
            raw[replay.name] = known[key]
            total = summarise(combine(raw))
            totals = [*before, float(np.mean([total[name] for name in OBJECTIVE]))]
            hear(float(np.mean(totals)))
    return float(np.mean(totals))


def tune(
    replays: Sequence[Replay],
    trials: int,
    folds: int = 3,
    seed: int = 0,
    start: TrackerConfig | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Tuning:
    """Search ``trials`` configurations per fold and over all sequences.

    Args:
        replays: sequences with truth.
        trials: configurations tried per search, the starting one among them.
        folds: rounds of cross-validation, at most one per sequence; below 2 there is none.
        seed: the same seed finds the same.
        start: where the search starts, and what it must beat.
        report: told of progress, a line at a time.

    Raises:
        ValueError: no sequences, one of them without truth, or no trials.
    """
    blind = [replay.name for replay in replays if not len(replay.truth)]
    if not replays or blind or trials < 1:
        reason = f"no truth for {', '.join(blind)}" if blind else "needs sequences and at least one trial"
        raise ValueError(f"tune: {reason}")
    start = start or TrackerConfig()
    folds = min(folds, len(replays))
    rounds, known = [], Known()  # every search begins with the same random trials
    for k in range(folds if folds > 1 else 0):
        held_out, seen = list(replays)[k::folds], [r for i, r in enumerate(replays) if i % folds != k]
        found, _ = _search(variants(seen), trials, seed, start, report, known)
        unseen = variants(held_out)
        names = tuple(r.name for r in held_out)
        before, after = (objective(config, unseen, known=known) for config in (start, found))
        rounds.append(Fold(names, before, after))
        report(f"held out {', '.join(names)}: {rounds[-1].before:.4f} -> {rounds[-1].after:.4f}")
    everything = variants(replays)
    found, after = _search(everything, trials, seed, start, report, known)
    return Tuning(found, objective(start, everything, known=known), after, tuple(rounds))


def _search(
    sets: Sequence[Sequence[Replay]],
    trials: int,
    seed: int,
    start: TrackerConfig,
    report: Callable[[str], None],
    known: Known,
) -> tuple[TrackerConfig, float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    study.enqueue_trial(values_of(start))

    def tried(trial: optuna.Trial) -> float:
        steps = count(1)

        def hear(so_far: float) -> None:
            trial.report(so_far, next(steps))
            if trial.should_prune():
                raise optuna.TrialPruned

        return objective(config_from(suggest(partial(_draw, trial)), start), sets, hear, known)

    def told(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        report(f"trial {trial.number + 1}/{trials}: best {study.best_value:.4f}")

    study.optimize(tried, trials, callbacks=[told])
    return config_from(study.best_params, start), float(study.best_value)


def _draw(trial: Any, parameter: Parameter) -> float:
    return float(
        trial.suggest_float(parameter.name, parameter.low, parameter.high, log=parameter.logarithmic)
    )
