"""NVIDIA's compiler for CUDA C++, which needs no GPU: the six functions of NVRTC that a compilation takes, through ctypes.

The package nvidia-cuda-nvrtc has the library. CuPy calls the same functions; it is not needed here, so that these tests get
along with any CuPy that is installed, or none.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path

NEEDS_NVRTC = "needs NVIDIA's compiler: pip install nvidia-cuda-nvrtc"


class CompileError(RuntimeError):
    """The compiler's own words."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """NVRTC, or None where it is not installed."""
    package = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in (package.submodule_search_locations or ())] if package else []
    found = [path for folder in folders for path in sorted(folder.glob("*/lib/libnvrtc.so.*"))]
    if not found:
        return None
    # It looks for its built-in functions by their name alone, and where it finds none, there are none for CuPy either.
    for builtins in sorted(found[-1].parent.glob("libnvrtc-builtins.so.*")):
        ctypes.CDLL(str(builtins))
    return ctypes.CDLL(str(found[-1]))


def compiled(code: str, architecture: str, options: Sequence[str] = ()) -> tuple[bytes, str]:
    """Machine code for a GPU such as "sm_90", and the intermediate code (PTX) that it was made from. Raises
    CompileError, also for a warning."""
    nvrtc = library()
    assert nvrtc, NEEDS_NVRTC
    program = ctypes.c_void_p()
    words = [option.encode() for option in (f"--gpu-architecture={architecture}", *options)]
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernel.cu", 0, None, None)
    try:
        failed = nvrtc.nvrtcCompileProgram(program, len(words), (ctypes.c_char_p * len(words))(*words))
        said = _result(nvrtc, "ProgramLog", program).rstrip(b"\0").decode()
        if failed or said:
            raise CompileError(said)
        return _result(nvrtc, "CUBIN", program), _result(nvrtc, "PTX", program).rstrip(b"\0").decode()
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _result(nvrtc: ctypes.CDLL, what: str, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, text)
    return text.raw
