"""What the test of every CPU twin asks: the book's numbers, whichever of the two does the forward and whichever the backward.

    @given(layernorm_inputs())
    def test_numbers(inputs):
        check_twins(layernorm_forward, layernorm_backward, inputs)

`inputs` are the forward's positional arguments, arrays in float64; options follow by name. A twin that gives NotImplemented
where the test expects it to compute fails the test: otherwise the book would be compared with itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mvnp.kernels import twin_of
from mvnp.kernels.cpu import unavailable

needs_numba = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

EXACT = 1e-12  # in float64, of the largest number of a result
# In float32, in units of the last place of the largest number: roundings of some steps and of one long sum.
FLOAT32_UNITS = 32

CROSSWISE = {"twins": (True, True), "twin, then book": (True, False), "book, then twin": (False, True)}


def twin_function(function: Callable) -> Callable:
    """The CPU twin of a function of the book, which has to exist."""
    stem = function.__module__.rpartition(".")[2]
    found = twin_of("cpu", stem, function.__name__)
    assert found is not None, f"mvnp/kernels/cpu/{stem}.py has no {function.__name__}"
    return found


def check_twins(
    forward: Callable, backward: Callable, inputs: Sequence[Any], units: float = FLOAT32_UNITS, **options: Any
) -> None:
    """y and every gradient, in both dtypes: the twins', and crosswise, against the book's in float64."""
    twins = twin_function(forward), twin_function(backward)
    books = forward.book, backward.book  # type: ignore[attr-defined]
    want_y, cache = books[0](*inputs, **options)
    dy = np.random.default_rng(9).standard_normal(np.shape(want_y))
    want = [want_y, *as_tuple(books[1](dy, cache))]
    for dtype, limit in (("float64", EXACT), ("float32", units * float(np.finfo(np.float32).eps))):
        given = [cast(value, dtype) for value in inputs]
        kept = [np.array(value) if isinstance(value, np.ndarray) else value for value in given]
        for name, (first, second) in CROSSWISE.items():
            y, cache = computed((twins if first else books)[0](*given, **options), forward)
            gradients = computed((twins if second else books)[1](dy.astype(dtype), cache), backward)
            for number, (got, expected) in enumerate(zip([y, *as_tuple(gradients)], want, strict=True)):
                assert_near(got, expected, dtype, limit, f"{dtype}, {name}: {'y' if number == 0 else f'gradient {number}'}")
        for before, after in zip(kept, given, strict=True):
            if isinstance(before, np.ndarray):
                np.testing.assert_array_equal(after, before, err_msg="an argument was changed")


def computed(result: Any, function: Callable) -> Any:
    """The result of a twin that has computed one."""
    assert result is not NotImplemented, f"the twin of {function.__name__} does not take these inputs"
    return result


def assert_near(got: Any, want: Any, dtype: str, limit: float, what: str) -> None:
    """As large a difference as `limit` of the largest finite number, and the same infinities and NaN."""
    if want is None or isinstance(want, int):
        assert got is want or got == want, what
        return
    assert got.shape == want.shape, f"{what} has shape {got.shape}, expected {want.shape}"
    assert got.dtype == dtype, f"{what} came back as {got.dtype}"
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.where(finite, 0, want), np.where(finite, 0, got.astype(np.float64)), err_msg=what)
    scale = np.abs(want[finite]).max(initial=0.0)
    error = np.abs(got[finite] - want[finite]).max(initial=0.0)
    assert error <= limit * max(scale, 1e-30), f"{what} is off by {error:.2e}, of numbers up to {scale:.2e}"


def cast(value: Any, dtype: str) -> Any:
    """Floating arrays in `dtype`, in the layout that they have; everything else as it is."""
    if not (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        return value
    return value if value.dtype == dtype else value.astype(dtype, order="K")


def as_tuple(results: Any) -> tuple:
    return results if isinstance(results, tuple) else (results,)
