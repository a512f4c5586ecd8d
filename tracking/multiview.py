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

import numpy as np
import numpy.typing as npt

from tracking.births import born, loose_feet, meetings
from tracking.bodies import Appearing, corrected, covered, gains
from tracking.ground import GroundTrack, smooth
from tracking.hypotheses import COST_OF_A_TRACK, Forest, Node, Track, compatible, likeliest
from tracking.types import BoolArray, Detections
from tracking.views import MultiViewConfig, Scan, View, scan_of

__all__ = ["MultiViewConfig", "MultiViewTracker", "View", "drawn", "smoothed"]

Array = npt.NDArray[np.float64]


class MultiViewTracker:
    """Give it every camera's boxes instant by instant; ask for the tracks at the end.

    Args:
        views: by camera id; boxes of other cameras are refused.
        config: beliefs.
    """

    def __init__(self, views: Mapping[str, View], config: MultiViewConfig | None = None) -> None:
        self.config = config or MultiViewConfig()
        self._views = dict(views)
        self._tracks: list[Track] = []
        self._forest = Forest.empty()
        self._ended: list[Track] = []
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
        scans = [scan_of(camera, self._views[camera], found) for camera, found in sorted(detections.items())]
        self._predict(time_s)
        for scan in scans:
            self._branch(scan)
        self._choose(time_s)
        self._begin(time_s, scans)
        self._review(time_s)

    def finish(self) -> tuple[GroundTrack, ...]:
        """Every track that was believed, smoothed, in order of id."""
        return tuple(drawn(person, nodes, self.config) for person, nodes in self.believed().items())

    def believed(self) -> dict[int, tuple[Node, ...]]:
        """By id, ascending, what was decided of every track that was believed, instant by instant up to the last sight."""
        tracks = [track for track in (*self._ended, *self._tracks) if track.global_id is not None]
        return {
            track.global_id or 0: tuple(_seen_nodes(track))
            for track in sorted(tracks, key=lambda track: track.global_id or 0)
        }

    def _predict(self, time_s: float) -> None:
        dt = 0.0 if self._time_s is None else time_s - self._time_s
        self._time_s = time_s
        move, noise = _motion(dt, self.config)
        forest = self._forest
        forest.state = forest.state @ move.T
        forest.doubt = move @ forest.doubt @ move.T + noise
        forest.boxes = [()] * len(forest)
        chosen = {id(track.now) for track in self._tracks}
        forest.main = np.array([id(path[-1]) in chosen for path in forest.path], bool)

    # -- hypotheses -----------------------------------------------------------------------------------

    def _branch(self, scan: Scan) -> None:
        """Every hypothesis either misses in this camera or takes a box near where its body should appear."""
        forest, view = self._forest, self._views[scan.camera]
        if not len(forest):
            return
        seen = Appearing(forest, view)
        detected = self.config.detected * (1.0 - self.config.merged * covered(seen, forest.owner))
        gain, standing = gains(seen, scan, view, detected, self.config)
        missed = np.where(seen.visible, np.log1p(-detected), 0.0)
        total = forest.score[:, None] + np.column_stack([missed, gain])
        rows, columns, main = likeliest(total, forest, self.config.leaves)
        grown = forest.take(rows)
        grown.main = main
        grown.score = total[rows, columns]
        took = np.flatnonzero(columns > 0)
        boxes = columns[took] - 1
        grown.state[took], grown.doubt[took] = corrected(
            seen, rows[took], scan, boxes, standing[rows[took], boxes], self.config
        )
        for row, box in zip(took.tolist(), boxes.tolist(), strict=True):
            grown.boxes[row] = (*grown.boxes[row], (scan.camera, int(scan.index[box])))
        self._forest = grown

    def _choose(self, time_s: float) -> None:
        """One hypothesis per track so that no box of the last instants is used twice; old branches are cut."""
        forest = self._forest
        for row in range(len(forest)):
            node = Node(
                time_s, forest.state[row], forest.doubt[row], forest.boxes[row], float(forest.score[row])
            )
            forest.path[row] = (*forest.path[row], node)
        least = np.array([self._least(track) for track in self._tracks])
        chosen = compatible(forest, least, self.config.min_apart_m) if len(forest) else {}
        keep = np.ones(len(forest), bool)
        for number, track in enumerate(self._tracks):
            if number in chosen:
                self._settle(track, chosen[number], keep)
            else:
                keep[forest.owner == number] = False
                self._ended += [track] if track.global_id is not None else []
        self._forest = forest.take(np.flatnonzero(keep))
        self._forest.owner = np.searchsorted(sorted(chosen), self._forest.owner)
        self._tracks = [track for number, track in enumerate(self._tracks) if number in chosen]

    def _least(self, track: Track) -> float:
        """A score at which a track is better left out; to end one that is believed costs what belief did."""
        settled = track.settled[-1].score if track.settled else 0.0
        return COST_OF_A_TRACK if track.global_id is None else settled - self.config.min_score

    def _settle(self, track: Track, row: int, keep: BoolArray) -> None:
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

    def _begin(self, time_s: float, scans: Sequence[Scan]) -> None:
        """Boxes nobody took start a track where two cameras agree, or where only one camera looks."""
        taken = {box for track in self._tracks for box in track.now.boxes}
        feet = loose_feet(scans, taken, self._views, self.config)
        for group in meetings(feet):
            spread = np.linalg.inv(np.sum([np.linalg.inv(foot.doubt) for foot in group], axis=0))
            where = spread @ np.sum([np.linalg.inv(foot.doubt) @ foot.xy for foot in group], axis=0)
            if (len(group) > 1 or self._views_of(where) < 2) and not self._occupied(where, time_s):
                node = born(time_s, where, spread, group, self.config)
                self._forest.add(len(self._tracks), node)
                self._tracks.append(Track(node, (node,), time_s))

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
                self._name(track)
            if self._is_over(track, time_s):
                self._ended += [track] if track.global_id is not None else []
            else:
                kept.append(number)
        self._tracks = [self._tracks[number] for number in kept]
        forest = self._forest.take(np.flatnonzero(np.isin(self._forest.owner, kept)))
        forest.owner = np.searchsorted(kept, forest.owner)
        self._forest = forest

    def _name(self, track: Track) -> None:
        """Whoever was lost a moment ago, from where one could get here since, is back; anybody else is new."""
        began = (*track.settled, *track.path)[0]
        lost = [(_deviation(other, began, track.now, self.config), number) for number, other in enumerate(self._ended)]
        deviation, number = min(lost, default=(np.inf, 0))
        if deviation > _MAX_DEVIATION:
            track.global_id, self._next_id = self._next_id, self._next_id + 1
            return
        before = self._ended.pop(number)
        track.global_id = before.global_id
        track.settled = [node for node in _seen_nodes(before) if node.time_s < began.time_s] + track.settled

    def _is_over(self, track: Track, time_s: float) -> bool:
        lost = time_s - track.seen_s > self.config.max_lost_s
        astray = float(np.trace(track.now.doubt[:2, :2])) > _MAX_SPREAD_M2
        doubted = track.belief < -self.config.min_score / 2
        return lost or astray or doubted or track.close_for > self.config.scans


def _deviation(lost: Track, began: Node, now: Node, config: MultiViewConfig) -> float:
    """Standard deviations between where somebody is expected who was lost, and where somebody began; or infinity.

    Whoever is back is also as tall as before, as far as that is known ``now``.
    """
    last = _seen_nodes(lost)[-1]
    away_s = began.time_s - last.time_s
    if not 0 < away_s <= config.max_lost_s:
        return float("inf")
    move, noise = _motion(away_s, config)
    spread = (move @ last.doubt @ move.T + noise + began.doubt)[:2, :2]
    away = began.state[:2] - (move @ last.state)[:2]
    taller = now.state[4] - last.state[4]
    squared = taller**2 / (last.doubt[4, 4] + now.doubt[4, 4] + _HEIGHT_SPREAD_M**2)
    return float(np.sqrt(away @ np.linalg.solve(spread, away) + squared))


def _seen_nodes(track: Track) -> list[Node]:
    """Settled and chosen instants up to the last sight."""
    nodes = [*track.settled, *track.path]
    while len(nodes) > 1 and not nodes[-1].boxes:
        nodes.pop()
    return nodes


_MAX_DEVIATION = 3.0

_HEIGHT_SPREAD_M = 0.03
"""What posture and place add to the error of a height, of which the filter knows nothing."""

_MAX_SPREAD_M2 = 4.0
"""Positions known worse than this are no positions."""


def _motion(dt: float, config: MultiViewConfig) -> tuple[Array, Array]:
    """Velocity that is forgotten, height that stays, over ``dt``: transition and noise of (x, y, vx, vy, h).

    The integrated Ornstein-Uhlenbeck process (Singer 1970): whom nobody sees slows down instead of leaving the room.
    """
    memory = config.velocity_memory_s
    kept = float(np.exp(-dt / memory))
    way = memory * (1.0 - kept)
    place_place = memory**2 * (dt - 2.0 * way + 0.5 * memory * (1.0 - kept**2))
    place_speed, speed_speed = 0.5 * way**2, 0.5 * memory * (1.0 - kept**2)
    move, noise = np.eye(5), np.zeros((5, 5))
    for place, speed in ((0, 2), (1, 3)):
        move[place, speed], move[speed, speed] = way, kept
        noise[place, place], noise[speed, speed] = place_place, speed_speed
        noise[place, speed] = noise[speed, place] = place_speed
    return move, noise * config.acceleration_mps2**2


def drawn(person: int, nodes: Sequence[Node], config: MultiViewConfig) -> GroundTrack:
    """A track's positions, smoothed backwards."""
    mean, spread = smoothed(nodes, config)
    times = np.array([node.time_s for node in nodes])
    views = np.array([len(node.boxes) for node in nodes], np.int64)
    return GroundTrack(person, times, mean[:, :2], spread[:, :2, :2], views)


def smoothed(nodes: Sequence[Node], config: MultiViewConfig) -> tuple[Array, Array]:
    """``(T, 5)`` states and ``(T, 5, 5)`` covariances of a track, each knowing of all its instants."""
    mean, spread = np.stack([node.state for node in nodes]), np.stack([node.doubt for node in nodes])
    steps = [_motion(dt, config) for dt in np.diff([node.time_s for node in nodes])]
    return smooth(mean, spread, steps)
