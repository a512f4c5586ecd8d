"""The nouns of the synthetic site, shared by the simulator, the renderer and the truth writers.

World frame: x east, y north, z up, metres; the floor is z = 0. Headings are radians, counter-clockwise
from +x. Colours are BGR floats in [0, 1], linear surface albedo before lighting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Colour = tuple[float, float, float]
Point = tuple[float, float]
FloatArray = npt.NDArray[np.float64]
Pattern = Literal["plain", "stripes", "bands", "checks", "logo", "half"]


@dataclass(frozen=True, slots=True)
class PersonAppearance:
    """How one person looks; fixed for a visit.

    ``height_m`` 1.45..2.0, ``build`` 0.8 (slim) .. 1.3 (stout) scales widths.
    """

    height_m: float
    build: float
    skin: Colour
    hair: Colour
    hair_style: Literal["short", "long", "bun", "bald"]
    top: Colour
    top_pattern: Pattern
    top_accent: Colour
    sleeves: Literal["long", "short"]
    coat: bool
    bottom: Colour
    bottom_kind: Literal["trousers", "shorts", "skirt"]
    shoes: Colour
    bag: Literal["none", "backpack", "shoulder", "hand"]
    bag_colour: Colour
    hat: Literal["none", "cap", "beanie"]
    hat_colour: Colour


@dataclass(frozen=True, slots=True)
class CarAppearance:
    """How one vehicle looks. Lengths in metres."""

    shape: Literal["hatchback", "saloon", "estate", "suv", "van", "pickup", "truck", "bus"]
    paint: Colour
    length_m: float
    width_m: float
    height_m: float
    roof: Colour
    stripe: Colour | None
    roof_rack: bool


@dataclass(frozen=True, slots=True)
class ActorState:
    """One person or car at one instant.

    Attributes:
        actor_id: the global identity of the truth, positive.
        position_m: ``(x, y)`` of the point on the floor midway between the feet (people) or of the box centre (cars).
        heading_rad: where it faces.
        speed_mps: ground speed; 0 is standing (or parked).
        gait_phase: radians, advances with the walked distance; the left leg leads at 0.
        gait_amplitude: 0 standing .. 1 brisk; scales the swing of legs and arms.
        wheel_angle_rad: rolled angle of the wheels (cars).
    """

    actor_id: int
    appearance: PersonAppearance | CarAppearance
    position_m: Point
    heading_rad: float
    speed_mps: float
    gait_phase: float = 0.0
    gait_amplitude: float = 0.0
    wheel_angle_rad: float = 0.0

    @property
    def kind(self) -> Literal["person", "car"]:
        return "person" if isinstance(self.appearance, PersonAppearance) else "car"


@dataclass(frozen=True, slots=True)
class Box3:
    """A solid thing of the site standing on the floor: wall, pillar, kiosk, planter, parked obstacle.

    ``corners_m``: footprint polygon, counter-clockwise; ``height_m`` above the floor from ``base_m``.
    """

    name: str
    corners_m: tuple[Point, ...]
    height_m: float
    colour: Colour
    texture: Literal["plaster", "brick", "concrete", "wood", "metal", "glass", "hedge"] = "plaster"
    base_m: float = 0.0


@dataclass(frozen=True, slots=True)
class FloorPatch:
    """A textured polygon of the floor, later patches over earlier ones."""

    corners_m: tuple[Point, ...]
    texture: Literal["paving", "asphalt", "grass", "tiles", "concrete", "marking", "wood"]
    colour: Colour


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """The static site: floor patches, solid things, and the sun's direction (unit vector towards the light)."""

    patches: tuple[FloorPatch, ...]
    solids: tuple[Box3, ...]
    extent_m: tuple[float, float, float, float]
    light: tuple[float, float, float] = (0.4, -0.5, 0.77)


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera with radial-tangential distortion (OpenCV's five coefficients).

    Attributes:
        intrinsics: ``(3, 3)``; rotation ``(3, 3)`` and translation ``(3,)`` map world to camera.
        distortion: ``(5,)`` k1, k2, p1, p2, k3.
        size: ``(width, height)`` px.
    """

    camera_id: str
    intrinsics: FloatArray
    rotation: FloatArray
    translation: FloatArray
    distortion: FloatArray
    size: tuple[int, int]

    @property
    def centre_m(self) -> FloatArray:
        """Where the camera is, ``(3,)`` world metres."""
        centre: FloatArray = -self.rotation.T @ self.translation
        return centre


@dataclass(frozen=True, slots=True)
class CameraResponse:
    """What a camera does to light and time; its own for every camera, so that camera bias is real.

    White balance gains are BGR. ``clock_offset_s`` and ``drift_ppm`` are what its clock shows against the site's.
    """

    white_balance: Colour = (1.0, 1.0, 1.0)
    exposure: float = 1.0
    gamma: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    blur_px: float = 0.0
    noise: float = 0.0
    vignette: float = 0.0
    crf: int = 23
    fps: float = 10.0
    clock_offset_s: float = 0.0
    drift_ppm: float = 0.0
    drop_rate: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class ActorView:
    """One actor as one rendered frame shows it: exact truth.

    Attributes:
        box_xyxy: ``(4,)`` full box in pixels of the drawn silhouette without occluders, clipped to the frame.
        visible_fraction: drawn pixels left visible by occluders and the border, over all its pixels, in [0, 1].
        ground_m: foot point on the floor.
    """

    actor_id: int
    kind: Literal["person", "car"]
    box_xyxy: FloatArray
    visible_fraction: float
    ground_m: Point
    heading_rad: float


@dataclass(frozen=True, slots=True, eq=False)
class RenderedFrame:
    """A clean (sensor-independent) picture and its truth: ``image`` ``(H, W, 3)`` BGR uint8."""

    image: npt.NDArray[np.uint8]
    views: tuple[ActorView, ...] = field(default=())
