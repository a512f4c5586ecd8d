"""Camera bias: what two cameras add to strangers' distances comes off, and little evidence takes nothing off."""

from __future__ import annotations

import numpy as np

from tests.simulated import make_tracklet, unit
from tracking.camera_bias import CameraMeans
from tracking.sketch import SketchTable, sketch_of


def site(count: int) -> SketchTable:
    """Strangers in three cameras; c turns everything towards a colour of its own."""
    rng = np.random.default_rng(1)
    tint = {"a": 0.0, "b": 0.0, "c": 1.5}
    own = unit(rng.normal(size=32))
    common = unit(rng.normal(size=32))
    tracklets = [
        make_tracklet(camera, n, [0.0, 1.0], embeddings=unit(common + unit(rng.normal(size=32)) + tint[camera] * own)[None])
        for camera in tint
        for n in range(count)
    ]
    return SketchTable.of([sketch_of(one, 4) for one in tracklets])


def strangers(table: SketchTable, one: int, other: int) -> float:
    distance = 1 - table.mean[table.camera == one] @ table.mean[table.camera == other].T
    return float(distance[~np.eye(len(distance), dtype=bool)].mean())


def test_strangers_are_equally_far_after_it():
    table = site(400)
    bias = CameraMeans.of(table).bias(table.cameras)
    raw = np.array([[strangers(table, a, b) for b in range(3)] for a in range(3)])
    assert raw.max() - raw.min() > 0.2
    assert np.ptp(raw - bias) < 0.05 * np.ptp(raw) + 0.02


def test_the_running_form_is_the_same():
    table = site(60)
    running = CameraMeans()
    for sketch in table.sketches:
        running.observe(sketch)
    np.testing.assert_allclose(running.bias(["c", "a"]), CameraMeans.of(table).bias(["c", "a"]), atol=1e-6)


def test_few_tracklets_and_unknown_cameras_take_nothing_off():
    table = site(10)
    assert not CameraMeans.of(table).bias(table.cameras).any()
    assert not CameraMeans.of(site(60)).bias(["nobody", "a"])[0].any()
