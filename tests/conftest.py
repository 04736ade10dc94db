"""Fixtures that any test can ask for, and what holds for all tests: their names, their tiers, and what Hypothesis may try."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from support.host_events import Recorder
from support.strict_cupy import installed

# A shell starts what runs in the background with Ctrl-C ignored; the tests that press it need it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every machine, however slow it is, and no file in the checkout.
hypothesis.settings.register_profile(
    "the same everywhere",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("the same everywhere")


def pytest_make_parametrize_id(config: pytest.Config, val: Any, argname: str) -> str | None:
    """Bytes are named by their argument and a number: what is in them, such as the time in a gzip header, may change."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is slow says why, and a name is the same in every process: those that share the tests have to agree."""
    for item in items:
        if " at 0x" in item.name:
            raise pytest.UsageError(f"{item.nodeid}: an address is no name; give ids")
        for mark in item.iter_markers("slow"):
            if mark.args or mark.kwargs.keys() != {"reason"} or not mark.kwargs["reason"].strip():
                raise pytest.UsageError(f"{item.nodeid}: write @pytest.mark.slow(reason='why it takes long')")


@pytest.fixture(autouse=True)
def the_same_draws(request: pytest.FixtureRequest) -> None:
    """A generator RNG that the tests of a file share begins anew for each of them: what it draws depends on no other test."""
    rng = getattr(request.module, "RNG", None)
    if rng is not None:
        begin = _BEGIN.setdefault(request.module.__name__, rng.bit_generator.state)
        rng.bit_generator.state = begin


_BEGIN: dict[str, Any] = {}


@pytest.fixture
def strict_cupy() -> Iterator[Recorder]:
    """mvnp on the stand-in for CuPy; the value is the record of waits and uploads. See support/strict_cupy.py."""
    with installed() as recorder:
        yield recorder


@pytest.fixture
def benchmarks_importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts of benchmarks/ import each other by their plain names; afterwards neither path nor modules are left."""
    folder = Path(__file__).parents[1] / "benchmarks"
    names = [path.stem for path in folder.glob("*.py")]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)  # a folder of tests can have the same one
    monkeypatch.syspath_prepend(str(folder))
    yield
    for name in names:
        sys.modules.pop(name, None)
