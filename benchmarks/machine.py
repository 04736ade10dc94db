"""What figures have to be read with: the machine, the versions, and the matrix library's kernel."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import date
from pathlib import Path


def machine(threads: int) -> dict[str, str | int]:
    """Names of what a run was made on and with. Matrix libraries choose a kernel for the processor: that is named too."""
    import numpy as np
    from threadpoolctl import threadpool_info

    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    kernels = {f"{b['internal_api']} {b['version']}, kernel {b.get('architecture', 'unknown')}" for b in blas}
    return {
        "cpu": processor(),
        "cores": os.cpu_count() or 1,
        "threads": threads,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": "; ".join(sorted(kernels)) or "unknown",
        "torch": version("torch"),
        "onnxruntime": version("onnxruntime"),
        "date": date.today().isoformat(),
    }


def processor() -> str:
    """The processor's name as the system gives it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def version(package: str) -> str:
    """The installed version, or "not installed"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def sentence(about: dict[str, str | int]) -> str:
    """One line for below a table."""
    return (
        f"{about['cpu']}, {about['cores']} cores, {about['threads']} threads; Python {about['python']}, NumPy {about['numpy']}"
        f" with {about['blas']}; PyTorch {about['torch']}, ONNX Runtime {about['onnxruntime']}; {about['date']}."
    )
