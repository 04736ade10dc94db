"""The run that others are compared with."""

import pytest

from support.toy_training import toy_run


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    toy_run(out)
    return out
