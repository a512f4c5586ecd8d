"""What a training run says about itself: a progress bar, CSV files, TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

STEP_COLUMNS = ("step", "epoch", "lr", "loss", "identity_loss", "triplet_loss", "images_per_s", "train_s")
EVALUATION_COLUMNS = ("step", "epoch", "mAP", "rank1", "rank5", "rank10", "mINP", "train_s")


class CsvLog:
    """Rows with a leading ``step``. A resumed run forgets the rows after the step it resumes from."""

    def __init__(self, path: Path, columns: tuple[str, ...], resume_step: int) -> None:
        rows = [row for row in self._existing(path) if int(row["step"]) <= resume_step] if resume_step else []
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, columns)
        self._writer.writeheader()
        self._writer.writerows(rows)
        self._file.flush()
        self._last_step = int(rows[-1]["step"]) if rows else -1

    @staticmethod
    def _existing(path: Path) -> list[dict[str, str]]:
        """Whole rows only: a kill may have cut the last one."""
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if None not in row.values() and row["step"].isdigit()]

    def write(self, row: dict[str, Any]) -> None:
        """Add a row; a run killed behind its last evaluation repeats it, and the same step is not told twice."""
        if row["step"] <= self._last_step:
            return
        self._last_step = row["step"]
        self._writer.writerow({key: f"{v:.6g}" if isinstance(v, float) else v for key, v in row.items()})
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TrainLog:
    """Everything rank 0 of a run reports; a context manager.

    Args:
        output: folder of ``train.csv``, ``evaluation.csv`` and ``tensorboard/``.
        epochs: length of the run.
        resume_step: optimiser step the run goes on from; 0 for a new run.
        silent: other ranks report nothing.
    """

    def __init__(self, output: Path, epochs: int, resume_step: int, silent: bool) -> None:
        self._silent = silent
        if silent:
            return
        self._steps = CsvLog(output / "train.csv", STEP_COLUMNS, resume_step)
        self._evaluations = CsvLog(output / "evaluation.csv", EVALUATION_COLUMNS, resume_step)
        self._board = _board(output / "tensorboard", resume_step)
        self._bar = _bar()
        self._epochs, self._task = epochs, self._bar.add_task("", total=None, loss="")

    def epoch(self, epoch: int, batches: int, done: int) -> None:
        """A new epoch of ``batches``, of which ``done`` are already behind."""
        if not self._silent:
            text = f"epoch {epoch}/{self._epochs}"
            self._bar.reset(self._task, total=batches, completed=done, description=text, loss="")

    def batch(self) -> None:
        if not self._silent:
            self._bar.advance(self._task)

    def steps(self, row: dict[str, Any]) -> None:
        """One row of `STEP_COLUMNS`."""
        if not self._silent:
            self._steps.write(row)
            self._to_board("train", row)
            self._bar.update(self._task, loss=f"loss {row['loss']:.3f}, {row['images_per_s']:.0f} images/s")

    def evaluation(self, row: dict[str, Any]) -> None:
        """One row of `EVALUATION_COLUMNS`."""
        if not self._silent:
            self._evaluations.write(row)
            self._to_board("evaluation", row)
            scores = f"mAP {row['mAP']:.3f}, rank-1 {row['rank1']:.3f}"
            self._bar.console.print(f"epoch {row['epoch']}: {scores} after {row['train_s']:.0f} s")

    def _to_board(self, group: str, row: dict[str, Any]) -> None:
        if self._board is not None:
            for key, value in row.items():
                if key != "step":
                    self._board.add_scalar(f"{group}/{key}", value, row["step"])

    def __enter__(self) -> TrainLog:
        if not self._silent:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._silent:
            self._bar.stop()
            self._steps.close()
            self._evaluations.close()
            if self._board is not None:
                self._board.close()


def _board(folder: Path, resume_step: int) -> Any:
    """A TensorBoard writer, or None where TensorBoard is not installed (it belongs to the ``train``
    extra)."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=resume_step or None)  # type: ignore[no-untyped-call]


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
    )
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn())
