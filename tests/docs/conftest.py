"""What builds and checks the documentation is no part of the package: these tests find it where it lies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "docs" / "_ext", ROOT / "docs", ROOT / "benchmarks"]


@pytest.fixture(autouse=True)
def _docs_importable(monkeypatch):
    """Afterwards neither path nor modules are left behind."""
    for folder in FOLDERS:
        monkeypatch.syspath_prepend(str(folder))
    names = {path.stem for folder in FOLDERS for path in folder.glob("*.py")} | {
        "checks",
        *(f"checks.{path.stem}" for path in (ROOT / "docs" / "checks").glob("*.py")),
    }
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield
    for name in names:
        sys.modules.pop(name, None)
