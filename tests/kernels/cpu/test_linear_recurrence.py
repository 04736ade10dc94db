"""The CPU twin of the linear recurrence, in its sequential way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.layers.linear_recurrence import METHODS, linear_recurrence_backward, linear_recurrence_forward
from support.checks import normal
from support.twins import check_twins, needs_numba, twin_function

pytestmark = needs_numba


@settings(max_examples=40)
@given(k=st.integers(1, 40), rest=st.lists(st.integers(1, 5), max_size=2), start=st.booleans(), seed=st.integers(0, 99))
def test_numbers(k, rest, start, seed):
    shape = (k, *rest)
    decay = np.exp(-np.abs(normal(shape, seed)))
    inputs = [decay, normal(shape, seed + 1), np.asarray(normal(shape[1:], seed + 2)) if start else None]
    check_twins(linear_recurrence_forward, linear_recurrence_backward, inputs)


def test_views_with_time_second_and_backwards():
    a, u = np.exp(-np.abs(normal((3, 9, 4), 1))).swapaxes(0, 1), normal((9, 3, 8), 2)[::-1, :, ::2]
    check_twins(linear_recurrence_forward, linear_recurrence_backward, [a, u, normal((3, 4), 3)])


@pytest.mark.parametrize("number", range(3))
def test_a_number_that_is_none(number):
    inputs = [np.exp(-np.abs(normal((7, 3), 1))), normal((7, 3), 2), normal((3,), 3)]
    inputs[number].flat[1] = np.nan
    check_twins(linear_recurrence_forward, linear_recurrence_backward, inputs)


def test_what_it_does_not_take():
    a, u, start = np.exp(-np.abs(normal((7, 3), 1))), normal((7, 3), 2), normal((3,), 3)
    forward, backward = twin_function(linear_recurrence_forward), twin_function(linear_recurrence_backward)
    for method in METHODS:
        h, cache = linear_recurrence_forward.book(a, u, start, method)
        assert (forward(a, u, start, method) is NotImplemented) == (method != "sequential")
        assert (backward(h, cache) is NotImplemented) == (method != "sequential")
    half = [value.astype(np.float16) for value in (a, u, start)]
    for wrong in [
        half,
        (a, u.astype(np.float32)),
        (a, u[:6]),
        (a, u, start[:2]),
        (a[:0], u[:0]),
        (np.array(0.5), np.array(1.0)),
    ]:
        assert forward(*wrong) is NotImplemented
    h, cache = forward(a, u, start)
    assert backward(h[:6], cache) is NotImplemented
    assert backward(h.astype(np.float32), cache) is NotImplemented
