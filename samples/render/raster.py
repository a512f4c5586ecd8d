"""Meshes to pixels: faces sorted from far to near and filled at a multiple of the resolution (painter's algorithm)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from samples.render.arrays import Array
from samples.render.lens import NEAR_M, Lens
from samples.render.mesh import Mesh, face_normals
from samples.render.shading import shade

SHIFT = 4  # fractional bits of the filler's coordinates
FAR_OUTSIDE = 1 << 24
MAX_SIDE_PX = 320  # a patch is drawn at the multiple that brings its longer side near this


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A drawn actor on its own rectangle of the frame, which may reach beyond the frame.

    Attributes:
        left, top: frame pixel of the patch's first pixel.
        colour: ``(h, w, 3)`` float32 display values, already multiplied by alpha.
        alpha: ``(h, w)`` float32 coverage.
        box_xyxy: ``(4,)`` the silhouette's extent in frame pixels, where pixel 0 spans 0 to 1; not clipped.
    """

    left: int
    top: int
    colour: npt.NDArray[np.float32]
    alpha: npt.NDArray[np.float32]
    box_xyxy: Array

    def window(self, size: tuple[int, int]) -> tuple[slice, slice, slice, slice]:
        """Rows and columns of the frame that the patch covers, then the same of the patch."""
        height, width = self.alpha.shape
        x0, y0 = max(self.left, 0), max(self.top, 0)
        x1, y1 = min(self.left + width, size[0]), min(self.top + height, size[1])
        x1, y1 = max(x0, x1), max(y0, y1)
        return (
            slice(y0, y1), slice(x0, x1),
            slice(y0 - self.top, y1 - self.top), slice(x0 - self.left, x1 - self.left),
        )  # fmt: skip


def draw(lens: Lens, mesh: Mesh, vertices_m: Array, light: Array, sunlit: float) -> Patch | None:
    """The mesh with its vertices at ``vertices_m`` ``(V, 3)`` in the world; None if no part can fall into the frame."""
    pixels, depth = lens.project(vertices_m)
    bounds = _bounds(pixels[depth > NEAR_M], lens.camera.size)
    if bounds is None:
        return None
    left, top, width, height = bounds
    kept, colours = _visible_faces(lens, mesh, vertices_m, depth, light, sunlit)
    if len(kept) == 0:
        return None
    scale = int(np.clip(round(MAX_SIDE_PX / max(width, height)), 1, 5))
    canvas = np.zeros((height * scale, width * scale, 4), dtype=np.uint8)
    corners = ((pixels - (left, top) + 0.5) * scale - 0.5) * (1 << SHIFT)
    # Far outside the picture the lens model throws corners anywhere, beyond what an int32 holds.
    corners = np.nan_to_num(corners).clip(-FAR_OUTSIDE, FAR_OUTSIDE)
    _fill(canvas, np.round(corners[kept]).astype(np.int32), colours)
    return _patch(canvas, scale, left, top)


def _bounds(pixels: Array, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The integer rectangle around points, limited to one frame beyond each border; None if it misses the frame."""
    if len(pixels) == 0:
        return None
    low = np.maximum(np.floor(pixels.min(axis=0)) - 1, (-size[0], -size[1])).astype(int)
    high = np.minimum(np.ceil(pixels.max(axis=0)) + 3, (2 * size[0], 2 * size[1])).astype(int)
    if low[0] >= size[0] or low[1] >= size[1] or high[0] <= 0 or high[1] <= 0:
        return None
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def _visible_faces(
    lens: Lens, mesh: Mesh, vertices: Array, depth: Array, light: Array, sunlit: float
) -> tuple[npt.NDArray[np.int64], list[list[float]]]:
    """Faces ``(K, 4)`` towards the camera from far to near, and their display colours with full alpha."""
    normals = face_normals(vertices, mesh.faces)
    towards = vertices[mesh.faces].sum(axis=1) * 0.25 - lens.centre_m
    facing = np.einsum("ij,ij->i", normals, towards) < 0
    at = np.flatnonzero(facing & (depth[mesh.faces].min(axis=1) > NEAR_M))
    distance = np.sqrt(np.einsum("ij,ij->i", towards[at], towards[at]))
    order = np.argsort(mesh.lift[at] - distance, kind="stable")
    at = at[order]
    directions = towards[at] / distance[order][:, None]
    lit = shade(mesh.albedo[at], normals[at], directions, mesh.gloss[at], light, sunlit)
    return mesh.faces[at], np.column_stack([lit, np.full(len(at), 255.0)]).tolist()


def _fill(canvas: npt.NDArray[np.uint8], corners: npt.NDArray[np.int32], colours: list[list[float]]) -> None:
    fill = cv2.fillConvexPoly
    for polygon, colour in zip(corners, colours, strict=True):
        fill(canvas, polygon, colour, 8, SHIFT)


def _patch(canvas: npt.NDArray[np.uint8], scale: int, left: int, top: int) -> Patch | None:
    x, y, w, h = cv2.boundingRect(cv2.extractChannel(canvas, 3))
    if w == 0:
        return None
    box = np.array([x, y, x + w, y + h], dtype=np.float64) / scale + (left, top, left, top)
    if scale > 1:
        size = (canvas.shape[1] // scale, canvas.shape[0] // scale)
        canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    colour = canvas[..., :3].astype(np.float32)
    alpha = canvas[..., 3].astype(np.float32) * np.float32(1 / 255)
    return Patch(left, top, colour, alpha, box)
