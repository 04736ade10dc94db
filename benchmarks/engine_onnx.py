"""ONNX Runtime's and OpenVINO's side of an inference case. There are two files for it: the PyTorch twin's, traced with its
scans unrolled, and mvnp's own, with the operator Scan. Which of the two is faster depends on the runtime and the processor."""

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


def exported(case: Case, weights: Path, writer: str) -> Path:
    """The file for this case, made where there is none, by "torch" or by "mvnp". Its name changes with what it is made from."""
    mark = hashlib.sha256(weights.read_bytes())
    for source in sources(writer):
        mark.update(source.read_bytes())
    # mvnp's takes any batch.
    key = f"{writer}-{case.key}" if writer == "torch" else f"{writer}-{case.model}-{case.height}x{case.width}"
    path = cache_folder() / f"{key}-{mark.hexdigest()[:16]}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{os.getpid()}-{path.name}")
        try:
            (export if writer == "torch" else export_own)(case, weights, unfinished)
            for old in path.parent.glob(f"{key}-*.onnx"):
                old.unlink()
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return path


def sources(writer: str) -> list[Path]:
    """The texts that an export comes from."""
    here = Path(__file__)
    if writer == "torch":
        import torch

        return [here.with_name("torch_twin.py"), Path(torch.__file__).with_name("version.py")]
    return sorted((here.parents[1] / "mvnp" / "export").glob("*.py"))


def export_own(case: Case, weights: Path, path: Path) -> None:
    """What `mvnp export` writes."""
    import mvnp

    mvnp.export_onnx(mvnp.create_model(case.model, drop_path_rate=0.0), path, (case.height, case.width))


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


def make_openvino(case: Case, model: Path, threads: int) -> Callable[[], Any]:
    """A call gives the logits. In float32: by itself OpenVINO computes in bfloat16 where the processor can."""
    import openvino

    core = openvino.Core()
    network = core.read_model(str(model))
    network.reshape({network.inputs[0]: list(images(case).shape)})
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(network, "CPU", options).create_infer_request()
    x = images(case)
    return lambda: request.infer({0: x})[0]
