"""A Kalman filter over many boxes at once, in seconds.

Each of center x, center y, width and height is its own two-state filter (position, velocity), as the noise
of one says nothing of another's; so a covariance is three numbers and no matrix is ever inverted. Velocity
decays with a time constant (Singer, "Estimating optimal tracking filter performance", 1970): an object that
is not seen slows down instead of leaving the picture. All noise is proportional to the box, so that one set
of numbers serves near and far objects, and the process noise is integrated over the true time step, so that
a dropped frame is nothing special.

A filter is one ``(5, N, 4)`` float64 array: position, velocity, and the variances ``pp``, ``pv``, ``vv``,
each for N boxes and the four coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

State = npt.NDArray[np.float64]

__all__ = ["MotionNoise", "State", "correct", "empty", "initiate", "innovation_variance", "predict"]

_MIN_SIZE_PX = 1.0


@dataclass(frozen=True, slots=True)
class MotionNoise:
    """How objects move and how well detectors see them.

    Lengths are in box sizes (the square root of the area), times in seconds.

    Attributes:
        position: standard deviation of a detected center.
        size: standard deviation of a detected width or height.
        doubt: how much noisier a detection of confidence 0 is than one of confidence 1, in standard deviations
            (the noise adaptation of GIAOTracker, Du et al., arXiv 2202.11983).
        acceleration: how much a center's velocity may change in one second, sizes per second.
        size_acceleration: the same for width and height.
        initial_speed: standard deviation of the unknown velocity of a new object, sizes per second.
        velocity_decay_s: after this time unseen 63 % of the velocity is forgotten.
        size_decay_s: the same for the change of size.
    """

    position: float = 0.07
    size: float = 0.075
    doubt: float = 2.6
    acceleration: float = 0.31
    size_acceleration: float = 0.085
    initial_speed: float = 1.4
    velocity_decay_s: float = 7.0
    size_decay_s: float = 1.2

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0) or (value == 0 and name != "doubt"):
                raise ValueError(f"MotionNoise.{name}: expected a positive number, got {value}")


def empty() -> State:
    """A filter over no boxes."""
    return np.zeros((5, 0, 4))


def initiate(measured: State, noise: MotionNoise) -> State:
    """Start one filter per ``(N, 4)`` center-size measurement, at rest."""
    state = np.zeros((5, *measured.shape))
    state[0] = measured
    scale = _scale(measured)
    state[2] = measurement_variance(measured, noise)
    state[4] = (noise.initial_speed * scale) ** 2
    return state


def predict(state: State, dt_s: float, noise: MotionNoise) -> None:
    """Move every filter ``dt_s`` seconds ahead, in place."""
    decay_s = np.array([noise.velocity_decay_s] * 2 + [noise.size_decay_s] * 2)
    kept = np.exp(-dt_s / decay_s)
    travel = decay_s * (1.0 - kept)  # the effective time step: dt while it is short, decay_s at most
    power = np.array([noise.acceleration] * 2 + [noise.size_acceleration] * 2) ** 2
    strength = power * _scale(state[0]) ** 2
    position, velocity, pp, pv, vv = state
    position += travel * velocity
    pp += travel * (2.0 * pv + travel * vv) + strength * (travel * travel * dt_s / 3.0)
    pv += travel * vv
    pv *= kept
    pv += strength * (travel * dt_s / 2.0)
    vv *= kept * kept
    vv += strength * dt_s
    velocity *= kept
    np.maximum(position[:, 2:], _MIN_SIZE_PX, out=position[:, 2:])


def measurement_variance(measured: State, noise: MotionNoise, confidence: State | None = None) -> State:
    """``(N, 4)`` variance of ``(N, 4)`` center-size measurements, more where ``(N,)`` confidence is low."""
    spread = _scale(measured) * np.array([noise.position] * 2 + [noise.size] * 2)
    if confidence is not None:
        spread *= (1.0 + noise.doubt * (1.0 - confidence))[:, None]
    return np.asarray(spread * spread)


def innovation_variance(state: State, noise: MotionNoise) -> State:
    """``(N, 4)``: how far a measurement may be from each predicted box, squared."""
    return np.asarray(state[2] + measurement_variance(state[0], noise))


def correct(state: State, measured: State, variance: State) -> State:
    """Return the filters after one ``(N, 4)`` center-size measurement each, of ``(N, 4)`` variance."""
    position, _, pp, pv, _ = state
    innovation = measured - position
    total = pp + variance
    gain, velocity_gain = pp / total, pv / total
    corrected: State = state.copy()
    corrected[0] += gain * innovation
    corrected[1] += velocity_gain * innovation
    corrected[2:4] -= gain * state[2:4]
    corrected[4] -= velocity_gain * pv
    np.maximum(corrected[0, :, 2:], _MIN_SIZE_PX, out=corrected[0, :, 2:])
    return corrected


def _scale(center: State) -> State:
    """``(N, 1)`` the length noise is measured in: the square root of the box's area."""
    size = np.maximum(center[:, 2:], _MIN_SIZE_PX)
    return np.asarray(np.sqrt(size[:, :1] * size[:, 1:]))
