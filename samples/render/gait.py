"""Where the bones of a walking or standing person are.

Hip and knee angles follow the usual description of a gait cycle (Perry, Gait Analysis, 1992): thighs swing as a cosine
in opposite phase, a knee bends while its leg swings forward, arms swing against the legs. The pelvis rides at the
height that puts the lower foot on the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from samples.render.arrays import Array

PELVIS, CHEST, HEAD, LEFT_ARM, LEFT_FOREARM, RIGHT_ARM, RIGHT_FOREARM = range(7)
LEFT_THIGH, LEFT_SHANK, LEFT_FOOT, RIGHT_THIGH, RIGHT_SHANK, RIGHT_FOOT, CARRIED = range(7, 14)
BONES = 14

# Joint heights as fractions of body height, and sideways distances of hip and shoulder.
ANKLE, KNEE, HIP, WAIST, ELBOW, SHOULDER, NECK = 0.045, 0.278, 0.515, 0.60, 0.632, 0.808, 0.845
HIP_Y, SHOULDER_Y, WRIST = 0.050, 0.108, 0.478


@dataclass(frozen=True, slots=True)
class Posture:
    """A person's own way of holding themselves; angles in radians.

    ``left_elbow`` and ``right_elbow`` bend the arms when standing, ``arms_out`` holds them off the hips.
    """

    left_elbow: float = 0.12
    right_elbow: float = 0.12
    left_raise: float = 0.0
    right_raise: float = 0.0
    head_turn: float = 0.0
    arms_out: float = 0.10
    carries: bool = False


@lru_cache(maxsize=4096)
def posture_of(actor_id: int, carries: bool) -> Posture:
    """The habits of one actor, the same in every camera: some hold a phone, some put a hand in a pocket."""
    rng = np.random.default_rng((actor_id, 20))
    habit = rng.random()
    left, right = (0.12, 0.0), (0.12, 0.0)
    if habit < 0.2:
        right = (1.75, 0.35)
    elif habit < 0.4:
        left = (0.7, -0.25)
        right = (0.7, -0.25) if habit < 0.3 else right
    return Posture(
        left[0],
        right[0],
        left[1],
        right[1],
        float(rng.normal(0, 0.25)),
        float(rng.uniform(0.07, 0.14)),
        carries,
    )


def skeleton(
    height_m: float, build: float, phase: float, amplitude: float, posture: Posture
) -> tuple[Array, Array]:
    """Rotations ``(14, 3, 3)`` and offsets ``(14, 3)`` that move rest-pose points of each bone, in metres.

    Points are ``rotation @ point + offset`` in a frame with x forward, y left, z up and the floor at z = 0.
    """
    still = 1.0 - min(1.0, 2.0 * amplitude)
    rotations, joints = np.empty((BONES, 3, 3)), np.empty((BONES, 3))
    rest = _rest_joints(build)
    sway = 0.10 * amplitude * np.cos(phase)
    rotations[PELVIS] = _yaw(-sway)
    rotations[CHEST] = _yaw(1.2 * sway) @ _pitch(-0.05 * amplitude)
    rotations[HEAD] = _yaw(posture.head_turn * (0.4 + 0.6 * still)) @ _pitch(
        -0.03 - 0.12 * still * (posture.right_elbow > 1)
    )
    reach = _legs(rotations, phase, amplitude)
    joints[PELVIS] = (0.0, 0.0, reach)
    _stack(rotations, joints, rest)
    _arms(rotations, joints, rest, phase, amplitude, still, posture)
    _hang_legs(rotations, joints, rest)
    offsets = joints - np.einsum("bij,bj->bi", rotations, rest)
    return rotations, offsets * height_m


def _rest_joints(build: float) -> Array:
    rest = np.zeros((BONES, 3))
    rest[PELVIS] = (0, 0, HIP)
    rest[CHEST] = (0, 0, WAIST)
    rest[HEAD] = (0.0, 0, NECK)
    shoulder = SHOULDER_Y * build**0.6
    for side, arm, thigh in ((1, LEFT_ARM, LEFT_THIGH), (-1, RIGHT_ARM, RIGHT_THIGH)):
        rest[arm] = (0, side * shoulder, SHOULDER)
        rest[arm + 1] = (0, side * shoulder, ELBOW)
        rest[thigh] = (0, side * HIP_Y, HIP)
        rest[thigh + 1] = (0, side * HIP_Y, KNEE)
        rest[thigh + 2] = (0, side * HIP_Y, ANKLE)
    rest[CARRIED] = (0, -shoulder, WRIST - 0.03)
    return rest


def _legs(rotations: Array, phase: float, amplitude: float) -> float:
    """Sets the legs' rotations; returns the hip height that puts the lower sole on the floor."""
    reaches = []
    for thigh, leg_phase in ((LEFT_THIGH, phase), (RIGHT_THIGH, phase + np.pi)):
        hip = amplitude * (0.42 * np.cos(leg_phase) + 0.04)
        swing = max(0.0, -np.sin(leg_phase + 0.35))
        knee = amplitude * (0.10 + 0.95 * swing**1.5)
        foot = 0.25 * amplitude * max(0.0, np.cos(leg_phase)) - 0.55 * amplitude * max(
            0.0, -np.cos(leg_phase - 0.3)
        )
        rotations[thigh] = _pitch(hip)
        rotations[thigh + 1] = _pitch(hip - knee)
        rotations[thigh + 2] = _pitch(foot)
        heel = ANKLE * np.cos(foot) + max(0.02 * np.sin(-foot), 0.09 * np.sin(-foot), 0.0)
        heel = max(heel, ANKLE * np.cos(foot) + 0.035 * np.sin(foot))
        reaches.append((HIP - KNEE) * np.cos(hip) + (KNEE - ANKLE) * np.cos(hip - knee) + heel)
    return float(max(reaches))


def _stack(rotations: Array, joints: Array, rest: Array) -> None:
    joints[CHEST] = joints[PELVIS] + rotations[PELVIS] @ (rest[CHEST] - rest[PELVIS])
    joints[HEAD] = joints[CHEST] + rotations[CHEST] @ (rest[HEAD] - rest[CHEST])


def _arms(
    rotations: Array,
    joints: Array,
    rest: Array,
    phase: float,
    amplitude: float,
    still: float,
    p: Posture,
) -> None:
    """Arms swing against the legs; the right hand swings little when it carries something."""
    for side, arm, leg_phase, elbow, raised in (
        (1, LEFT_ARM, phase, p.left_elbow, p.left_raise),
        (-1, RIGHT_ARM, phase + np.pi, p.right_elbow, p.right_raise),
    ):
        calm = 0.3 if p.carries and side < 0 else 1.0
        swing = -0.42 * amplitude * np.cos(leg_phase) * calm + raised * still
        bend = 0.12 + calm * 0.3 * amplitude * (1 + 0.5 * np.cos(leg_phase + np.pi)) + (elbow - 0.12) * still
        if p.carries and side < 0:
            bend = 0.05
        rotations[arm] = rotations[CHEST] @ _roll(side * p.arms_out) @ _pitch(swing)
        rotations[arm + 1] = rotations[arm] @ _pitch(bend)
        joints[arm] = joints[CHEST] + rotations[CHEST] @ (rest[arm] - rest[CHEST])
        joints[arm + 1] = joints[arm] + rotations[arm] @ (rest[arm + 1] - rest[arm])
    forearm = RIGHT_FOREARM
    joints[CARRIED] = joints[forearm] + rotations[forearm] @ (rest[CARRIED] - rest[forearm])
    rotations[CARRIED] = np.eye(3)


def _hang_legs(rotations: Array, joints: Array, rest: Array) -> None:
    for thigh in (LEFT_THIGH, RIGHT_THIGH):
        joints[thigh] = joints[PELVIS] + rotations[PELVIS] @ (rest[thigh] - rest[PELVIS])
        joints[thigh + 1] = joints[thigh] + rotations[thigh] @ (rest[thigh + 1] - rest[thigh])
        joints[thigh + 2] = joints[thigh + 1] + rotations[thigh + 1] @ (rest[thigh + 2] - rest[thigh + 1])


def _pitch(forward: float) -> Array:
    """Swings what hangs below forward (and what stands above backward)."""
    c, s = np.cos(forward), np.sin(forward)
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])


def _roll(outward: float) -> Array:
    """Swings what hangs below to the left."""
    c, s = np.cos(outward), np.sin(outward)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _yaw(left: float) -> Array:
    c, s = np.cos(left), np.sin(left)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
