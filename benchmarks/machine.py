"""What figures have to be read with: the machine, the versions, and the matrix library's kernel."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from datetime import date
from pathlib import Path

LIBRARIES = {"numba": "Numba", "torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


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
        "numba": version("numba"),
        "torch": version("torch"),
        "onnxruntime": version("onnxruntime"),
        "openvino": version("openvino"),
        "date": date.today().isoformat(),
    }


def processor() -> str:
    """The processor's name as the system gives it, and its family and model: virtual machines hide the rest of the name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    about = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "model name" not in about:
        return platform.processor() or platform.machine()
    name = re.sub(r"\((R|TM)\)| CPU| Processor| @.*", "", about["model name"])
    return f"{name} (family {about['cpu family']}, model {about['model']})" if "cpu family" in about else name


def version(package: str) -> str:
    """The installed version, or "not installed"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def sentence(about: dict[str, str | int]) -> str:
    """One line for below a table."""
    threads = f"{about['threads']} thread" + "s" * (about["threads"] != 1)
    return (
        f"{about['cpu']}, {about['cores']} cores, {threads}; Python {about['python']}, NumPy {about['numpy']}"
        f" with {about['blas']}; "
        + "".join(f"{name} {about[key]}, " for key, name in LIBRARIES.items() if key in about).removesuffix(", ")
        + f"; {about['date']}."
    )
