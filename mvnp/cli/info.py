"""`mvnp info`: what runs here, for a bug report or to see why something is slow."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib import metadata

from ..errors import printable
from .arguments import Parser, table

SUMMARY = "show versions, backend, CPU, and where the data is"

USAGE = "mvnp info"

DESCRIPTION = """\
Show what runs here: versions of mvnp, Python and the libraries, the backend,
the kernels and whether they are compiled yet, threads, the CPU, and where the
data is. Put this into a bug report. It tells why kernels cannot be used, and
with MVNP_BACKEND=cupy why the GPU cannot."""

EXAMPLES = """\
examples:
  mvnp info
  MVNP_BACKEND=cupy mvnp info"""

LIBRARIES = ("numba", "scipy", "matplotlib", "pillow", "tqdm")
CUPY_PACKAGES = ("cupy-cuda12x", "cupy-cuda13x", "cupy-cuda11x", "cupy")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


SWITCHES = (
    *("MVNP_BACKEND", "MVNP_KERNELS", "MVNP_CONVOLUTION", "MVNP_TF32", "MVNP_THREADS", "HF_HUB_OFFLINE", "NUMBA_CACHE_DIR"),
    *("XDG_CACHE_HOME", *THREAD_VARIABLES, "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "NUMBA_DISABLE_JIT"),
)


def add_arguments(parser: Parser) -> None:
    """None but --help."""


def run(arguments: argparse.Namespace) -> int:
    import numpy as np

    from ..backend import backend_name
    from ..execution.parallel import threads
    from ..kernels import convolution_method, kernels_on
    from ..version import __version__

    rows = [
        ("mvnp", f"{__version__}, {os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}"),
        ("python", f"{platform.python_version()}, {sys.executable}"),
        ("system", platform.platform()),
        ("numpy", f"{np.__version__}, BLAS: {_blas()}"),
        *_matrix_libraries(),
        *((name, _version(name) or "not installed") for name in LIBRARIES),
        ("cupy", _cupy()),
        ("backend", f"{backend_name()} ({_setting('MVNP_BACKEND')})"),
        *_devices(),
        ("kernels", f"{'on' if kernels_on() else 'off'} ({_setting('MVNP_KERNELS')})"),
        *_kernels(),
        ("convolution", f"{convolution_method()} ({_setting('MVNP_CONVOLUTION')})"),
        ("threads", f"{threads()} ({_setting('MVNP_THREADS')})"),
        ("cpus", _cpus()),
        ("switches", ", ".join(_switches()) or "none set"),
        *_data(),
    ]
    print(table(rows[0], rows[1:]))
    return 0


def _setting(variable: str) -> str:
    return f"{variable} is {os.environ.get(variable) or 'not set'}"


def _kernels() -> list[tuple[str, str]]:
    """What has a kernel, for each device; of the CPU's, which are compiled, or why they cannot be used."""
    from ..kernels import stems
    from ..kernels.cpu import unavailable

    reason = unavailable()
    cpu = f"none can be used: {reason}" if reason else _compiled(stems("cpu"))
    return [("cpu kernels", cpu), ("gpu kernels", f"{', '.join(stems('cuda'))}; compiled by CuPy in each process")]


def _compiled(stems: list[str]) -> str:
    from ..kernels.cpu.cache import cache_folder, kept, writable

    compiled = [stem for stem in stems if kept(stem)]
    names = f"compiled: {', '.join(compiled) or 'none'}; when first used: {', '.join(sorted({*stems} - {*compiled})) or 'none'}"
    return f"{names}; {'kept in' if writable() else 'not kept, for nothing can be written to'} {cache_folder()}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _blas() -> str:
    import numpy as np

    built = np.show_config(mode="dicts") or {}
    blas = built.get("Build Dependencies", {}).get("blas", {})
    return " ".join(str(blas[key]) for key in ("name", "version") if blas.get(key)) or "unknown"


def _matrix_libraries() -> list[tuple[str, str]]:
    """What multiplies matrices in this process: the library, its kernel for this processor, its threads."""
    from threadpoolctl import ThreadpoolController

    rows = []
    for library in ThreadpoolController().select(user_api="blas").info():
        kernel = library.get("architecture") or "unknown"
        name = " ".join(str(library[key]) for key in ("internal_api", "version") if library.get(key))
        rows.append(("matrix library", f"{name}, kernel {kernel}, threads {library['num_threads']}"))
    return rows or [("matrix library", "unknown: threadpoolctl does not know it")]


def _switches() -> list[str]:
    """All variables that change what mvnp does, and are set."""
    return [f"{name}={printable(os.environ[name])}" for name in SWITCHES if os.environ.get(name)]


def _cupy() -> str:
    found = {name: _version(name) for name in CUPY_PACKAGES}
    return ", ".join(f"{version} ({name})" for name, version in found.items() if version) or "not installed"


def _devices() -> list[tuple[str, str]]:
    """The GPU in use. CuPy is not imported unless it is the backend."""
    from ..backend import current_module

    if current_module().__name__ != "cupy":
        return []
    cupy = current_module()
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    name, memory = properties["name"].decode(), properties["totalGlobalMem"] / 2**30
    return [("gpu", f"{name}, {memory:.0f} GiB, {cupy.cuda.runtime.getDeviceCount()} in all")]


def _cpus() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if os.environ.get(name)]
    return ", ".join([f"{usable} usable of {os.cpu_count()}", platform.machine(), *limits])


def _data() -> list[tuple[str, str]]:
    from ..data.fashion_mnist import FULL, SUBSET

    full = str(FULL) if FULL.is_dir() else "not installed (Debian and Ubuntu: apt install dataset-fashion-mnist)"
    return [("fashion-mnist-small", str(SUBSET)), ("fashion-mnist", full)]
