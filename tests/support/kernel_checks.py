"""What every kernel's test asks: the numbers of the array code, whichever of the two does the forward, however it is run.

    @pytest.mark.parametrize("way", EVERY_WAY)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_numbers(dtype, way):
        check_pair(layernorm_forward, layernorm_backward, [normal((33, 5), 1), …], dtype, way)

The ways are those of cuda_on_cpu.py, which need a compiler (`device` skips where there is none), and with MVNP_BACKEND=cupy
also the GPU, which needs none.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from mvnp.backend import from_numpy, to_numpy, use_backend
from mvnp.kernels import kernels_on, use_kernels
from mvnp.kernels.cuda import launch
from support.cuda_on_cpu import COMPILER, NEEDS_COMPILER, WAYS, KernelError, running
from support.host_events import Recorder
from support.strict_cupy import installed
from support.tolerance import rounding

ON_GPU = "on a GPU"
ON_THIS_MACHINE = [*WAYS, *([ON_GPU] if os.environ.get("MVNP_BACKEND") == "cupy" else [])]
AGAIN = pytest.mark.slow(reason="the same kernels again in another order, or in a process of their own under the sanitizer")
EVERY_WAY = [pytest.param(way, marks=AGAIN) if way in ("in reverse", "sanitized") else way for way in ON_THIS_MACHINE]

needs_compiler = pytest.mark.skipif(COMPILER is None, reason=NEEDS_COMPILER)

# Largest difference, over the largest number of the result: some roundings, each of half a unit in the last place, and more
# of them in a long sum. Array code in float16 rounds at every step, so it gets more.
DTYPES = {"float64": rounding("float64", 16), "float32": rounding("float32", 16), "float16": 2 * float(np.finfo("float16").eps)}
FLOAT16_BY_ARRAY_CODE = 2e-2

# Whether forward and backward are computed with kernels.
CROSSWISE = {"twins": ("on", "on"), "twin, then array code": ("on", "off"), "array code, then twin": ("off", "on")}


@contextlib.contextmanager
def device(way: str) -> Iterator[Recorder]:
    """Kernels on, and new arrays where they run. The recorder notes waits and uploads; of a GPU it knows nothing."""
    if way != ON_GPU:
        if COMPILER is None:
            pytest.skip(NEEDS_COMPILER)
        with installed(kernels=True) as recorder, running(way):
            yield recorder
        return
    use_backend("cupy")
    use_kernels("on")
    try:
        yield Recorder()
    finally:
        use_backend(os.environ["MVNP_BACKEND"])


@contextlib.contextmanager
def by_the_book() -> Iterator[None]:
    """No kernels: for what twins are compared with."""
    before = "on" if kernels_on() else "off"
    use_kernels("off")
    try:
        yield
    finally:
        use_kernels(before)


def check_pair(
    forward: Callable, backward: Callable, arguments: Sequence[Any], dtype: str, way: str, tolerance: float | None = None
) -> None:
    """y and every gradient of twins, against the array code on NumPy. "in order" and on a GPU also crosswise: the twin's
    forward with the array code's backward, and the reverse."""
    arguments, exact = _of_dtype(arguments, dtype)
    with by_the_book():
        y, cache = forward(*exact)
        dy = np.random.default_rng(9).standard_normal(y.shape).astype(dtype)
        want = [y, *_as_tuple(backward(dy.astype(y.dtype), cache))]
    limit = DTYPES[dtype] if tolerance is None else tolerance

    for name, (first, second) in CROSSWISE.items():
        if name == "twins" or way in ("in order", ON_GPU):

            def run(*arrays: Any, first: str = first, second: str = second) -> list[Any]:
                *inputs, d = arrays
                use_kernels(first)
                y, cache = forward(*inputs)
                use_kernels(second)
                return [y, *_as_tuple(backward(d, cache))]

            got = run_on_device(run, [*arguments, dy], way)
            own = FLOAT16_BY_ARRAY_CODE if dtype == "float16" and name != "twins" else limit
            for number, (here, there) in enumerate(zip(got, want, strict=True)):
                what = f"{name}: {'y' if number == 0 else f'gradient {number}'}"
                assert_close(here, there, own, what)
                if here is not None and name == "twins" and (number == 0 or dtype != "float16"):  # of halves, sums are floats
                    assert here.dtype == dtype, f"{what} is {here.dtype}"


def check(function: Callable, arguments: Sequence[Any], dtype: str, way: str, tolerance: float | None = None) -> None:
    """A function that is no half of a pair: its twin against the array code on NumPy."""
    arguments, exact = _of_dtype(arguments, dtype)
    with by_the_book():
        want = _as_tuple(function(*exact))
    got = run_on_device(lambda *arrays: list(_as_tuple(function(*arrays))), arguments, way)
    for number, (here, there) in enumerate(zip(got, want, strict=True)):
        assert_close(here, there, DTYPES[dtype] if tolerance is None else tolerance, f"result {number}")


def run_on_device(function: Callable[..., list], arguments: Sequence[Any], way: str, uploads: int = 0) -> list[Any]:
    """The results, on the host, of function(*arguments), kernels on. Nothing may wait for the device, be sent to it (but for
    so many `uploads`), or change an argument."""
    with device(way) as recorder:
        arrays = [from_numpy(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments]
        recorder.clear()
        results = function(*arrays)
        recorder.assert_no_syncs("the twin")
        assert way == ON_GPU or len(recorder.uploads) == uploads, recorder.uploads
        for before, after in zip(arguments, arrays, strict=True):
            if isinstance(before, np.ndarray):
                np.testing.assert_array_equal(to_numpy(after), before, err_msg="an argument was changed")
        return [result if result is None or isinstance(result, int) else to_numpy(result) for result in results]


def assert_close(got: Any, want: Any, limit: float, what: str) -> None:
    """As large a difference as `limit` of the largest number, and the same infinities."""
    if want is None or isinstance(want, int):
        assert got == want, what
        return
    assert got.shape == want.shape, f"{what} has shape {got.shape}, expected {want.shape}"
    got, want = got.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(want)
    assert np.array_equal(np.isfinite(got), finite), f"{what}: not finite at {np.argwhere(~np.isfinite(got))[:5]}"
    assert np.array_equal(got[~finite], want[~finite], equal_nan=True), f"{what}: other infinities"
    error = np.abs(got[finite] - want[finite]).max(initial=0.0)
    scale = np.abs(want[finite]).max(initial=0.0)
    assert error <= limit * max(scale, 1e-30), f"{what}: off by {error:.2e}, of numbers up to {scale:.2e}"


def assert_caught(stem: str, right: str, wrong: str, checks: Callable[[str], None]) -> str:
    """`checks(way)` has to fail in one of WAYS where the text `right` of `<stem>.cu` (it must occur exactly once) is `wrong`.
    Returns what it said. The sanitizer comes first: it alone survives a write to anywhere."""
    with _planted(f"{stem}.cu", right, wrong):
        for way in sorted(WAYS, key=lambda way: way != "sanitized"):
            try:
                checks(way)
            except (AssertionError, KernelError) as error:
                return f"{way}: {error}"
    raise AssertionError(f"no check notices this fault in {stem}.cu: {right!r} became {wrong!r}")


@contextlib.contextmanager
def _planted(file: str, right: str, wrong: str) -> Iterator[None]:
    text = launch._text
    assert text(file).count(right) == 1, f"{right!r} occurs {text(file).count(right)} times in {file}, expected once"
    launch._text = lambda name: text(name).replace(right, wrong) if name == file else text(name)
    launch.forget()
    try:
        yield
    finally:
        launch._text = text
        launch.forget()


def _of_dtype(arguments: Sequence[Any], dtype: str) -> tuple[list[Any], list[Any]]:
    """The arguments for the twin, and those for the reference: of halves it computes with the same numbers, in float32."""
    rounded = [_cast(argument, dtype) for argument in arguments]
    return rounded, [_cast(argument, "float32") for argument in rounded] if dtype == "float16" else rounded


def _cast(argument: Any, dtype: str) -> Any:
    floating = isinstance(argument, np.ndarray) and argument.dtype.kind == "f"
    return argument.astype(dtype) if floating else argument


def _as_tuple(results: Any) -> tuple:
    return results if isinstance(results, tuple) else (results,)
