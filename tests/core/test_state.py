"""What is said of a state dict that does not fit: mvnp/core/state.py."""

import numpy as np
import pytest

from mvnp.core.state import MOST_LISTED
from mvnp.errors import CheckpointError
from mvnp.layers import Linear


def test_keys_from_outside_are_shown_short_and_plain():
    state = {**Linear(2, 3).state_dict(), "a\x1b[31m\n": np.ones(1), "b" * 70_000: np.ones(1)}
    with pytest.raises(CheckpointError) as refused:
        Linear(2, 3).load_state_dict(state)
    lines = str(refused.value).splitlines()
    assert lines[1] == r"  unexpected: a\x1b[31m\n (1,)"
    assert lines[2] == f"  unexpected: {'b' * 77}… (1,)"
    assert all(line.isprintable() for line in lines)


def test_very_many_are_counted():
    state = {**Linear(2, 3).state_dict(), **{f"k{index}": np.ones(1) for index in range(20_000)}}
    with pytest.raises(CheckpointError, match="20000 entries differ") as refused:
        Linear(2, 3).load_state_dict(state)
    lines = str(refused.value).splitlines()
    assert lines[-2] == f"  and {20_000 - MOST_LISTED} more"
    assert len(lines) == MOST_LISTED + 3
