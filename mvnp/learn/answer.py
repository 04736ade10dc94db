"""Checks an answer: runs the reader's file in a process of its own, within a time limit, and takes home what was found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ..errors import InputError
from .examine import Finding
from .exercise import Exercise

SECONDS = 30
GRACE = 30  # beyond the limit, before the process is ended from outside: to start, and for code that no clock interrupts
PRINTED = 2000  # bytes of what the file prints that are kept


@dataclass
class Outcome:
    """What came of a check. `failed` tells why the file could not be examined at all."""

    findings: list[Finding] = field(default_factory=list)
    failed: str = ""
    printed: str = ""

    @property
    def right(self) -> bool:
        """Whether every backward is."""
        return not self.failed and bool(self.findings) and all(finding.ok for finding in self.findings)

    @property
    def unwritten(self) -> bool:
        """Whether nothing was written yet."""
        return bool(self.findings) and all(finding.unwritten for finding in self.findings)


def check_answer(file: Path, exercise: Exercise, seconds: float = SECONDS, grace: float = GRACE) -> Outcome:
    """Check the file of an exercise. Raises InputError where it is not there."""
    if not file.is_file():
        raise InputError(f"{file} is not there; `mvnp learn open {exercise.stem}` writes it")
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [
            sys.executable,
            "-P",
            "-m",
            "mvnp.learn.child",
            str(file.resolve()),
            exercise.stem,
            str(result),
            f"{seconds:g}",
        ]
        status, printed = _run(command, seconds + grace)
        if not result.exists():
            return Outcome(failed=_ended(status, seconds), printed=printed)
        found = json.loads(result.read_bytes())
    return Outcome([Finding.from_dict(row) for row in found.get("findings", [])], found.get("failed", ""), printed)


def _run(command: list[str], limit: float) -> tuple[int | None, str]:
    """The exit status, None where the time was over, and the beginning of what was printed."""
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "MVNP_BACKEND": "numpy", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    assert process.stdout is not None
    kept = bytearray()
    reader = threading.Thread(target=_keep_beginning, args=(process.stdout, kept), daemon=True)
    reader.start()
    try:
        status: int | None = process.wait(limit)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        process.kill()  # of no effect where it has ended; after Ctrl-C it has not
        process.wait()
    reader.join(timeout=1.0)
    process.stdout.close()
    printed = bytes(kept[:PRINTED]).decode("utf-8", errors="replace").strip()
    return status, f"{printed}\n… and more" if len(kept) > PRINTED else printed


def _keep_beginning(stream: IO[bytes], kept: bytearray) -> None:
    """Endless printing is to fill neither memory nor disk."""
    while block := os.read(stream.fileno(), 1 << 16):
        kept.extend(block[: PRINTED + 1 - len(kept)])


def _ended(status: int | None, seconds: float) -> str:
    if status is None:
        return f"it did not end within {seconds:g} s, and was stopped"
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        return f"Python itself was ended by {name} while it ran; has the memory run out?"
    return f"Python ended with exit status {status} before the check was done: does the file call an exit?"
