"""ONNX Runtime's side of an inference case: the PyTorch twin, exported with its scans unrolled."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cases import Case
from engine_mvnp import images


def cache_folder() -> Path:
    """Where exports are kept from one run to the next: outside the repository."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mvnp-benchmarks"


def exported(case: Case, weights: Path) -> Path:
    """The file for this case, made where there is none. Its name changes with the twin, PyTorch and the weights."""
    import torch

    twin_source = Path(__file__).with_name("torch_twin.py").read_bytes()
    mark = hashlib.sha256(twin_source + torch.__version__.encode() + weights.read_bytes()).hexdigest()[:16]
    path = cache_folder() / f"{case.key}-{mark}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            export(case, weights, unfinished)
            for old in path.parent.glob(f"{case.key}-*.onnx"):
                old.unlink()
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return path


def export(case: Case, weights: Path, path: Path) -> None:
    """By tracing: the loop over the tokens becomes one node after another, which needs a fixed batch and image size."""
    import torch
    from engine_torch import twin

    model = twin(case, weights, "lean").eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about Python numbers that become constants, as is wanted here
        torch.onnx.export(model, (torch.from_numpy(images(case)),), str(path), dynamo=False, opset_version=17)


def make(case: Case, model: Path, threads: int) -> Callable[[], Any]:
    """A call gives the logits. Nothing of PyTorch is in the process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    x, name = images(case), session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})[0]
