"""The process that runs the reader's file: `python -m mvnp.learn.child FILE LAYER RESULT SECONDS`.

It is a process of its own so that an endless loop, an exit or a crash ends there. What was found is written to RESULT as
JSON; whatever the file prints goes to standard output as it is.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from ..atomic import write_bytes
from .course import find_exercise
from .examine import described, examine

MODULE = "mvnp_learn_answer"


class OutOfTime(BaseException):
    """Raised in the reader's code by the clock. No Exception, so that no `except Exception` of theirs holds it."""


def main(file: str, stem: str, result: str, seconds: str) -> None:
    """Examine FILE, and write what was found."""
    if hasattr(signal, "setitimer"):  # elsewhere the parent's limit has to do
        signal.signal(signal.SIGALRM, _out_of_time)
        signal.setitimer(signal.ITIMER_REAL, float(seconds))
    try:
        found: dict[str, Any] = _found(file, stem)
    except OutOfTime as error:
        found = {"failed": described(error, file).replace(OutOfTime.__name__, f"it did not end within {seconds} s")}
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    write_bytes(result, json.dumps(found).encode("utf-8"))


def _found(file: str, stem: str) -> dict[str, Any]:
    module = ModuleType(MODULE)
    module.__file__ = file
    sys.modules[MODULE] = module  # where a dataclass of theirs looks itself up
    try:
        code = compile(Path(file).read_text(encoding="utf-8"), file, "exec")
        exec(code, module.__dict__)
    except UnicodeDecodeError:
        return {"failed": "it is not text in UTF-8; save it as UTF-8"}
    except (SystemExit, Exception) as error:
        return {"failed": described(error, file)}
    try:
        return {"findings": [finding.to_dict() for finding in examine(module, find_exercise(stem), file)]}
    except SystemExit as error:
        return {"failed": f"{described(error, file)}: a backward returns, it does not exit"}


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise OutOfTime


if __name__ == "__main__":
    main(*sys.argv[1:])
