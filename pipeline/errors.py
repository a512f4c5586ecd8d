"""What can go wrong, and the exit code each ends with.

::

    CrosscamError
    ├── ConfigError     2  the configuration or the command line is wrong
    ├── SourceError     3  a recorded camera cannot be read
    ├── ModelError      4  weights are missing, do not fit, or give NaN
    ├── StageError      5  a stage failed while running
    │   └── WorkerError 5  a worker process died
    └── ExportError     6  results cannot be written or read

Ctrl-C ends with 130 after everything computed so far has been written.
"""

from __future__ import annotations

INTERRUPTED = 130


class CrosscamError(Exception):
    """Base of every error that is reported to the user without a traceback."""

    exit_code = 1


class ConfigError(CrosscamError):
    """The configuration is wrong; ``problems`` holds every fault found, one line each."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class SourceError(CrosscamError):
    """A recorded source cannot be read; the message names camera and file."""

    exit_code = 3


class ModelError(CrosscamError):
    """Weights are missing, do not fit the config, or produce invalid numbers."""

    exit_code = 4


class StageError(CrosscamError):
    """A stage failed while running; the message names the stage and the cameras of the batch."""

    exit_code = 5


class WorkerError(StageError):
    """A worker process died."""


class ExportError(CrosscamError):
    """Results cannot be written or read; the message names the file."""

    exit_code = 6
