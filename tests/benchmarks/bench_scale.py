"""Association at scale, on tracklets that exist only as numbers but spread as the sample network's embeddings do.

Offline: 100,000 tracklets of 40 cameras in one go. Online: 1,000,000 tracklets one by one, with memory and decision time
along the way. Run as a script for the full sizes::

    python tests/benchmarks/bench_scale.py offline --tracklets 100000
    python tests/benchmarks/bench_scale.py online --tracklets 1000000

`make bench` runs small ones. Time is processor time of the whole process, so that a busy machine does not show.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from reid.gallery import Gallery
from tracking.association import AssociationConfig, associate
from tracking.online import OnlineAssociator
from tracking.topology import CameraLink, Topology
from tracking.types import Tracklet, TrackletKey

CAMERAS = 40
PER_S = 3.0
"""Tracklets that begin each second over the whole site: a busy station."""

STEPS = 8


@dataclass(frozen=True)
class Looks:
    """Measured on the sample network's embeddings of the rendered demo: cosine distance of strangers 0.13 +- 0.03, of
    one person in two cameras 0.024 (5 % to 95 %: 0.013 to 0.046), of one person's crops in one passage 0.011."""

    dimensions: int = 960
    strangers: float = 0.13
    passages: float = 0.013
    crops: float = 0.011


def _ball(rng: np.random.Generator, dimensions: int, length: float) -> np.ndarray:
    return rng.normal(scale=length / np.sqrt(dimensions), size=dimensions).astype(np.float32)


def station(count: int, looks: Looks, seed: int = 0) -> Iterator[tuple[Tracklet, int]]:
    """Tracklets in order of their end, with the identity each belongs to.

    People walk along the cameras' line from a random one for six cameras or so and leave; links take 8 to 30 s. Few of
    them are underway at once, so it never holds more than those.
    """
    rng = np.random.default_rng(seed)
    common = _ball(rng, looks.dimensions, 1.0)
    common *= np.sqrt(1 - looks.strangers) / np.linalg.norm(common)
    local = np.zeros(CAMERAS, np.int64)
    waiting: list[tuple[float, int, Tracklet, int]] = []
    now, identity, made = 0.0, 0, 0
    while made < count or waiting:
        if made < count:
            now += rng.exponential(6 / PER_S)
            identity += 1
            who = common + _ball(rng, looks.dimensions, np.sqrt(looks.strangers - looks.passages - looks.crops))
            camera, at, step = int(rng.integers(CAMERAS)), now, 1 if rng.random() < 0.5 else -1
            for _ in range(min(int(rng.integers(3, 10)), count - made)):
                local[camera] += 1
                tracklet = _passage(rng, f"cam{camera:02d}", int(local[camera]), at, who, looks)
                waiting.append((tracklet.as_of_s, made, tracklet, identity))
                at, camera, made = tracklet.end_s + rng.uniform(8, 30), (camera + step) % CAMERAS, made + 1
        waiting.sort(reverse=True)
        while waiting and (waiting[-1][0] < now or made >= count):
            _, _, tracklet, owner = waiting.pop()
            yield tracklet, owner


def _passage(
    rng: np.random.Generator, camera: str, local_id: int, start_s: float, who: np.ndarray, looks: Looks
) -> Tracklet:
    times = start_s + np.linspace(0, rng.uniform(4, 12), STEPS)
    here = who + _ball(rng, looks.dimensions, np.sqrt(looks.passages))
    crops = np.stack([here + _ball(rng, looks.dimensions, np.sqrt(looks.crops)) for _ in range(3)])
    crops /= np.linalg.norm(crops, axis=1, keepdims=True)
    return Tracklet(
        key=TrackletKey(camera, local_id),
        class_id=0,
        frame_index=np.arange(STEPS),
        timestamp_s=times,
        xyxy=np.tile(np.float32([100, 100, 150, 250]), (STEPS, 1)),
        confidence=np.ones(STEPS),
        interpolated=np.zeros(STEPS, bool),
        ground_xy=None,
        embeddings=crops,
        embedding_quality=np.ones(3),
        embedding_timestamp_s=times[:3],
        as_of_s=float(times[-1]),
        is_final=True,
    )


def line_of_cameras() -> Topology:
    """Both ways along the line, with some slack."""
    steps = [(a, (a + way) % CAMERAS) for a in range(CAMERAS) for way in (1, -1)]
    return Topology(tuple(CameraLink(f"cam{a:02d}", f"cam{b:02d}", 5.0, 40.0) for a, b in steps))


CONFIG = AssociationConfig(max_gap_s=120.0, max_prototypes=2)


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def offline(count: int, looks: Looks) -> dict[str, float]:
    """Processor seconds, peak memory, and how right the identities are (pairs of tracklets)."""
    made = list(station(count, looks))
    owner = {tracklet.key: identity for tracklet, identity in made}
    began, wall = time.process_time(), time.perf_counter()
    found = associate([t for t, _ in made], CONFIG, topology=line_of_cameras(), gallery=Gallery(looks.dimensions))
    spent, waited = time.process_time() - began, time.perf_counter() - wall
    right = _pair_f1([[owner[key] for key in one.tracklets] for one in found], list(owner.values()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"tracklets": len(made), "cpu_s": spent, "wall_s": waited, "peak_mb": peak, "pair_f1": right}


def _pair_f1(groups: list[list[int]], everyone: list[int]) -> float:
    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1) / 2).sum())

    found = pairs(np.array([len(group) for group in groups]))
    true = pairs(np.unique(everyone, return_counts=True)[1])
    shared = sum(pairs(np.unique(group, return_counts=True)[1]) for group in groups)
    return 2 * shared / max(found + true, 1.0)


def online(count: int, looks: Looks, every: int | None = None) -> list[dict[str, float]]:
    """Memory, identities remembered and milliseconds per decision, for each ``every`` tracklets (a tenth of them)."""
    every = every or max(count // 10, 1)
    associator = OnlineAssociator(CONFIG, topology=line_of_cameras(), gallery_factory=lambda: Gallery(looks.dimensions))
    rows, spent = [], []
    for done, (tracklet, _) in enumerate(station(count, looks), 1):
        began = time.process_time()
        associator.update(tracklet)
        associator.advance(tracklet.as_of_s - 30.0)
        spent.append(time.process_time() - began)
        if done % every == 0:
            ms = 1e3 * np.array(spent)
            row = {"tracklets": done, "memory_mb": resident_mb(), "identities": len(associator)}
            rows.append(row | {"median_ms": float(np.median(ms)), "p95_ms": float(np.quantile(ms, 0.95))})
            print("  ".join(f"{name} {value:,.1f}" for name, value in rows[-1].items()), flush=True)
            spent.clear()
    return rows


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_offline_cost_grows_with_traffic_not_with_its_square():
    looks = replace(Looks(), dimensions=128)
    small, large = offline(2_000, looks), offline(8_000, looks)
    assert small["pair_f1"] > 0.9
    assert large["pair_f1"] > 0.9
    assert large["cpu_s"] < 8 * small["cpu_s"]


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
def test_online_memory_and_decision_time_stay_flat():
    rows = online(12_000, replace(Looks(), dimensions=128))
    settled = rows[2:]
    assert settled[-1]["memory_mb"] < settled[0]["memory_mb"] + 40
    assert settled[-1]["median_ms"] < 1.5 * settled[0]["median_ms"]
    assert settled[-1]["identities"] < 1.5 * settled[0]["identities"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("offline", "online"))
    parser.add_argument("--tracklets", type=int, default=10_000)
    parser.add_argument("--every", type=int, help="online: tracklets between two lines")
    parser.add_argument("--dimensions", type=int, default=Looks().dimensions)
    options = parser.parse_args()
    looks = replace(Looks(), dimensions=options.dimensions)
    if options.mode == "online":
        online(options.tracklets, looks, options.every)
    else:
        print("  ".join(f"{name} {value:,.2f}" for name, value in offline(options.tracklets, looks).items()))


if __name__ == "__main__":
    main()
