"""Starting workers and hearing what they say."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")


class WorkerError(RuntimeError):
    """A worker that failed; the message holds what it printed."""


def ask(limit: float | None = None, **request: Any) -> dict[str, Any]:
    """The answer of a new worker. Raises WorkerError where it fails, or is not done after `limit` seconds."""
    command = [sys.executable, str(WORKER), json.dumps(request)]
    root = str(WORKER.parent.parent)  # so that this tree's mvnp is measured, installed or not
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **options) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise WorkerError(f"not done after {limit:.0f} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # its own children too, such as compilers
    if process.returncode:
        raise WorkerError(f"worker {request} ended with status {process.returncode}:\n{err.strip() or out.strip()}")
    return json.loads(out.splitlines()[-1])
