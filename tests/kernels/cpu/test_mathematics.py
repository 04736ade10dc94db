"""Functions of one number in kernels: mvnp/kernels/cpu/mathematics.py."""

import math

import numpy as np
import pytest

from support.checks import normal
from support.twins import DTYPES, needs_numba

pytestmark = needs_numba

EXACT = {
    "exp": np.exp,
    "expm1": np.expm1,
    "softplus": lambda x: np.logaddexp(0, x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "normal_cdf": np.vectorize(lambda x: math.erfc(-x / math.sqrt(2)) / 2),
}
ROUNDED = 6e-8  # of |x|: the largest error of a number in float32
# From and to where float32 has the result; the largest error in units of the result, of it for each unit of |x|, and in itself.
CASES = {
    "exp": (-86.6, 88.7, 1e-7, ROUNDED, 0),
    "expm1": (-87, 0, 1e-7, 0, 0),
    "softplus": (-86, 87, 2.5e-7, ROUNDED, 0),
    "sigmoid": (-86, 87, 1.5e-7, ROUNDED, 0),
    "normal_cdf": (-6, 9, 7e-7, 0, 3e-9),
}


def each(name, x):
    """The function for each number of x, in a kernel."""
    from mvnp.kernels.cpu import mathematics
    from mvnp.kernels.cpu.jit import inline

    function = getattr(mathematics, name)

    @inline
    def loop(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    y = np.empty_like(x)
    loop(x, y)
    return y


@pytest.mark.parametrize("name", CASES)
def test_numbers(name):
    low, high, relative, of_x, absolute = CASES[name]
    near_0 = np.linspace(-0.5, 0, 500)
    x = np.concatenate([np.linspace(low, high, 4001), near_0, near_0 if high == 0 else -near_0, -np.geomspace(1e-30, 1, 50)])
    np.testing.assert_allclose(each(name, x), EXACT[name](x), rtol=2e-15, atol=1e-16 if absolute else 0)
    x = x.astype(np.float32)
    want = EXACT[name](x.astype(float))
    assert (np.abs(each(name, x) - want) <= (relative + of_x * np.abs(x)) * np.abs(want) + absolute).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_out(dtype):
    x = np.array([np.nan, -np.inf, -1e30, -1e3, 1e3, 1e30, np.inf], dtype)
    want = {
        "exp": [np.nan, 0, 0, 0, np.inf, np.inf, np.inf],
        "expm1": [np.nan, -1, -1, -1],  # of what is not above 0
        "softplus": [np.nan, 0, 0, 0, *x[4:]],
        "sigmoid": [np.nan, 0, 0, 0, 1, 1, 1],
        "normal_cdf": [np.nan, 0, 0, 0, 1, 1, 1],
    }
    for name, results in want.items():
        np.testing.assert_array_equal(each(name, x[: len(results)]), np.array(results, dtype), err_msg=name)


def test_whole_units():
    from mvnp.kernels.cpu.mathematics import in_whole

    assert [in_whole(number, 4) for number in range(10)] == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8]


@pytest.mark.parametrize("dtype", DTYPES)
def test_constants_are_of_the_type_of_a_number(dtype):
    from mvnp.kernels.cpu.jit import inline
    from mvnp.kernels.cpu.mathematics import type_of

    @inline
    def tenth(x, y):
        y[0] = type_of(x[0])(0.1)

    x, y = np.zeros(1, dtype), np.zeros(1)
    tenth(x, y)
    assert y[0] == np.array(0.1, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_number_of_a_row(dtype):
    from mvnp.kernels.cpu.jit import inline
    from mvnp.kernels.cpu.mathematics import row_max

    @inline
    def largest(x, y):
        y[0] = row_max(x)

    rows = [sign * (5 + normal((33,), seed)) for seed in range(40) for sign in (1, -1)]
    rows += [normal((C,), C) for C in range(1, 40)]
    rows += [
        np.array(row) for row in ([-np.inf, -np.inf], [-1e30, -np.inf], [np.inf, 1.0], [-1e-40, -1.0], [-0.5, -1e-30, -2.0])
    ]
    y = np.empty(1, dtype)
    for row in rows:
        row = row.astype(dtype)
        largest(row, y)
        assert y[0] == row.max()
