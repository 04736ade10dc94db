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
from support.tolerance import assert_close, rounding

needs_numba = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

DTYPES = ("float64", "float32")
TERMS = 16  # a twin's long sums are kept in blocks

CROSSWISE = {"twins": (True, True), "twin, then book": (True, False), "book, then twin": (False, True)}


def twin_function(function: Callable) -> Callable:
    """The CPU twin of a function of the book, which has to exist."""
    stem = function.__module__.rpartition(".")[2]
    found = twin_of("cpu", stem, function.__name__)
    assert found is not None, f"mvnp/kernels/cpu/{stem}.py has no {function.__name__}"
    return found


def check_twins(
    forward: Callable, backward: Callable, inputs: Sequence[Any], terms: float = TERMS, scale: float = 1.0, **options: Any
) -> None:
    """y and every gradient, in both dtypes: the twins', and crosswise, against the book's in float64. Where numbers on the way
    are larger than the results that they make, `scale` says by how much: their roundings are as much larger."""
    twins = twin_function(forward), twin_function(backward)
    books = forward.book, backward.book  # type: ignore[attr-defined]
    want_y, cache = books[0](*inputs, **options)
    dy = np.random.default_rng(9).standard_normal(np.shape(want_y))
    want = [want_y, *as_tuple(books[1](dy, cache))]
    for dtype in DTYPES:
        given = [cast(value, dtype) for value in inputs]
        kept = [np.array(value) if isinstance(value, np.ndarray) else value for value in given]
        for name, (first, second) in CROSSWISE.items():
            y, cache = computed((twins if first else books)[0](*given, **options), forward)
            gradients = computed((twins if second else books)[1](dy.astype(dtype), cache), backward)
            for number, (got, expected) in enumerate(zip([y, *as_tuple(gradients)], want, strict=True)):
                what = f"{dtype}, {name}: {'y' if number == 0 else f'gradient {number}'}"
                assert_near(got, expected, dtype, what, terms, scale)
        for before, after in zip(kept, given, strict=True):
            if isinstance(before, np.ndarray):
                np.testing.assert_array_equal(after, before, err_msg="an argument was changed")


def check_twin(function: Callable, inputs: Sequence[Any], **options: Any) -> None:
    """A function that is no half of a pair: its twin, in both dtypes, against the book in float64."""
    twin, want = twin_function(function), as_tuple(function.book(*inputs, **options))  # type: ignore[attr-defined]
    for dtype in DTYPES:
        results = as_tuple(computed(twin(*(cast(value, dtype) for value in inputs), **options), function))
        for number, (got, expected) in enumerate(zip(results, want, strict=True)):
            assert_near(got, expected, dtype, f"{dtype}: result {number}")


def check_layouts(forward: Callable, backward: Callable, inputs: Sequence[Any], **options: Any) -> None:
    """The same numbers, wherever in memory x and dy have them, and also where they cannot be written."""
    twins = twin_function(forward), twin_function(backward)
    x, *others = inputs
    want_y, want_cache = computed(twins[0](x, *others, **options), forward)
    dy = np.random.default_rng(9).standard_normal(np.shape(want_y))
    want = as_tuple(computed(twins[1](dy, want_cache), backward))
    for layout in LAYOUTS:
        y, cache = computed(twins[0](laid_out(x, layout), *others, **options), forward)
        np.testing.assert_array_equal(y, want_y, err_msg=layout)
        for got, expected in zip(as_tuple(twins[1](laid_out(dy, layout), cache)), want, strict=True):
            np.testing.assert_array_equal(got, expected, err_msg=layout)


LAYOUTS = ("by columns", "every second", "backwards", "read only")


def laid_out(x: np.ndarray, layout: str) -> np.ndarray:
    """x with its numbers elsewhere in memory; a single number as it is."""
    if np.ndim(x) == 0:
        return x
    if layout == "by columns":
        return np.asfortranarray(x)
    if layout == "every second":
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan, x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "backwards":
        return x[::-1].copy()[::-1]
    x = x.copy()
    x.flags.writeable = False
    return x


def check_edges(forward: Callable, backward: Callable, x: np.ndarray, *others: np.ndarray) -> None:
    """NaN and infinities where the book has them, in both dtypes, for numbers at the edges and a dy with some of them."""
    twins = twin_function(forward), twin_function(backward)
    books = forward.book, backward.book  # type: ignore[attr-defined]
    for dtype in DTYPES:
        inputs = [cast(value, dtype) for value in (x, *others)]
        with np.errstate(all="ignore"):
            want_y, want_cache = books[0](*inputs)
            y, cache = computed(twins[0](*inputs), forward)
            assert_edges(y, want_y, f"{dtype}: y")
            dy = np.random.default_rng(9).standard_normal(want_y.shape).astype(dtype)
            want = as_tuple(books[1](dy, want_cache))
            for number, (got, expected) in enumerate(zip(as_tuple(twins[1](dy, cache)), want, strict=True)):
                assert_edges(got, expected, f"{dtype}: gradient {number}")


def assert_edges(got: np.ndarray, want: np.ndarray, what: str) -> None:
    """The same NaN and infinities, and near each other where finite, number by number: to the digits of each, or of the numbers
    near 1 that cancel in it."""
    assert_close(got, want, terms=TERMS, each=True, noise=rounding(want.dtype, TERMS), message=what)


def refused(function: Callable, *arguments: Any) -> None:
    """The twin leaves these to the book."""
    assert twin_function(function)(*arguments) is NotImplemented, f"the twin of {function.__name__} took what it should not"


def computed(result: Any, function: Callable) -> Any:
    """The result of a twin that has computed one."""
    assert result is not NotImplemented, f"the twin of {function.__name__} does not take these inputs"
    return result


def assert_near(got: Any, want: Any, dtype: str, what: str, terms: float = TERMS, scale: float = 1.0) -> None:
    """As assert_close, of an array in `dtype`; and what is no array, such as a size in a cache, is the same."""
    if want is None or isinstance(want, int | tuple):
        assert got is want or got == want, what
        return
    assert got.shape == want.shape, f"{what} has shape {got.shape}, expected {want.shape}"
    assert got.dtype == dtype, f"{what} came back as {got.dtype}"
    largest = np.abs(want[np.isfinite(want)]).max(initial=0.0)
    assert_close(got, want, terms=terms, scale=scale * largest, dtype=dtype, message=what)


def cast(value: Any, dtype: str) -> Any:
    """Floating arrays in `dtype`, in the layout that they have; everything else as it is."""
    if not (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        return value
    return value if value.dtype == dtype else value.astype(dtype, order="K")


def as_tuple(results: Any) -> tuple:
    return results if isinstance(results, tuple) else (results,)
