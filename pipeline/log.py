"""Messages for people, on standard error; credentials never among them."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.logging import RichHandler

from pipeline.secrets import masked

console = Console(stderr=True)


class _Masking(logging.Filter):
    """Cuts credentials out of whatever is about to be printed."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = masked(record.getMessage()), None
        return True


def set_up(verbose: bool = False) -> None:
    """Send this program's messages to the terminal, above any progress bars; plain lines elsewhere."""
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(console=console, show_path=False, markup=False, omit_repeated_times=False)
        handler.setFormatter(logging.Formatter("%(message)s", datefmt="%H:%M:%S"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"))
    handler.addFilter(_Masking())
    for name in ("pipeline", "reid", "tracking"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.DEBUG if verbose else logging.INFO)
        logger.propagate = False
