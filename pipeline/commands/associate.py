"""``associate DIR --config CONFIG``: tracking and association again, from what a run saved, without touching pixels."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from pipeline.app import run
from pipeline.commands.run import told
from pipeline.config import Config
from pipeline.config_loader import load_config
from pipeline.errors import ConfigError
from pipeline.log import console


def associate_command(folder: Path, config_path: Path, output: Path) -> int:
    """Run ``config_path`` on the detections and embeddings saved in ``folder``; returns the exit code.

    Raises:
        ConfigError: nothing was saved there, or the results would replace what is read.
    """
    if output.resolve() == folder.resolve():
        raise ConfigError(f"{output}: choose another folder: this one is read")
    if not (folder / "detections").is_dir():
        raise ConfigError(f"{folder}: holds no detections; run with output.save_detections: true first")
    config = replaying(load_config(config_path), folder)
    return told(run(config, output, console), Console())


def replaying(config: Config, folder: Path) -> Config:
    """The configuration with the detector and the embedder replaced by what they once gave."""
    detections = str(folder / "detections" / "{camera}.jsonl")
    detector = config.detector.model_copy(
        update={"backend": "replay", "detections": detections, "confidence_gain": config.detector.gain}
    )
    saved = (folder / "embeddings").is_dir()
    embedder = config.embedder.model_copy(
        update={"backend": "replay" if saved else "off", "embeddings": str(folder / "embeddings")}
    )
    saving = {"save_detections": False, "save_embeddings": False}
    output = config.output.model_copy(update=saving)
    return config.model_copy(update={"detector": detector, "embedder": embedder, "output": output})
