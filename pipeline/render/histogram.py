"""Two distributions of cosine distance and the threshold between them, as a picture."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ExportError
from tracking.threshold import ThresholdReport

_SAME, _VIEWS, _DIFFERENT = "tab:green", "tab:olive", "tab:red"


def draw_distances(report: ThresholdReport, path: Path) -> None:
    """Write a PNG of the histograms, each of area 1, with the suggested threshold and its error rates.

    Raises:
        ExportError: it cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    sets = (
        (report.within, _SAME, "same: inside one tracklet"),
        (report.across, _VIEWS, "same: two views of one place"),
        (report.different, _DIFFERENT, "different: one camera at one time"),
    )
    top = max(float(values.max()) for values, _, _ in sets if len(values))
    for values, colour, label in sets:
        if len(values):
            named = f"{label} ({len(values)} pairs)"
            axes.hist(values, bins=80, range=(0.0, top), density=True, color=colour, alpha=0.5, label=named)
    told = f"suggested {report.max_cosine_distance:.3f}"
    rates = f"misses {report.false_reject:.1%}, links wrongly {report.false_accept:.1%}"
    axes.axvline(report.max_cosine_distance, color="black", linestyle="--", label=f"{told}\n{rates}")
    axes.set(xlabel="cosine distance of two tracklets", ylabel="density", title="max_cosine_distance")
    axes.legend()
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror or error}") from error
