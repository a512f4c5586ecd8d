"""The threshold that unlabelled tracklets suggest: near the best one, on any scale, and not moved by a few wrong pairs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulated import make_tracklet, unit
from tracking.sketch import sketch_of
from tracking.threshold import RunningThreshold, _cut, _report, suggest_threshold, threshold_of
from tracking.types import Tracklet


def crowd(count: int, common: float, spread: float, seed: int = 0, doubles: int = 0) -> list[Tracklet]:
    """Everybody in one camera at once; ``common`` is what all share, ``doubles`` are tracked twice."""
    rng = np.random.default_rng(seed)
    shared = unit(rng.normal(size=48))
    who = unit(common * shared + unit(rng.normal(size=(count, 48))))
    rows = [*who, *who[:doubles]]
    return [
        make_tracklet("a", n, np.arange(0, 10, 0.5), embeddings=unit(one + spread * unit(rng.normal(size=(8, 48)))))
        for n, one in enumerate(rows, 1)
    ]


@pytest.mark.parametrize("common", [0.0, 1.0, 4.0, 30.0])
def test_it_follows_the_scale_of_the_network(common: float):
    tracklets = crowd(15, common, 0.2 / (1 + common))
    report = suggest_threshold(tracklets)
    assert report.within.max() < report.max_cosine_distance < np.quantile(report.different, 0.1)
    assert report.false_reject == 0
    assert report.false_accept < 0.06


def test_a_few_people_tracked_twice_do_not_move_it():
    clean = suggest_threshold(crowd(15, 1.0, 0.1)).max_cosine_distance
    dirty = suggest_threshold(crowd(15, 1.0, 0.1, doubles=3)).max_cosine_distance
    assert dirty == pytest.approx(clean, rel=0.15)


def test_too_few_fall_back_to_the_usual():
    assert threshold_of(crowd(3, 1.0, 0.1), None, 4) == 0.4


def test_running_estimate_agrees_with_that_of_the_whole_and_respects_a_given_one():
    tracklets = crowd(15, 1.0, 0.1)
    running, given = RunningThreshold(None, 4), RunningThreshold(0.3, 4)
    for tracklet in tracklets:
        for one in (running, given):
            one.observe(tracklet, sketch_of(tracklet, 4))
    assert running.value == pytest.approx(suggest_threshold(tracklets).max_cosine_distance, rel=0.15)
    assert given.value == 0.3


@pytest.mark.parametrize("scale", [1.0, 0.02])
def test_the_cut_makes_about_the_fewest_errors_of_log_normal_distances(scale: float):
    rng = np.random.default_rng(0)
    same, different = (scale * np.exp(rng.normal(np.log(at), 0.4, 4000)) for at in (0.08, 0.45))
    cut = _cut(np.zeros(0, np.float32), same.astype(np.float32), different.astype(np.float32))

    def errors(at: float) -> float:
        return float(np.mean(same > at) + np.mean(different <= at))

    assert errors(cut) < min(errors(at) for at in np.linspace(same.min(), different.max(), 400)) + 0.003


def test_look_alikes_do_not_pull_the_cut_towards_what_is_the_same():
    """A tenth of the different are doubles of each other, as near as the same: not the distance of strangers."""
    rng = np.random.default_rng(0)
    same = np.exp(rng.normal(np.log(0.08), 0.4, 200)).astype(np.float32)
    strangers = np.exp(rng.normal(np.log(0.45), 0.2, 200)).astype(np.float32)
    mixed = np.concatenate([strangers[20:], same[:20]])
    assert _cut(same, same, mixed) == pytest.approx(_cut(same, same, strangers), rel=0.05)


def test_without_views_in_common_few_strangers_pass_however_alike_the_crops_of_a_tracklet_are():
    within = np.full(50, 0.01, np.float32)
    different = np.random.default_rng(0).normal(0.5, 0.05, 4000).astype(np.float32)
    report = _report(within, np.zeros(0, np.float32), different)
    assert 0 < report.false_accept < 0.004
    assert any("inside tracklets" in warning for warning in report.warnings)
    seen = _report(within, np.full(3, 0.08, np.float32), different)
    assert seen.max_cosine_distance == pytest.approx(np.sqrt(0.08 * 0.5), rel=0.01)
    assert not any("inside tracklets" in warning for warning in seen.warnings)


def test_strangers_who_differ_widely_do_not_leave_the_halves_of_a_tracklet_as_all_that_is_alike():
    """Of a distribution as wide as this a normal one would put strangers at no distance at all."""
    rng = np.random.default_rng(0)
    different = (0.476 * np.exp(0.35 * rng.normal(size=200))).astype(np.float32)
    within = np.abs(rng.normal(0.05, 0.035, 60)).astype(np.float32)
    cut = _cut(within, np.zeros(0, np.float32), different)
    assert np.quantile(within, 0.95) < cut < np.quantile(different, 0.02)


def test_the_cut_never_breaks_tracklets_in_two():
    within = np.linspace(0.01, 0.3, 60, dtype=np.float32)
    different = np.linspace(0.3, 0.5, 60, dtype=np.float32)
    assert _cut(within, within[:10], different) >= np.quantile(within, 0.95)
