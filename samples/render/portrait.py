"""Portraits of single actors, for looking at appearances."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from samples.cameras import look_at
from samples.render.renderer import Renderer
from samples.types import ActorState, CarAppearance, FloorPlan, PersonAppearance


def close_up(
    appearance: PersonAppearance | CarAppearance,
    heading_rad: float = 0.0,
    size: tuple[int, int] = (200, 360),
    phase: float = 0.6,
    amplitude: float = 0.9,
) -> npt.NDArray[np.uint8]:
    """A portrait ``(h, w, 3)`` uint8 for looking; at heading 0 the actor faces the viewer."""
    person = isinstance(appearance, PersonAppearance)
    span = 2.0 if isinstance(appearance, PersonAppearance) else appearance.length_m
    focal_px = 2.0 * (size[1] if person else size[0])
    eye, target = (2.2 * span, 0.0, 0.9 + 0.3 * span), (0.0, 0.0, 0.45 * appearance.height_m)
    camera = look_at(
        "portrait", eye, target, float(np.rad2deg(2 * np.arctan(0.5 * size[0] / focal_px))), size
    )
    renderer = Renderer(FloorPlan((), (), (-12.0, -12.0, 12.0, 12.0), (0.5, -0.45, 0.75)), camera)
    state = ActorState(1, appearance, (0.0, 0.0), heading_rad, 1.0, phase, amplitude)
    return renderer.render([state]).image
