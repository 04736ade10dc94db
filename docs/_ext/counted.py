"""Arrays that count what is done with them: the operations and bytes of a layer, from running its source.

    with counting() as count:
        layernorm_forward(count.array(x), ...)
    count.products, count.others, count.bytes

An operation is one multiplication or addition inside a matrix product, or one result of any other function, be it a sum or an
exponential; in a reduction, one for each number that goes in. Bytes are what each call reads and writes. A cache that serves
some of it does not show: blocks of rows are counted as the passes that they are.

Inside `counting`, the functions of NumPy that make new arrays give counting ones too, and scratch memory is fresh. That is for
a single thread, and slow for small arrays.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np

MAKERS = ("empty", "zeros", "ones", "full")


class Count:
    """What has been done so far."""

    def __init__(self) -> None:
        self.products = 0  # operations in matrix products
        self.others = 0
        self.bytes = 0

    def array(self, x: np.ndarray) -> np.ndarray:
        """x as an array that counts here."""
        counted = np.asarray(x).view(Counted)
        counted.count = self
        return counted

    def note(self, read: list, written: list) -> None:
        """The bytes of a call. An axis of stride 0 is the same memory again."""
        for x in [*read, *written]:
            if isinstance(x, np.ndarray):
                sizes = [size for size, stride in zip(x.shape, x.strides, strict=True) if stride or size == 0]
                self.bytes += int(np.prod(sizes, dtype=np.int64)) * x.itemsize


class Counted(np.ndarray):
    """An array that tells its `count` of every function that it goes through."""

    count: Count

    def __array_finalize__(self, parent: Any) -> None:
        if isinstance(parent, Counted):
            self.count = parent.count

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        count = self.count if hasattr(self, "count") else next(x.count for x in inputs if isinstance(x, Counted))
        given = [_plain(x) for x in inputs]
        targets = None if out is None else tuple(_plain(x) for x in out)
        result = getattr(ufunc, method)(*given, **{"out": targets, **options} if targets else options)
        results = [x for x in (result if isinstance(result, tuple) else (result,)) if x is not None]
        count.note(given, results or [given[0]])  # `at` gives nothing and changes its first argument
        if ufunc is np.matmul:
            count.products += 2 * results[0].size * given[0].shape[-1]
        else:
            count.others += (
                given[0].size if method in ("reduce", "accumulate") else np.size(results[0] if results else given[1])
            )
        return _counting(result, count) if out is None else (out[0] if len(out) == 1 else out)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function.__name__ in _WRITTEN_IN_PYTHON:
            return super().__array_function__(function, types, args, options)  # its parts come by themselves
        given, keywords = _plain(args), {name: _plain(x) for name, x in options.items()}
        result = function(*given, **keywords)
        if function.__name__ not in _FREE:
            self.count.note(flat(given), flat(result))
            if function is np.einsum:
                sizes = dict(
                    zip("".join(args[0].split("->")[0].split(",")), sum((x.shape for x in given[1:]), ()), strict=True)
                )
                self.count.products += 2 * int(np.prod([*sizes.values()], dtype=np.int64))
            elif function is np.tensordot:  # over one axis of either: the last of the first, the first of the second
                assert given[2:] == (1,)
                self.count.products += 2 * result.size * len(given[1])
            elif function.__name__ not in _COPIES:
                self.count.others += max(x.size for x in flat([given, result]) if isinstance(x, np.ndarray))
        return _counting(result, self.count)

    def __setitem__(self, index: Any, value: Any) -> None:
        plain = _plain(self)
        self.count.note([_plain(value)], [plain[index]])
        plain[index] = _plain(value)

    def copy(self, order: Any = "C") -> Any:
        copied = _plain(self).copy(order)
        self.count.note([_plain(self)], [copied])
        return _counting(copied, self.count)

    def reshape(self, *shape: Any, **options: Any) -> Any:
        reshaped = _plain(self).reshape(*shape, **options)
        if reshaped.size and not np.may_share_memory(reshaped, _plain(self)):
            self.count.note([_plain(self)], [reshaped])
        return _counting(reshaped, self.count)


_FREE = {"empty_like", "shape", "ndim", "size", "may_share_memory", "shares_memory", "broadcast_to", "expand_dims", "swapaxes",
         "transpose", "moveaxis", "reshape", "ravel", "squeeze", "split", "array_split"}  # fmt: skip
_COPIES = {"zeros_like", "full_like", "ones_like", "copyto", "concatenate", "stack", "pad", "ascontiguousarray", "take"}
_WRITTEN_IN_PYTHON = {"sliding_window_view", "as_strided"}


def _plain(x: Any) -> Any:
    """Without counting, also inside tuples and lists."""
    if isinstance(x, Counted):
        return x.view(np.ndarray)
    return type(x)(_plain(part) for part in x) if type(x) in (tuple, list) else x


def _counting(x: Any, count: Count) -> Any:
    if isinstance(x, np.ndarray):
        return count.array(x)
    return type(x)(_counting(part, count) for part in x) if type(x) in (tuple, list) else x


def flat(x: Any) -> list[Any]:
    """What is in x, however deep in tuples and lists."""
    return [inner for part in x for inner in flat(part)] if isinstance(x, tuple | list) else [x]


@contextlib.contextmanager
def counting() -> Iterator[Count]:
    """A new count, and NumPy's makers of arrays made to give arrays that count there."""
    count = Count()

    def counted(make: Any) -> Any:
        return lambda *args, **options: count.array(make(*_plain(args), **options))

    with contextlib.ExitStack() as stack:
        for name in MAKERS:
            stack.enter_context(mock.patch.object(np, name, counted(getattr(np, name))))
        stack.enter_context(mock.patch("mvnp.execution.scratch._buffers", threading.local()))
        yield count
