"""Timing within one process, its peak memory, and what is made of the figures of several rounds."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

LEAST_SECONDS, LEAST_CALLS, MOST_CALLS = 1.0, 2, 10
MATRIX = 2048  # side of the product that the matrix rate is taken from


def time_calls(call: Callable[[], Any]) -> tuple[float, Any]:
    """The median time of a call after a warm-up call, and what the warm-up call gave."""
    result = np.array(call())
    times: list[float] = []
    while len(times) < LEAST_CALLS or (sum(times) < LEAST_SECONDS and len(times) < MOST_CALLS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def peak_mb() -> float:
    """This process's peak resident memory. On Linux not ru_maxrss, which a child begins with its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def matrix_rate() -> float:
    """Operations a second of a float32 product of two big matrices, on all threads of the matrix library: the best of five."""
    a, b = np.random.default_rng(0).standard_normal((2, MATRIX, MATRIX), dtype=np.float32)
    out = np.empty_like(a)
    np.matmul(a, b, out=out)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        np.matmul(a, b, out=out)
        times.append(time.perf_counter() - start)
    return 2 * MATRIX**3 / min(times)


def ratio_of_rounds(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' own ratios: a slow spell of the machine that lasts a round falls on both sides of it."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Relative distance of two results; infinite where they cannot be compared."""
    if ours.shape != theirs.shape or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
