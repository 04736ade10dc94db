"""Times on a GPU: between two events in its own queue, so that what the host does beside it does not count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

WARM_UP, REPEATS = 5, 20


@dataclass(frozen=True)
class Clock:
    """A library's events. `make` gives a new one with record() and synchronize(); `elapsed` the milliseconds between two."""

    make: Callable[[], Any]
    elapsed: Callable[[Any, Any], float]


def cupy_clock() -> Clock:
    import cupy

    return Clock(cupy.cuda.Event, cupy.cuda.get_elapsed_time)


def torch_clock() -> Clock:
    import torch

    return Clock(lambda: torch.cuda.Event(enable_timing=True), lambda begin, end: begin.elapsed_time(end))


def seconds(call: Callable[[], Any], clock: Clock, warm_up: int = WARM_UP, repeats: int = REPEATS) -> float:
    """The median time of `call`, after `warm_up` calls that compile kernels, fill memory pools and raise the clock rate."""
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(repeats):
        begin, end = clock.make(), clock.make()
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(clock.elapsed(begin, end) / 1e3)
    return median(times)
