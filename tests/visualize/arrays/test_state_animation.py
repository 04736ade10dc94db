"""The arrays behind the figure: mvnp/visualize/arrays/state_animation.py."""

import numpy as np
import pytest

from mvnp.visualize.arrays.internals import record_scan
from mvnp.visualize.arrays.state_animation import FRAMES, shown_tokens, state_frames
from support.figures import image
from support.tiny import tiny


def test_states_are_those_recorded_from_fast_to_slow():
    scan = record_scan(tiny(dtype="float64"), image())
    frames = state_frames(scan, 3)
    pace = np.log(scan.timescale)
    channels, states = np.argsort(pace.mean(axis=1)), np.argsort(pace.mean(axis=0))
    for t in range(4):
        np.testing.assert_array_equal(frames[t], scan.states[3, t][np.ix_(channels, states)])


@pytest.mark.parametrize("L", [1, 4, FRAMES, FRAMES + 1, 196, 1000])
def test_long_scans_skip_tokens_but_not_the_first_and_the_last(L):
    shown = shown_tokens(L)
    assert len(shown) <= FRAMES + 1
    assert (shown[0], shown[-1]) == (0, L - 1)
    assert len(shown) == L or L > FRAMES
