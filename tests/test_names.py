"""The names of tests and their order: those of any other machine and moment, or no two workers could share the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.patience import HANGS

ROOT = Path(__file__).parent.parent
HERE = {"MVNP_LATER": "0", "PYTHONHASHSEED": "1", "TZ": "UTC"}
THERE = {"MVNP_LATER": "40000000", "PYTHONHASHSEED": "2", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "HOME": "/nonexistent"}


def collect(names: Path, **environment: str) -> subprocess.Popen[str]:
    """Begin to collect every test, in an environment of its own."""
    options = ["--collect-only", "-m", "slow or not slow", "-p", "no:cacheprovider", "-p", "no:randomly"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, "-p", "support.collecting"],
        cwd=ROOT,
        env={**clean, "PYTHONPATH": path, "MVNP_NAMES": str(names), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


@pytest.mark.slow(reason="collects the whole suite twice")
def test_names_are_those_of_another_machine(tmp_path):
    runs = {"here": collect(tmp_path / "here", **HERE), "there": collect(tmp_path / "there", **THERE)}
    for run in runs.values():
        out, _ = run.communicate(timeout=HANGS)
        assert run.returncode == 0, out
    here, there = ((tmp_path / name).read_text(encoding="utf-8").splitlines() for name in runs)
    assert len(here) > 5000
    assert [pair for pair in zip(here, there, strict=True) if pair[0] != pair[1]] == []


def test_bytes_are_no_name(pytestconfig):
    assert pytestconfig.hook.pytest_make_parametrize_id(config=pytestconfig, val=b"\x1f\x8b", argname="content") == "content"
