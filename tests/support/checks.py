"""What every layer's test asks of a forward and a backward. Arrays come from one place, so a failure can be repeated."""

from __future__ import annotations

from collections.abc import Callable

import autograd
import numpy as np
import pytest

from mvnp.backend import from_numpy, to_numpy
from mvnp.check.gradcheck import gradcheck
from mvnp.errors import InputError
from support.tolerance import TERMS, rounding


def normal(shape: tuple[int, ...], seed: int, away_from_zero: float = 0.0) -> np.ndarray:
    """Standard normal float64; `away_from_zero` pushes entries off a kink at 0."""
    x = np.random.default_rng(seed).standard_normal(shape)
    return x + away_from_zero * np.sign(x)


def assert_gradients(
    forward: Callable, backward: Callable, inputs: dict[str, np.ndarray], tolerance: float = 1e-7, knows_shape: bool = True
) -> None:
    """Every input's gradient against central differences: random directions always, the whole Jacobian where it is small. A
    backward that `knows_shape` of dy looks at it first."""
    if knows_shape:
        assert_dy_is_checked(forward, backward, inputs)
    gradcheck(forward, backward, inputs, tolerance=tolerance).raise_for_error()
    gradcheck(forward, backward, inputs, tolerance=tolerance, jacobian=False, seed=7).raise_for_error()


def assert_dy_is_checked(forward: Callable, backward: Callable, inputs: dict[str, np.ndarray]) -> None:
    """A dy of another shape, one that would be broadcast among them, without entries or of another dtype is an error of its
    name."""
    y, cache = forward(*(from_numpy(x) for x in inputs.values()))
    wrongs = [np.zeros((2, 2, *y.shape)), np.zeros(y.shape, np.complex128)]
    if y.ndim:
        longer, empty = np.zeros((*y.shape[:-1], y.shape[-1] + 1)), np.zeros((*y.shape[:-1], 0))
        spread = [np.zeros((*y.shape[:axis], 1, *y.shape[axis + 1 :])) for axis in range(y.ndim) if y.shape[axis] > 1]
        wrongs += [longer, empty, *spread, np.zeros(y.shape, np.int64)]
        if not isinstance(cache, tuple) or any(hasattr(each, "dtype") for each in cache):  # a shape alone knows no dtype
            wrongs.append(np.zeros(y.shape, np.float32))
    for wrong in wrongs:
        with pytest.raises(InputError, match=r": d\w+ (has|is) "):
            backward(from_numpy(wrong), cache)


def assert_oracle(
    forward: Callable, backward: Callable, independent: Callable, inputs: dict[str, np.ndarray], terms: float = TERMS
) -> None:
    """Output and gradients against the `autograd` package on an independent formula with the same arguments."""
    tolerance = rounding("float64", terms)
    y, gradients, dy = _run(forward, backward, inputs)
    values = list(inputs.values())
    assert relative(y, independent(*values)) <= tolerance

    def loss(*arguments):
        return autograd.numpy.sum(independent(*arguments) * dy)

    expected = autograd.grad(loss, argnum=tuple(range(len(values))))(*values)
    for name, got, want in zip(inputs, gradients, expected, strict=True):
        assert relative(got, want) <= tolerance, f"d{name} differs from autograd by {relative(got, want):.1e}"


def assert_float32_follows(forward: Callable, backward: Callable, inputs: dict[str, np.ndarray], terms: float = 1) -> None:
    """float32 in, float32 out, near the float64 result, forward and backward. In the norm of a difference, which is compared,
    errors of many entries come to their mean: few `terms` will do."""
    tolerance = rounding("float32", terms)
    y64, gradients64, _ = _run(forward, backward, inputs)
    y32, gradients32, _ = _run(forward, backward, {name: x.astype(np.float32) for name, x in inputs.items()})
    for name, got, want in zip(["y", *inputs], [y32, *gradients32], [y64, *gradients64], strict=True):
        assert got.dtype == np.float32, f"{name} came back as {got.dtype}"
        assert relative(got, want) <= tolerance, f"float32 {name} is {relative(got, want):.1e} off"


def relative(got: np.ndarray, want: np.ndarray) -> float:
    """‖got − want‖ / ‖want‖."""
    want = np.asarray(want, dtype=np.float64)
    return float(np.linalg.norm(np.asarray(got, np.float64) - want) / max(np.linalg.norm(want), 1e-30))


def _run(forward: Callable, backward: Callable, inputs: dict[str, np.ndarray]) -> tuple:
    y, cache = forward(*(from_numpy(x) for x in inputs.values()))
    dy = np.random.default_rng(99).standard_normal(y.shape).astype(to_numpy(y).dtype)
    gradients = backward(from_numpy(dy), cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    return to_numpy(y), [to_numpy(g) for g in gradients], dy
