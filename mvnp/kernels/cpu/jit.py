"""From a Python loop to machine code: compiled by Numba at the first call, once for each dtype, and kept on disk.

    @kernel
    def _silu(x, y):
        for i in range(x.size):
            y[i] = x[i] * sigmoid(x[i])

A kernel takes C-contiguous arrays, writes its results into arrays that its caller has made, and lets go of Python's lock, so
that shares of a batch run side by side on several cores. Its sums may be taken in any order (`reassoc`) and its products and
sums fused; NaN and infinities stay what they are.

While a kernel is compiled other threads that want one wait for it; a process does not fork meanwhile, or its child would wait
for ever.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_numba_was_there = "numba" in sys.modules

import numba  # noqa: E402
import numba.core.event as numba_event  # noqa: E402
from llvmlite import binding  # noqa: E402
from numba.core.compiler_lock import global_compiler_lock  # noqa: E402
from numba.extending import overload  # noqa: E402

settings: Any = numba.config
OLDEST = (0, 61)
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "arcp", "reassoc"},
}
INLINE = {**OPTIONS, "forceinline": True}
AS_IT_STANDS = {**INLINE, "fastmath": False}

if tuple(int(number) for number in numba.__version__.split(".")[:2]) < OLDEST:
    raise ImportError(f"Numba {numba.__version__} is too old, expected at least {'.'.join(map(str, OLDEST))}")
if settings.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT is set, by which Numba compiles nothing")

if not _numba_was_there and settings.CPU_NAME is None and settings.CPU_FEATURES is None:
    # LLVM prefers vectors of 256 bits even where the processor has 512: exponentials take a third less time without that.
    settings.CPU_NAME = binding.get_host_cpu_name()
    settings.CPU_FEATURES = binding.get_host_cpu_features().flatten() + ",-prefer-256-bit"

from .cache import KernelCache, cache_folder, writable  # noqa: E402


def kernel(function: Callable[..., Any]) -> Any:
    """Decorates a loop: compiled when first called, from the cache on disk where it has been before."""
    compiled = numba.njit(**OPTIONS)(function)
    if function.__module__ in sys.modules:  # what was typed in, and is in no module, cannot be found again from the disk
        compiled._cache = KernelCache(function)
    return compiled


def inline(function: Callable[..., Any]) -> Any:
    """Decorates a helper of kernels, which becomes part of each that calls it. By LLVM, which takes a fifth of the time that
    Numba's own inlining does, to the same machine code."""
    return numba.njit(**INLINE)(function)


def as_it_stands(function: Callable[..., Any]) -> Any:
    """Decorates a helper as `inline` does, whose operations no sum around them is regrouped with."""
    return numba.njit(**AS_IT_STANDS)(function)


def by_type(function: Callable[..., Any]) -> Any:
    """Decorates what chooses a helper by the types of its arguments, in place of `function`. It becomes part of each caller."""
    return overload(function, jit_options=INLINE)  # type: ignore[arg-type]


class _Progress(numba_event.Listener):
    """Says on a terminal that kernels are compiled: a line while one is, and at the end of the process how long it took."""

    WIDTH = 79

    def __init__(self) -> None:
        self.kernels, self.seconds = 0, 0.0
        self._of_thread = threading.local()

    def on_start(self, event: Any) -> None:
        self._of_thread.depth = getattr(self._of_thread, "depth", 0) + 1
        if self._of_thread.depth == 1:
            self._of_thread.since = time.perf_counter()
            if _ours(event):
                name = event.data["dispatcher"].py_func.__name__.strip("_")
                how_long = f" ({self.seconds:.0f} s)" if self.seconds >= 1 else ""
                self._line(f"mvnp compiles CPU kernels, {_how_often()}: {name}{how_long}")

    def on_end(self, event: Any) -> None:
        self._of_thread.depth -= 1
        if self._of_thread.depth == 0 and _ours(event):
            self.kernels += 1
            self.seconds += time.perf_counter() - self._of_thread.since
            self._line("")

    def summary(self) -> str:
        """One sentence, for the end."""
        return f"mvnp has compiled {self.kernels} CPU kernels in {self.seconds:.0f} s, {_how_often()}"

    def _line(self, text: str) -> None:
        """In place of the line on the terminal."""
        _to_terminal("\r" + text[: self.WIDTH].ljust(self.WIDTH) + ("" if text else "\r"))

    def at_exit(self) -> None:
        if self.kernels:
            _to_terminal(self.summary() + "\n")


def _how_often() -> str:
    return "once on this machine" if writable() else f"in every process, as {cache_folder()} cannot be written"


def _ours(event: Any) -> bool:
    return isinstance(event.data["dispatcher"]._cache, KernelCache)


def _to_terminal(text: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or there is none
        if sys.stderr.isatty():
            sys.stderr.write(text)
            sys.stderr.flush()


progress = _Progress()
numba_event.register("numba:compile", progress)
atexit.register(progress.at_exit)

if hasattr(os, "register_at_fork"):
    # LLVM's lock too, since what has been compiled is tidied up behind the compiler's. Its name is llvmlite's own affair: where
    # another version has it no more, a fork in just that moment is not guarded.
    LOCKS = [global_compiler_lock, getattr(binding.ffi.lib, "_lock", contextlib.nullcontext())]

    def _take() -> None:
        for lock in LOCKS:
            lock.__enter__()

    def _let_go() -> None:
        for lock in reversed(LOCKS):
            lock.__exit__(None, None, None)

    os.register_at_fork(before=_take, after_in_parent=_let_go, after_in_child=_let_go)
