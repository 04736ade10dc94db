"""What a layer costs at the shapes that benchmarks/layers.py times: operations, bytes, what it keeps; counted by running it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from counted import counting, flat

from mvnp.kernels import kernels_on, use_kernels


@dataclass(frozen=True)
class Pass:
    """A forward or a backward of one image."""

    products: int
    others: int
    bytes: int

    @property
    def intensity(self) -> float:
        return (self.products + self.others) / self.bytes


@dataclass(frozen=True)
class Cost:
    """Of one row of benchmarks/layers.py. `kept`: bytes that the forward leaves for the backward, inputs aside."""

    name: str
    forward: Pass
    backward: Pass
    kept: int


def costs_of(stem: str) -> list[Cost]:
    """The cost of a layer at each of its shapes."""
    from layers import ROWS

    rows = {re.sub(r", \w+ loop$", "", row.name): row for row in ROWS if stem in row.stems}
    kind = {"winograd": "winograd"}.get(stem)  # the rows of Conv2d, by the other of its two ways
    return [cost_of(name, kind or row.kind, row.arguments) for name, row in rows.items()]


def cost_of(name: str, kind: str, arguments: tuple) -> Cost:
    """Of one layer at one shape, for one image: `kind` and `arguments` are those of a row of benchmarks/layers.py."""
    from layers_mvnp import build

    inputs: list[np.ndarray] = []
    with counting() as count, _array_code():

        def drawn(x: np.ndarray) -> np.ndarray:
            inputs.append(x)
            return count.array(x)

        forward, backward = build(kind, 1, arguments, drawn)
        y, kept = forward()
        there = Pass(count.products, count.others, count.bytes)
        dy = count.array(np.random.default_rng(1).standard_normal(np.shape(y)).astype(np.float32))
        backward(dy, kept)
        back = Pass(count.products - there.products, count.others - there.others, count.bytes - there.bytes)
    own = [x for x in _arrays(kept) if not any(np.may_share_memory(x, given) for given in inputs)]
    return Cost(name, there, back, sum(x.nbytes for x in own))


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
