"""From a Python loop to machine code: compiled by Numba at the first call, once for each dtype, and kept on disk.

    @kernel
    def _silu(x, y):
        for i in range(x.size):
            y[i] = x[i] * sigmoid(x[i])

A kernel takes C-contiguous arrays, writes its results into arrays that its caller has made, and lets go of Python's lock, so
that shares of a batch run side by side on several cores. Its sums may be taken in any order (`reassoc`) and its products and
sums fused; NaN and infinities stay what they are.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_numba_was_there = "numba" in sys.modules

import numba  # noqa: E402
import numba.core.event as numba_event  # noqa: E402
from llvmlite import binding  # noqa: E402

settings: Any = numba.config
OLDEST = (0, 61)
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "arcp", "reassoc"},
}

if tuple(int(part) for part in numba.__version__.split(".")[:2]) < OLDEST:
    raise ImportError(f"Numba {numba.__version__} is too old, expected at least {'.'.join(map(str, OLDEST))}")

if not _numba_was_there and not os.environ.get("NUMBA_CPU_FEATURES"):
    # LLVM prefers vectors of 256 bits even where the processor has 512: exponentials take a third less time without that.
    settings.CPU_NAME = binding.get_host_cpu_name()
    settings.CPU_FEATURES = binding.get_host_cpu_features().flatten() + ",-prefer-256-bit"


def kernel(function: Callable[..., Any]) -> Any:
    """Decorates a loop: compiled when first called, from the cache on disk where it has been before."""
    before = settings.CACHE_DIR
    settings.CACHE_DIR = before or str(cache_folder())
    try:
        return numba.njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # no folder that could be written: compiled in each process
        return numba.njit(**OPTIONS)(function)
    finally:
        settings.CACHE_DIR = before


def inline(function: Callable[..., Any]) -> Any:
    """Decorates a helper of kernels, which becomes part of each that calls it."""
    return numba.njit(inline="always", **OPTIONS)(function)


def cache_folder() -> Path:
    """Where compiled kernels are kept: a folder of the user's cache for this version of their texts, of Numba and of the
    processor. NUMBA_CACHE_DIR takes its place."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    digest = hashlib.sha256(numba.__version__.encode() + binding.get_host_cpu_name().encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return base / "mvnp" / f"kernels-{digest.hexdigest()[:16]}"


class _Progress(numba_event.Listener):
    """Says on a terminal that kernels are compiled, and how long it takes."""

    def __init__(self) -> None:
        self._depth = threading.local()
        self.seconds = 0.0

    def on_start(self, event: Any) -> None:
        depth = getattr(self._depth, "value", 0)
        self._depth.value = depth + 1
        if depth == 0 and self._ours(event):
            self._depth.since = time.perf_counter()
            self._say(f"compiling {self._name(event)} …")

    def on_end(self, event: Any) -> None:
        self._depth.value -= 1
        if self._depth.value == 0 and self._ours(event):
            self.seconds += time.perf_counter() - self._depth.since
            self._say(f"compiled {self._name(event)}")

    def _say(self, what: str) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            print(f"\r\x1b[Kmvnp: CPU kernels, once on this machine: {what} ({self.seconds:.0f} s)", end="", file=sys.stderr)

    @staticmethod
    def _name(event: Any) -> str:
        return event.data["dispatcher"].py_func.__name__.strip("_")

    @staticmethod
    def _ours(event: Any) -> bool:
        return event.data["dispatcher"].py_func.__module__.startswith("mvnp.kernels.cpu")


progress = _Progress()
numba_event.register("numba:compile", progress)
