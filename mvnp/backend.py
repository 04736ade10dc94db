"""The xp switch: one array code, on NumPy or on CuPy.

`MVNP_BACKEND=numpy|cupy` (default numpy) or `use_backend(name)` choose where *new* arrays are made. A function never
looks at that choice: it asks its arguments, `xp = array_module(x)`, and computes where they are. CuPy is imported only
when it is chosen.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from .errors import BackendError, check_choice

# A NumPy or a CuPy array. CuPy need not be installed, and neither library gives a type that covers both.
Array: TypeAlias = Any

BACKENDS = ("numpy", "cupy")

TF32 = ("off", "on")

_chosen: ModuleType | None = None
_tf32: str | None = None


def use_backend(name: str) -> None:
    """Choose where new arrays are made: "numpy" or "cupy".

    Raises BackendError for another name, and for "cupy" where CuPy is not installed or finds no GPU.
    """
    global _chosen
    if not isinstance(name, str) or name not in BACKENDS:
        raise BackendError(f"unknown backend {name!r}; MVNP_BACKEND and use_backend take one of {', '.join(BACKENDS)}")
    _chosen = np if name == "numpy" else _import_cupy()


def use_tf32(choice: str) -> None:
    """Whether products of float32 matrices on a GPU round their factors to TF32, 10 bits of fraction in place of 23, for its
    tensor cores: "on", many times as fast, or "off". MVNP_TF32 sets the same; where neither is used, it is as CuPy's own
    CUPY_TF32 says, off by default. Sums are of float32 either way, and nothing changes on NumPy or in float64.

    Raises InputError for another choice.
    """
    global _tf32
    check_choice("value of MVNP_TF32", choice, TF32)
    _tf32 = choice
    if _chosen is not None and _chosen is not np:
        _set_tf32(_chosen)


def backend_name() -> str:
    """The name of the backend in use."""
    return "numpy" if current_module() is np else "cupy"


def current_module() -> ModuleType:
    """The array module that new arrays are made with. The environment is read on first use."""
    if _chosen is None:
        use_backend(os.environ.get("MVNP_BACKEND") or "numpy")
    assert _chosen is not None
    return _chosen


def gpu_memory() -> int | None:
    """Bytes that CuPy's memory pool has taken from the GPU: its peak, as a pool keeps what is freed. None on NumPy."""
    return None if current_module() is np else current_module().get_default_memory_pool().total_bytes()


def array_module(*arrays: Array | None) -> ModuleType:
    """The module that all given arrays belong to. None is passed over, so that an absent bias needs no special case.

    Raises BackendError where a NumPy array meets a CuPy array.
    """
    cupy = sys.modules.get("cupy")
    on_gpu = on_cpu = False
    for array in arrays:
        if array is None:
            continue
        if isinstance(array, np.ndarray | np.generic):
            on_cpu = True
        elif cupy is not None and isinstance(array, cupy.ndarray):
            on_gpu = True
        else:
            raise BackendError(f"expected a NumPy or CuPy array, got a {type(array).__name__}")
    if on_cpu and on_gpu:
        raise BackendError(
            "a NumPy array met a CuPy array: move one of them first, with mvnp.from_numpy(x) or mvnp.to_numpy(x);"
            " a model stays on the backend that it was made on"
        )
    return cupy if on_gpu else np  # type: ignore[return-value]


def to_numpy(x: Array) -> np.ndarray:
    """The array as a NumPy array: itself, or a copy brought from the GPU (which waits for the GPU)."""
    return x if isinstance(x, np.ndarray) else np.asarray(x.get() if hasattr(x, "get") and hasattr(x, "shape") else x)


def from_numpy(x: np.ndarray) -> Array:
    """A host array moved to the backend in use; on NumPy, the array itself."""
    return current_module().asarray(x)


def moved_to(x: Array, host: np.ndarray) -> Array:
    """`host` moved to where `x` is. Random numbers are drawn on the host and moved once: CuPy's generators differ."""
    return array_module(x).asarray(host)


def erf(x: Array) -> Array:
    """The error function, 2/√π ∫₀ˣ exp(−t²) dt: the one function of ours that NumPy lacks and CuPy keeps elsewhere."""
    if array_module(x) is np:
        from scipy.special import erf as host_erf

        return host_erf(x)
    from cupyx.scipy.special import erf as device_erf

    return device_erf(x)


def _import_cupy() -> ModuleType:
    try:
        import cupy
    except ImportError as error:
        reason = error.__cause__ or error  # CuPy wraps the reason in a page of advice
        raise BackendError(
            f"the cupy backend needs CuPy, which cannot be imported here ({reason}); install it with"
            " pip install 'cupy-cuda12x[ctk]' or 'cupy-cuda13x[ctk]', to match your CUDA driver, or use MVNP_BACKEND=numpy"
        ) from error
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy has several error types here, none of which exists before the import
        raise BackendError(_no_gpu(cupy, str(error))) from error
    if devices == 0:
        raise BackendError(_no_gpu(cupy, "no device"))
    _set_tf32(cupy)
    return cupy


def tf32() -> str | None:
    """What was chosen by `use_tf32` or MVNP_TF32; None: nothing. Raises InputError for an MVNP_TF32 that is neither "on" nor
    "off"."""
    choice = _tf32 or os.environ.get("MVNP_TF32") or None
    if choice is not None:
        check_choice("value of MVNP_TF32", choice, TF32)
    return choice


def _set_tf32(cupy: ModuleType) -> None:
    choice = tf32()
    if choice is None:
        return
    products = cupy._core._routines_linalg
    kind = products.COMPUTE_TYPE_TF32 if choice == "on" else products.COMPUTE_TYPE_DEFAULT
    products.set_compute_type(cupy.float32, kind)


def _no_gpu(cupy: ModuleType, reason: str) -> str:
    return (
        f"CuPy {cupy.__version__} is installed but finds no usable GPU ({reason}); check that `nvidia-smi` lists one and"
        " that its driver is as new as CuPy's CUDA version, or use MVNP_BACKEND=numpy"
    )
