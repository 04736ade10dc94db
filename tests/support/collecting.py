"""A plugin for pytest that notes what is collected, by a clock that is wrong: `pytest --collect-only -p support.collecting`.

The environment says how wrong, MVNP_LATER in seconds, and where the tests' names go, the file MVNP_NAMES.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

LATER = int(os.environ["MVNP_LATER"])

_now, _now_ns = time.time, time.time_ns
time.time = lambda: _now() + LATER
time.time_ns = lambda: _now_ns() + LATER * 10**9


def pytest_collection_finish(session: pytest.Session) -> None:
    names = "\n".join(item.nodeid for item in session.items)
    Path(os.environ["MVNP_NAMES"]).write_text(names, encoding="utf-8")
