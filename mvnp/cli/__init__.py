"""The command line: `mvnp COMMAND`, one module for each command."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, that of this process unless another is given, and return the exit status."""
    try:
        from .entry import main as run  # here: Ctrl-C while all is imported is told as it is later, without a traceback

        return run(argv)
    except BaseException as error:
        if not _interrupted(error):
            raise
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                print("mvnp: interrupted", file=sys.stderr, flush=True)
        return 130


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind it: while a class is made, Python 3.11 turns it into a RuntimeError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
