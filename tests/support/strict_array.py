"""`cupy.ndarray` of the stand-in for CuPy: NumPy underneath, CuPy's refusals on top. See strict_cupy.py.

Here: memory, indexing and the ways to the host. Operators, attributes and methods come from strict_calls.py, which also
computes; nothing but these two files looks at `_host`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from support.cupy_names import NAMES
from support.host_events import Recorder

RECORDER = Recorder()

DTYPES = "?bhilqBHILQefdFD"  # the type characters that CuPy computes with; no object, text, dates or long double
SCALARS = (bool, int, float, complex, np.bool_, np.integer, np.float16, np.float32, np.float64, np.complex64, np.complex128)
IMPLICIT = "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."


def unsupported(value: Any) -> TypeError:
    return TypeError(f"Unsupported type {type(value)}")


def unmodelled(what: str) -> NotImplementedError:
    return NotImplementedError(f"CuPy has {what}, the stand-in does not: add it to tests/support/strict_cupy.py or its parts")


def wrap(result: Any, known: list[ndarray] | None = None) -> Any:
    """Device arrays for host arrays and NumPy scalars; an array that came in, as `out` does, goes out as itself."""
    if isinstance(result, np.ndarray):
        same = [array for array in known or () if array._host is result]
        return same[0] if same else ndarray._of(result)
    if isinstance(result, np.generic):
        return ndarray._of(np.asarray(result))
    if isinstance(result, tuple | list):
        return (list if isinstance(result, list) else tuple)(wrap(item, known) for item in result)
    return result


def operand(value: Any, known: list[ndarray]) -> Any:
    """What an operator or ufunc computes with: a device array's numbers, or a scalar. A list or a host array is refused."""
    if isinstance(value, ndarray):
        known.append(value)
        return value._host
    if isinstance(value, SCALARS):
        return value
    raise unsupported(value)


def host_index(index: Any) -> tuple:
    """An index for NumPy. The missing axes are spelt out as `...`, so that a single element is a 0-d view, as in CuPy."""
    parts = tuple(_index_part(part) for part in (index if isinstance(index, tuple) else (index,)))
    if sum(isinstance(part, np.ndarray) and part.dtype == bool for part in parts) > 1:
        raise IndexError("CuPy takes one boolean array in an index, not several")
    return parts if any(part is ... for part in parts) else (*parts, ...)


def _index_part(part: Any) -> Any:
    if isinstance(part, bool | list | np.ndarray | np.bool_):
        RECORDER.upload("an index from the host")
        part = np.asarray(part, dtype=int if isinstance(part, list) and not part else None)
    elif isinstance(part, ndarray):
        part = part._host
    if isinstance(part, np.ndarray) and part.dtype == bool:
        RECORDER.sync("indexing with a boolean mask")  # its True entries are counted on the host
    return part


def _repeats(shape: tuple[int, ...], index: tuple) -> bool:
    """Whether an index of integer arrays names an element twice."""
    if not any(isinstance(part, np.ndarray) and part.dtype != bool for part in index):
        return False
    written = np.zeros(shape, np.int64)
    np.add.at(written, index, 1)
    return bool((written > 1).any())


def unset(array: np.ndarray) -> np.ndarray:
    """New memory, filled with what nobody can mistake for a result: a GPU's holds whatever was there before."""
    array[...] = np.nan if array.dtype.kind in "fc" else True if array.dtype.kind == "b" else np.iinfo(array.dtype).max
    return array


class Flags(SimpleNamespace):
    """Memory layout, with CuPy's few names: `writeable` is not among them."""


class ndarray:
    """An array on the device: nothing gets at its numbers without being refused or recorded."""

    __slots__ = ("__weakref__", "_host")
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C") -> None:
        if memptr is not None or strides is not None:
            raise unmodelled("ndarray(memptr=, strides=)")
        self._host = unset(np.empty(shape, dtype, order))

    @classmethod
    def _of(cls, host: np.ndarray) -> ndarray:
        if host.dtype.char not in DTYPES:
            raise ValueError(f"Unsupported dtype {host.dtype}")
        array = object.__new__(cls)
        array._host = host
        return array

    # The ways to the host: each waits until everything queued on the GPU is done.

    def _fetched(self, what: str) -> np.ndarray:
        RECORDER.sync(what)
        return self._host

    def get(self, stream: Any = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True) -> np.ndarray:
        host = self._fetched("get")
        if out is None:
            return np.array(host, order=order)
        out[...] = host
        return out

    def item(self) -> Any:
        return self._fetched("item").item()

    def tolist(self) -> Any:
        return self._fetched("tolist").tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        return self._fetched("tobytes").tobytes(order)

    def dumps(self) -> bytes:
        return self._fetched("dumps").dumps()

    def __float__(self) -> float:
        return float(self._fetched("float"))

    def __int__(self) -> int:
        return int(self._fetched("int"))

    def __complex__(self) -> complex:
        return complex(self._fetched("complex"))

    def __bool__(self) -> bool:
        if self._host.size != 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")
        return bool(self._fetched("bool").reshape(()))

    def __repr__(self) -> str:
        return repr(self._fetched("repr"))

    def __str__(self) -> str:
        return str(self._fetched("str"))

    def __format__(self, spec: str) -> str:
        return format(self._fetched("format"), spec)

    def __reduce__(self) -> tuple:
        return ndarray._of, (self._fetched("pickle").copy(),)

    # Where NumPy meets the array: refused, or answered by the stand-in's function of the same name.

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError(IMPLICIT)

    def __array_ufunc__(self, host: np.ufunc, method: str, *inputs: Any, out: tuple = (), **kwargs: Any) -> Any:
        device = getattr(sys.modules.get("cupy"), host.__name__, None)
        if device is None:
            return NotImplemented
        return getattr(device, method)(*inputs, **({"out": out[0]} if out else {}), **kwargs)

    def __array_function__(self, host: Callable, types: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        module = sys.modules.get(host.__module__.replace("numpy", "cupy", 1))
        device = getattr(module, host.__name__, None)
        return NotImplemented if device is None else device(*args, **kwargs)

    # Elements.

    def __getitem__(self, index: Any) -> ndarray:
        return wrap(self._host[host_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        where = host_index(index)
        if not isinstance(value, (ndarray, *SCALARS)):
            raise ValueError(f"non-scalar {type(value).__module__}.{type(value).__name__} cannot be used for fill")
        if isinstance(value, ndarray) and _repeats(self._host.shape, where):
            raise ValueError("an index names an element twice: CuPy does not say which of the values is stored")
        with np.errstate(all="ignore"):
            self._host[where] = operand(value, [])

    def __len__(self) -> int:
        if not self._host.shape:
            raise TypeError("len() of unsized object")
        return self._host.shape[0]

    def __iter__(self) -> Iterator[ndarray]:
        if self._host.ndim == 1:
            # Each element is a view, so not a wait yet, but it takes a launch for every number: work for the host.
            RECORDER.sync("iteration over elements")
        return (self[i] for i in range(len(self)))

    # What differs from NumPy's attribute or method of the same name.

    @property
    def shape(self) -> tuple[int, ...]:
        return self._host.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        view = self._host.view()
        view.shape = shape
        self._host = view

    @property
    def data(self) -> SimpleNamespace:
        """The address alone."""
        return SimpleNamespace(ptr=self._host.ctypes.data)

    @property
    def flags(self) -> Flags:
        return Flags(**{name: getattr(self._host.flags, name) for name in NAMES["flags"]})

    @property
    def base(self) -> Any:
        return wrap(self._host.base) if isinstance(self._host.base, np.ndarray) else None

    def set(self, arr: Any, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self._host.dtype or arr.shape != self.shape:
            raise ValueError(f"{arr.dtype} {arr.shape} cannot be set to an array {self._host.dtype} {self.shape}")
        RECORDER.upload("set")
        self._host[...] = arr

    def __copy__(self) -> ndarray:
        return ndarray._of(self._host.copy())

    def __deepcopy__(self, memo: Any) -> ndarray:
        return ndarray._of(self._host.copy())
