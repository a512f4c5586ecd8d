"""``calibrate threshold DIR``: which cosine distance still means "the same", from footage nobody has labelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from tracking.threshold import ThresholdReport


def calibrate_threshold(folder: Path, picture: Path | None, json_path: Path | None, console: Console) -> None:
    """Suggest ``max_cosine_distance`` from a run's own tracklets, print and draw what it rests on.

    Args:
        folder: of a run with ``output.save_embeddings: true``.
        picture: PNG of the histograms; None is ``threshold.png`` in the folder.
        json_path: also write the numbers here.

    Raises:
        ConfigError: no embeddings were saved, or too few tracklets are seen together.
        ExportError: a file cannot be read or written.
    """
    from pipeline.errors import ConfigError
    from pipeline.export.document import write_atomically
    from pipeline.render.histogram import draw_distances
    from pipeline.stored_run import read_stored_run
    from tracking.threshold import suggest_threshold

    stored = read_stored_run(folder)
    if not any(len(one.embeddings) for one in stored.tracklets):
        raise ConfigError(f"{folder}: holds no embeddings; run with output.save_embeddings: true first")
    try:
        report = suggest_threshold(stored.tracklets, class_group=stored.class_group())
    except ValueError as error:
        raise ConfigError(f"{folder}: {error}") from error
    path = picture or folder / "threshold.png"
    draw_distances(report, path)
    if json_path is not None:
        write_atomically(json_path, [(json.dumps(as_json(report), indent=2) + "\n").encode()])
    _show(report, path, console)


def as_json(report: ThresholdReport) -> dict[str, Any]:
    """The suggestion and what it rests on, as JSON values."""
    return {
        "max_cosine_distance": round(report.max_cosine_distance, 4),
        "misses": round(report.false_reject, 4),
        "links_wrongly": round(report.false_accept, 4),
        "equal_error_rate": round(report.equal_error, 4),
        "equal_error_distance": round(report.equal_error_distance, 4),
        "pairs_inside_tracklets": len(report.within),
        "pairs_over_two_views": len(report.across),
        "pairs_different": len(report.different),
        "warnings": list(report.warnings),
    }


def _show(report: ThresholdReport, picture: Path, console: Console) -> None:
    from rich.table import Table

    table = Table(title="Pairs of tracklets")
    for title in ("what", "pairs", "5 %", "median", "95 %"):
        table.add_column(title, justify="left" if title == "what" else "right", no_wrap=True)
    for name, values in (
        ("same: early and late crops of one tracklet", report.within),
        ("same: one place seen from two cameras", report.across),
        ("different: one camera at one time", report.different),
    ):
        table.add_row(name, str(len(values)), *_quantiles(values))
    console.print(table)
    console.print(
        f"association.rules.max_cosine_distance: {report.max_cosine_distance:.3g}\n"
        f"expected to miss {report.false_reject:.1%} of the same, to take {report.false_accept:.1%} of the "
        f"different for the same; equal errors of {report.equal_error:.1%} at {report.equal_error_distance:.3g}",
        highlight=False,
    )
    for warning in report.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False)
    console.print(f"Histograms: {picture}", markup=False, highlight=False, soft_wrap=True)


def _quantiles(values: Any) -> list[str]:
    import numpy as np

    return [f"{float(np.quantile(values, q)):.3g}" if len(values) else "-" for q in (0.05, 0.5, 0.95)]
