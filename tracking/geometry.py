"""From pixels to metres on the floor and back: homographies, calibrated cameras, and how sure a position is.

The ground plane is z = 0 of the site, metres. Equations from Hartley & Zisserman, "Multiple View Geometry",
2nd ed. (homography by the normalised DLT, algorithm 4.2; first-order propagation of covariance, section 5.6)
and the five-coefficient lens of Brown (1966) in the order k1, k2, p1, p2, k3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

__all__ = [
    "Calibration",
    "HomographyFit",
    "LeftOut",
    "calibration_from_dict",
    "fit_homography",
    "foot_points",
    "left_out",
]

Array = npt.NDArray[np.float64]

_LOW_IN_IMAGE = np.array([1000.0, 2000.0, 1.0])
"""A pixel that shows floor if the camera shows any; only the sign of a bare homography depends on it."""


def foot_points(xyxy: npt.ArrayLike) -> Array:
    """Bottom centre ``(N, 2)`` px of boxes ``(N, 4)``."""
    boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
    return np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """One camera over the ground plane.

    Attributes:
        plane: ``(3, 3)`` ground metres (x, y, 1) to undistorted px, homogeneous, scaled so that points in
            front of the camera have a positive third component.
        projection: ``(3, 4)`` world metres to undistorted px, or None when only the plane is known.
        intrinsic: ``(3, 3)``, or None without a lens.
        distortion: ``(5,)`` k1, k2, p1, p2, k3; zeros without a lens.
    """

    plane: Array
    projection: Array | None = None
    intrinsic: Array | None = None
    distortion: Array | None = None

    def __post_init__(self) -> None:
        for name, shape in (
            ("plane", (3, 3)),
            ("projection", (3, 4)),
            ("intrinsic", (3, 3)),
            ("distortion", (5,)),
        ):
            value = getattr(self, name)
            if value is not None and np.shape(value) != shape:
                raise ValueError(f"Calibration.{name}: expected shape {shape}, got {np.shape(value)}")
        if abs(np.linalg.det(self.plane)) < 1e-12 * np.linalg.norm(self.plane) ** 3:
            raise ValueError(
                "Calibration.plane: the ground plane projects onto a line, no position can be read from it"
            )
        if self.distortion is not None and self.intrinsic is None:
            raise ValueError("Calibration: distortion needs the intrinsic matrix")

    @classmethod
    def from_homography(cls, image_to_ground: npt.ArrayLike) -> Calibration:
        """From ``(3, 3)`` px to metres, of either sign: the floor is taken to be low in the image."""
        matrix = np.asarray(image_to_ground, np.float64)
        if matrix.shape != (3, 3):
            raise ValueError(f"homography: expected shape (3, 3), got {matrix.shape}")
        return cls(np.linalg.inv(matrix * np.sign(matrix[2] @ _LOW_IN_IMAGE)))

    @classmethod
    def from_projection(
        cls,
        projection: npt.ArrayLike,
        intrinsic: npt.ArrayLike | None = None,
        distortion: npt.ArrayLike | None = None,
    ) -> Calibration:
        """From a ``(3, 4)`` matrix, world metres to undistorted px, of either sign."""
        matrix = np.asarray(projection, np.float64)
        if matrix.shape != (3, 4):
            raise ValueError(f"projection: expected shape (3, 4), got {matrix.shape}")
        # Depth is positive in front of the camera when the left 3x3 block keeps handedness (H&Z eq. 6.15).
        matrix = matrix * (np.sign(np.linalg.det(matrix[:, :3])) / np.linalg.norm(matrix[2, :3]))
        lens = [None if value is None else np.asarray(value, np.float64) for value in (intrinsic, distortion)]
        return cls(matrix[:, [0, 1, 3]], matrix, lens[0], lens[1])

    @classmethod
    def from_pinhole(
        cls, intrinsic: npt.ArrayLike, extrinsic: npt.ArrayLike, distortion: npt.ArrayLike | None = None
    ) -> Calibration:
        """From ``(3, 3)`` intrinsics and a ``(3, 4)`` or ``(4, 4)`` world-to-camera transform in metres."""
        k, rt = np.asarray(intrinsic, np.float64), np.asarray(extrinsic, np.float64)[:3]
        if k.shape != (3, 3) or rt.shape != (3, 4):
            raise ValueError(
                f"expected intrinsic (3, 3) and extrinsic (3, 4) or (4, 4), got {k.shape} and {rt.shape}"
            )
        lens = None if distortion is None else _five(distortion)
        return cls.from_projection(k @ rt, k, lens)

    def to_ground(self, pixels: npt.ArrayLike) -> Array:
        """Floor positions ``(N, 2)`` metres of ``(N, 2)`` px; NaN above the horizon."""
        rays = _homogeneous(self.undistort(pixels)) @ np.linalg.inv(self.plane).T
        with np.errstate(divide="ignore", invalid="ignore"):
            ground = rays[:, :2] / rays[:, 2:]
        # (x, y, 1) = s * inverse(plane) @ pixel: in front of the camera the scale s is positive.
        return np.where(rays[:, 2:] > 0, ground, np.nan)

    def ground_covariance(self, pixels: npt.ArrayLike, sigma_px: npt.ArrayLike) -> Array:
        """``(N, 2, 2)`` square metres for ``(N, 2)`` px known to ``sigma_px``, ``(N,)`` or ``(N, 2)``."""
        points = np.asarray(pixels, np.float64).reshape(-1, 2)
        sigma = np.asarray(sigma_px, np.float64)
        sigma = np.broadcast_to(sigma[:, None] if sigma.ndim == 1 else sigma, points.shape)
        jacobian = _derivative(self.to_ground, points)
        return np.asarray(np.einsum("nij,nj,nkj->nik", jacobian, sigma**2, jacobian))

    def project(self, world: npt.ArrayLike) -> Array:
        """Pixels ``(N, 2)`` of ``(N, 2)`` floor or ``(N, 3)`` world points in metres; NaN behind the camera.

        Raises:
            ValueError: a point off the floor, with only the plane known.
        """
        points = np.asarray(world, np.float64)
        if points.shape[1] == 2 or (self.projection is None and not points[:, 2].any()):
            image = _homogeneous(points[:, :2]) @ self.plane.T
        elif self.projection is None:
            raise ValueError("project: a homography knows the floor only; heights need a full calibration")
        else:
            image = _homogeneous(points) @ self.projection.T
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = image[:, :2] / image[:, 2:]
        pixels[~(image[:, 2] > 0)] = np.nan
        return self.distort(pixels)

    def distort(self, pixels: npt.ArrayLike) -> Array:
        """Ideal to real pixels ``(N, 2)``."""
        points = np.asarray(pixels, np.float64).reshape(-1, 2)
        if self.intrinsic is None or self.distortion is None:
            return points
        return _pixels(_bend(_rays(points, self.intrinsic), self.distortion), self.intrinsic)

    def undistort(self, pixels: npt.ArrayLike) -> Array:
        """Real to ideal pixels ``(N, 2)``, by Newton's method on the lens equation."""
        points = np.asarray(pixels, np.float64).reshape(-1, 2)
        if self.intrinsic is None or self.distortion is None:
            return points
        bent = _rays(points, self.intrinsic)
        straight = bent.copy()
        for _ in range(20):
            slope = _derivative(partial(_bend, distortion=self.distortion), straight, step=1e-6)
            missing = bent - _bend(straight, self.distortion)
            straight = straight + np.linalg.solve(slope, missing[..., None])[..., 0]
        return _pixels(straight, self.intrinsic)


def _five(distortion: npt.ArrayLike) -> Array:
    values = np.asarray(distortion, np.float64).ravel()
    if len(values) not in (4, 5):
        raise ValueError(f"distortion: expected 4 or 5 coefficients (k1, k2, p1, p2, k3), got {len(values)}")
    return np.pad(values, (0, 5 - len(values)))


def _rays(pixels: Array, intrinsic: Array) -> Array:
    rays = _homogeneous(pixels) @ np.linalg.inv(intrinsic).T
    return np.asarray(rays[:, :2] / rays[:, 2:])


def _pixels(rays: Array, intrinsic: Array) -> Array:
    return np.asarray((_homogeneous(rays) @ intrinsic.T)[:, :2])


def _bend(rays: Array, distortion: Array) -> Array:
    """Brown's lens on normalised coordinates ``(N, 2)``."""
    k1, k2, p1, p2, k3 = distortion
    x, y = rays[:, 0], rays[:, 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    bent_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    bent_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.stack([bent_x, bent_y], axis=1)


def _homogeneous(points: Array) -> Array:
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)


def _derivative(function: Any, points: Array, step: float = 0.5) -> Array:
    """Central differences: ``(N, 2, 2)``, the change of each output (rows) with each input (columns)."""
    columns = [
        (function(points + shift) - function(points - shift)) / (2 * step) for shift in step * np.eye(2)
    ]
    return np.stack(columns, axis=2)


@dataclass(frozen=True, slots=True, eq=False)
class HomographyFit:
    """A homography and how well it explains the points it was made from.

    Attributes:
        image_to_ground: ``(3, 3)`` px to metres.
        residual_m: ``(N,)`` distance of each mapped point from its given position; with four points it is
            zero and says nothing.
        residual_px: ``(N,)`` the same in the image.
    """

    image_to_ground: Array
    residual_m: Array
    residual_px: Array


def fit_homography(image_px: npt.ArrayLike, ground_m: npt.ArrayLike) -> HomographyFit:
    """Least squares on the ground plane from N >= 4 pairs: normalised DLT, then Gauss-Newton on the
    residuals.

    Args:
        image_px: ``(N, 2)`` px.
        ground_m: ``(N, 2)`` metres.

    Raises:
        ValueError: fewer than four pairs, shapes that do not match, or points on one line.
    """
    image, ground = np.asarray(image_px, np.float64), np.asarray(ground_m, np.float64)
    if image.shape != ground.shape or image.ndim != 2 or image.shape[1] != 2:
        raise ValueError(f"expected two (N, 2) arrays, got {image.shape} and {ground.shape}")
    if len(image) < 4:
        raise ValueError(f"a homography needs 4 or more point pairs, got {len(image)}")
    start = _direct_linear(image, ground)
    if len(image) > 4:
        start = _refine(start, image, ground)
    residual_m = np.linalg.norm(_apply(start, image) - ground, axis=1)
    residual_px = np.linalg.norm(_apply(np.linalg.inv(start), ground) - image, axis=1)
    return HomographyFit(_facing(start, image), residual_m, residual_px)


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """What each of N >= 5 pairs says of the others, and they of it.

    Attributes:
        residual_m: ``(N,)`` how far off each pair is when the others alone make the homography: unlike the residuals
            of the fit, which four points always bring to zero, it says what to expect of a place that was not given.
        rest_m: ``(N,)`` root mean square residual of those others. NaN in both where the others lie on one line.
    """

    residual_m: Array
    rest_m: Array

    def suspect(self) -> int | None:
        """The pair without which the others agree, where there is just one; five pairs cannot tell."""
        if len(self.rest_m) < 6 or np.isnan(self.rest_m).all():
            return None
        best, second = np.sort(self.rest_m[np.isfinite(self.rest_m)])[:2]
        return int(np.nanargmin(self.rest_m)) if second > 3 * best + 0.02 else None


def left_out(image_px: npt.ArrayLike, ground_m: npt.ArrayLike) -> LeftOut:
    """Hold each pair of ``(N, 2)`` px and ``(N, 2)`` metres against the homography of the others."""
    image, ground = np.asarray(image_px, np.float64), np.asarray(ground_m, np.float64)
    residual, rest = np.full(len(image), np.nan), np.full(len(image), np.nan)
    for row in range(len(image)):
        others = np.arange(len(image)) != row
        try:
            fit = fit_homography(image[others], ground[others])
        except ValueError:
            continue
        residual[row] = np.linalg.norm(_apply(fit.image_to_ground, image[[row]]) - ground[row])
        rest[row] = np.sqrt(np.mean(np.square(fit.residual_m)))
    return LeftOut(residual, rest)


def _direct_linear(image: Array, ground: Array) -> Array:
    to_unit_image, to_unit_ground = _normaliser(image, "image"), _normaliser(ground, "ground")
    u, x = _apply(to_unit_image, image), _apply(to_unit_ground, ground)
    zeros, ones = np.zeros((len(u), 3)), np.ones((len(u), 1))
    row = np.concatenate([u, ones], axis=1)
    along_x = np.concatenate([row, zeros, -x[:, :1] * row], axis=1)
    along_y = np.concatenate([zeros, row, -x[:, 1:] * row], axis=1)
    equations = np.concatenate([along_x, along_y])
    _, singular, basis = np.linalg.svd(equations)
    if singular[7] < 1e-9 * singular[0]:
        raise ValueError("the points lie on one line (or three of four do): spread them over the floor")
    return np.asarray(np.linalg.inv(to_unit_ground) @ basis[-1].reshape(3, 3) @ to_unit_image)


def _normaliser(points: Array, name: str) -> Array:
    centre = points.mean(axis=0)
    spread = np.linalg.norm(points - centre, axis=1).mean()
    if not spread > 0:
        raise ValueError(f"all {name} points are the same")
    scale = np.sqrt(2) / spread
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])


def _refine(start: Array, image: Array, ground: Array) -> Array:
    scale = np.linalg.norm(start)
    # Entries differ by orders of magnitude (px against metres): solve for relative changes.
    unit = np.where(np.abs(start) > 1e-12 * scale, np.abs(start), scale).ravel()
    solution = scipy.optimize.least_squares(
        lambda change: (_apply(start + (change * unit).reshape(3, 3), image) - ground).ravel(), np.zeros(9)
    )
    return np.asarray(start + (solution.x * unit).reshape(3, 3))


def _apply(matrix: npt.NDArray[Any], points: Array) -> Array:
    mapped = _homogeneous(points) @ matrix.T
    return np.asarray(mapped[:, :2] / mapped[:, 2:])


def _facing(matrix: Array, image: Array) -> Array:
    """Sign and scale so that the given points lie in front of the camera."""
    depth = _homogeneous(image) @ matrix[2]
    if (depth > 0).any() and (depth < 0).any():
        raise ValueError("the point pairs contradict each other: some would lie behind the camera")
    return np.asarray(matrix * np.sign(depth[0]) / np.linalg.norm(matrix[2]))


def calibration_from_dict(plain: Mapping[str, Any]) -> Calibration:
    """Read a camera's calibration from plain numbers, whichever of these it holds.

    * ``homography``: 3x3, px to metres on the floor;
    * ``points``: a list of ``[u_px, v_px, x_m, y_m]``, four or more;
    * ``projection`` (or ``cameraMatrix``): 3x4, world metres to px;
    * ``intrinsics``, ``rotation`` (3x3) and ``translation`` (3), world to camera, with ``distortion`` or without;
    * ``intrinsic`` and ``extrinsic`` (or ``intrinsicMatrix``, ``extrinsicMatrix``; world to camera, 3x4 or
    4x4),
      with ``distortion`` or without.

    A matrix is nested lists, or ``{"shape": {"dims": [{"size": ...}, ...]}, "doubles": [...]}``, and an
    extrinsic may be a list of ``{"from", "tf"}``, of which the first counts.

    Raises:
        ValueError: nothing of the above, or a wrong shape.
    """
    intrinsic = _first(plain, "intrinsics", "intrinsic", "intrinsicMatrix")
    extrinsic = _first(plain, "extrinsics", "extrinsic", "extrinsicMatrix")
    if extrinsic is None and plain.get("rotation") is not None and plain.get("translation") is not None:
        extrinsic = np.column_stack([_matrix(plain["rotation"]), _matrix(plain["translation"]).ravel()])
    if intrinsic is not None and extrinsic is not None:
        lens = None if plain.get("distortion") is None else _matrix(plain["distortion"])
        return Calibration.from_pinhole(_matrix(intrinsic), _matrix(extrinsic), lens)
    projection = _first(plain, "projection", "cameraMatrix")
    if projection is not None:
        return Calibration.from_projection(_matrix(projection))
    if plain.get("homography") is not None:
        return Calibration.from_homography(_matrix(plain["homography"]))
    if plain.get("points") is not None:
        pairs = np.asarray(plain["points"], np.float64).reshape(-1, 4)
        return Calibration.from_homography(fit_homography(pairs[:, :2], pairs[:, 2:]).image_to_ground)
    raise ValueError(
        "calibration: expected homography, points, projection, or intrinsic with extrinsic; got "
        + (", ".join(sorted(plain)) or "nothing")
    )


def _first(plain: Mapping[str, Any], *names: str) -> Any:
    return next((plain[name] for name in names if plain.get(name) is not None), None)


def _matrix(value: Any) -> Array:
    if isinstance(value, Mapping):
        sizes = [int(dim["size"]) for dim in value["shape"]["dims"]]
        return np.asarray(value["doubles"], np.float64).reshape(sizes)
    if isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
        return _matrix(value[0]["tf"])
    return np.asarray(value, np.float64)
