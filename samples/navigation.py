"""Where a walker can be and how to get there: a clearance map of the site and shortest paths over it.

Paths come from Dijkstra's algorithm on a grid whose cells near solids cost more, then are pulled straight wherever the
line of sight is free.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from samples.plan import Site
from samples.types import FloatArray, Point

FINE_M, COARSE_M = 0.1, 0.3
HEAD_M = 2.2


class Navigation:
    """Clearance and paths of one site.

    ``clearance(points)`` is the distance in metres from each point to what cannot be walked on, negative inside it.
    """

    def __init__(self, site: Site, body_m: float = 0.32) -> None:
        self.body_m = body_m
        x0, y0, x1, y1 = site.plan.extent_m
        self._origin = np.array([x0, y0])
        self._shape = (int(np.ceil((y1 - y0) / FINE_M)), int(np.ceil((x1 - x0) / FINE_M)))
        free = self._rasterise(site)
        outside = cv2.distanceTransform(1 - free, cv2.DIST_L2, 5)
        self._distance = ((cv2.distanceTransform(free, cv2.DIST_L2, 5) - outside) * FINE_M).astype(np.float64)
        slope_y, slope_x = np.gradient(cv2.GaussianBlur(self._distance, (0, 0), 2.0), FINE_M)
        self._slope = np.stack([slope_x, slope_y], axis=-1)
        self._graph()
        self._trees: dict[Point, npt.NDArray[np.int32]] = {}

    def _rasterise(self, site: Site) -> npt.NDArray[np.uint8]:
        free = np.zeros(self._shape, np.uint8)
        for polygon in site.walkable:
            cv2.fillPoly(free, [self._cells(polygon)], 1)
        for solid in site.plan.solids:
            if solid.base_m < HEAD_M:
                cv2.fillPoly(free, [self._cells(solid.corners_m)], 0)
        return free

    def _cells(self, polygon: tuple[Point, ...]) -> npt.NDArray[np.int32]:
        return np.round((np.asarray(polygon) - self._origin) / FINE_M - 0.5).astype(np.int32)

    def _index(self, points: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        cell = ((np.asarray(points, dtype=np.float64).reshape(-1, 2) - self._origin) / FINE_M).astype(
            np.int64
        )
        return np.clip(cell[:, 1], 0, self._shape[0] - 1), np.clip(cell[:, 0], 0, self._shape[1] - 1)

    def clearance(self, points: FloatArray) -> FloatArray:
        """``(N,)`` metres to the nearest unwalkable thing, negative inside it, for points ``(N, 2)``."""
        found: FloatArray = self._distance[self._index(points)]
        return found

    def slope(self, points: FloatArray) -> FloatArray:
        """``(N, 2)`` direction of growing clearance."""
        found: FloatArray = self._slope[self._index(points)]
        return found

    def sees(self, start: Point, end: Point, body_m: float | None = None) -> bool:
        """Whether one can walk straight from start to end."""
        length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        share = np.linspace(0.0, 1.0, max(2, int(length / (1.5 * FINE_M))))[:, None]
        line = (1 - share) * np.asarray(start) + share * np.asarray(end)
        return bool(self.clearance(line).min() > (self.body_m if body_m is None else body_m))

    def path(self, start: Point, goal: Point) -> list[Point]:
        """Waypoints from start (not included) to goal (included).

        Raises:
            ValueError: no way leads there.
        """
        before = self._tree(goal)
        node, nodes = self._node(start), []
        while before[node] >= 0:
            node = int(before[node])
            nodes.append(node)
        if not nodes and np.hypot(start[0] - goal[0], start[1] - goal[1]) > 2 * COARSE_M:
            raise ValueError(f"no way from {start} to {goal}")
        return self._pulled(start, [self._centre(n) for n in nodes[:-1]] + [goal])

    def _pulled(self, start: Point, points: list[Point]) -> list[Point]:
        """Drop the points that a straight line may skip."""
        kept, here, index = [], start, 0
        while index < len(points):
            low, high = index, len(points) - 1
            while low < high:  # the furthest seen point, by bisection; paths are near-convex between corners
                middle = (low + high + 1) // 2
                low, high = (
                    (middle, high)
                    if self.sees(here, points[middle], self.body_m + 0.08)
                    else (low, middle - 1)
                )
            here, index = points[low], low + 1
            kept.append(here)
        return kept

    def _graph(self) -> None:
        step = round(COARSE_M / FINE_M)
        coarse = self._distance[step // 2 :: step, step // 2 :: step]
        self._coarse_shape = coarse.shape
        ids = np.arange(coarse.size).reshape(coarse.shape)
        cost = np.where(coarse > self.body_m, 1 + 1.6 * np.exp(-(coarse - self.body_m) / 0.35), np.inf)
        rows, columns, weights = [], [], []
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a = ids[: ids.shape[0] - dy, max(0, -dx) : ids.shape[1] - max(0, dx)]
            b = ids[dy:, max(0, dx) : ids.shape[1] + min(0, dx)]
            weight = np.hypot(dy, dx) * 0.5 * (cost.ravel()[a] + cost.ravel()[b])
            open_ = np.isfinite(weight)
            rows.append(a[open_]), columns.append(b[open_]), weights.append(weight[open_])
        data = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
        self._edges = coo_matrix(data, shape=(coarse.size, coarse.size)).tocsr()
        self._open = np.flatnonzero(np.isfinite(cost.ravel()))
        self._open_xy = np.array([self._centre(int(node)) for node in self._open])

    def _centre(self, node: int) -> Point:
        row, column = divmod(node, self._coarse_shape[1])
        step = round(COARSE_M / FINE_M)
        offset = (step // 2 + 0.5) * FINE_M
        return float(self._origin[0] + column * COARSE_M + offset), float(
            self._origin[1] + row * COARSE_M + offset
        )

    def _node(self, point: Point) -> int:
        apart = np.abs(self._open_xy - np.asarray(point)).max(axis=1)
        return int(self._open[int(apart.argmin())])

    def _tree(self, goal: Point) -> npt.NDArray[np.int32]:
        if goal not in self._trees:
            _, before = dijkstra(
                self._edges, directed=False, indices=self._node(goal), return_predecessors=True
            )
            self._trees[goal] = before
        return self._trees[goal]
