"""What the jigsaw branches and the side information are each worth: ``python -m reid ablate config.yaml``.

Four trainings that differ in nothing else: neither, JPM alone, SIE alone, both. Every one resumes, so a stopped
ablation goes on where it was.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reid.train import train
from reid.training_config import TrainingConfig, load_training_config

COLUMNS = ("mAP", "rank1", "rank5", "rank10", "mINP")


def variants(config: TrainingConfig) -> dict[str, TrainingConfig]:
    """The four configs by name; each writes into its own folder below ``run.output``.

    Raises:
        ValueError: the config has no side information, so there would be nothing to leave out.
    """
    if config.model.sie == "none":
        raise ValueError("model.sie: an ablation needs a config with side information, such as camera")
    settings = {
        "baseline": (False, "none"),
        "jpm": (True, "none"),
        "sie": (False, config.model.sie),
        "both": (True, config.model.sie),
    }
    return {
        name: replace(
            config,
            model=replace(config.model, jpm=jpm, sie=sie),  # type: ignore[arg-type]
            run=replace(config.run, output=config.run.output / name),
        )
        for name, (jpm, sie) in settings.items()
    }


def ablate(config_path: str | Path) -> dict[str, dict[str, float]]:
    """Train (or go on with) all four, print the table and write it as ``ablation.md``; scores by variant."""
    config = load_training_config(config_path)
    scores = {name: train(variant, resume=True) for name, variant in variants(config).items()}
    if all(scores.values()):
        _report(scores, config.run.output)
    return scores


def _report(scores: dict[str, dict[str, float]], output: Path) -> None:
    table = Table("", *COLUMNS)
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, found in scores.items():
        cells = [name, *(f"{found[column]:.3f}" for column in COLUMNS)]
        table.add_row(*cells)
        lines.append("| " + " | ".join(cells) + " |")
    (output / "ablation.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Console().print(table)
