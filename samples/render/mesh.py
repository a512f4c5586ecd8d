"""Small polygon bodies: rings lofted to tubes, blended between bones, and faces with colour.

Vertices are blended between two bones each (linear blend skinning, Magnenat-Thalmann et al. 1988), which bends knees
and elbows without seams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samples.render.arrays import Array

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A body in its rest pose.

    Attributes:
        vertices: ``(V, 3)`` metres; x forward, y left, z up.
        bones: ``(V, 2)`` indices of the two bones that carry a vertex; ``weights`` ``(V,)`` is the first one's share.
        faces: ``(F, 4)`` vertex indices, counter-clockwise from outside; a triangle repeats its last.
        albedo: ``(F, 3)`` linear BGR; ``gloss`` ``(F,)`` 0 cloth .. 1 glass.
        lift: ``(F,)`` metres by which a face counts as nearer when faces are sorted (decals).
        part: ``(V,)`` which convex part a vertex belongs to, for shadows.
    """

    vertices: Array
    bones: IntArray
    weights: Array
    faces: IntArray
    albedo: Array
    gloss: Array
    lift: Array
    part: IntArray


@dataclass(frozen=True, slots=True)
class Ring:
    """One cross-section of a tube: height, centre, half-widths forward and sideways, and the bones that carry it."""

    z: float
    x: float
    y: float
    rx: float
    ry: float
    bone: int = 0
    other: int = 0
    weight: float = 1.0


def loft(
    rings: Sequence[Ring], sides: int, power: float = 2.0, gloss: float = 0.0, lift: float = 0.0
) -> Mesh:
    """A tube through horizontal rings from the lowest to the highest; ``power`` 2 is an ellipse, more is boxier."""
    angle = 2 * np.pi * np.arange(sides) / sides
    cos, sin = np.cos(angle), np.sin(angle)
    cos = np.sign(cos) * np.abs(cos) ** (2 / power)
    sin = np.sign(sin) * np.abs(sin) ** (2 / power)
    vertices = np.concatenate(
        [np.column_stack([r.x + r.rx * cos, r.y + r.ry * sin, np.full(sides, r.z)]) for r in rings]
    )
    bones = np.repeat([[r.bone, r.other] for r in rings], sides, axis=0)
    weights = np.repeat([r.weight for r in rings], sides)
    faces = tube_faces(len(rings), sides)
    count = len(faces)
    return Mesh(
        vertices, bones, weights, faces, np.ones((count, 3)), np.full(count, gloss), np.full(count, lift),
        np.zeros(len(vertices), dtype=np.int64),
    )  # fmt: skip


def tube_faces(rings: int, sides: int) -> IntArray:
    """Quads ``((rings - 1) * sides, 4)`` between stacked rings, ring by ring."""
    ring, side = np.divmod(np.arange((rings - 1) * sides), sides)
    a, b = ring * sides + side, ring * sides + (side + 1) % sides
    return np.column_stack([a, b, b + sides, a + sides])


def polygons(corners: Array, albedo: Array, gloss: float = 0.0, lift: float = 0.0, bone: int = 0) -> Mesh:
    """Loose quads from ``corners`` ``(F, 4, 3)``, each with its colour ``(F, 3)``."""
    count = len(corners)
    return Mesh(
        corners.reshape(-1, 3), np.full((4 * count, 2), bone), np.ones(4 * count),
        np.arange(4 * count).reshape(-1, 4), np.broadcast_to(albedo, (count, 3)).copy(), np.full(count, gloss),
        np.full(count, lift), np.zeros(4 * count, dtype=np.int64),
    )  # fmt: skip


def painted(mesh: Mesh, albedo: Array) -> Mesh:
    """The mesh in other colours ``(F, 3)`` or ``(3,)``."""
    colours = np.broadcast_to(np.asarray(albedo, dtype=np.float64), (len(mesh.faces), 3)).copy()
    return Mesh(
        mesh.vertices, mesh.bones, mesh.weights, mesh.faces, colours, mesh.gloss, mesh.lift, mesh.part
    )  # fmt: skip


def face_centres(mesh: Mesh) -> Array:
    """Rest-pose centres ``(F, 3)`` of the faces."""
    return np.asarray(mesh.vertices[mesh.faces].mean(axis=1))


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of all; each becomes its own shadow part."""
    starts = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.bones for m in meshes]),
        np.concatenate([m.weights for m in meshes]),
        np.concatenate([m.faces + start for m, start in zip(meshes, starts[:-1], strict=True)]),
        np.concatenate([m.albedo for m in meshes]),
        np.concatenate([m.gloss for m in meshes]),
        np.concatenate([m.lift for m in meshes]),
        np.repeat(np.arange(len(meshes)), [len(m.vertices) for m in meshes]),
    )


def posed(mesh: Mesh, rotations: Array, offsets: Array) -> Array:
    """Vertices ``(V, 3)`` after bones with ``rotations`` ``(B, 3, 3)`` and ``offsets`` ``(B, 3)`` moved them."""
    first, second = mesh.bones[:, 0], mesh.bones[:, 1]
    share = mesh.weights[:, None, None]
    rotation = share * rotations[first] + (1 - share) * rotations[second]
    offset = share[:, :, 0] * offsets[first] + (1 - share[:, :, 0]) * offsets[second]
    return np.asarray(np.einsum("vij,vj->vi", rotation, mesh.vertices) + offset)


def face_normals(vertices: Array, faces: IntArray) -> Array:
    """Unit normals ``(F, 3)`` from the diagonals, which serve quads, triangles and pinched quads alike."""
    corner = vertices[faces]
    d1, d2 = corner[:, 2] - corner[:, 0], corner[:, 3] - corner[:, 1]
    normal = np.empty_like(d1)
    normal[:, 0] = d1[:, 1] * d2[:, 2] - d1[:, 2] * d2[:, 1]
    normal[:, 1] = d1[:, 2] * d2[:, 0] - d1[:, 0] * d2[:, 2]
    normal[:, 2] = d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]
    length = np.sqrt(np.einsum("ij,ij->i", normal, normal))
    return np.asarray(normal / np.maximum(length, 1e-12)[:, None])
