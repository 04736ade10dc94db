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
    except KeyboardInterrupt:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                print("mvnp: interrupted", file=sys.stderr, flush=True)
        return 130
