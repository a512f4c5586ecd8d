"""The renderer of the sample site: pictures and exact truth from a floor plan, a camera and the actors' states."""

from samples.render.portrait import close_up
from samples.render.renderer import Renderer

__all__ = ["Renderer", "close_up"]
