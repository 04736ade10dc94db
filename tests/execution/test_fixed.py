"""What is made of weights alone, once while they are fixed: mvnp/execution/fixed.py."""

import numpy as np
import pytest

import mvnp
from mvnp.execution.fixed import fixed_weights, once

TINY = {"dim": 8, "in_dim": 4, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1], "window_size": [8, 8, 4, 2], "num_classes": 3}


def test_made_once_while_fixed():
    made, layer, other = [], object(), object()

    def make():
        made.append(1)
        return len(made)

    assert (once((layer,), make), once((layer,), make)) == (1, 2)
    with fixed_weights():
        assert once((layer,), make) == 3
        with fixed_weights():
            assert once((layer,), make) == 3
            assert once((other,), make) == 4
        assert once((layer,), make) == 3
    assert once((layer,), make) == 5


def test_an_error_ends_it():
    with pytest.raises(ZeroDivisionError), fixed_weights():
        once((1,), lambda: 1 / 0)
    assert once((1,), lambda: 7) == 7


def test_a_model_gives_the_same_numbers():
    model, x = mvnp.MambaVision(**TINY), np.random.default_rng(0).standard_normal((2, 3, 32, 32), dtype=np.float32)
    want = model(x)
    with fixed_weights():
        for _ in range(2):
            np.testing.assert_array_equal(model(x), want)


def test_weights_that_change_outside_of_it_count():
    model, x = mvnp.MambaVision(**TINY), np.random.default_rng(0).standard_normal((2, 3, 32, 32), dtype=np.float32)
    with fixed_weights():
        before = model(x)
    model.patch_embed.conv_down[1].weight.data[...] = 2.0  # in place, which nobody could notice
    assert np.abs(model(x) - before).max() > 0
    with fixed_weights():
        assert np.abs(model(x) - before).max() > 0
