"""Which code computes a layer on CuPy: its twin in CUDA, or the array code."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import check_choice

KERNELS = ("on", "off")

_chosen: str | None = None

Function = TypeVar("Function", bound=Callable[..., Any])


def use_kernels(choice: str) -> None:
    """Choose what CuPy arrays are computed with: "on", the default, takes the kernels of this package, "off" the array code.
    MVNP_KERNELS sets the same. NumPy arrays know only the array code.

    Raises InputError for another choice.
    """
    global _chosen
    check_choice("value of MVNP_KERNELS", choice, KERNELS)
    _chosen = choice


def kernels_on() -> bool:
    """Whether CuPy arrays are computed with kernels. The environment is read on first use."""
    if _chosen is None:
        use_kernels(os.environ.get("MVNP_KERNELS") or "on")
    return _chosen == "on"


def twin(function: Function) -> Function:
    """Decorates array code that has a twin: the function of the same name in the module of mvnp.kernels of the same stem.

    The twin is called where the first argument is a CuPy array and kernels are on.
    """
    stem, name = function.__module__.rpartition(".")[2], function.__name__

    @functools.wraps(function)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        if _on_cupy(args[0] if args else next(iter(kwargs.values()), None)) and kernels_on():
            return getattr(importlib.import_module(f"mvnp.kernels.{stem}"), name)(*args, **kwargs)
        return function(*args, **kwargs)

    return dispatch  # type: ignore[return-value]


def _on_cupy(x: Any) -> bool:
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(x, cupy.ndarray)
