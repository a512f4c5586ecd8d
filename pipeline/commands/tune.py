"""``tune``: fit the tracker to sequences whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from tracking.tune import Tuning


def main(
    folder: Path,
    *,
    trials: int = 100,
    folds: int = 3,
    seed: int = 0,
    output: Path | None = None,
    tracker: Path | None = None,
    console: Console | None = None,
) -> Tuning:
    """Search, cross-validate, print what came out, and write it as YAML for a run's ``tracker:`` section.

    Args:
        folder: ``<sequence>/{det/det.txt,gt/gt.txt,seqinfo.ini}``.
        trials: configurations tried in each search.
        folds: rounds of cross-validation between the sequences; 1 for none.
        seed: the same seed finds the same.
        output: YAML file; the starting configuration if nothing better was found on unseen sequences.
        tracker: YAML to start from; default: the tracker's defaults.

    Raises:
        ConfigError: the folder or a file in it is missing or malformed, or cmaes is not installed.
        ExportError: the output cannot be written.
    """
    from rich.console import Console

    from pipeline.commands.track import read_tracker
    from pipeline.errors import ConfigError, ExportError
    from tracking.mot import read_sequences
    from tracking.replay import replay_of
    from tracking.tune import tune

    console = console or Console()
    start = read_tracker(tracker)
    try:
        replays = [replay_of(sequence) for sequence in read_sequences(folder)]
        with console.status("searching") as status:
            report = status.update if console.is_terminal else console.print
            tuning = tune(replays, trials, folds, seed, start, report)
    except ImportError as error:
        raise ConfigError("tune needs cmaes: pip install 'crosscam[tune]'") from error
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error
    text = _show(tuning, console)
    better = tuning.unseen_gain is None or tuning.unseen_gain > 0
    if output is not None:
        try:
            output.write_text(text if better else as_yaml(start))
        except OSError as error:
            raise ExportError(str(error)) from error
    return tuning


def as_yaml(config: object) -> str:
    """A tracker's configuration as the ``tracker:`` section of a run's YAML."""
    from dataclasses import asdict, is_dataclass

    import yaml

    if not is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"expected a configuration, got {config!r}")
    return yaml.safe_dump({"tracker": _rounded(asdict(config))}, sort_keys=False)


def _rounded(fields: dict[str, object]) -> dict[str, object]:
    """Four significant digits; more would only claim precision."""

    def shorter(value: object) -> object:
        if isinstance(value, dict):
            return _rounded(value)
        return float(f"{value:.4g}") if isinstance(value, float) else value

    return {name: shorter(value) for name, value in fields.items()}


def _show(tuning: Tuning, console: Console) -> str:
    from rich.table import Table

    table = Table("held out", "before", "after", title="mean of HOTA (five thresholds), IDF1 and MOTA on unseen sequences")
    for fold in tuning.folds:
        table.add_row(", ".join(fold.held_out), f"{100 * fold.before:.2f}", f"{100 * fold.after:.2f}")
    if tuning.folds:
        console.print(table)
    console.print(f"on all sequences, searched there: {100 * tuning.before:.2f} -> {100 * tuning.after:.2f}")
    if tuning.unseen_gain is None:
        console.print("no cross-validation: how much of this gain holds elsewhere is unknown")
    elif tuning.unseen_gain > 0:
        console.print(f"gain on unseen sequences: {100 * tuning.unseen_gain:+.2f}; worth using")
    else:
        console.print(f"gain on unseen sequences: {100 * tuning.unseen_gain:+.2f}; keep what you had")
    text = as_yaml(tuning.found)
    console.print(text, highlight=False, markup=False)
    return text
