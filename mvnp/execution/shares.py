"""A batch in shares: each goes through the network by itself, several at the same time.

In evaluation samples have nothing to do with each other, and any cut will do. In training one layer looks at all of them:
BatchNorm, whose statistics are those of the whole batch. There the shares meet and add up their sums (`Tape.all_gather`), so
that the result is that of the whole batch, to rounding.

    forward     y = concat(f(x[rows]))              each share with a tape of its own
    backward    dx = concat(f'(dy[rows]))           the gradients of the parameters are summed over the shares
"""

from __future__ import annotations

import functools
import operator
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..backend import Array, array_module
from ..core import Layer, Tape
from .parallel import ThreadGroup, run, threads
from .share import ShareTape, concatenated, micro_batch_of, rows_of, slices

Method = TypeVar("Method", bound=Callable[..., Any])

# A share of an evaluation is about this many pixels: enough rows for the products with the large matrices of the last levels.
SHARE_PIXELS = 8 * 224 * 224
# Below this, starting threads costs more than they save.
LEAST_PIXELS = 2 * 128 * 128


class Shares(NamedTuple):
    """What is kept of a forward: the tapes of the shares, where they meet, and where their gradients are summed."""

    tapes: list[ShareTape]
    group: ThreadGroup
    reduction: Reduction


class Reduction:
    """Sums the gradients of all shares as soon as each has its summand, so that there is one set of gradients in memory and
    not one for each share. The order of the summands is that of the shares: so the sum is the same each time, to the bit."""

    def __init__(self, size: int, add: Callable[[int, Array], None]) -> None:
        self._size, self._add = size, add
        self._waiting: dict[int, list[deque[Array]]] = {}
        self._lock = threading.Lock()

    def add(self, rank: int, key: int, gradient: Array) -> None:
        """The next summand of one share for a parameter; what is used twice has two of each share."""
        with self._lock:
            queues = self._waiting.setdefault(key, [deque() for _ in range(self._size)])
            queues[rank].append(gradient)
            if all(queues):
                self._sum(key, [queue.popleft() for queue in queues])

    def finish(self) -> None:
        """Sums what is left where one share had more summands than another."""
        for key, queues in self._waiting.items():
            self._sum(key, [gradient for queue in queues for gradient in queue])
        self._waiting.clear()

    def _sum(self, key: int, gradients: list[Array]) -> None:
        if gradients:
            self._add(key, functools.reduce(operator.add, gradients))


def in_shares(check: Callable[[Any, Any], Any]) -> Callable[[Method], Method]:
    """Decorates a model's `forward(x, tape)`, or its `…backward(dy, tape)`, to be run on shares of the batch.

    check    check(model, x) gives what is shared, an array (B, ...) or a list of them with Nones, and raises InputError where
             the batch as a whole is not as it should be
    """

    def decorate(method: Method) -> Method:
        shared: Callable[..., Any] = _backward if method.__name__.endswith("backward") else _forward

        @functools.wraps(method)
        def on_shares(self: Layer, x: Any, tape: Tape | None = None) -> Any:
            self.check_filled("compute with")
            return shared(self, partial(method, self), check(self, x), tape)

        return on_shares  # type: ignore[return-value]

    return decorate


def _forward(model: Layer, forward: Callable[..., Any], x: Array, tape: Tape | None) -> Any:
    rows = rows_of_shares(x, tape)
    if tape is None:
        return concatenated(run([partial(forward, x[each]) for each in rows]))
    if len(rows) == 1:
        return forward(x, tape)
    group, size = ThreadGroup(len(rows), tape.all_gather), micro_batch_of(tape)
    # Shares run side by side: together they hold a micro-batch.
    size = size and max(1, size // len(rows))
    reduction = Reduction(len(rows), tape.add)
    tapes = [
        ShareTape(tape, each, len(x), partial(group.all_gather, rank), partial(reduction.add, rank), size)
        for rank, each in enumerate(rows)
    ]
    y = run([partial(forward, x[share.rows], share) for share in tapes], group)
    tapes[0].advance_whole()
    tape.push(model, Shares(tapes, group, reduction))
    return concatenated(y)


def _backward(model: Layer, backward: Callable[..., Any], dy: Any, tape: Tape) -> Any:
    if not isinstance(tape.top(model), Shares):
        return backward(dy, tape)
    tapes, group, reduction = tape.pop(model)
    tape.seal()  # of several shares, some may have ended when one fails
    dx = concatenated(run([partial(backward, rows_of(dy, share.rows), share) for share in tapes], group))
    reduction.finish()
    return dx


def rows_of_shares(x: Array, tape: Tape | None) -> list[slice]:
    """Slices of the batch x (B, C, H, W). With a tape there are as many as threads, since shares that meet must all be under
    way."""
    B, pixels, number = len(x), len(x) * x.shape[-1] * x.shape[-2], 1
    if array_module(x) is np and pixels >= LEAST_PIXELS:
        rounds = 1 if tape is not None else max(1, round(pixels / (SHARE_PIXELS * threads())))
        number = min(B, rounds * threads())
    return slices(B, number)
