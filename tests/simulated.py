"""Tracklets of a site that exists only as numbers: who was where, when, and what they look like is known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tracking.topology import CameraLink, Topology
from tracking.types import Tracklet, TrackletKey

Array = npt.NDArray[np.float64]


def make_tracklet(
    camera: str,
    local_id: int,
    time_s: npt.ArrayLike,
    *,
    ground: npt.ArrayLike | None = None,
    embeddings: npt.ArrayLike | None = None,
    quality: npt.ArrayLike | None = None,
    class_id: int = 0,
    xyxy: npt.ArrayLike | None = None,
    is_final: bool = True,
) -> Tracklet:
    """A tracklet with the given times and, unless told, a box that stands still and no crops."""
    times = np.asarray(time_s, np.float64)
    steps = len(times)
    crops = np.zeros((0, 0), np.float32) if embeddings is None else np.asarray(embeddings, np.float32)
    boxes = np.tile([100.0, 100.0, 150.0, 250.0], (steps, 1)) if xyxy is None else xyxy
    return Tracklet(
        key=TrackletKey(camera, local_id),
        class_id=class_id,
        frame_index=np.arange(steps),
        timestamp_s=times,
        xyxy=boxes,
        confidence=np.ones(steps),
        interpolated=np.zeros(steps, bool),
        ground_xy=None if ground is None else np.asarray(ground, np.float32),
        embeddings=crops,
        embedding_quality=np.ones(len(crops)) if quality is None else quality,
        embedding_timestamp_s=np.linspace(times[0], times[-1], len(crops)),
        as_of_s=float(times[-1]),
        is_final=is_final,
    )


def unit(rows: npt.ArrayLike) -> Array:
    """Rows scaled to length one."""
    values = np.asarray(rows, np.float64)
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True))


@dataclass(frozen=True)
class Looks:
    """How embeddings spread, in parts of the identity's own vector of length one.

    Attributes:
        dimensions: length of an embedding.
        likeness: what all identities share; larger makes strangers alike.
        view_noise: what one passage of a camera adds to all its crops (pose, light).
        crop_noise: what each crop adds.
        camera_bias: what one camera adds to everything it sees.
        outliers: part of the crops that show something else.
    """

    dimensions: int = 64
    likeness: float = 0.5
    view_noise: float = 0.5
    crop_noise: float = 0.4
    camera_bias: float = 0.2
    outliers: float = 0.05


@dataclass(frozen=True)
class Site:
    """Tracklets with truth.

    Attributes:
        tracklets: in order of time.
        truth: which identity each is.
        topology: the real links and windows.
    """

    tracklets: list[Tracklet]
    truth: dict[TrackletKey, int]
    topology: Topology


@dataclass
class _Cameras:
    names: list[str]
    bias: Array
    next_id: list[int] = field(default_factory=list)


def corridor_site(
    seed: int,
    *,
    identities: int = 40,
    cameras: int = 4,
    duration_s: float = 600.0,
    travel_s: tuple[float, float] = (8.0, 20.0),
    stay_s: tuple[float, float] = (4.0, 12.0),
    visits: tuple[int, int] = (2, 6),
    break_rate: float = 0.2,
    crops: int = 6,
    looks: Looks | None = None,
) -> Site:
    """Walkers along a row of cameras, back and forth; a passage breaks in two now and then (an occlusion).

    The camera views do not overlap; the walk from one to the next takes ``travel_s``.
    """
    looks, rng = looks or Looks(), np.random.default_rng(seed)
    names = [f"cam{number:02d}" for number in range(cameras)]
    site = _Cameras(names, looks.camera_bias * _directions(rng, cameras, looks), [1] * cameras)
    everyone = unit(looks.likeness * _directions(rng, 1, looks) + _directions(rng, identities, looks))
    tracklets: list[Tracklet] = []
    truth: dict[TrackletKey, int] = {}
    for identity in range(identities):
        at, time_s = int(rng.integers(cameras)), float(rng.uniform(0, duration_s))
        step = int(rng.choice([-1, 1]))
        for _ in range(int(rng.integers(*visits))):
            until = time_s + float(rng.uniform(*stay_s))
            for part in _passage(rng, time_s, until, break_rate):
                seen = _crops(rng, everyone[identity], site.bias[at], crops, looks)
                tracklets.append(make_tracklet(names[at], site.next_id[at], part, embeddings=seen))
                truth[tracklets[-1].key] = identity
                site.next_id[at] += 1
            step = -step if not 0 <= at + step < cameras else step
            at, time_s = at + step, until + float(rng.uniform(*travel_s))
    links = [
        CameraLink(a, b, *travel_s) for a in names for b in names if abs(names.index(a) - names.index(b)) == 1
    ]
    tracklets.sort(key=lambda tracklet: (tracklet.as_of_s, tracklet.key))
    return Site(tracklets, truth, Topology(tuple(links), closed=True))


def room_site(
    seed: int,
    *,
    identities: int = 8,
    cameras: int = 3,
    duration_s: float = 60.0,
    fps: float = 5.0,
    noise_m: float = 0.15,
    break_rate: float = 0.02,
) -> Site:
    """Walkers in one room that every camera overlooks, all dressed alike: only the ground tells them apart."""
    rng = np.random.default_rng(seed)
    times = np.arange(0.0, duration_s, 1.0 / fps)
    tracklets: list[Tracklet] = []
    truth: dict[TrackletKey, int] = {}
    next_id = dict.fromkeys(range(cameras), 1)
    for identity in range(identities):
        where = _stroll(rng, times)
        for camera in range(cameras):
            cuts = np.flatnonzero(rng.random(len(times)) < break_rate / fps * 5)
            for rows in np.split(np.arange(len(times)), cuts):
                rows = rows[2:]
                if len(rows) < 4:
                    continue
                seen = where[rows] + rng.normal(scale=noise_m, size=(len(rows), 2))
                tracklets.append(make_tracklet(f"cam{camera}", next_id[camera], times[rows], ground=seen))
                truth[tracklets[-1].key] = identity
                next_id[camera] += 1
    tracklets.sort(key=lambda tracklet: (tracklet.as_of_s, tracklet.key))
    return Site(tracklets, truth, Topology())


def _stroll(rng: np.random.Generator, times: Array) -> Array:
    """A smooth path in a 12 x 12 m room."""
    waves, phases = rng.uniform(0.05, 0.35, (2, 3)), rng.uniform(0, 2 * np.pi, (2, 3))
    return np.stack(
        [2.0 * np.sin(np.outer(times, w) + p).sum(axis=1) for w, p in zip(waves, phases, strict=True)], 1
    )


def _directions(rng: np.random.Generator, count: int, looks: Looks) -> Array:
    return unit(rng.normal(size=(count, looks.dimensions)))


def _passage(rng: np.random.Generator, start: float, stop: float, break_rate: float) -> list[Array]:
    times = np.arange(start, stop, 0.2)
    if rng.random() < break_rate and len(times) >= 12:
        middle = len(times) // 2
        return [times[: middle - 2], times[middle + 2 :]]
    return [times]


def _crops(rng: np.random.Generator, who: Array, bias: Array, count: int, looks: Looks) -> Array:
    seen = who + bias + looks.view_noise * _directions(rng, 1, looks)
    rows = seen + looks.crop_noise * _directions(rng, count, looks)
    wrong = rng.random(count) < looks.outliers
    rows[wrong] = _directions(rng, count, looks)[wrong]
    return unit(rows)


def pair_scores(site: Site, trajectories: list[tuple[TrackletKey, ...]]) -> tuple[float, float]:
    """Precision and recall of "these two tracklets are one identity" over all pairs."""
    label = {key: number for number, keys in enumerate(trajectories) for key in keys}
    keys = sorted(site.truth)
    found = np.array([label[key] for key in keys])
    real = np.array([site.truth[key] for key in keys])
    one, other = np.triu_indices(len(keys), 1)
    said, is_so = found[one] == found[other], real[one] == real[other]
    both = np.count_nonzero(said & is_so)
    return both / max(np.count_nonzero(said), 1), both / max(np.count_nonzero(is_so), 1)
