"""Functions, ufuncs, methods and operators of the stand-in for CuPy. See strict_cupy.py.

A call is checked against CuPy's own parameters, gets the host arrays out of the wrappers, lets NumPy compute, and wraps
what comes back. At the end of the file the arrays get their methods and operators from here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from support.cupy_names import NAMES, NDARRAY, VERSION, signature
from support.strict_array import IMPLICIT, RECORDER, host_index, ndarray, operand, unmodelled, unsupported, wrap

# CuPy's names for parameters that take an array. Anywhere else an array on the device is refused: CuPy would fail, or would
# have to wait for its value.
ARRAYS = frozenset(
    {"a", "a1", "a2", "ar", "ar1", "ar2", "arr", "arr1", "arr2", "array", "ary", "A", "b", "B", "condition", "dst", "element"}
    | {"f", "fill_value", "filt", "indices", "m", "mask", "out", "p", "prepend", "append", "prototype", "sorter", "src"}
    | {"a_min", "a_max", "min", "max", "test_elements", "v", "val", "vals", "value", "values", "weights", "where"}
    | {"x", "x1", "x2", "y", "z"}
)
# … and for those that take several.
SEQUENCES = frozenset(
    {"args", "arrays", "arrays_and_dtypes", "arys", "choicelist", "choices", "condlist", "keys", "operands", "tup", "xi"}
)
TAKE_ANYTHING = {"isscalar", "iterable", "ndim", "result_type", "shape"}  # their first argument need not be an array
# Keyword arguments of functions whose signature says only `**kwargs`.
KEYWORDS = {"einsum": {"dtype", "optimize"}, "meshgrid": {"indexing", "sparse", "copy"}}

# CuPy's checks the window on the device: an upload, and a wait, at each call. `as_strided` gives the same view.
WINDOW = "sliding_window_view"

BOOLEAN_ON_DEVICE = {"allclose", "array_equal", "array_equiv"}  # NumPy gives a Python bool, CuPy a 0-d array
WAITING = {*NAMES["may_synchronise"], "argwhere", "array2string", "array_repr", "array_str"}
WAITING_METHODS = {"choose", "compress", "nonzero"}
UNMODELLED = {"cstruct", "device", "dump", "flat", "mdspan", "reduced_view", "toDlpack", "tofile", "view"}


def absent(owner: str, name: str) -> AttributeError:
    """For what CuPy has and NumPy lacks: the code under test runs on both."""
    return AttributeError(f"{owner} has no attribute {name!r} in NumPy, though CuPy has it; mvnp's code must run on both")


def run(name: str, host: Callable, words: str, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Call NumPy's `host` as CuPy's function `name`, whose parameters are `words`."""
    accepted = signature(words)
    try:
        accepted.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"CuPy's {name}({words}): {error}") from None
    unknown = kwargs.keys() - KEYWORDS[name] if name in KEYWORDS else ()
    if unknown:
        raise TypeError(f"Did not understand the following kwargs: {sorted(unknown)}")
    names = [p.name for p in accepted.parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    known: list[ndarray] = []
    by_position = [argument(name, names[min(i, len(names) - 1)], value, known) for i, value in enumerate(args)]
    by_name = {key: argument(name, key, value, known) for key, value in kwargs.items()}
    with np.errstate(all="ignore"):  # a GPU gives no floating-point warnings
        result = host(*by_position, **by_name)
    return wrap(np.bool_(result) if name in BOOLEAN_ON_DEVICE else result, known)


def argument(function: str, parameter: str, value: Any, known: list[ndarray]) -> Any:
    """What NumPy gets for one argument."""
    if isinstance(value, ndarray):
        if parameter not in ARRAYS and parameter not in SEQUENCES:
            raise TypeError(f"{function}: {parameter} is on the device. {IMPLICIT}")
        return operand(value, known)
    if parameter == "indices" and isinstance(value, np.ndarray | list):
        RECORDER.upload(f"{function} with indices from the host")
        return value
    if isinstance(value, np.ndarray) or (parameter in ARRAYS and isinstance(value, tuple | list)):
        raise unsupported(value)
    if parameter == "tup" and not isinstance(value, tuple | list):
        raise unsupported(value)  # an item that is to be joined: no scalars here
    if isinstance(value, tuple | list):
        return type(value)(argument(function, parameter, item, known) for item in value)
    return value


def function(name: str, host: Callable, words: str) -> Callable:
    """CuPy's function of this name, which waits where CuPy's does."""

    leading = words.split()[:1]

    def call(*args: Any, **kwargs: Any) -> Any:
        if leading and leading[0] in ARRAYS and name not in TAKE_ANYTHING:
            first = args[0] if args else kwargs.get(leading[0])
            if not isinstance(first, ndarray):
                raise unsupported(first)
        result = run(name, host, words, args, kwargs)
        # `where` waits only to find the True entries of a lone condition, `average` only to look at its weights.
        spared = {"where": len(args) + len(kwargs) > 1, "average": len(args) < 3 and kwargs.get("weights") is None}
        if name == WINDOW:
            RECORDER.upload(f"cupy.{name}, of its window")
        if name == WINDOW or (name in WAITING and not spared.get(name, False)):
            RECORDER.sync(f"cupy.{name}")
        return result

    call.__name__ = name
    return call


class ufunc:
    """A universal function as CuPy has it: on device arrays and scalars, with few methods."""

    def __init__(self, name: str, host: Any) -> None:
        self.__name__ = self.name = name
        self._host = host

    def __call__(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        unknown = {key: value for key, value in kwargs.items() if key not in ("casting", "dtype", "where")}
        if unknown:
            raise TypeError(f"Wrong arguments {unknown}")
        known: list[ndarray] = []
        if out is not None:
            kwargs["out"] = tuple(_output(array, known) for array in (out if isinstance(out, tuple) else (out,)))
        if "where" in kwargs:
            kwargs["where"] = operand(kwargs["where"], known)
        with np.errstate(all="ignore"):
            return wrap(self._host(*(operand(value, known) for value in args), **kwargs), known)

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return self._run("reduce", "a axis= dtype= out= keepdims=", array, axis, dtype, out, keepdims)

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        return self._run("accumulate", "a axis= dtype= out=", array, axis, dtype, out)

    def reduceat(self, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        return self._run("reduceat", "a indices axis= dtype= out=", array, indices, axis, dtype, out)

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        self._check("at")
        known: list[ndarray] = []
        self._host.at(_output(a, known), host_index(indices), operand(b, known))

    def outer(self, A: Any, B: Any) -> Any:
        return run(f"{self.name}.outer", self._host.outer, "A B", (A, B), {})

    def _run(self, method: str, words: str, *args: Any) -> Any:
        self._check(method)
        return run(f"{self.name}.{method}", getattr(self._host, method), words, args, {})

    def _check(self, method: str) -> None:
        if self.name not in NAMES["ufunc_methods"][method]:
            raise NotImplementedError(f"`cupy_{self.name}.{method}` is not supported yet")


def _output(array: Any, known: list[ndarray]) -> np.ndarray:
    if not isinstance(array, ndarray):
        raise unsupported(array)
    return operand(array, known)


# ----------------------------------------------------------------------------------------- what the arrays have from here


def _attribute(self: ndarray, name: str) -> Any:
    entry = NDARRAY.get(name)
    if entry is None:
        raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r} (CuPy {VERSION})")
    if name in UNMODELLED:
        raise unmodelled(f"ndarray.{name}")
    if not hasattr(self._host, name):
        raise absent("ndarray", name)
    value = getattr(self._host, name)
    if entry == "(value)":
        return wrap(value)

    def method(*args: Any, **kwargs: Any) -> Any:
        if name in WAITING_METHODS:
            RECORDER.sync(f"ndarray.{name}")
        # An array that the method gives back as it was, as `astype(copy=False)` does, has to be the same wrapper again.
        result = run(f"ndarray.{name}", value, entry.removeprefix("self").lstrip(), args, kwargs)
        return self if isinstance(result, ndarray) and result._host is self._host else result

    return method


BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "divmod": np.divmod,
    "pow": np.power,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}
NOT_IN_PLACE = ("divmod", "matmul")  # Python makes `x @= y` to `x = x @ y`
COMPARISONS = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
UNARY = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}


def _add_operators() -> None:
    """Operators are calls of ufuncs."""
    for name, host in {**BINARY, **COMPARISONS, **UNARY}.items():
        compute = ufunc(host.__name__, host)
        setattr(ndarray, f"__{name}__", lambda self, *other, compute=compute: compute(self, *other))
        if name in BINARY:
            setattr(ndarray, f"__r{name}__", lambda self, other, compute=compute: compute(other, self))
        if name in BINARY and name not in NOT_IN_PLACE:
            setattr(ndarray, f"__i{name}__", lambda self, other, compute=compute: compute(self, other, out=self))


ndarray.__getattr__ = _attribute
_add_operators()
