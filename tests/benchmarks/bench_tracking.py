"""Time per update of the tracker alone, against the number of objects; run as a script, or by `make bench`.

Processor time, not wall time, so that a busy machine does not show.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from tracking.tracker import CameraTracker
from tracking.types import Detections, FrameRef

FPS = 30.0


def passers_by(count: int, num_frames: int, seed: int = 0) -> list[Detections]:
    """Smoothly moving boxes with detection noise and misses, 1920x1080."""
    rng = np.random.default_rng(seed)
    low, high = np.array([60.0, 100.0]), np.array([1860.0, 980.0])
    center = rng.uniform(low, high, (count, 2))
    speed = rng.normal(0, 60, (count, 2)) / FPS
    size = rng.uniform(40, 90, (count, 1)) * (1.0, 2.2)
    frames = []
    for _ in range(num_frames):
        center += speed
        speed[(center < low) | (center > high)] *= -1
        seen = rng.random(count) > 0.05
        at = center[seen] + rng.normal(0, 1.5, (seen.sum(), 2))
        half = 0.5 * size[seen] * rng.normal(1, 0.02, (seen.sum(), 1))
        confidence = rng.uniform(0.4, 1, seen.sum())
        frames.append(Detections(np.hstack((at - half, at + half)), confidence, np.zeros(seen.sum())))
    return frames


def milliseconds(count: int, num_frames: int = 150, warm_up: int = 30, repeats: int = 3) -> float:
    """Median over frames and repeats."""
    scene, spent = passers_by(count, num_frames), []
    for _ in range(repeats):
        tracker = CameraTracker("camera")
        for i, detections in enumerate(scene):
            start = time.process_time()
            tracker.update(FrameRef("camera", i, i / FPS), detections)
            if i >= warm_up:
                spent.append(time.process_time() - start)
    return 1e3 * float(np.median(spent))


@pytest.mark.benchmark
def test_growth_is_no_worse_than_the_assignment_forces():
    """Ten times the objects are a hundred times the pairs, but hardly more of them per object are near each other."""
    assert milliseconds(200) < 10 * milliseconds(20)


if __name__ == "__main__":
    for objects in (5, 20, 50, 100, 200, 400):
        print(f"{objects:4d} objects {milliseconds(objects):7.3f} ms")
