"""Follow people on the ground plane straight from the boxes of several calibrated, overlapping cameras.

In a crowd no single camera keeps identities apart, but together they do: every person is a position, a
velocity and a height on the floor, and every camera's box measures where its middle, its top and its bottom
appear. Which box
belongs to whom is decided jointly over all cameras and the last few instants: each track keeps a tree of
hypotheses, and an integer programme picks one per track so that no box is used twice (track-oriented multiple
hypothesis tracking, Reid 1979 and Poore & Gadaleta 2006; filter per Kalman 1960, linearised, the image
measurement as in Ong et al., "A Bayesian Filter for Multi-View 3D Multi-Object Tracking", TPAMI 2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.optimize
import scipy.sparse

from tracking.geometry import Calibration
from tracking.ground import GroundTrack, smooth
from tracking.types import BoolArray, Detections, IntArray

__all__ = ["MultiViewConfig", "MultiViewTracker", "View"]

Array = npt.NDArray[np.float64]
Box = tuple[str, int]

_COST_OF_A_TRACK = 5.0
"""Head start of a new track, which it loses where leaving it out explains the boxes better."""


@dataclass(frozen=True, slots=True)
class MultiViewConfig:
    """What is believed of people, boxes and cameras. Parts are of a person's height in the image.

    Attributes:
        height_m, height_spread_m: the population.
        acceleration_mps2: how much velocity changes within a second.
        middle_noise, top_noise, bottom_noise: box edges against the body.
        feet_visible: part of the boxes that reach the feet.
        detected: part of the people in full view that are detected.
        clutter: boxes of something else, per person-height squared of image.
        min_score: log-likelihood ratio at which a track is believed; it falls with every miss.
        max_lost_s: a track no camera has seen for longer ends.
        scans: instants a decision may still be changed.
        leaves: hypotheses kept per track.
        min_apart_m: no two people stand closer; the younger of two tracks that stay so is a double.
    """

    height_m: float = 1.65
    height_spread_m: float = 0.12
    acceleration_mps2: float = 1.0
    middle_noise: float = 0.06
    top_noise: float = 0.06
    bottom_noise: float = 0.06
    feet_visible: float = 0.7
    detected: float = 0.95
    clutter: float = 1.0
    min_score: float = 12.0
    max_lost_s: float = 2.0
    scans: int = 4
    leaves: int = 30
    min_apart_m: float = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A camera as the tracker needs it: full calibration and image size in px."""

    calibration: Calibration
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        if self.calibration.projection is None:
            raise ValueError("multi-view tracking needs full calibrations: a homography knows no heights")


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """One camera's boxes at one instant: middle, top and bottom in undistorted px, and what the border cuts off."""

    camera: str
    edges: Array
    cut: BoolArray
    index: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """What one hypothesis said of one instant."""

    time_s: float
    state: Array
    doubt: Array
    boxes: tuple[Box, ...]


@dataclass(slots=True, eq=False)
class _Forest:
    """Hypotheses of all tracks side by side, those of one track together, likeliest first.

    Attributes:
        owner: ``(L,)`` position of the track.
        state: ``(L, 5)`` x, y, vx, vy (metres, seconds) and height; doubt: ``(L, 5, 5)``.
        score: ``(L,)`` log-likelihood ratio since the track began.
        boxes: taken at this instant; path: the last instants.
    """

    owner: IntArray
    state: Array
    doubt: Array
    score: Array
    boxes: list[tuple[Box, ...]]
    path: list[tuple[_Node, ...]]

    def __len__(self) -> int:
        return len(self.owner)

    @classmethod
    def empty(cls) -> _Forest:
        return cls(np.zeros(0, np.int64), np.zeros((0, 5)), np.zeros((0, 5, 5)), np.zeros(0), [], [])

    def take(self, rows: IntArray) -> _Forest:
        return _Forest(
            self.owner[rows],
            self.state[rows],
            self.doubt[rows],
            self.score[rows],
            [self.boxes[row] for row in rows],
            [self.path[row] for row in rows],
        )

    def add(self, owner: int, node: _Node) -> None:
        """A new track's only hypothesis."""
        self.owner = np.append(self.owner, owner)
        self.state = np.concatenate([self.state, node.state[None]])
        self.doubt = np.concatenate([self.doubt, node.doubt[None]])
        self.score = np.append(self.score, _COST_OF_A_TRACK)
        self.boxes.append(node.boxes)
        self.path.append((node,))


@dataclass(slots=True, eq=False)
class _Track:
    """What is settled of one track.

    Attributes:
        now: the chosen hypothesis' latest instant; path: its last instants.
        score: of the chosen hypothesis; belief: what the last instants say for the track being real.
    """

    now: _Node
    path: tuple[_Node, ...]
    seen_s: float
    score: float = _COST_OF_A_TRACK
    belief: float = 0.0
    global_id: int | None = None
    close_for: int = 0
    settled: list[_Node] = field(default_factory=list)


class MultiViewTracker:
    """Give it every camera's boxes instant by instant; ask for the tracks at the end.

    Args:
        views: by camera id; boxes of other cameras are refused.
        config: beliefs.
    """

    def __init__(self, views: Mapping[str, View], config: MultiViewConfig | None = None) -> None:
        self.config = config or MultiViewConfig()
        self._views = dict(views)
        self._tracks: list[_Track] = []
        self._forest = _Forest.empty()
        self._ended: list[_Track] = []
        self._next_id = 1
        self._time_s: float | None = None

    def update(self, time_s: float, detections: Mapping[str, Detections]) -> None:
        """Take the boxes of one instant, by camera; a camera that is missing looked nowhere.

        Raises:
            ValueError: time does not advance, or a camera without a view.
        """
        unknown = sorted(set(detections) - set(self._views))
        if unknown:
            raise ValueError(f"no view given for camera(s): {', '.join(unknown)}")
        if self._time_s is not None and not time_s > self._time_s:
            raise ValueError(f"instant {time_s} s is not after {self._time_s} s")
        scans = [self._scan(camera, found) for camera, found in sorted(detections.items())]
        self._predict(time_s)
        for scan in scans:
            self._branch(scan)
        self._choose(time_s)
        self._begin(time_s, scans)
        self._review(time_s)

    def finish(self) -> tuple[GroundTrack, ...]:
        """Every track that was believed, smoothed, in order of id."""
        tracks = [t for t in (*self._ended, *self._tracks) if t.global_id is not None]
        return tuple(_drawn(t, self.config) for t in sorted(tracks, key=lambda t: t.global_id or 0))

    # -- measurement ----------------------------------------------------------------------------------

    def _scan(self, camera: str, found: Detections) -> _Scan:
        view = self._views[camera]
        boxes = found.xyxy.astype(np.float64)
        keep = _one_box_per_head(boxes)
        boxes = boxes[keep]
        middle = (boxes[:, 0] + boxes[:, 2]) / 2
        top = view.calibration.undistort(np.stack([middle, boxes[:, 1]], axis=1))
        bottom = view.calibration.undistort(np.stack([middle, boxes[:, 3]], axis=1))
        edges = np.stack([(top[:, 0] + bottom[:, 0]) / 2, top[:, 1], bottom[:, 1]], axis=1)
        margin = 0.01
        cut = np.stack(
            [
                (boxes[:, 0] < margin * view.width_px) | (boxes[:, 2] > (1 - margin) * view.width_px),
                boxes[:, 1] < margin * view.height_px,
                boxes[:, 3] > (1 - margin) * view.height_px,
            ],
            axis=1,
        )
        return _Scan(camera, edges, cut, keep)

    def _predict(self, time_s: float) -> None:
        dt = 0.0 if self._time_s is None else time_s - self._time_s
        self._time_s = time_s
        move, noise = _motion(dt, self.config.acceleration_mps2)
        forest = self._forest
        forest.state = forest.state @ move.T
        forest.doubt = move @ forest.doubt @ move.T + noise
        forest.boxes = [()] * len(forest)

    # -- hypotheses -----------------------------------------------------------------------------------

    def _branch(self, scan: _Scan) -> None:
        """Every hypothesis either misses in this camera or takes a box near where its body should appear."""
        forest, view = self._forest, self._views[scan.camera]
        if not len(forest):
            return
        seen = _Appearing(forest, view)
        detected = self.config.detected * (1.0 - _hidden(seen, forest.owner))
        gain, standing = _gains(seen, scan, view, detected, self.config)
        missed = np.where(seen.visible, np.log1p(-detected), 0.0)
        total = forest.score[:, None] + np.column_stack([missed, gain])
        chosen = {id(track.now) for track in self._tracks}
        rows, columns = _best(total, forest, self.config.leaves, chosen)
        grown = forest.take(rows)
        grown.score = total[rows, columns]
        took = np.flatnonzero(columns > 0)
        boxes = columns[took] - 1
        grown.state[took], grown.doubt[took] = _corrected(
            seen, rows[took], scan, boxes, standing[rows[took], boxes], self.config
        )
        for row, box in zip(took.tolist(), boxes.tolist(), strict=True):
            grown.boxes[row] = (*grown.boxes[row], (scan.camera, int(scan.index[box])))
        self._forest = grown

    def _choose(self, time_s: float) -> None:
        """One hypothesis per track so that no box of the last instants is used twice; old branches are cut."""
        forest = self._forest
        for row in range(len(forest)):
            node = _Node(time_s, forest.state[row], forest.doubt[row], forest.boxes[row])
            forest.path[row] = (*forest.path[row], node)
        optional = np.array([track.global_id is None for track in self._tracks], bool)
        chosen = _compatible(forest, optional) if len(forest) else {}
        keep = np.ones(len(forest), bool)
        for number, track in enumerate(self._tracks):
            if number in chosen:
                self._settle(track, chosen[number], keep)
            else:
                keep[forest.owner == number] = False
        self._forest = forest.take(np.flatnonzero(keep))
        self._forest.owner = np.searchsorted(sorted(chosen), self._forest.owner)
        self._tracks = [track for number, track in enumerate(self._tracks) if number in chosen]

    def _settle(self, track: _Track, row: int, keep: BoolArray) -> None:
        """Follow the chosen hypothesis; what disagrees with it about the oldest instant goes."""
        forest = self._forest
        gained = float(forest.score[row]) - track.score
        track.score, track.path, track.now = float(forest.score[row]), forest.path[row], forest.path[row][-1]
        track.belief = min(track.belief + gained, 3 * self.config.min_score)
        track.seen_s = track.now.time_s if track.now.boxes else track.seen_s
        if len(track.path) > self.config.scans:
            root = track.path[0]
            track.settled.append(root)
            track.path = track.path[1:]
            for other in np.flatnonzero(forest.owner == forest.owner[row]):
                keep[other] = forest.path[other][0] is root
                forest.path[other] = forest.path[other][1:]

    def _begin(self, time_s: float, scans: Sequence[_Scan]) -> None:
        """Boxes nobody took start a track where two cameras agree, or where only one camera looks."""
        taken = {box for track in self._tracks for box in track.now.boxes}
        feet = _loose_feet(scans, taken, self._views, self.config)
        for group in _meetings(feet):
            spread = np.linalg.inv(np.sum([np.linalg.inv(foot.doubt) for foot in group], axis=0))
            where = spread @ np.sum([np.linalg.inv(foot.doubt) @ foot.xy for foot in group], axis=0)
            if (len(group) > 1 or self._views_of(where) < 2) and not self._occupied(where, time_s):
                node = _born(time_s, where, spread, group, self.config)
                self._forest.add(len(self._tracks), node)
                self._tracks.append(_Track(node, (node,), time_s))

    def _occupied(self, where: Array, time_s: float) -> bool:
        here = [track.now.state[:2] for track in self._tracks if track.seen_s == time_s]
        return any(np.linalg.norm(place - where) < 2 * self.config.min_apart_m for place in here)

    def _views_of(self, where: Array) -> int:
        """How many cameras see a person's middle at a place."""
        point = np.array([[*where, self.config.height_m / 2]])
        return sum(
            bool(np.isfinite(px).all() and 0 <= px[0] <= view.width_px and 0 <= px[1] <= view.height_px)
            for view in self._views.values()
            for px in view.calibration.project(point)
        )

    def _review(self, time_s: float) -> None:
        """Believe, doubt and end tracks."""
        kept: list[int] = []
        for number, track in enumerate(self._tracks):
            place = track.now.state[:2]
            others = [self._tracks[other].now.state[:2] for other in kept]
            near = any(np.linalg.norm(place - other) < self.config.min_apart_m for other in others)
            track.close_for = track.close_for + 1 if near else 0
            if track.global_id is None and track.settled and track.belief >= self.config.min_score:
                track.global_id, self._next_id = self._next_id, self._next_id + 1
            if self._is_over(track, time_s):
                self._ended += [track] if track.global_id is not None else []
            else:
                kept.append(number)
        self._tracks = [self._tracks[number] for number in kept]
        forest = self._forest.take(np.flatnonzero(np.isin(self._forest.owner, kept)))
        forest.owner = np.searchsorted(kept, forest.owner)
        self._forest = forest

    def _is_over(self, track: _Track, time_s: float) -> bool:
        lost = time_s - track.seen_s > self.config.max_lost_s
        astray = float(np.trace(track.now.doubt[:2, :2])) > _MAX_SPREAD_M2
        doubted = track.belief < -self.config.min_score / 2
        return lost or astray or doubted or track.close_for > self.config.scans


_MAX_SPREAD_M2 = 4.0
"""Positions known worse than this are no positions."""


def _one_box_per_head(boxes: Array) -> IntArray:
    """Of boxes that share their top and middle (a body and its upper half), the largest stays."""
    height = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
    order = np.argsort(-height, kind="stable")
    kept: list[int] = []
    for row in order:
        u, top = (boxes[row, 0] + boxes[row, 2]) / 2, boxes[row, 1]
        width = boxes[row, 2] - boxes[row, 0]
        same = [
            other
            for other in kept
            if abs((boxes[other, 0] + boxes[other, 2]) / 2 - u) < 0.25 * width
            and abs(boxes[other, 1] - top) < 0.25 * width
            and (boxes[other, 2] - boxes[other, 0]) < 2.0 * width
        ]
        if not same:
            kept.append(int(row))
    return np.array(sorted(kept), np.int64)


def _motion(dt: float, acceleration: float) -> tuple[Array, Array]:
    """Constant velocity and height over ``dt``: transition and noise of (x, y, vx, vy, h)."""
    move = np.eye(5)
    move[0, 2] = move[1, 3] = dt
    noise = np.zeros((5, 5))
    for place, speed in ((0, 2), (1, 3)):
        noise[place, place] = dt**3 / 3
        noise[place, speed] = noise[speed, place] = dt**2 / 2
        noise[speed, speed] = dt
    return move, noise * acceleration**2


class _Appearing:
    """Where the bodies of a forest should appear in one camera, in units of their own image height.

    Attributes:
        edges: ``(L, 3)`` px, middle, top and bottom.
        slope: ``(L, 3, 5)`` their change with the state, per image height.
        size: ``(L,)`` image height, px.
        spread: ``(L, 3, 3)`` their covariance without box noise.
        visible: ``(L,)`` bool.
    """

    def __init__(self, forest: _Forest, view: View) -> None:
        self.forest = forest
        self.edges, slope = _project_body(forest.state, np.asarray(view.calibration.projection))
        self.size = np.maximum(np.nan_to_num(self.edges[:, 2] - self.edges[:, 1]), 1.0)
        inside = (self.edges[:, 0] > 0) & (self.edges[:, 0] < view.width_px)
        inside &= (self.edges[:, 1] < 0.95 * view.height_px) & (self.edges[:, 2] > 0)
        self.visible = inside & (self.size > 8)
        self.slope = np.nan_to_num(slope / self.size[:, None, None])
        self.spread = self.slope @ forest.doubt @ self.slope.transpose(0, 2, 1)


def _project_body(state: Array, projection: Array) -> tuple[Array, Array]:
    """Middle column, top row and bottom row ``(L, 3)`` px of bodies, and their derivatives ``(L, 3, 5)``."""
    count = len(state)
    edges, slope = np.full((count, 3), np.nan), np.zeros((count, 3, 5))
    for which, (part, row) in enumerate(((0.5, 0), (1.0, 1), (0.0, 1))):
        world = np.column_stack([state[:, :2], part * state[:, 4], np.ones(count)])
        image = world @ projection.T
        ahead = image[:, 2] > 0.1
        depth = np.where(ahead, image[:, 2], np.nan)
        edges[:, which] = image[:, row] / depth
        for column, axis, scale in ((0, 0, 1.0), (1, 1, 1.0), (4, 2, part)):
            change = projection[row, axis] - edges[:, which] * projection[2, axis]
            slope[:, which, column] = scale * change / depth
    return edges, slope


def _hidden(seen: _Appearing, owner: IntArray) -> Array:
    """``(L,)`` part of each body that the likeliest body of a nearer track stands before, 0..0.8."""
    names, first = np.unique(owner, return_index=True)
    middle, bottom, size = seen.edges[first, 0], seen.edges[first, 2], seen.size[first]
    with np.errstate(invalid="ignore"):
        apart = np.abs(seen.edges[:, 0, None] - middle) / (0.35 * np.minimum(seen.size[:, None], size))
        nearer = (bottom > seen.edges[:, 2, None]) & (owner[:, None] != names) & seen.visible[first]
    cover = np.where(nearer, np.clip(1.0 - np.nan_to_num(apart, nan=1.0), 0.0, 1.0), 0.0)
    return np.asarray(np.minimum(cover.max(axis=1, initial=0.0), 0.8))


_GATE = 12.0
_UNKNOWN = 1e4


def _gains(
    seen: _Appearing, scan: _Scan, view: View, detected: Array, config: MultiViewConfig
) -> tuple[Array, BoolArray]:
    """``(L, M)`` log-likelihood ratio of each body having made each box, -inf out of reach; and if it shows feet."""
    noise = _noise(scan, config)
    away = (scan.edges - seen.edges[:, None]) / seen.size[:, None, None]
    a, c = seen.spread[:, None, 0, 0] + noise[:, 0], seen.spread[:, None, 1, 1] + noise[:, 1]
    b = seen.spread[:, None, 0, 1]
    area = a * c - b * b
    squared = (c * away[..., 0] ** 2 - 2 * b * away[..., 0] * away[..., 1] + a * away[..., 1] ** 2) / area
    looks = (
        np.log(detected)[:, None] - 0.5 * squared - 0.5 * np.log(area) - np.log(2 * np.pi * config.clutter)
    )
    feet, standing = _feet(seen, scan, view, away[..., 2], seen.spread[:, None, 2, 2] + noise[:, 2], config)
    with np.errstate(invalid="ignore"):
        near = seen.visible[:, None] & (squared < _GATE)
    return np.where(near, looks + feet, -np.inf), standing


def _noise(scan: _Scan, config: MultiViewConfig) -> Array:
    """``(M, 3)`` variance of each edge in parts of the body's height; an edge at the border may be anywhere."""
    edge = np.array([config.middle_noise, config.top_noise, config.bottom_noise])
    return np.asarray((edge * np.where(scan.cut, 4.0, 1.0)) ** 2)


def _feet(
    seen: _Appearing, scan: _Scan, view: View, away: Array, variance: Array, config: MultiViewConfig
) -> tuple[Array, BoolArray]:
    """Log-likelihood ratio of the bottom edges, and whether each is likelier the feet than an occluder's edge."""
    reaching = config.feet_visible * np.exp(-0.5 * away**2 / variance) / np.sqrt(2 * np.pi * variance)
    cut = scan.cut[None, :, 2]
    standing = (reaching > 1.0 - config.feet_visible) & ~cut
    below = seen.edges[:, 2, None] > 0.97 * view.height_px
    when_cut = np.where(below, 0.0, np.log(1.0 - config.feet_visible))
    return np.where(cut, when_cut, np.log(reaching + 1.0 - config.feet_visible)), standing


def _corrected(
    seen: _Appearing,
    rows: IntArray,
    scan: _Scan,
    boxes: IntArray,
    standing: BoolArray,
    config: MultiViewConfig,
) -> tuple[Array, Array]:
    """States ``(K, 5)`` and covariances ``(K, 5, 5)`` of bodies ``rows`` after they took ``boxes``."""
    variance = _noise(scan, config)[boxes]
    variance[~standing, 2] = _UNKNOWN
    away = (scan.edges[boxes] - seen.edges[rows]) / seen.size[rows, None]
    doubt, slope = seen.forest.doubt[rows], seen.slope[rows]
    spread = seen.spread[rows] + variance[:, :, None] * np.eye(3)
    gain = np.linalg.solve(spread, slope @ doubt).transpose(0, 2, 1)
    state = seen.forest.state[rows] + np.einsum("kij,kj->ki", gain, away)
    left = doubt - gain @ slope @ doubt
    return state, (left + left.transpose(0, 2, 1)) / 2


def _best(total: Array, forest: _Forest, count: int, chosen: set[int]) -> tuple[IntArray, IntArray]:
    """The likeliest continuations of each track: row of the hypothesis, and column (0 = miss, 1 + box).

    What was chosen last stays, with no box at this instant: those of all tracks agree, so there is always a
    way.
    """
    rows, columns = np.nonzero(np.isfinite(total))
    order = np.lexsort((columns, rows, -total[rows, columns], forest.owner[rows]))
    rows, columns = rows[order], columns[order]
    owner = forest.owner[rows]
    rank = np.arange(len(rows)) - np.searchsorted(owner, owner)
    way_out = np.array(
        [id(path[-1]) in chosen and not boxes for path, boxes in zip(forest.path, forest.boxes, strict=True)]
    )
    kept = (rank < count) | (way_out[rows] & (columns == 0))
    return rows[kept], columns[kept]


def _compatible(forest: _Forest, optional: BoolArray) -> dict[int, int]:
    """The likeliest choice of hypotheses in which no box is used twice, by track; optional tracks may be left
    out.

    Args:
        optional: ``(tracks,)`` bool; their scores count from the cost of a new track.
    """
    score = forest.score - np.where(optional, _COST_OF_A_TRACK, 0.0)[forest.owner]
    first = np.unique(forest.owner, return_index=True)[1]
    used = [box for row in first for box in _claims(forest, row)]
    if len(set(used)) == len(used) and (score[first] > 0).all():
        return {int(forest.owner[row]): int(row) for row in first}
    number: dict[tuple[float, Box], int] = {}
    pairs = [
        (number.setdefault(box, len(number)), row)
        for row in range(len(forest))
        for box in _claims(forest, row)
    ]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    count = len(forest)
    one_each = scipy.sparse.csr_array((np.ones(count), (forest.owner, np.arange(count))))
    once = scipy.sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(max(len(number), 1), count))
    solution = scipy.optimize.milp(
        -score,
        integrality=np.ones(count),
        bounds=scipy.optimize.Bounds(0, 1),
        constraints=[
            scipy.optimize.LinearConstraint(one_each, np.where(optional, 0, 1), 1),
            scipy.optimize.LinearConstraint(once, -np.inf, 1),
        ],
    )
    if solution.x is None:
        raise RuntimeError(f"no consistent choice among {count} hypotheses: {solution.message}")
    return {int(forest.owner[row]): int(row) for row in np.flatnonzero(solution.x > 0.5)}


def _claims(forest: _Forest, row: int) -> list[tuple[float, Box]]:
    return [(node.time_s, box) for node in forest.path[row] for box in node.boxes]


@dataclass(frozen=True, slots=True, eq=False)
class _Foot:
    camera: str
    box: int
    xy: Array
    doubt: Array


def _loose_feet(
    scans: Sequence[_Scan], taken: set[Box], views: Mapping[str, View], config: MultiViewConfig
) -> list[_Foot]:
    """Floor positions of boxes nobody took, whose height is a person's and whose feet are in the picture."""
    feet = []
    for scan in scans:
        calibration = views[scan.camera].calibration
        plane = np.linalg.inv(calibration.plane)
        for row in range(len(scan.edges)):
            if (scan.camera, int(scan.index[row])) in taken or scan.cut[row, 2]:
                continue
            middle, top, bottom = scan.edges[row]
            ray = plane @ np.array([middle, bottom, 1.0])
            if not ray[2] > 0:
                continue
            where = ray[:2] / ray[2]
            tall = np.array(
                [config.height_m - 4 * config.height_spread_m, config.height_m + 4 * config.height_spread_m]
            )
            bodies = np.array([[*where, 0.0, 0.0, height] for height in tall])
            low, high = _project_body(bodies, np.asarray(calibration.projection))[0][:, 1]
            if np.isfinite([low, high]).all() and high < top < low:
                size = bottom - top
                sigma = np.array([[config.middle_noise * size, config.bottom_noise * size]])
                doubt = calibration.ground_covariance(calibration.distort([[middle, bottom]]), sigma)[0]
                if np.trace(doubt) < 4.0:
                    feet.append(_Foot(scan.camera, int(scan.index[row]), where, doubt + 0.01 * np.eye(2)))
    return feet


def _meetings(feet: Sequence[_Foot]) -> list[list[_Foot]]:
    """Groups of feet, at most one per camera, that agree within their covariance; surest first."""
    groups: list[list[_Foot]] = []
    for foot in sorted(feet, key=lambda foot: float(np.trace(foot.doubt))):
        for group in groups:
            away = foot.xy - group[0].xy
            if all(other.camera != foot.camera for other in group) and (
                away @ np.linalg.solve(foot.doubt + group[0].doubt, away) < 6.0
            ):
                group.append(foot)
                break
        else:
            groups.append([foot])
    return groups


def _born(
    time_s: float, where: Array, spread: Array, group: Sequence[_Foot], config: MultiViewConfig
) -> _Node:
    state = np.array([*where, 0.0, 0.0, config.height_m])
    doubt = np.zeros((5, 5))
    doubt[:2, :2] = spread + 0.01 * np.eye(2)
    doubt[2:, 2:] = np.diag([1.0, 1.0, config.height_spread_m**2])
    return _Node(time_s, state, doubt, tuple((foot.camera, foot.box) for foot in group))


def _drawn(track: _Track, config: MultiViewConfig) -> GroundTrack:
    """Settled and chosen instants up to the last sight, smoothed backwards."""
    nodes = [*track.settled, *track.path]
    while len(nodes) > 1 and not nodes[-1].boxes:
        nodes.pop()
    times = np.array([node.time_s for node in nodes])
    mean, spread = np.stack([node.state for node in nodes]), np.stack([node.doubt for node in nodes])
    steps = [_motion(dt, config.acceleration_mps2) for dt in np.diff(times)]
    mean, spread = smooth(mean, spread, steps)
    views = np.array([len(node.boxes) for node in nodes], np.int64)
    return GroundTrack(track.global_id or 0, times, mean[:, :2], spread[:, :2, :2], views)
