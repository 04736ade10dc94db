"""The CPU twin of linear."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.layers.linear import linear_backward, linear_forward
from support.checks import normal
from support.twins import assert_near, check_twins, computed, needs_numba, twin_function

pytestmark = needs_numba


@settings(max_examples=40)
@given(
    leading=st.lists(st.integers(1, 12), max_size=3),
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 9),
    bias=st.booleans(),
    strided=st.booleans(),
    seed=st.integers(0, 99),
)
def test_numbers(leading, inputs, outputs, bias, strided, seed):
    x = normal((*leading, 2 * inputs), seed)[..., ::2] if strided else normal((*leading, inputs), seed)
    check_twins(
        linear_forward,
        linear_backward,
        [x, normal((outputs, inputs), seed + 1), normal((outputs,), seed + 2) if bias else None],
    )


@pytest.mark.parametrize("rows", [1, 6, 7, 20, 1024, 1025])
def test_few_and_many_rows(rows):
    """Two ways to the same product. Both give it in rows that lie one after the other."""
    inputs = [normal((rows, 33), 1), normal((17, 33), 2), normal((17,), 3)]
    check_twins(linear_forward, linear_backward, inputs)
    y, _ = computed(twin_function(linear_forward)(*inputs), linear_forward)
    assert y.flags.c_contiguous


@pytest.mark.parametrize(("rows", "ours"), [(1024, True), (1025, False)])
def test_which_way_is_taken(rows, ours, monkeypatch):
    twin, calls = twin_function(linear_forward), []
    product = twin.__globals__["linear"]
    monkeypatch.setitem(twin.__globals__, "linear", lambda *given: calls.append(1) or product(*given))
    computed(twin(normal((rows, 3), 1), normal((2, 3), 2)), linear_forward)
    assert len(calls) == ours


def test_views_whose_axes_are_not_in_order():
    x, weight = normal((4, 2, 3), 1).swapaxes(0, 1), normal((3, 5), 2).T
    check_twins(linear_forward, linear_backward, [x, weight, normal((10,), 3)[::2]])
    _, cache = twin_function(linear_forward)(x, weight, normal((5,), 3))
    dy = normal((4, 2, 5), 4).swapaxes(0, 1)
    for got, want in zip(twin_function(linear_backward)(dy, cache), linear_backward.book(dy, cache), strict=True):
        assert_near(got, want, "float64", "a gradient")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("rows", [3, 200])
def test_a_number_that_is_none_stays_in_its_row(rows, value):
    x = normal((rows, 4), 1)
    x[1, 2] = value
    with np.errstate(invalid="ignore"):
        y, cache = twin_function(linear_forward)(x, normal((2, 4), 2), np.zeros(2))
        dx = twin_function(linear_backward)(normal((rows, 2), 3), cache)[0]
    assert not np.isfinite(y[1]).any()
    assert np.isfinite(np.delete(y, 1, axis=0)).all()
    assert np.isfinite(dx).all()


def test_many_rows_keep_their_digits():
    """A bias's gradient over 100,000 rows of float32."""
    dy = np.abs(normal((100_000, 3), 1))
    cache = (np.zeros((100_000, 2), np.float32), np.zeros((3, 2), np.float32), True)
    dbias = twin_function(linear_backward)(dy.astype(np.float32), cache)[2]
    assert_near(dbias, dy.sum(axis=0), "float32", "dbias", terms=1)


def test_what_it_does_not_take():
    x, weight, bias = normal((2, 3), 1), normal((4, 3), 2), normal((4,), 3)
    forward, backward = twin_function(linear_forward), twin_function(linear_backward)
    for wrong in [
        (x.astype(np.float16), weight.astype(np.float16)), (x, weight.astype(np.float32)), (x[:, :2], weight), (x[:0], weight),
        (x, weight, bias.astype(np.float32)), (x, weight, bias[:3]), (x[0, 0], weight),
        (np.array(2.0), weight[0]),
    ]:  # fmt: skip
        assert forward(*wrong) is NotImplemented
    y, cache = forward(x, weight, bias)
    for wrong in (y[:, :3], y[:1], y.astype(np.float32)):
        assert backward(wrong, cache) is NotImplemented
    assert backward(y, (x, weight.astype(np.float32), True)) is NotImplemented
