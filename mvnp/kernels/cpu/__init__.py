"""Twins in Numba: loops over the numbers of a row, compiled when first used and kept on disk; jit.py says how.

Importing this package does not import Numba: that takes a second, and whoever only looks at a model does not need it.
"""

from __future__ import annotations

import functools
import importlib

from ...errors import MvnpError


class KernelError(MvnpError, RuntimeError):
    """A CPU kernel that cannot be compiled here."""


@functools.cache
def unavailable() -> str | None:
    """Why no CPU kernel can run here, with what it would take; None where they can."""
    try:
        importlib.import_module(f"{__name__}.jit")
    except Exception as error:  # Numba refuses a Python or NumPy that it does not know in several ways
        return f"Numba cannot be imported ({error}); pip install -U numba, for a Python that it has a wheel for"
    return None


def explained(error: Exception, twin: str) -> Exception:
    """What to raise for an error in a twin: the error itself, unless it is of the compiler, which does not say what to do."""
    if type(error).__module__.partition(".")[0] not in ("numba", "llvmlite"):
        return error
    return KernelError(
        f"the CPU kernel of {twin} cannot be compiled here ({type(error).__name__}: {str(error).splitlines()[0]});"
        " MVNP_KERNELS=off goes on with the array code"
    )
