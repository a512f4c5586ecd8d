"""``weights list | get NAME | where NAME``: networks by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.downloads import Progress


def list_weights(console: Console) -> None:
    """Print every named network: what it is, its terms, its camera rows, and whether it is here."""
    from rich.table import Table

    from pipeline.weights import cache_folder, is_cached, registry

    table = Table(title="Named weights")
    for title in ("name", "what", "role", "backend", "licence", "SIE cameras", "here"):
        table.add_column(title, no_wrap=title == "name")
    for name, one in registry().items():
        rows = f"0-{one.sie['cameras'] - 1}" if one.sie else "-"
        here = "yes" if is_cached(one) else ""
        table.add_row(name, one.title, one.role, one.backend, one.licence, rows, here)
    console.print(table)
    console.print(f"cache: {cache_folder()} (set CROSSCAM_CACHE to move it)", markup=False, highlight=False)
    console.print(
        "ultralytics releases (yolo11n.pt, yolo26n.pt, ...; AGPL-3.0) are fetched by ultralytics by name"
    )


def get_weights(name: str, console: Console) -> Path:
    """Download a named network if it is not here, check its hashes, return its path.

    Raises:
        ModelError: no such name, the download failed, or a hash is not what it should be.
    """
    from pipeline.weights import fetch, find

    weights = find(name)
    with download_bars(console) as progress:
        path = fetch(weights, progress)
    console.print(f"{path}", markup=False, highlight=False, soft_wrap=True)
    return path


def where_weights(name: str) -> Path:
    """Where a named network is, or will be; downloads nothing.

    Raises:
        ModelError: no such name.
    """
    from pipeline.weights import find, location

    return location(find(name))


@contextmanager
def download_bars(console: Console) -> Iterator[Callable[[str], Progress]]:
    """A progress bar for each file that is downloaded inside."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, TimeRemainingColumn(), console=console) as bars:

        def start(name: str) -> Progress:
            task = bars.add_task(name, total=None)
            return lambda had, total: bars.update(task, completed=had, total=total)

        yield start
