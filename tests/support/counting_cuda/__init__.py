"""A CUDA that counts and computes nothing, under CuPy's own code.

    cuda = counting_cuda.start()        # before CuPy is imported, in a process of its own
    import cupy
    …
    cuda.reset(); model(x); cuda.counts()["launches"]

CuPy's Python and Cython run as they are, and kernels are really compiled, by NVIDIA's compiler. Every launch, copy, wait,
allocation and matrix product is counted, with the device and the stream that it went to. What a stand-in written in Python
cannot see shows here: uploads and waits inside of CuPy, launches on the wrong device, warnings, types of arguments. Numbers
that are read back are zeros.

driver.c is the driver and the runtime. CuPy has the runtime linked in: its entry points are overwritten in memory, by jumps in
x86-64 machine code. Of cuBLAS every function that CuPy asks for is made, and counts where it computes. tasks.py has what the
tests run on it."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib
import importlib.util
import platform
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FIELDS = (
    *("launches", "products", "uploads", "uploaded_bytes", "reads", "read_bytes", "copies", "waits", "allocations", "fills"),
    *("pinned", "refused", "tf32_products"),
)
RUNTIME = (
    "cupy_backends.cuda.api.runtime",
    "cupy.cuda.cub",
    "cupy.cuda.thrust",
)  # the modules that have one linked in and that mvnp uses
PURE = ("Create", "Destroy", "Get", "Set")  # functions of cuBLAS that queue nothing


@functools.cache
def lacking() -> str:
    """What this machine lacks to run it; the empty string: nothing."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "needs Linux on x86-64"
    missing = [tool for tool in ("gcc", "nm") if shutil.which(tool) is None]
    if missing:
        return f"needs {' and '.join(missing)} (Debian and Ubuntu: apt install gcc binutils)"
    if importlib.util.find_spec("cupy_backends") is None:
        return "needs CuPy, though no GPU: pip install 'cupy-cuda13x[ctk]'"
    if "libcublas.so.13" not in _symbols("-D", "--undefined-only", _extension("cupy_backends.cuda.libs.cublas")):
        return "needs CuPy for CUDA 13: pip install 'cupy-cuda13x[ctk]'"
    return ""


class CountingCuda:
    """What has been counted since `reset`."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        library.stub_name.restype = ctypes.c_char_p
        library.stub_launches.restype = library.stub_threads.restype = library.stub_cub.restype = ctypes.c_long

    def reset(self) -> None:
        self._library.stub_reset()

    def counts(self) -> dict[str, int]:
        """By FIELDS. "launches" are kernels, "products" calls of cuBLAS; "refused" are launches that a GPU would not take."""
        found = (ctypes.c_long * len(FIELDS))()
        self._library.stub_counts(found)
        return dict(zip(FIELDS, found, strict=True))

    def kernels(self) -> Counter[str]:
        """Launches by the name of the kernel."""
        found: Counter[str] = Counter()
        for i in range(self._library.stub_functions()):
            found[self._library.stub_name(i).decode()] += self._library.stub_launches(i)
        found["(cub)"] += self._library.stub_cub()
        return +found

    def places(self) -> dict[tuple[int, int], int]:
        """How much was queued, by (device, stream)."""
        found, place = {}, (ctypes.c_long * 3)()
        for i in range(self._library.stub_places()):
            self._library.stub_place(i, place)
            found[place[1], place[0]] = place[2]
        return found


def start(devices: int = 1) -> CountingCuda:
    """Puts it under CuPy, which must not have been imported."""
    assert "cupy" not in sys.modules, "CuPy has been imported already"
    folder = _built()
    library = ctypes.CDLL(str(folder / "libcuda.so.1"), mode=ctypes.RTLD_GLOBAL)
    for name in ("libcublasLt.so.13", "libcublas.so.13"):
        ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    for module in RUNTIME:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the import: CuPy looks for a toolkit
            _overwrite(library, importlib.import_module(module).__file__)
        library.stub_devices(devices)
    return CountingCuda(library)


def _overwrite(library: ctypes.CDLL, path: str) -> None:
    """Where a function of the runtime begins in an extension module, a jump to the one of driver.c."""
    base = next(int(line.split("-")[0], 16) for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(path))
    protect = ctypes.CDLL(None).mprotect
    for line in _symbols(path).splitlines():
        address, kind, name = [*line.split(), "", "", ""][:3]
        if kind not in ("t", "T") or not name.startswith("cuda") or not name[4:5].isupper():
            continue
        stem = name.removesuffix("_ptsz").removesuffix("_ptds")
        own = (getattr(library, f"rt_{name}", None) for name in (stem, stem.removesuffix("_v2")))
        target = next((function for function in own if function is not None), library.rt_zero)
        place = base + int(address, 16)
        assert protect(ctypes.c_void_p(place & ~4095), ctypes.c_size_t(8192), 7) == 0
        # mov rax, address; jmp rax
        jump = b"\x48\xb8" + ctypes.cast(target, ctypes.c_void_p).value.to_bytes(8, "little") + b"\xff\xe0"
        ctypes.memmove(place, jump, len(jump))


def _built() -> Path:
    """The folder of the three libraries, which are made where they are not there yet."""
    from support.cuda_on_cpu import build_folder

    driver, cublas = (HERE / "driver.c").read_text(encoding="utf-8"), _cublas()
    sources = {
        "libcuda.so.1": (driver, ()),
        "libcublas.so.13": (cublas, ("-Wl,--version-script=versions",)),
        "libcublasLt.so.13": ("int cublasLtCreate() { return 0; }\n", ()),
    }
    folder = build_folder() / f"counting-{hashlib.sha256((driver + cublas).encode()).hexdigest()[:16]}"
    folder.mkdir(exist_ok=True)
    (folder / "versions").write_text("libcublas.so.13 { global: *; };\n", encoding="utf-8")
    for name, (text, options) in sources.items():
        if (folder / name).exists():
            continue
        command = ["gcc", "-O1", "-w", "-shared", "-fPIC", f"-Wl,-soname,{name}", *options, "-x", "c", "-", "-o", f"{name}.new"]
        subprocess.run(command, input=text, encoding="utf-8", check=True, cwd=folder)
        (folder / f"{name}.new").replace(folder / name)
    return folder


def _cublas() -> str:
    """C text with all of cuBLAS that CuPy asks for."""
    listed = _symbols("-D", "--undefined-only", _extension("cupy_backends.cuda.libs.cublas"))
    names = sorted({word.split("@")[0] for word in listed.split() if word.startswith("cublas")} - set(_OWN))
    counted = [name for name in names if not name.removeprefix("cublas").startswith(PURE)]
    pure = [name for name in names if name not in counted]
    return "\n".join(
        [
            "void stub_product(void *), stub_tf32(void);\nstatic __thread void *stream; static int math;",
            *_OWN.values(),
            *(f"int {name}() {{ stub_product(stream); if (math == 3) stub_tf32(); return 0; }}" for name in counted),
            *(f"int {name}() {{ return 0; }}" for name in pure),
            "",
        ]
    )


_OWN = {
    "cublasCreate_v2": "int cublasCreate_v2(void **h) { *h = (void *)7; return 0; }",
    "cublasSetStream_v2": "int cublasSetStream_v2(void *h, void *s) { stream = s; return 0; }",
    "cublasSetMathMode": "int cublasSetMathMode(void *h, int m) { math = m; return 0; }",
    "cublasGemmEx": """int cublasGemmEx(
        void *h, int ta, int tb, int m, int n, int k, void *alpha, void *a, int at, int lda, void *b, int bt, int ldb,
        void *beta, void *c, int ct, int ldc, int compute, int algorithm
    ) { stub_product(stream); if (compute == 77) stub_tf32(); return 0; }""",
    "cublasGemmStridedBatchedEx": """int cublasGemmStridedBatchedEx(
        void *h, int ta, int tb, int m, int n, int k, void *alpha, void *a, int at, int lda, long long sa, void *b, int bt,
        int ldb, long long sb, void *beta, void *c, int ct, int ldc, long long sc, int batch, int compute, int algorithm
    ) { stub_product(stream); if (compute == 77) stub_tf32(); return 0; }""",
    "cublasGetVersion_v2": "int cublasGetVersion_v2(void *h, int *v) { *v = 130000; return 0; }",
}


def _extension(name: str) -> str:
    package, _, stem = name.rpartition(".")
    folder = Path(importlib.util.find_spec("cupy_backends").origin).parent.joinpath(*package.split(".")[1:])
    return str(next(folder.glob(f"{stem}.*.so")))


def _symbols(*arguments: Any) -> str:
    return subprocess.run(["nm", *arguments], capture_output=True, text=True, check=True).stdout
