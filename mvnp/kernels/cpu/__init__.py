"""Twins in Numba: loops over the numbers of a row, compiled when first used and kept on disk; jit.py and cache.py say how.

Importing this package does not import Numba: that takes half a second, and whoever only looks at a model does not need it.
"""

from __future__ import annotations

import functools
import importlib
import traceback

from ...errors import MvnpError

COMPILER = ("numba", "llvmlite")


class KernelError(MvnpError, RuntimeError):
    """A CPU kernel that cannot be compiled here."""


@functools.cache
def unavailable() -> str | None:
    """Why no CPU kernel can run here, with what it would take; None where they can."""
    try:
        importlib.import_module(f"{__name__}.jit")
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in COMPILER:
            raise
        return f"{name} is not installed; pip install numba"
    except Exception as error:  # Numba refuses a Python or NumPy that it does not know, or a setting, in several ways
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        advice = "unset it" if "NUMBA_DISABLE_JIT" in reason else "pip install -U numba, for a Python and NumPy that it knows"
        return f"Numba cannot be used ({reason}); {advice}"
    return None


def explained(error: Exception, twin: str) -> Exception:
    """What to raise for an error in a twin: the error itself, unless it comes from the compiler, which does not say what to do.
    A compiled kernel runs no Python: an error from inside the compiler's own modules is one of compiling."""
    modules = {frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in traceback.walk_tb(error.__traceback__)}
    if isinstance(error, MvnpError) or modules.isdisjoint(COMPILER):
        return error
    reason = str(error).strip().partition("\n")[0]
    return KernelError(
        f"the CPU kernel of {twin} cannot be compiled here ({type(error).__name__}: {reason});"
        " MVNP_KERNELS=off goes on with the array code"
    )
