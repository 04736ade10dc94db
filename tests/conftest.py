"""Fixtures that any test can ask for."""

import signal
from collections.abc import Iterator

import pytest

from support.host_events import Recorder
from support.strict_cupy import installed

# A shell starts what runs in the background with Ctrl-C ignored; the tests that press it need it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def strict_cupy() -> Iterator[Recorder]:
    """mvnp on the stand-in for CuPy; the value is the record of waits and uploads. See support/strict_cupy.py."""
    with installed() as recorder:
        yield recorder
