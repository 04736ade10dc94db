"""A stand-in for CuPy on NumPy, so that a machine without a GPU can hold the code to CuPy's rules.

    with installed() as recorder:
        ...                             # `import cupy` is the stand-in, and mvnp makes its arrays with it
    recorder.assert_no_syncs("the forward")

It computes NumPy's numbers, and

    refuses    what CuPy refuses: implicit conversion, host arrays or lists among operands, functions, arguments, methods
               and dtypes that CuPy lacks (taken from the real package: cupy_names.json)
    refuses    what CuPy leaves undefined: an index out of range, two values written to one element. `empty` gives NaN
    records    every wait of the host (`recorder.syncs`) and every copy to the device (`recorder.uploads`)

A scalar result is a 0-d array on the device. What CuPy has and the stand-in lacks raises NotImplementedError. It cannot
show the numbers of a GPU, its memory or its speed.

Sources: CuPy's user guide, "Differences between CuPy and NumPy", and the behaviour of the package, version 14.2.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import scipy.special

import mvnp
from mvnp.kernels import dispatch
from mvnp.kernels.cuda import launch
from support.cuda_on_cpu import RawModule
from support.cupy_names import MODULES, NAMES, VERSION
from support.host_events import Recorder
from support.strict_array import IMPLICIT, RECORDER, ndarray, operand, unmodelled, unset, wrap
from support.strict_calls import absent, function, run, ufunc

# Names that CuPy has for other work than arrays on a device, or whose results NumPy makes on the host.
UNMODELLED = frozenset(
    {"apply_along_axis", "apply_over_axes", "c_", "mgrid", "ogrid", "piecewise", "r_", "vectorize"}
    | {"from_dlpack", "fromDlpack", "frombuffer", "fromfile", "fromfunction", "fromiter", "fromstring", "genfromtxt"}
    | {"load", "loadtxt", "save", "savetxt", "savez", "savez_compressed"}
)


@contextlib.contextmanager
def installed(kernels: bool = False) -> Iterator[Recorder]:
    """Put the stand-in in CuPy's place and choose it, and undo both. Arrays that were made inside are of no use outside.

    kernels    run the kernels of mvnp/kernels, on the CPU, in place of the array code; see cuda_on_cpu.py
    """
    before, before_kernels = mvnp.backend_name(), dispatch._chosen
    genuine = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("cupy", "cupyx")}
    for name in genuine:
        del sys.modules[name]
    modules = make_modules()
    launch.forget()  # the kernels of another CuPy
    sys.modules.update(modules)
    try:
        mvnp.use_backend("cupy")
        dispatch.use_kernels("on" if kernels else "off")
        RECORDER.clear()
        yield RECORDER
    finally:
        launch.forget()
        for name in modules:
            del sys.modules[name]
        sys.modules.update(genuine)
        mvnp.use_backend(before)
        dispatch._chosen = before_kernels


def make_modules() -> dict[str, ModuleType]:
    """The stand-in's modules, by the names under which they are imported."""
    hosts = {"cupy": np, "cupyx.scipy.special": scipy.special, "cupyx": ModuleType("nothing")}
    hosts |= {f"cupy.{name}": getattr(np, name) for name in ("fft", "lib", "linalg", "random")}
    hosts["cupy.lib.stride_tricks"] = np.lib.stride_tricks
    modules: dict[str, ModuleType] = {name: Module(name, host) for name, host in hosts.items()}
    modules["cupyx.scipy"] = ModuleType("cupyx.scipy")
    modules["cupy.cuda"] = ModuleType("cupy.cuda")
    modules["cupy.cuda"].Device = lambda: SimpleNamespace(attributes={"L2CacheSize": 50 << 20})
    modules["cupy.cuda"].runtime = SimpleNamespace(getDeviceCount=lambda: 1)
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    own: dict[str, Any] = {"ndarray": ndarray, "ufunc": ufunc, "RawModule": RawModule, "__version__": f"{VERSION} (stand-in)"}
    own |= {own_function.__name__: own_function for own_function in OWN_FUNCTIONS}
    own["get_default_memory_pool"] = lambda: SimpleNamespace(total_bytes=lambda: 12_000_000)
    for name, thing in own.items():
        setattr(modules["cupy"], name, thing)
    modules["cupy.random"].default_rng = Generator
    modules["cupy.random"].Generator = Generator
    return modules


class Module(ModuleType):
    """One of CuPy's modules: the names are CuPy's, the work is done by a module of NumPy or SciPy."""

    def __init__(self, name: str, host: ModuleType) -> None:
        super().__init__(name)
        self._host = host

    def __getattr__(self, name: str) -> Any:
        module = self.__name__
        entry = MODULES[module].get(name)
        if entry is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r} (CuPy {VERSION})")
        if name in UNMODELLED or entry == "(module)" or (module == "cupy.random" and entry != "(type)"):
            raise unmodelled(f"{module}.{name}")
        host = getattr(self._host, name, None)
        if entry == "(type)" and not (isinstance(host, type) and issubclass(host, np.generic | np.dtype | np.finfo | np.iinfo)):
            raise unmodelled(f"{module}.{name}")
        if not hasattr(self._host, name):
            raise absent(module, name)
        if entry == "(ufunc)" or isinstance(host, np.ufunc):
            return ufunc(name, host)
        return host if entry in ("(type)", "(value)") else function(name, host, entry)


class Generator:
    """`cupy.random.Generator`, with the methods that it has: `normal` and `permutation` are not among them."""

    def __init__(self, seed: Any = None) -> None:
        self._host = np.random.default_rng(seed)

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES["Generator"]:
            raise AttributeError(f"'Generator' object has no attribute {name!r} (CuPy {VERSION}): draw on the host")
        words = NAMES["Generator"][name].removeprefix("self").lstrip()
        return lambda *args, **kwargs: run(f"Generator.{name}", getattr(self._host, name), words, args, kwargs)


# ----------------------------------------------------------------------------- functions that need more than a check


def array(
    obj: Any,
    dtype: Any = None,
    copy: bool = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> ndarray:
    """A new array. Host data is uploaded; nested sequences of device arrays are stacked where they are."""
    host = obj._host if isinstance(obj, ndarray) else _host_data("array", obj)
    if isinstance(obj, ndarray) and not copy and ndmin <= obj.ndim and dtype in (None, obj.dtype):
        return obj
    return wrap(np.array(host, dtype=dtype, order=order or "K", ndmin=ndmin))


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    """The array itself where it is on the device already; host data is uploaded."""
    if isinstance(a, ndarray):
        return array(a, dtype, copy=bool(copy), order=order)
    return wrap(np.array(_host_data("asarray", a), dtype=dtype, order=order or "K"))


def asanyarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    return asarray(a, dtype, order, copy=copy)


def _host_data(function: str, data: Any) -> Any:
    leaves = list(_leaves(data))
    if leaves and all(isinstance(leaf, ndarray) for leaf in leaves):
        return _unwrapped(data)
    if any(isinstance(leaf, ndarray) for leaf in leaves):
        raise TypeError(IMPLICIT)
    RECORDER.upload(f"{function} of a {type(data).__module__}.{type(data).__name__} of shape {np.shape(data)}")
    return data


def _leaves(data: Any) -> Iterator[Any]:
    if not isinstance(data, list | tuple):
        yield data
        return
    for item in data:
        yield from _leaves(item)


def _unwrapped(data: Any) -> Any:
    return [_unwrapped(item) for item in data] if isinstance(data, list | tuple) else operand(data, [])


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return wrap(unset(np.empty(shape, dtype, order)))


def empty_like(prototype: Any, dtype: Any = None, order: Any = "K", subok: Any = None, shape: Any = None) -> ndarray:
    return wrap(unset(np.empty_like(operand(prototype, []), dtype, order, False, shape)))


def asnumpy(a: Any, stream: Any = None, order: Any = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    return a.get(stream, order, out, blocking) if isinstance(a, ndarray) else np.asarray(a, order=order)


def get_array_module(*args: Any) -> ModuleType:
    return sys.modules["cupy"] if any(isinstance(arg, ndarray) for arg in args) else np


def size(a: ndarray, axis: int | None = None) -> int:
    return math.prod(a.shape) if axis is None else a.shape[axis]


def is_available() -> bool:
    return True


OWN_FUNCTIONS = (array, asarray, asanyarray, empty, empty_like, asnumpy, get_array_module, size, is_available)
