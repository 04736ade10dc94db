"""A word when nobody is left to say one.

Who is killed says nothing, and mpiexec then kills the others as well. So the first rank has a small process beside it that
waits at a pipe. A run that ends in an orderly way says goodbye through it; should the pipe close without that, the process
shows its message.
"""

from __future__ import annotations

import subprocess
import sys

_WAIT = "import sys; sys.stdin.buffer.read() or sys.stderr.write(sys.argv[1])"


class Watcher:
    """Shows `message` on standard error once this process has ended, unless `dismiss` was called."""

    def __init__(self, message: str) -> None:
        # A session of its own: signals that are meant for the run, such as Ctrl-C, are none of its business.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WAIT, f"{message}\n"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """The run has ended as it should."""
        self._process.communicate(b"goodbye")
