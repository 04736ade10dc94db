"""`cupy.RawModule` of the stand-in for CuPy: kernels in CUDA C++, compiled by g++ and run on the CPU.

    with installed(kernels=True):                       # support/strict_cupy.py
        y, cache = layernorm_forward(from_numpy(x), …)  # the twin of mvnp/kernels, launched here

What the kernels' world looks like on a CPU stands in cuda_on_cpu.h. A launch that goes wrong there raises KernelError. There
are three ways to run, chosen with `running`: the warps in order, the warps in reverse, and in a process of its own under the
address sanitizer, which ends at the first access outside of an array or of shared memory.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from support.strict_array import ndarray

HERE = Path(__file__).parent
LEAST = 12 if platform.machine() == "x86_64" else 13  # the first g++ that has _Float16
NEEDS_COMPILER = f"needs Linux and g++ {LEAST} or newer, to run CUDA kernels on the CPU (Debian and Ubuntu: apt install g++)"

SHARED = 48 << 10  # bytes; what a kernel declares itself is not counted along
FLAGS = ("-std=c++17", "-O1", "-w", "-fvisibility=hidden")
WAYS = {
    "in order": ("-shared", "-fPIC"),
    "in reverse": ("-shared", "-fPIC"),
    "sanitized": ("-DSANITIZED", "-g", "-fsanitize=address"),
}

_way = "in order"


@functools.cache
def build_folder() -> Path:
    """Where what is compiled is kept, by the hash of all that goes in: from run to run, where the checkout can be written."""
    kept = HERE.parents[1] / ".pytest_cache" / "kernels"
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=kept):
            return kept
    except OSError:
        folder = tempfile.mkdtemp(prefix="mvnp-kernels-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


def _compiler() -> str | None:
    found = shutil.which("g++") if sys.platform == "linux" else None
    version = (
        subprocess.run([found, "-dumpversion"], capture_output=True, encoding="utf-8", check=True).stdout if found else "0"
    )
    return found if int(version.split(".")[0]) >= LEAST else None


COMPILER = _compiler()


class KernelError(RuntimeError):
    """What a GPU would have left undefined, or the compiler refuses."""


@contextlib.contextmanager
def running(way: str) -> Iterator[None]:
    """Run kernels in one of WAYS."""
    global _way
    before, _way = _way, way
    try:
        yield
    finally:
        _way = before


class RawModule:
    """Compiled CUDA C++, as CuPy has it. `options` are for NVRTC, and say nothing to g++."""

    def __init__(self, code: str, options: Sequence[str] = ()) -> None:
        self._code = code
        self._names = re.findall(r'extern "C" __global__ void\s+(\w+)\(', code)

    def get_function(self, name: str) -> Any:
        if name not in self._names:
            raise KernelError(f"no kernel {name} among {', '.join(self._names)}")
        return functools.partial(self._launch, name)

    def _launch(
        self, name: str, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0
    ) -> None:
        if shared_mem > SHARED:
            raise KernelError(f"{name}: {shared_mem} bytes of shared memory, a block gets {SHARED} without asking for more")
        axes = [(ctypes.c_uint * 3)(*size, *(1,) * (3 - len(size))) for size in (grid, block)]
        arrays = [_numbers(value) for value in args]
        launch = _launch_sanitized if _way == "sanitized" else _launch_here
        launch(_built(self._code, tuple(self._names), WAYS[_way]), name, *axes, shared_mem, arrays, _way == "in reverse")


def _numbers(value: Any) -> tuple[np.ndarray, bool]:
    """An argument's memory, and whether it is an array. That of a view goes from its first number to its last, and is only to
    be read."""
    if isinstance(value, ndarray):
        host = value._host
        if not host.flags.c_contiguous:
            size = 1 + sum((n - 1) * stride for n, stride in zip(host.shape, host.strides, strict=True)) // host.itemsize
            host = np.lib.stride_tricks.as_strided(host, (size,), (host.itemsize,), writeable=False)
        return host, True
    if isinstance(value, np.generic):
        return np.array(value), False
    raise TypeError(f"a kernel's argument is a {type(value).__name__}: CuPy would guess its type; pass a NumPy scalar")


class _Argument(ctypes.Structure):
    """cpu::Argument of cuda_on_cpu.h."""

    _fields_ = (("data", ctypes.c_void_p), ("is_array", ctypes.c_int32), ("item_size", ctypes.c_int32))


def _launch_here(library: Path, name: str, grid: Any, block: Any, shared: int, arrays: list, order: bool) -> None:
    arguments = (_Argument * len(arrays))(*(_Argument(a.ctypes.data, is_array, a.itemsize) for a, is_array in arrays))
    said = _loaded(library)(name.encode(), grid, block, ctypes.c_size_t(shared), arguments, len(arrays), int(order))
    if said:
        raise KernelError(said.decode())


def _launch_sanitized(program: Path, name: str, grid: Any, block: Any, shared: int, arrays: list, order: bool) -> None:
    sent = [struct.pack("64s3I3IQii", name.encode(), *grid, *block, shared, len(arrays), order)]
    for array, is_array in arrays:
        sent += [struct.pack("iiQ", is_array, array.itemsize, array.nbytes), array.tobytes()]
    options = {"ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"}
    done = subprocess.run([program], input=b"".join(sent), capture_output=True, env=os.environ | options, check=False)
    if done.returncode:
        raise KernelError(f"{name}: {done.stderr.decode(errors='replace')}")
    start = 0
    for array, is_array in arrays:
        if is_array and array.flags.writeable:
            array[...] = np.frombuffer(done.stdout, array.dtype, array.size, start).reshape(array.shape)
        start += array.nbytes if is_array else 0


@functools.cache
def _loaded(library: Path) -> Any:
    launch = ctypes.CDLL(str(library)).launch
    launch.restype = ctypes.c_char_p
    return launch


@functools.cache
def _built(code: str, names: tuple[str, ...], flags: tuple[str, ...]) -> Path:
    """The library, or program, made from a kernel's text."""
    assert COMPILER, NEEDS_COMPILER
    listed = " ".join(f"X({name})" for name in names)
    ends = [(HERE / f"cuda_on_cpu{end}.h").read_text(encoding="utf-8") for end in ("", "_end")]
    text = "\n".join([ends[0], "#line 1", code.replace('extern "C"', "static"), f"#define KERNELS(X) {listed}", ends[1]])
    digest = hashlib.sha256(" ".join([COMPILER, *FLAGS, *flags, text]).encode()).hexdigest()[:24]
    built = build_folder() / digest
    if not built.exists():
        unfinished = build_folder() / f"{digest}.{os.getpid()}"
        command = [COMPILER, *FLAGS, *flags, "-x", "c++", "-", "-o", str(unfinished)]
        done = subprocess.run(command, input=text, encoding="utf-8", capture_output=True, check=False)
        if done.returncode:
            raise KernelError(f"g++ refuses the kernels {', '.join(names)}:\n{done.stderr}")
        unfinished.replace(built)
    return built
