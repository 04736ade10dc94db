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

TREE = Path(__file__).resolve().parents[1]
WORKER = Path("benchmarks", "worker.py")
CHOICES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


class WorkerError(RuntimeError):
    """A worker that failed; the message holds what it printed."""


def ask(limit: float | None = None, tree: Path | str = TREE, kernels: str = "on", **request: Any) -> dict[str, Any]:
    """The answer of a new worker of `tree`, this repository or another working copy of it, with kernels or without. Raises
    WorkerError where it fails, or is not done after `limit` seconds."""
    command = [sys.executable, str(Path(tree) / WORKER), json.dumps(request)]
    # That tree's mvnp is measured, installed or not; and the matrix library chooses its kernel for the processor.
    environment = {name: value for name, value in os.environ.items() if name not in CHOICES}
    environment |= {"PYTHONPATH": str(tree), "MVNP_KERNELS": kernels}
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
