"""What a detector's confidence is worth, and what is usual in a camera.

Networks differ in what their numbers mean: one gives 0.9 to a shadow that looks like a leg, another 0.6 to whoever
plainly stands there. So what is told apart by confidence is measured against what the detections of followed objects
usually say here, learned while the footage goes by.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["UsualEvidence", "confidence_of", "evidence_of"]

Array = npt.NDArray[np.float64]

_SURE = 0.999
"""No single detection is believed more than this."""

_UNKNOWN = 30.0
"""So many detections it takes to outweigh that nothing is known at first."""

_MEMORY = 500.0
"""What is usual is a mean over about so many detections."""


def evidence_of(confidence: Array) -> Array:
    """How unlikely it is that detections are false, as minus the log of the probability."""
    return np.asarray(-np.log1p(-np.minimum(confidence, _SURE)))


def confidence_of(evidence: float) -> float:
    """The confidence that bears it."""
    return float(-np.expm1(-evidence))


class UsualEvidence:
    """Running mean of the evidence that detections of followed objects bear; 0 at first, so that all will do."""

    def __init__(self) -> None:
        self.mean = 0.0
        self._count = _UNKNOWN

    def learn(self, evidence: Array) -> None:
        """Take ``(K,)`` more detections of objects that are followed for sure."""
        kept = self._count * max(0.0, 1.0 - len(evidence) / _MEMORY)
        self._count = kept + len(evidence)
        self.mean = (self.mean * kept + float(evidence.sum())) / self._count
