"""The CPU twins of BatchNorm's passes: mvnp/kernels/cpu/batchnorm.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mvnp.execution import parallel
from mvnp.kernels import use_kernels
from mvnp.layers.batchnorm import (
    batchnorm_backward,
    batchnorm_eval_backward,
    batchnorm_eval_forward,
    batchnorm_forward,
    input_gradient,
    moments,
    parameter_gradients,
)
from support.checks import normal
from support.kernel_checks import by_the_book
from support.tolerance import DEEP, assert_close
from support.twins import LAYOUTS, check_twin, laid_out, needs_numba, refused

pytestmark = needs_numba

SHAPES = array_shapes(min_dims=1, max_dims=4, max_side=9)


def of_channels(C, count, seed=10):
    return [normal((C,), seed + number) for number in range(count)]


@settings(max_examples=25)
@given(shape=SHAPES, seed=st.integers(0, 99))
def test_each_pass(shape, seed):
    x, dy, C = 3 + normal(shape, seed), normal(shape, seed + 1), shape[-1]
    check_twin(input_gradient, [dy, x, *of_channels(C, 5)])
    check_twin(parameter_gradients, [dy, x, *of_channels(C, 2)])
    check_twin(moments, [x])


def test_rows_of_several_blocks():
    x, dy = 3 + normal((2, 31, 33, 5), 1), normal((2, 31, 33, 5), 2)
    check_twin(parameter_gradients, [dy, x, *of_channels(5, 2)])
    check_twin(moments, [x])


def batchnorm(x, dy, weight, bias):
    y, cache = batchnorm_forward(x, weight, bias)
    return [y, *cache[2:5], *batchnorm_backward(dy, cache)]


def evaluation(x, dy, weight, bias):
    y, cache = batchnorm_eval_forward(x, weight, bias, bias, weight**2)
    return [y, *batchnorm_eval_backward(dy, cache)]


@pytest.mark.parametrize("whole", [batchnorm, evaluation])
def test_all_of_it(whole):
    x, dy = 3 + normal((3, 13, 12, 35), 1), normal((3, 13, 12, 35), 2)
    inputs = [x, dy, *of_channels(35, 2)]
    with by_the_book():
        want = whole(*inputs)
    use_kernels("on")
    for got, expected in zip(whole(*inputs), want, strict=True):
        assert_close(got, expected)
    for layout in LAYOUTS:
        for got, expected in zip(whole(laid_out(x, layout), laid_out(dy, layout), *inputs[2:]), want, strict=True):
            assert_close(got, expected)


def test_sums_over_100_000_rows_keep_their_digits():
    x, dy = 100 + normal((100_000, 3), 1), 1 + normal((100_000, 3), 2)
    narrow = x.astype(np.float32), dy.astype(np.float32)
    mean, rstd = x.mean(axis=0), 1 / x.std(axis=0)
    for kind in ("twin", "book"):
        of_x, of_dy = (getattr(f, "book", f) if kind == "book" else f for f in (moments, parameter_gradients))
        n, got, squares = of_x(narrow[0])
        assert n == 100_000
        assert_close(got, narrow[0].astype(float).mean(axis=0), terms=DEEP)
        assert_close(squares / n, narrow[0].astype(float).var(axis=0))
        _, dbias = of_dy(narrow[1], narrow[0], mean.astype(np.float32), rstd.astype(np.float32))
        assert_close(dbias, narrow[1].astype(float).sum(axis=0), terms=DEEP)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_constant_channel_has_no_spread(dtype):
    x = np.full((1000, 3), 1e5 + 0.3, dtype)
    _, mean, squares = moments(x)
    np.testing.assert_array_equal(mean, x[0])
    np.testing.assert_array_equal(squares, 0)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_channel(number):
    x, dy = normal((200, 20), 1), normal((200, 20), 2)
    x[130, 7] = number
    with np.errstate(invalid="ignore"):
        inputs = [x, dy, *of_channels(20, 2)]
        with by_the_book():
            want = batchnorm(*inputs)
        for got, expected in zip(batchnorm(*inputs), want, strict=True):
            np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
            assert np.isnan(got).sum() in (0, len(got) if got.ndim > 1 else 1)


def test_how_many_cores_there_are_does_not_show(monkeypatch):
    x, dy = normal((5000, 64), 1), normal((5000, 64), 2)
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(parallel, "_chosen", threads)
        results.append(batchnorm(x, dy, *of_channels(64, 2)))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_what_they_leave_to_the_book():
    x, (a, b, c, d, e) = normal((4, 5), 1), of_channels(5, 5)
    refused(moments, x.astype(np.float16))
    refused(moments, np.array(3.0))
    refused(batchnorm_eval_forward, *map(np.array, (3.0, 1.0, 2.0, 0.5, 1.5)))
    refused(batchnorm_eval_forward, x, a, b, c, d[:4])
    refused(batchnorm_eval_forward, x, a, b, c, d.astype(np.float32))
    refused(input_gradient, x[:3], x, a, b, c, d, e)
    refused(parameter_gradients, x[:, :4], x, a, b)
    refused(batchnorm_eval_backward, x[:3], (x, a, b, c))
