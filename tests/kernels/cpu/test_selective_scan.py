"""The CPU twin of the selective scan."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.layers.checkpointed_scan import checkpointed_scan_backward, checkpointed_scan_forward
from mvnp.layers.selective_scan import selective_scan_backward, selective_scan_forward
from support.checks import normal
from support.tolerance import assert_close
from support.twins import assert_near, check_twins, computed, needs_numba, twin_function

pytestmark = needs_numba

MODEL = [(2, 196, 160, 8), (2, 49, 320, 8)]  # b, l, d, n: stages 3 and 4 of T


def inputs_of(b, l, d, n, bias=True, seed=0):
    shapes = [(b, l, d), (b, l, d), (d, n), (b, l, n), (b, l, n), (d,), (d,)]
    x, dt, A, B, C, D, dt_bias = (normal(shape, 7 * seed + number) for number, shape in enumerate(shapes))
    return [x, dt, -np.exp(0.5 * A), B, C, D, *([dt_bias] if bias else [])]


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 30), st.integers(1, 40), st.integers(1, 9)),
    bias=st.booleans(),
    softplus=st.booleans(),
    seed=st.integers(0, 99),
)
def test_numbers(shape, bias, softplus, seed):
    inputs = inputs_of(*shape, bias, seed)
    if not softplus:  # dt is a step itself: positive, or states would grow
        inputs[1] = np.abs(inputs[1])
        inputs[6:] = [np.abs(value) for value in inputs[6:]]
    check_twins(selective_scan_forward, selective_scan_backward, inputs, softplus=softplus)


@pytest.mark.parametrize("shape", MODEL, ids=str)
def test_shapes_of_the_model(shape):
    check_twins(selective_scan_forward, selective_scan_backward, inputs_of(*shape))


def test_views_of_a_projection():
    """As the mixer has them: dt, B and C are columns of one array, x every second channel, A a transpose, dy half of a row."""
    inputs = inputs_of(2, 19, 6, 4)
    both, gates, AT = normal((2, 19, 12), 1), normal((2, 19, 14), 2), np.ascontiguousarray(inputs[2].T)
    views = [both[..., ::2], gates[..., :6], AT.T, gates[..., 6:10], gates[..., 10:], *inputs[5:]]
    check_twins(selective_scan_forward, selective_scan_backward, views)
    _, cache = twin_function(selective_scan_forward)(*views)
    wide = normal((2, 19, 12), 3)
    got = twin_function(selective_scan_backward)(wide[..., 6:], cache)
    for number, want in enumerate(selective_scan_backward.book(wide[..., 6:], cache)):
        assert_near(got[number], want, "float64", f"gradient {number}")


def test_inference_leaves_no_cache():
    inputs = inputs_of(2, 9, 5, 3)
    for function in (selective_scan_forward.book, twin_function(selective_scan_forward)):
        y, cache = function(*inputs, keep=False)
        assert cache is None
        assert_near(y, selective_scan_forward.book(*inputs)[0], "float64", "y")


@pytest.mark.parametrize("offset", [-60.0, -15.0, 15.0, 60.0])
def test_extreme_steps(offset):
    """Softplus in its tails: each result by its own size, so that a gradient of 1e-20 keeps its digits too. What
    is rounded of dt, softplus is off by in its left tail."""
    inputs = inputs_of(2, 9, 5, 3)
    inputs[1] = inputs[1] + offset
    check_twins(selective_scan_forward, selective_scan_backward, inputs, scale=abs(offset))


def test_no_step_at_all():
    """dt = −10⁴ at a padded token: exactly no step, and exactly no gradient."""
    inputs = [value.astype(np.float32) for value in inputs_of(1, 6, 5, 3)]
    inputs[1][:, 2:4] = -1e4
    y, cache = computed(twin_function(selective_scan_forward)(*inputs), selective_scan_forward)
    np.testing.assert_array_equal(cache.delta[:, 2:4], 0)
    dx, ddt, _, dB, *_ = twin_function(selective_scan_backward)(y, cache)
    np.testing.assert_array_equal(ddt[:, 2:4], 0)
    np.testing.assert_array_equal(dB[:, 2:4], 0)
    assert_close(dx[:, 2:4], inputs[5] * y[:, 2:4], terms=1)


@pytest.mark.parametrize("number", range(7))
def test_a_number_that_is_none(number):
    """A NaN in any input passes to the same outputs and gradients as in the book."""
    inputs = inputs_of(2, 7, 3, 2)
    inputs[number].flat[inputs[number].size // 2] = np.nan
    check_twins(selective_scan_forward, selective_scan_backward, inputs)


def test_long_sequences_keep_their_digits():
    """100,000 tokens in float32, where gradients add up to large numbers; against the checkpointed scan in float64."""
    inputs = inputs_of(1, 100_000, 2, 2)
    inputs[0], inputs[3] = np.abs(inputs[0]), np.abs(inputs[3])
    dy = np.abs(normal((1, 100_000, 2), 8))
    y, cache = checkpointed_scan_forward(*inputs)
    want = [y, *checkpointed_scan_backward(dy, cache)]
    y, cache = twin_function(selective_scan_forward)(*(value.astype(np.float32) for value in inputs))
    got = [y, *twin_function(selective_scan_backward)(dy.astype(np.float32), cache)]
    for number, (one, other) in enumerate(zip(got, want, strict=True)):
        assert_near(one, other, "float32", f"result {number}")


def test_what_it_does_not_take():
    """Half precision goes to the book, and so does a wrong dy, which the book names."""
    inputs = inputs_of(1, 4, 3, 2)
    assert twin_function(selective_scan_forward)(*(value.astype(np.float16) for value in inputs)) is NotImplemented
    y, cache = twin_function(selective_scan_forward)(*inputs)
    for wrong in (y[:, :3], y.astype(np.float32)):
        assert twin_function(selective_scan_backward)(wrong, cache) is NotImplemented
