"""``run CONFIG``: the main job."""

from __future__ import annotations

import logging
from pathlib import Path

from rich.console import Console

from pipeline.app import Outcome, run
from pipeline.config_loader import load_config
from pipeline.log import console
from pipeline.progress import camera_table, stage_table

log = logging.getLogger(__name__)


def run_command(config_path: Path, output: Path | None) -> int:
    """Run a configuration and print what came of it; returns the exit code.

    Raises:
        CrosscamError: see `pipeline.errors`.
    """
    config = load_config(config_path)
    folder = output or config.output.folder
    return told(run(config, folder, console, reread=lambda: load_config(config_path)), Console())


def told(outcome: Outcome, out: Console) -> int:
    """Print the summary; returns the exit code."""
    frames = sum(end.frames_decoded for end in outcome.ends)
    out.print(camera_table(outcome.ends, outcome.dropped, outcome.tracklets))
    out.print(stage_table(outcome.times, outcome.wall_s, frames))
    out.print(
        f"{sum(outcome.tracklets.values())} tracklets, {outcome.identities} identities, "
        f"{outcome.cross_camera_links} cross-camera links"
    )
    out.print(f"Trajectories: {outcome.path}", soft_wrap=True, highlight=False)
    if outcome.reason is not None:
        log.error("%s", outcome.reason)
    return outcome.exit_code
