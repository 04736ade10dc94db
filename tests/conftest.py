"""Fixtures that any test can ask for."""

from collections.abc import Iterator

import pytest

from support.host_events import Recorder
from support.strict_cupy import installed


@pytest.fixture
def strict_cupy() -> Iterator[Recorder]:
    """mvnp on the stand-in for CuPy; the value is the record of waits and uploads. See support/strict_cupy.py."""
    with installed() as recorder:
        yield recorder
