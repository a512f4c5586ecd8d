"""The place without its people: sky, floor, solids, seen once per camera through its lens.

Every sample's undistorted ray is cast against the floor and the solids' faces, so the lens is baked into the picture
and nothing is remapped per frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samples.render import facade, foliage
from samples.render.arrays import Array
from samples.render.lens import NEAR_M, Lens
from samples.render.shading import SKY, SUN, encode, irradiance, sky
from samples.render.sunlight import Sunlight
from samples.render.textures import texture
from samples.types import FloorPlan

SAMPLES = 2  # per pixel and axis
GROUND = np.array([0.20, 0.22, 0.23])


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One flat side of a solid: a wall from ``a`` to ``b`` (outside on the right), or a top or bottom (``b`` is None).

    A tree's crown has balls instead, centre and radius in ``ball``.
    """

    solid: int
    a: Array
    b: Array | None
    low_m: float
    high_m: float
    normal: Array
    ball: Array | None = None

    def seen_from(self, eye: Array) -> bool:
        """Whether the outside can be seen from a point."""
        foot = np.array([*self.a, self.low_m])
        return self.ball is not None or float((eye - foot) @ self.normal) > 0


class Scene:
    """The static picture of one camera.

    Attributes:
        image: ``(H, W, 3)`` uint8.
        ranges_m: ``(4, H, W)`` float32 horizontal distance from the camera of the solid seen by each sample, else inf.
        headings: ``(H, W, 2)`` float32 unit horizontal directions of the pixels' rays.
        floor: ``(H, W)`` float32, the share of a pixel that is floor.
        shadable: ``(H, W)`` float32 in [0, 1], how much sun the floor at a pixel gets; 0 off the floor.
    """

    def __init__(self, plan: FloorPlan, lens: Lens, sunlight: Sunlight) -> None:
        self.plan, self.lens, self.sunlight = plan, lens, sunlight
        width, height = lens.camera.size
        self._grid = (height * SAMPLES, width * SAMPLES)
        self._rays = self._cast_rays()
        self._distance = np.full(self._grid, np.inf, dtype=np.float32)
        self._hit = np.full(self._grid, -2, dtype=np.int32)  # -2 sky, -1 floor, else a face
        self._hit_floor()
        self.faces = [face for index in range(len(plan.solids)) for face in faces_of(plan, index)]
        for index, face in enumerate(self.faces):
            if face.seen_from(lens.centre_m):
                self._hit_face(index, face)
        self._finish()

    def _cast_rays(self) -> Array:
        rows, columns = self._grid
        y, x = np.mgrid[0:rows, 0:columns]
        pixels = np.stack([(x + 0.5) / SAMPLES - 0.5, (y + 0.5) / SAMPLES - 0.5], axis=-1)
        return self.lens.rays(pixels.reshape(-1, 2)).reshape(rows, columns, 3).astype(np.float32)

    def _hit_floor(self) -> None:
        down = self._rays[..., 2] < -1e-4
        self._distance[down] = -self.lens.centre_m[2] / self._rays[..., 2][down]
        self._hit[down] = -1

    def _hit_face(self, index: int, face: Face) -> None:
        window = self._window(face)
        distance = self._meet(face, self._rays[window])
        nearer = (distance > NEAR_M) & (distance < self._distance[window])
        self._distance[window][nearer] = distance[nearer]
        self._hit[window][nearer] = index

    def _meet(self, face: Face, rays: Array) -> Array:
        """Distances along rays ``(h, w, 3)`` to a face, inf where they miss it."""
        eye = self.lens.centre_m.astype(np.float32)
        if face.ball is not None:
            return foliage.meet(face.ball.astype(np.float32), eye, rays)
        with np.errstate(divide="ignore", invalid="ignore"):
            if face.b is None:
                distance = np.float32(face.low_m - eye[2]) / rays[..., 2]
                meets = inside(
                    np.asarray(self.plan.solids[face.solid].corners_m), *_plane_points(rays, distance, eye)
                )
                return np.asarray(np.where(meets, distance, np.float32(np.inf)))
            a, normal = face.a.astype(np.float32), face.normal.astype(np.float32)
            distance = ((a - eye[:2]) @ normal[:2]) / (rays[..., 0] * normal[0] + rays[..., 1] * normal[1])
            edge = ((face.b - face.a) / ((face.b - face.a) @ (face.b - face.a))).astype(np.float32)
            along = distance * (rays[..., 0] * edge[0] + rays[..., 1] * edge[1]) + (eye[:2] - a) @ edge
            z = eye[2] + distance * rays[..., 2]
            meets = (along >= 0) & (along <= 1) & (z >= face.low_m) & (z <= face.high_m)
        return np.asarray(np.where(meets, distance, np.float32(np.inf)))

    def _window(self, face: Face) -> tuple[slice, slice]:
        """Samples among which the part of the face before the camera can lie."""
        points = _before(self.lens, _outline(face, self.plan))
        rows, columns = self._grid
        if len(points) == 0:
            return np.s_[0:0, 0:0]
        pixels, _ = self.lens.project(points)
        low = np.floor((pixels.min(axis=0) - 3) * SAMPLES).astype(int)
        high = np.ceil((pixels.max(axis=0) + 4) * SAMPLES).astype(int)
        return (
            slice(np.clip(low[1], 0, rows), np.clip(high[1], 0, rows)),
            slice(np.clip(low[0], 0, columns), np.clip(high[0], 0, columns)),
        )  # fmt: skip

    def _finish(self) -> None:
        hit, distance = self._hit.reshape(-1), self._distance.reshape(-1)
        rays = self._rays.reshape(-1, 3)
        light = np.empty((len(hit), 3), dtype=np.float32)
        floor_sun = np.zeros(len(hit), dtype=np.float32)
        order = np.argsort(hit, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(hit[order])) + 1):
            index = int(hit[group[0]])
            if index == -2:
                light[group] = encode(skyline(rays[group], self.lens.centre_m))
                continue
            points = self.lens.centre_m + rays[group] * distance[group, None]
            spread = distance[group] / (SAMPLES * self.lens.focal_px[0])
            if index == -1:
                light[group], floor_sun[group] = self._floor_light(points, rays[group], spread)
            else:
                light[group] = self._face_light(self.faces[index], points, rays[group], spread)
        self._store(light, floor_sun, np.where(hit >= 0, distance * np.hypot(rays[:, 0], rays[:, 1]), np.inf))
        del self._rays, self._distance, self._hit

    def _store(self, light: Array, floor_sun: Array, ranges_m: Array) -> None:
        flat = self._pooled(self._rays[..., :2].reshape(-1, 2)).mean(axis=0)
        self.headings = flat / np.maximum(np.linalg.norm(flat, axis=2, keepdims=True), 1e-9)
        self.image = np.clip(self._pooled(light).mean(axis=0) + 0.5, 0, 255).astype(np.uint8)
        self.shadable = np.ascontiguousarray(self._pooled(floor_sun[:, None])[..., 0].mean(axis=0))
        self.floor = np.ascontiguousarray(
            (self._pooled((self._hit == -1).reshape(-1, 1))[..., 0]).mean(axis=0, dtype=np.float32)
        )
        self.ranges_m = np.ascontiguousarray(self._pooled(ranges_m[:, None].astype(np.float32))[..., 0])

    def _pooled(self, values: Array) -> Array:
        """Samples ``(N, C)`` as ``(SAMPLES**2, H, W, C)``."""
        rows, columns = self._grid
        split = values.reshape(rows // SAMPLES, SAMPLES, columns // SAMPLES, SAMPLES, -1)
        stacked = split.transpose(1, 3, 0, 2, 4).reshape(SAMPLES**2, rows // SAMPLES, columns // SAMPLES, -1)
        return np.asarray(stacked)

    def _floor_light(self, points: Array, rays: Array, spread: Array) -> tuple[Array, Array]:
        albedo = np.tile(GROUND, (len(points), 1))
        footprint = spread / np.sqrt(np.maximum(-rays[:, 2], 0.02))
        kind = np.full(len(points), -1)
        for index, patch in enumerate(self.plan.patches):
            kind[_inside_fast(np.asarray(patch.corners_m), points[:, 0], points[:, 1])] = index
        for index in np.unique(kind):
            at = np.flatnonzero(kind == index)
            name = "concrete" if index < 0 else self.plan.patches[index].texture
            colour = GROUND if index < 0 else np.asarray(self.plan.patches[index].colour)
            albedo[at] = colour * texture(name).sample(points[at, 0], points[at, 1], footprint[at])
        albedo *= facade.weather(points[:, 0], points[:, 1])[:, None]
        sun = self.sunlight.at(points)
        up = np.tile([0.0, 0.0, 1.0], (len(points), 1))
        lit = albedo * (
            irradiance(up, self.sunlight.light, sun) - SKY * (1 - self.sunlight.sky(points))[:, None]
        )
        return encode(_hazed(lit, points, self.lens.centre_m)), sun

    def _face_light(self, face: Face, points: Array, rays: Array, spread: Array) -> Array:
        if face.ball is not None:
            return self._leaf_light(face, face.ball, points, spread)
        solid = self.plan.solids[face.solid]
        normals = np.tile(face.normal, (len(points), 1))
        cosine = np.maximum(np.abs(rays @ face.normal), 0.02)
        albedo, gloss = facade.surface(solid, face.a, face.b, points, spread / np.sqrt(cosine))
        outside = points + face.normal * 0.18
        sun = self.sunlight.at(outside)
        openness = self.sunlight.sky(outside + face.normal * 0.15)
        if face.b is not None:
            openness = openness * (1 - 0.30 * np.exp(-(points[:, 2] - 0.0) / 0.35))
        lit = albedo * (irradiance(normals, self.sunlight.light, sun) * (0.35 + 0.65 * openness[:, None]))
        if gloss.any():
            lit = facade.glazed(lit, gloss, rays, normals)
        return encode(_hazed(lit, points, self.lens.centre_m))

    def _leaf_light(self, face: Face, ball: Array, points: Array, spread: Array) -> Array:
        albedo, normals = foliage.leaves(self.plan.solids[face.solid], ball, points, spread)
        low = np.clip((points[:, 2] - face.low_m) / (face.high_m - face.low_m), 0, 1)[:, None]
        lit = albedo * irradiance(normals, self.sunlight.light) * (0.45 + 0.55 * low)
        return encode(_hazed(lit, points, self.lens.centre_m))


def shadow_tone(light: Array) -> Array:
    """Factor ``(3,)`` by which display values of a sunny floor fall in a cast shadow."""
    return np.asarray((SKY / (SKY + SUN * light[2])) ** (0.88 / 2.2))


def skyline(rays: Array, eye: Array) -> Array:
    """Sky with clouds, and far roofs and trees above the horizon."""
    radiance = sky(rays)
    up = np.maximum(rays[:, 2], 0.03)
    clouds = texture("plaster").sample(
        rays[:, 0] / up * 1.1, rays[:, 1] / up * 1.1, np.full(len(rays), 0.05)
    )[:, :1]
    cover = np.clip((clouds - 1.0) * 9, 0, 1) * np.clip(rays[:, 2:3] * 5, 0, 1)
    radiance = radiance * (1 - 0.55 * cover) + 0.55 * cover * 0.85
    azimuth = np.arctan2(rays[:, 1], rays[:, 0])
    blocks = np.floor(azimuth * 17)
    roofs = 0.030 + 0.028 * np.abs(np.sin(blocks * 12.9898)) + 0.004 * np.sin(azimuth * 61)
    trees = (
        0.030
        + 0.012 * np.sin(azimuth * 23)
        + 0.008 * np.sin(azimuth * 71 + 2)
        + 0.004 * np.sin(azimuth * 190)
    )
    slope = rays[:, 2]
    far = np.where((slope < roofs)[:, None], [0.40, 0.37, 0.36], radiance)
    return np.where((slope < trees)[:, None], [0.24, 0.27, 0.22], far)


def faces_of(plan: FloorPlan, index: int) -> list[Face]:
    """Sides, top and, for a raised solid, bottom."""
    solid = plan.solids[index]
    corners = np.asarray(solid.corners_m, dtype=np.float64)
    low, high = solid.base_m, solid.base_m + solid.height_m
    up = np.array([0.0, 0.0, 1.0])
    if foliage.is_crown(solid):
        return [Face(index, corners[0], None, low, high, up, ball) for ball in foliage.balls(solid)]
    faces = [Face(index, corners[0], None, high, high, up)]
    if low > 0:
        faces.append(Face(index, corners[0], None, low, low, -up))
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge = (b - a) / np.linalg.norm(b - a)
        faces.append(Face(index, a, b, low, high, np.array([edge[1], -edge[0], 0.0])))
    return faces


def inside(corners: Array, x: Array, y: Array) -> Array:
    """Which points lie in a polygon (even-odd rule)."""
    crossed = np.zeros(np.shape(x), dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if ay != by:
            crossed ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return crossed


def _inside_fast(corners: Array, x: Array, y: Array) -> Array:
    """Indices of the points in a polygon, looking closely only at those in its bounding box."""
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    near = np.flatnonzero((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))
    return near[inside(corners, x[near], y[near])]


def _plane_points(rays: Array, distance: Array, eye: Array) -> tuple[Array, Array]:
    return eye[0] + distance * rays[..., 0], eye[1] + distance * rays[..., 1]


def _outline(face: Face, plan: FloorPlan) -> Array:
    """Corners ``(K, 3)`` of a face in order, or of a box around a ball."""
    if face.ball is not None:
        reach = 1.2 * face.ball[3] * np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
        return np.asarray(face.ball[:3] + reach)
    if face.b is None:
        corners = np.asarray(plan.solids[face.solid].corners_m)
        return np.column_stack([corners, np.full(len(corners), face.low_m)])
    foot = np.array([face.a, face.b, face.b, face.a])
    return np.column_stack([foot, [face.low_m, face.low_m, face.high_m, face.high_m]])


def _before(lens: Lens, corners: Array) -> Array:
    """Points along the edges between all corners that lie before the camera, dense enough for a curved projection."""
    share = np.linspace(0, 1, 33)[:, None]
    pairs = [(a, b) for i, a in enumerate(corners) for b in corners[:i]]
    points = np.concatenate([a + (b - a) * share for a, b in pairs])
    depth = points @ lens.camera.rotation[2] + lens.camera.translation[2]
    crossings = [_crossing(lens, a, b) for a, b in pairs]
    return np.concatenate([points[depth > NEAR_M], *crossings])


def _crossing(lens: Lens, a: Array, b: Array) -> Array:
    """Where the segment passes just before the camera plane, ``(0 or 1, 3)``."""
    za, zb = (float(p @ lens.camera.rotation[2] + lens.camera.translation[2]) - 1.01 * NEAR_M for p in (a, b))
    return np.empty((0, 3)) if za * zb >= 0 else (a + (b - a) * za / (za - zb))[None]


def _hazed(lit: Array, points: Array, eye: Array) -> Array:
    """Far things fade into the air."""
    distance = np.linalg.norm(points - eye, axis=1)[:, None]
    thin = np.exp(-np.maximum(distance - 15, 0) / 260)
    return np.asarray(lit * thin + np.array([0.62, 0.58, 0.54]) * (1 - thin))
