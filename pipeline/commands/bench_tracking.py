"""``track-bench``: TrackEval's table over a folder of sequences."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

_COLUMNS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA")
_COUNTS = ("FP", "FN", "IDSW", "Frag")


def main(
    folder: Path,
    *,
    tracker: Path | None = None,
    json_path: Path | None = None,
    console: Console | None = None,
) -> dict[str, dict[str, dict[str, float]]]:
    """Track every sequence and print scores per sequence and in total, online and repaired.

    Args:
        folder: ``<sequence>/{det/det.txt,gt/gt.txt,seqinfo.ini}``; without truth a sequence is left out.
        tracker: YAML with fields of the tracker.
        json_path: where the same numbers go as JSON.

    Returns:
        ``online`` and ``repaired``, each by sequence and ``TOTAL``, by name of the score.

    Raises:
        ConfigError: the folder or a file in it is missing or malformed, or there is no truth at all.
        ExportError: the JSON cannot be written.
    """
    from rich.console import Console

    from pipeline.commands.track import read_tracker
    from pipeline.errors import ConfigError, ExportError
    from tracking.mot import read_sequences
    from tracking.replay import follow, online_rows, repaired_rows, replay_of
    from tracking.scoring import combine, score_sequence, summarise

    console, config = console or Console(), read_tracker(tracker)
    try:
        sequences = [sequence for sequence in read_sequences(folder) if sequence.truth is not None]
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error
    if not sequences:
        raise ConfigError(f"{folder}: no sequence has gt/gt.txt")
    raw: dict[str, dict[str, Any]] = {"online": {}, "repaired": {}}
    frames, spent_s = 0, 0.0
    for replay in map(replay_of, sequences):
        start = time.perf_counter()
        tracked = follow(replay, config)
        spent_s += time.perf_counter() - start
        frames += len(replay.frames)
        for name, rows in (("online", online_rows(tracked)), ("repaired", repaired_rows(tracked))):
            raw[name][replay.name] = score_sequence(replay.truth, rows.boxes(), replay.name)
    scores = {
        name: {sequence: summarise(fields) for sequence, fields in by_sequence.items()}
        | {"TOTAL": summarise(combine(by_sequence))}
        for name, by_sequence in raw.items()
    }
    for name, table in scores.items():
        _show(name, table, console)
    console.print(f"{frames} frames, {1e3 * spent_s / frames:.2f} ms each in the tracker")
    if json_path is not None:
        try:
            json_path.write_text(json.dumps(scores, indent=1) + "\n")
        except OSError as error:
            raise ExportError(str(error)) from error
    return scores


def _show(title: str, scores: Mapping[str, Mapping[str, float]], console: Console) -> None:
    from rich.table import Table

    table = Table("sequence", title=title)
    for name in (*_COLUMNS, *_COUNTS):
        table.add_column(name, justify="right")
    for sequence, row in scores.items():
        cells = [f"{100 * row[c]:.2f}" for c in _COLUMNS] + [f"{row[c]:.0f}" for c in _COUNTS]
        table.add_row(
            sequence,
            *cells,
            end_section=sequence == list(scores)[-2],
            style="bold" if sequence == "TOTAL" else "",
        )
    console.print(table)
