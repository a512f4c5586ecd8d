"""``evaluate``: how good a result is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.evaluation import Evaluation

_SHOWN = ("HOTA", "IDF1", "MOTA", "DetA", "AssA")
_SHOWN_COUNTS = ("FP", "FN", "IDSW")
_COUNTS = frozenset({"TP", "FP", "FN", "IDSW", "Frag", "MT", "ML"})


def evaluate(
    truth: Path, result: Path, json_path: Path | None = None, console: Console | None = None
) -> None:
    """Score ``result`` against ``truth``, print a table, and write ``json_path`` if given.

    Raises:
        ConfigError, ExportError: see :func:`pipeline.evaluation.evaluate`.
    """
    from rich.console import Console

    from pipeline.evaluation import evaluate as scored

    evaluation = scored(truth, result)
    if json_path is not None:
        from pipeline.export.document import write_atomically

        text = json.dumps(as_json(evaluation), indent=2) + "\n"
        write_atomically(json_path, [text.encode()])
    _show(evaluation, console or Console())


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Scores as JSON values: fractions in 0..1 (MOTA may be below 0), counts whole."""
    scores = evaluation.scores
    return {
        "per_camera": {camera: _whole_counts(values) for camera, values in scores.per_camera.items()},
        "combined": _whole_counts(scores.combined),
        "cross_camera": _whole_counts(scores.cross_camera),
        "not_scored": {
            "boxes_on_unscored_truth": evaluation.ignored,
            "boxes_outside_the_truth_frames": evaluation.outside,
        },
        "notes": list(evaluation.notes),
    }


def _whole_counts(values: dict[str, float]) -> dict[str, float | int]:
    return {name: int(value) if name in _COUNTS else round(value, 6) for name, value in values.items()}


def _show(evaluation: Evaluation, console: Console) -> None:
    from rich.table import Table

    table = Table(title="Scores (percent)")
    table.add_column("camera")
    for name in (*_SHOWN, *_SHOWN_COUNTS):
        table.add_column(name, justify="right", no_wrap=True)
    scores = evaluation.scores
    for camera, values in scores.per_camera.items():
        table.add_row(camera, *_cells(values))
    table.add_section()
    table.add_row("total, ids per camera", *_cells(scores.combined))
    table.add_row("cross-camera", *_cells(scores.cross_camera), style="bold")
    console.print(table)
    for line in _left_out(evaluation):
        console.print(line, markup=False, highlight=False)


def _cells(values: dict[str, float]) -> list[str]:
    return [f"{100 * values[name]:.1f}" for name in _SHOWN] + [
        f"{values[name]:.0f}" for name in _SHOWN_COUNTS
    ]


def _left_out(evaluation: Evaluation) -> list[str]:
    lines = list(evaluation.notes)
    for what, counts in (
        ("lie on truth that is not scored", evaluation.ignored),
        ("lie in frames outside the truth", evaluation.outside),
    ):
        told = ", ".join(f"{camera} {count}" for camera, count in counts.items() if count)
        if told:
            lines.append(f"result boxes that {what}, left out: {told}")
    return lines
