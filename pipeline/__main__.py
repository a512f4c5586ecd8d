"""``python -m pipeline``: runs a command and turns what went wrong into a message and an exit code."""

from __future__ import annotations

import sys

from pipeline.cli import app
from pipeline.errors import INTERRUPTED, CrosscamError
from pipeline.secrets import masked


def main() -> None:
    """The console script. One of the three edges that catch: here everything users can cause, nothing else."""
    try:
        app()
    except CrosscamError as error:
        for line in str(error).splitlines():
            print(f"error: {masked(line)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
