"""How far apart two right computations of the same numbers may be: the one place that says so.

Two programs, or one program on two processors, add the terms of a sum in another order and round elsewhere. Each rounding is
wrong by up to eps/2 of what is rounded, this way or that, and errors that go either way grow like the square root of their
number. So, with the length of the sums, and the scale of what the numbers are a part of,

    allowed = SLACK · √terms · eps(dtype) · scale

The scale is no entry's own: where terms cancel, what is left of them keeps the errors of the terms. Nor is it measured on some
machine; a comparison that needs more says which sums it has, or of what its numbers are a part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

SLACK = 16  # for the steps around a sum: exponentials, divisions, and a value that is worked out in another way
TERMS = 256  # no sum in the small shapes of a layer's test is longer
DEEP = 2**16  # sums of sums through all layers of a small model: as many as it has parameters


def rounding(dtype: Any, terms: float = TERMS, scale: float = 1.0) -> float:
    """The largest difference that is allowed; of numbers up to 1 where no `scale` is given."""
    return float(SLACK * np.sqrt(terms) * np.finfo(dtype).eps * scale)


def assert_close(
    got: Any,
    want: Any,
    *,
    terms: float = TERMS,
    scale: float | None = None,
    dtype: Any = None,
    noise: float = 0.0,
    each: bool = False,
    message: str = "",
) -> None:
    """`got` and `want` differ by rounding alone, and by no more than `noise` that the comparison knows of. Where none is given,
    the dtype is the coarser one of the two, and the scale the largest number wanted, or with `each` the number itself: where
    nothing cancels, all keep their digits. Infinities and NaN are to be the same."""
    got, want = np.broadcast_arrays(np.asarray(got), np.asarray(want))
    dtype = dtype or max(_floating(got), _floating(want), key=lambda each: np.finfo(each).eps)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite], err_msg=message)
    values = want[finite].astype(np.float64)
    largest = np.abs(values).max(initial=0.0) if scale is None else scale
    allowed = rounding(dtype, terms)
    relative, absolute = (allowed, 0.0) if each else (0.0, allowed * largest)
    absolute += noise + float(np.finfo(dtype).tiny)  # what is smaller may be 0
    np.testing.assert_allclose(got[finite].astype(np.float64), values, rtol=relative, atol=absolute, err_msg=message)


def adamw_noise(lr: float, steps: int, gradient: float, *, terms: float = TERMS, eps: float = 1e-8) -> float:
    """How far apart AdamW in float64 may come to bring a parameter whose gradient is zero by mathematics, such as the bias in
    front of a norm. Of its gradient there is rounding noise, of terms as large as `gradient`, and AdamW divides it by little
    more than ε."""
    return lr * steps * rounding("float64", terms, gradient) / eps


def near(number: float, terms: float = TERMS, scale: float | None = None, dtype: Any = "float64", noise: float = 0.0) -> Any:
    """For one number: `assert got == near(want)`."""
    return pytest.approx(number, rel=0, abs=rounding(dtype, terms, abs(number) if scale is None else scale) + noise)


def shown(number: float, *, decimals: int | None = None, digits: int | None = None) -> Any:
    """For a number of float32 that is written down with so many decimals, or significant digits: half of the last one."""
    last = -decimals if decimals is not None else np.floor(np.log10(abs(number))) + 1 - digits
    return pytest.approx(number, rel=0, abs=10.0**last / 2 + rounding("float32", 16, abs(number)))


def grey_levels(times: float, level: float = 1.0) -> float:
    """How far apart pictures may be that are rounded to 8 bits so many times, all together: half a level for each."""
    return times * level / 2 + rounding("float32", 1, 255 * level)


def chance(std: float, draws: int) -> float:
    """How far the mean of so many random draws may lie from the expected one: four standard errors."""
    return float(4 * std / np.sqrt(draws))


def _floating(array: np.ndarray) -> np.dtype:
    return array.dtype if array.dtype.kind == "f" else np.dtype("float64")
