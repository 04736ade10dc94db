"""What a layer costs at the shapes that benchmarks/layers.py times: operations, bytes, what it keeps; counted by running it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from counted import Count, counting, flat

from mvnp.kernels import kernels_on, use_kernels
from mvnp.layers.linear_recurrence import METHODS


@dataclass(frozen=True)
class Pass:
    """A forward or a backward of one image."""

    products: int
    others: int
    bytes: int

    @property
    def operations(self) -> int:
        return self.products + self.others

    @property
    def intensity(self) -> float:
        return self.operations / self.bytes


@dataclass(frozen=True)
class Cost:
    """Of one row of benchmarks/layers.py. `kept`: bytes that the forward leaves for the backward, inputs aside; `entries`: how
    many numbers it gives."""

    name: str
    forward: Pass
    backward: Pass
    kept: int
    entries: int


@cache
def costs_of(stem: str) -> list[Cost]:
    """The cost of a layer at each of its shapes."""
    from layers import ROWS

    if stem == "linear_recurrence":  # timed in scan_study.py, each of its ways; here the scan of the blocks that are timed
        shape = (196, 8 * 160)
        return [cost_of(f"{method}, {shape[0]}x{shape[1]}", stem, (method, *shape)) for method in METHODS]
    rows = {re.sub(r", \w+ loop$", "", row.name): row for row in ROWS if stem in row.stems}
    costs = [cost_of(name, "winograd" if stem == "winograd" else row.kind, row.arguments) for name, row in rows.items()]
    if stem != "winograd":
        return costs
    # The rows of Conv2d, by the other of its two ways; and by the first, to compare with.
    ways = [(cost, cost_of(cost.name, row.kind, row.arguments)) for cost, row in zip(costs, rows.values(), strict=True)]
    return [replace(cost, name=cost.name.replace("Conv2d", name)) for way in ways for name, cost in zip(WAYS, way, strict=True)]


WAYS = ("Winograd", "im2col")


def cost_of(name: str, kind: str, arguments: tuple) -> Cost:
    """Of one layer at one shape, for one image: `kind` and `arguments` are those of a row of benchmarks/layers.py."""
    from layers_mvnp import build

    inputs: list[np.ndarray] = []
    with counting() as count, _array_code():

        def drawn(x: np.ndarray) -> np.ndarray:
            inputs.append(x)
            return count.array(x)

        forward, backward = build(kind, 1, arguments, drawn)
        with _counted(count) as there:
            y, kept = forward()
        dy = count.array(np.random.default_rng(1).standard_normal(np.shape(y)).astype(np.float32))
        with _counted(count) as back:
            backward(dy, kept)
    own = [x for x in _arrays(kept) if not any(np.may_share_memory(x, given) for given in inputs)]
    return Cost(name, there[0], back[0], sum(x.nbytes for x in own), int(np.size(y)))


@contextlib.contextmanager
def _counted(count: Count) -> Iterator[list[Pass]]:
    """A list, which afterwards has what was done inside."""
    before, found = (count.products, count.others, count.bytes), list[Pass]()
    yield found
    after = count.products, count.others, count.bytes
    found.append(Pass(*(b - a for a, b in zip(before, after, strict=True))))


@contextlib.contextmanager
def _array_code() -> Iterator[None]:
    """No kernels: only array code knows what its arrays count."""
    before = "on" if kernels_on() else "off"
    use_kernels("off")
    try:
        yield
    finally:
        use_kernels(before)


def _arrays(kept: Any) -> list[np.ndarray]:
    return list({id(x): x for x in flat(kept) if isinstance(x, np.ndarray)}.values())
