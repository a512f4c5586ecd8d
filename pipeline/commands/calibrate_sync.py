"""``calibrate sync DIR``: is every camera's clock right? From what the cameras of a run saw in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.stored_run import StoredRun
    from tracking.clock import ClockEstimate


def calibrate_sync(
    folder: Path, reference: str | None, max_offset_s: float, json_path: Path | None, console: Console
) -> None:
    """Estimate clock offset, drift and true rate of every camera, print them with warnings.

    Args:
        folder: output folder of a run with calibrated, overlapping cameras.
        reference: the camera whose clock is held to be right; None is the first one with ground positions.
        max_offset_s: how far to look.
        json_path: also write the numbers here.

    Raises:
        ConfigError: fewer than two cameras have ground positions, or the reference has none.
        ExportError: a file cannot be read or written.
    """
    from pipeline.export.document import write_atomically
    from pipeline.stored_run import read_stored_run

    stored = read_stored_run(folder)
    cameras = _grounded(stored, folder, reference)
    estimates = estimates_of(stored, cameras, max_offset_s)
    if json_path is not None:
        text = json.dumps([asdict(estimate) for estimate in estimates], indent=2) + "\n"
        write_atomically(json_path, [text.encode()])
    _show(estimates, cameras[0], console)


def _grounded(stored: StoredRun, folder: Path, reference: str | None) -> list[str]:
    """Cameras with ground positions, the reference first."""
    from pipeline.errors import ConfigError

    found = sorted({one.camera_id for one in stored.tracklets if one.ground_xy is not None})
    if len(found) < 2:
        raise ConfigError(
            f"{folder}: {len(found)} camera(s) with ground positions; a clock can only be told from two cameras "
            "that are calibrated and see the same floor"
        )
    if reference is not None and reference not in found:
        raise ConfigError(f"--reference {reference}: has no ground positions; choose from {', '.join(found)}")
    first = reference or found[0]
    return [first, *(camera for camera in found if camera != first)]


def estimates_of(stored: StoredRun, cameras: Sequence[str], max_offset_s: float) -> list[ClockEstimate]:
    """Each camera against the reference, or, where they share too little, against one already tied to it."""
    fps = {camera.id: camera.fps or 0.0 for camera in stored.header.cameras}
    tied: dict[str, float] = {cameras[0]: 0.0}
    known: dict[str, ClockEstimate] = {}
    waiting = list(cameras[1:])
    for _ in cameras[1:]:
        for camera in list(waiting):
            best = _best(stored, camera, tied, fps[camera], max_offset_s, known.get(camera))
            known[camera] = best
            if best.is_reliable:
                tied[camera] = best.offset_s
                waiting.remove(camera)
    return [known[camera] for camera in cameras[1:]]


def _best(
    stored: StoredRun,
    camera: str,
    tied: Mapping[str, float],
    fps: float,
    max_offset_s: float,
    before: ClockEstimate | None,
) -> ClockEstimate:
    from tracking.clock import estimate_clock

    best = before
    for other, offset in tied.items():
        found = estimate_clock(stored.of_camera(camera), stored.of_camera(other), fps, max_offset_s=max_offset_s)
        found = replace(found, offset_s=found.offset_s + offset)
        if best is None or (found.is_reliable and not best.is_reliable):
            best = found
        if best.is_reliable:
            break
    assert best is not None  # the reference is tied from the start
    return best


def _show(estimates: Sequence[ClockEstimate], reference: str, console: Console) -> None:
    from rich.table import Table

    table = Table(title=f"Clocks against {reference}")
    for title in ("camera", "seen with", "offset, s", "drift, s/h", "true fps", "residual, m", "samples", "sure"):
        table.add_column(title, justify="left" if title in ("camera", "seen with") else "right", no_wrap=True)
    for one in estimates:
        fps = f"{one.true_fps:.3f}" if one.true_fps else "-"
        numbers = [f"{one.offset_s:+.2f}", f"{3600 * one.drift:+.2f}", fps, f"{one.residual_m:.2f}"]
        told = numbers if one.is_reliable else ["?", "?", "?", f"{one.residual_m:.2f}"]
        table.add_row(one.camera_id, one.reference_id, *told, str(one.samples), "yes" if one.is_reliable else "no")
    console.print(table)
    for one in estimates:
        if one.warning:
            console.print(f"warning: {one.warning}", markup=False, highlight=False)
    if not any(one.warning for one in estimates):
        console.print("All clocks agree.")
