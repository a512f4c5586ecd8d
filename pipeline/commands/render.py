"""``render``: results as videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from reid.blur import BlurTarget


def render(
    folder: Path,
    console: Console,
    *,
    cameras: Sequence[str] | None = None,
    moved: Mapping[str, Path] | None = None,
    blur: BlurTarget | None = None,
) -> list[Path]:
    """Draw overlay videos of a run's output folder and print where they are.

    Raises:
        ConfigError, ExportError: see :func:`pipeline.render.overlay.render`.
    """
    from pipeline.render.overlay import render as rendered

    with console.status("drawing") as status:
        paths = rendered(
            folder,
            cameras=cameras,
            moved=moved,
            blur=blur,
            note=lambda text: console.print(text, markup=False, highlight=False),
            progress=lambda camera, time_s: status.update(f"drawing {camera} at {time_s:.1f} s"),
        )
    for path in paths:
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    return paths
