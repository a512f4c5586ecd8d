"""Pictures of the site with their exact truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samples.render import gait
from samples.render.arrays import Array
from samples.render.figure import figure
from samples.render.lens import Lens
from samples.render.mesh import Mesh, posed
from samples.render.raster import Patch, draw
from samples.render.scene import Scene
from samples.render.shadow import Shadows
from samples.render.sunlight import Sunlight
from samples.render.vehicle import vehicle, wheel_bones
from samples.types import (
    ActorState,
    ActorView,
    Camera,
    CarAppearance,
    FloorPlan,
    PersonAppearance,
    RenderedFrame,
)

Mask = npt.NDArray[np.float32]


@dataclass(slots=True, eq=False)
class _Drawn:
    """An actor on its way into the frame: its patch and how much of each pixel it still shows."""

    state: ActorState
    patch: Patch
    window: tuple[slice, slice, slice, slice]
    ranges_m: Mask | np.float32
    seen: Mask


class Renderer:
    """Renders one camera of one site. The static scene is drawn once, at construction.

    ``seed`` is part of the interface for scenes that want chance; the picture depends on the plan, the camera and the
    states alone.
    """

    def __init__(self, plan: FloorPlan, camera: Camera, seed: int = 0) -> None:
        self.camera = camera
        self.seed = seed
        self.lens = Lens(camera)
        self.sunlight = Sunlight(plan)
        self.scene = Scene(plan, self.lens, self.sunlight)
        self.shadows = Shadows(self.lens, self.sunlight.light, self.scene.floor, self.scene.shadable)

    def render(self, states: Sequence[ActorState]) -> RenderedFrame:
        """The picture of one instant, and a view of every actor whose silhouette reaches into the frame."""
        near = [state for state in states if self._may_show(state)]
        bodies = [(state, *body_of(state, self._detail(state))) for state in near]
        bodies = sorted(bodies, key=lambda body: -self._range(body[0]))
        image = self.scene.image.copy()
        self.shadows.cast(image, bodies)
        nearest: Mask = np.full(image.shape[:2], np.inf, dtype=np.float32)
        drawn: list[_Drawn] = []
        for state, mesh, vertices in bodies:
            one = self._draw(state, mesh, vertices, nearest)
            if one is not None:
                self._compose(image, nearest, one, drawn)
                drawn.append(one)
        views = tuple(self._view(one) for one in drawn)
        return RenderedFrame(image, tuple(sorted(views, key=lambda view: view.actor_id)))

    def _may_show(self, state: ActorState) -> bool:
        """Whether the actor or its shadow can reach into the frame."""
        a = state.appearance
        length = 0.8 if isinstance(a, PersonAppearance) else a.length_m
        reach = 0.5 * length + 0.5 * a.height_m * (1 + float(np.hypot(*self.shadows.shear)))
        middle = np.array(
            [*(np.asarray(state.position_m) - 0.5 * a.height_m * self.shadows.shear), 0.5 * a.height_m]
        )
        return self.lens.sees(middle, reach + 0.3)

    def _range(self, state: ActorState) -> float:
        return float(np.hypot(*(np.asarray(state.position_m) - self.lens.centre_m[:2])))

    def _detail(self, state: ActorState) -> int:
        """How finely to build a person at this distance."""
        height_px = 1.7 * self.lens.focal_px[0] / max(self._range(state), 0.5)
        return 0 if height_px < 70 else 1 if height_px < 160 else 2

    def _draw(self, state: ActorState, mesh: Mesh, vertices: Array, nearest: Mask) -> _Drawn | None:
        patch = draw(self.lens, mesh, vertices, self.sunlight.light, self._sun_on(state))
        if patch is None:
            return None
        window = patch.window(self.camera.size)
        rows, columns, inner_rows, inner_columns = window
        alpha = patch.alpha[inner_rows, inner_columns]
        if alpha.max(initial=0) <= 0.5:
            return None
        ranges_m = self._ranges(state, rows, columns)
        solids = self.scene.ranges_m[:, rows, columns]
        clear = (solids > ranges_m).mean(axis=0, dtype=np.float32) * (nearest[rows, columns] > ranges_m)
        return _Drawn(state, patch, window, ranges_m, alpha * clear)

    def _sun_on(self, state: ActorState) -> float:
        """The share of an actor that the sun reaches past the solids."""
        wide = 0.15 if state.kind == "person" else 0.7
        offsets = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]) * wide
        points = [
            (state.position_m[0] + dx, state.position_m[1] + dy, z)
            for dx, dy in offsets
            for z in (0.5, 1.1, 1.6)
        ]
        return float(self.sunlight.at(np.array(points)).mean())

    def _ranges(self, state: ActorState, rows: slice, columns: slice) -> Mask | np.float32:
        """Horizontal distances at which pixels meet the actor: one for a person, per pixel for the long box of a car."""
        if isinstance(state.appearance, PersonAppearance):
            distance: np.float32 = np.float32(self._range(state))
            return distance
        return self._box_ranges(state, state.appearance, rows, columns)

    def _box_ranges(self, state: ActorState, car: CarAppearance, rows: slice, columns: slice) -> Mask:
        """Where each pixel's vertical plane enters the car's footprint (the slab test of Kay and Kajiya, 1986)."""
        heading = self.scene.headings[rows, columns]
        c, s = np.cos(state.heading_rad), np.sin(state.heading_rad)
        offset = self.lens.centre_m[:2] - np.asarray(state.position_m)
        origin = np.array([c * offset[0] + s * offset[1], -s * offset[0] + c * offset[1]], dtype=np.float32)
        enter = np.full(heading.shape[:2], 0.0, dtype=np.float32)
        for axis, (toward, half) in enumerate((
            (c * heading[..., 0] + s * heading[..., 1], 0.5 * car.length_m),
            (-s * heading[..., 0] + c * heading[..., 1], 0.5 * car.width_m),
        )):  # fmt: skip
            safe = np.where(np.abs(toward) < 1e-6, np.float32(1e-6), toward).astype(np.float32)
            enter = np.maximum(enter, np.minimum((-half - origin[axis]) / safe, (half - origin[axis]) / safe))
        farthest = np.float32(self._range(state) + 0.5 * np.hypot(car.length_m, car.width_m))
        return np.asarray(np.minimum(enter, farthest))

    def _compose(
        self, image: npt.NDArray[np.uint8], nearest: Mask, one: _Drawn, before: list[_Drawn]
    ) -> None:
        """Lays the actor over the picture and takes from those before it what it covers."""
        rows, columns, inner_rows, inner_columns = one.window
        alpha = one.patch.alpha[inner_rows, inner_columns]
        share = np.divide(one.seen, alpha, out=np.zeros_like(alpha), where=alpha > 0)
        colour = one.patch.colour[inner_rows, inner_columns] * share[..., None]
        under = image[rows, columns]
        image[rows, columns] = (under * (1 - one.seen)[..., None] + colour + 0.5).astype(np.uint8)
        solid = one.seen > 0.5
        nearest[rows, columns] = np.where(solid, one.ranges_m, nearest[rows, columns])
        for other in before:
            _uncover(other, one)

    def _view(self, one: _Drawn) -> ActorView:
        width, height = self.camera.size
        box = np.clip(one.patch.box_xyxy, 0, (width, height, width, height))
        visible = float(one.seen.sum() / one.patch.alpha.sum())
        state = one.state
        return ActorView(
            state.actor_id, state.kind, box, min(1.0, visible), state.position_m, state.heading_rad
        )  # fmt: skip


def body_of(state: ActorState, detail: int) -> tuple[Mesh, Array]:
    """The actor's mesh and its vertices ``(V, 3)`` in the world."""
    appearance = state.appearance
    if isinstance(appearance, PersonAppearance):
        mesh = figure(appearance, detail)
        posture = gait.posture_of(state.actor_id, appearance.bag == "hand")
        bones = gait.skeleton(
            appearance.height_m, appearance.build, state.gait_phase, state.gait_amplitude, posture
        )
    else:
        mesh = vehicle(appearance)
        bones = wheel_bones(appearance, state.wheel_angle_rad)
    c, s = np.cos(state.heading_rad), np.sin(state.heading_rad)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return mesh, posed(mesh, turn @ bones[0], bones[1] @ turn.T + (*state.position_m, 0.0))


def _uncover(below: _Drawn, above: _Drawn) -> None:
    """Takes the pixels of ``above`` from what ``below`` shows."""
    rows, columns = below.window[0], below.window[1]
    y0, y1 = max(rows.start, above.window[0].start), min(rows.stop, above.window[0].stop)
    x0, x1 = max(columns.start, above.window[1].start), min(columns.stop, above.window[1].stop)
    if y0 >= y1 or x0 >= x1:
        return
    cover = above.seen[y0 - above.window[0].start : y1 - above.window[0].start,
                       x0 - above.window[1].start : x1 - above.window[1].start]  # fmt: skip
    below.seen[y0 - rows.start : y1 - rows.start, x0 - columns.start : x1 - columns.start] *= 1 - cover
