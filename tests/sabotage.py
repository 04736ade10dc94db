"""Planted faults: does the suite notice when somebody breaks a formula?

    python tests/sabotage.py [NAME...]

For each fault the package is copied, one piece of its text is replaced, and the test file named beside it runs on the copy,
in a process of its own. It has to fail. `pytest tests/test_sabotage.py` does the same, a test for each fault.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Fault:
    """A fault: in `module` the text `right` (it must occur exactly once) becomes `wrong`; `test` should go red."""

    name: str
    module: str
    right: str
    wrong: str
    test: str


def plant(fault: Fault, folder: Path) -> None:
    """Copy the package into `folder`, with the fault in it."""
    shutil.copytree(ROOT / "mvnp", folder / "mvnp", ignore=shutil.ignore_patterns("__pycache__", "*.gz"))
    target = folder / "mvnp" / fault.module
    text = target.read_text(encoding="utf-8")
    if text.count(fault.right) != 1:
        raise ValueError(
            f"{fault.name}: {fault.right!r} occurs {text.count(fault.right)} times in {fault.module}, expected once"
        )
    target.write_text(text.replace(fault.right, fault.wrong), encoding="utf-8")


def run_tests(fault: Fault, folder: Path) -> subprocess.CompletedProcess[str]:
    """The fault's test file on the copy in `folder`, which comes first on the path (-P: not the working directory)."""
    options = ["-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-P", "-m", "pytest", *options, str(ROOT / "tests" / fault.test)]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


def noticed(fault: Fault) -> tuple[bool, str]:
    """Whether the tests failed (not: could not run) with the fault planted, and what pytest said."""
    with tempfile.TemporaryDirectory() as folder:
        plant(fault, Path(folder))
        result = run_tests(fault, Path(folder))
    return result.returncode == 1 and "failed" in result.stdout, result.stdout + result.stderr


def main() -> int:
    from sabotage_faults import FAULTS

    wanted = [fault for fault in FAULTS if not sys.argv[1:] or fault.name in sys.argv[1:]]
    missed = 0
    for fault in wanted:
        caught, _ = noticed(fault)
        missed += not caught
        print(f"{'caught' if caught else 'MISSED':<7} {fault.name:<48} {fault.test}", flush=True)
    print(f"{len(wanted) - missed} of {len(wanted)} faults caught")
    return 1 if missed or not wanted else 0


if __name__ == "__main__":
    raise SystemExit(main())
