"""What confidence is worth, and what is usual."""

from __future__ import annotations

import numpy as np
import pytest

from tracking.confidence import UsualEvidence, confidence_of, evidence_of


def test_evidence_and_confidence_are_each_other_s_inverse():
    confidence = np.array([0.0, 0.3, 0.9, 0.999])
    assert [confidence_of(e) for e in evidence_of(confidence)] == pytest.approx(confidence)


def test_certainty_is_not_infinite():
    assert np.isfinite(evidence_of(np.array([1.0]))).all()


def test_nothing_is_usual_at_first():
    assert UsualEvidence().mean == 0.0


def test_the_mean_is_that_of_the_last_few_hundred():
    usual = UsualEvidence()
    for _ in range(400):
        usual.learn(np.full(10, 4.0))
    assert usual.mean == pytest.approx(4.0, rel=0.01)
    for _ in range(400):
        usual.learn(np.full(10, 1.0))
    assert usual.mean == pytest.approx(1.0, rel=0.01)


def test_nobody_followed_changes_nothing():
    usual = UsualEvidence()
    usual.learn(np.full(5, 3.0))
    before = usual.mean
    usual.learn(np.zeros(0))
    assert usual.mean == before


def test_more_at_once_than_it_remembers():
    usual = UsualEvidence()
    usual.learn(np.full(2000, 2.0))
    assert usual.mean == pytest.approx(2.0)
