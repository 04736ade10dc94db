"""Planted faults: does the suite notice when somebody breaks a formula?

    python tests/sabotage.py             all of them, a few minutes
    python tests/sabotage.py conv2d      those of modules with this in their name

For each fault the package is copied, one piece of its text is replaced, and the test file of the module runs on the copy, in
a process of its own. It has to fail. `pytest tests/test_sabotage.py` does the same with the first faults of each module.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sabotage_faults import FAULTS

from support.patience import HANGS

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Fault:
    """In `module` the text `right` (it must occur exactly once) becomes `wrong`."""

    module: str
    right: str
    wrong: str

    @property
    def test(self) -> Path:
        """The test file that should go red: the one with the module's stem."""
        module = Path(self.module)
        return ROOT / "tests" / module.parent / f"test_{module.stem}.py"

    def __str__(self) -> str:
        return f"{self.module}: {' '.join(self.right.split())}  →  {' '.join(self.wrong.split()) or '(nothing)'}"


def faults(at_most: int | None = None) -> list[Fault]:
    """All faults, or the first ones of each module."""
    return [Fault(module, *texts) for module, rows in FAULTS.items() for texts in rows[:at_most]]


def plant(fault: Fault, folder: Path) -> None:
    """Copy the package into `folder`, with the fault in it."""
    shutil.copytree(ROOT / "mvnp", folder / "mvnp", ignore=shutil.ignore_patterns("__pycache__", "*.gz"))
    target = folder / "mvnp" / fault.module
    text = target.read_text(encoding="utf-8")
    if text.count(fault.right) != 1:
        raise ValueError(f"{fault.right!r} occurs {text.count(fault.right)} times in {fault.module}, expected once")
    target.write_text(text.replace(fault.right, fault.wrong), encoding="utf-8")


def run_tests(fault: Fault, folder: Path) -> subprocess.CompletedProcess[str]:
    """The fault's test file on the copy in `folder`, which comes first on the path (-P: not the working directory)."""
    options = ["-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "slow or not slow"]
    command = [sys.executable, "-P", "-m", "pytest", *options, str(fault.test)]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=HANGS, check=False)


def noticed(fault: Fault) -> tuple[bool, str]:
    """Whether tests failed (not: could not be collected) with the fault planted, and what pytest said."""
    with tempfile.TemporaryDirectory() as folder:
        plant(fault, Path(folder))
        result = run_tests(fault, Path(folder))
    return result.returncode == 1 and "failed" in result.stdout, result.stdout + result.stderr


def main() -> int:
    wanted = [fault for fault in faults() if all(part in fault.module for part in sys.argv[1:])]
    caught = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for fault, (seen, _) in zip(wanted, pool.map(noticed, wanted), strict=True):
            caught += seen
            print(f"{'caught' if seen else 'MISSED':<7} {fault}", flush=True)
    print(f"{caught} of {len(wanted)} faults caught")
    return 0 if wanted and caught == len(wanted) else 1


if __name__ == "__main__":
    raise SystemExit(main())
