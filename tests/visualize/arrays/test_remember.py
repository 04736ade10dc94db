"""What several figures are drawn from is worked out once: mvnp/visualize/arrays/remember.py."""

import numpy as np
import pytest

from mvnp.models.mambavision import MambaVision
from mvnp.visualize.arrays.hidden_attention import mean_hidden_attention
from mvnp.visualize.arrays.internals import internals, record_scan
from mvnp.visualize.arrays.remember import recall, remembered, remembering
from support.figures import image
from support.tiny import tiny


def counted():
    calls = []

    @remembered
    def double(x, factor=2):
        calls.append(x)
        return [factor * each for each in x]

    return double, calls


def test_once_while_it_lasts():
    double, calls = counted()
    x, same = [1, 2], [1, 2]
    double(x)
    assert recall(double, x) is None
    with remembering():
        first = double(x)
        with remembering():  # within another: the same memory
            assert double(x) is first
        assert double(x) is first
        assert recall(double, x) is first
        assert recall(double, same) is None
        assert double(same) == first  # another object is another question
        assert double(x, 3) == [3, 6]
    assert double(x) is not first
    assert len(calls) == 5


def test_it_ends_with_an_error_too():
    double, calls = counted()
    x = [1]

    def interrupted():
        with remembering():
            double(x)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    double(x)
    assert len(calls) == 2


def test_blocks_are_taken_from_a_forward_that_is_known(monkeypatch):
    model, x, passes = tiny(), image(), []
    forward = MambaVision.forward
    monkeypatch.setattr(MambaVision, "forward", lambda *arguments: passes.append(1) or forward(*arguments))
    alone = record_scan(model, x, "levels.2.blocks.0")
    assert len(passes) == 1
    with remembering():
        seen = internals(model, x)
        again = record_scan(model, x, "levels.2.blocks.0")
        assert again is seen.routes[again.path][0]
        assert list(internals(model, x, []).routes) == []
        assert internals(model, x, []).windows == seen.windows
        means = mean_hidden_attention(seen.routes[again.path])
        assert mean_hidden_attention(seen.routes[again.path]) is means
    assert len(passes) == 2
    np.testing.assert_array_equal(again.states, alone.states)
    np.testing.assert_array_equal(means, mean_hidden_attention((alone,)))
