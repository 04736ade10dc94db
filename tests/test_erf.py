"""The error function in float32: mvnp/execution/erf.py, against SciPy's in float64."""

import numpy as np
import pytest
import scipy.special

from mvnp.backend import erf
from mvnp.execution.erf import erf32


def test_error_is_as_documented():
    z = np.linspace(-6, 6, 200_001, dtype=np.float32)
    assert np.abs(erf32(z) - scipy.special.erf(z.astype("float64"))).max() < 2.4e-7


def test_small_arguments_keep_their_digits():
    z = np.logspace(-30, -2, 500, dtype=np.float32)
    np.testing.assert_allclose(erf32(z), scipy.special.erf(z.astype("float64")), rtol=5e-7)


def test_odd():
    z = np.random.default_rng(1).standard_normal((7, 5)).astype(np.float32)
    np.testing.assert_array_equal(erf32(-z), -erf32(z))


@pytest.mark.parametrize("size", [5.0, 1e3, 1e6, 1e12, 1e19])
def test_large_arguments(size):
    """Warnings are errors here: z⁶ must not overflow."""
    np.testing.assert_array_equal(erf32(np.array([-size, 0.0, size], np.float32)), [-1, 0, 1])


def test_nan_stays_where_it_is():
    z = np.array([0.5, np.nan, -0.5], np.float32)
    np.testing.assert_array_equal(np.isnan(erf32(z)), [False, True, False])


def test_shape_dtype_and_argument_are_kept():
    z = np.random.default_rng(1).standard_normal((3, 4, 5)).astype(np.float32)[:, ::2]
    before = z.copy()
    y = erf32(z)
    assert (y.shape, y.dtype) == (z.shape, np.float32)
    np.testing.assert_array_equal(z, before)
    np.testing.assert_allclose(y, scipy.special.erf(before), atol=3e-7)


def test_float64_has_every_digit():
    z = np.linspace(-3, 3, 101)
    np.testing.assert_array_equal(erf(z), scipy.special.erf(z))
    np.testing.assert_array_equal(erf(z.astype(np.float32)), erf32(z.astype(np.float32)))
