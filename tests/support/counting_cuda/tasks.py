"""What tests/kernels/test_counting_cuda.py runs on the CUDA that counts, each in a process of its own.

    python -m support.counting_cuda.tasks inference mamba_vision_T 8

prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from support import counting_cuda

TASKS: dict[str, Callable[..., Any]] = {}
TINY: dict[str, Any] = {"dim": 16, "in_dim": 8, "depths": [1, 1, 2, 2], "num_heads": [1, 1, 2, 2], "window_size": [8, 8, 4, 2]}


def task(function: Callable[..., Any]) -> Callable[..., Any]:
    TASKS[function.__name__] = function
    return function


def counted(cuda: counting_cuda.CountingCuda, call: Callable[[], Any], warm_up: int = 2) -> dict[str, Any]:
    """What a call does once kernels are compiled and the memory pool is filled."""
    for _ in range(warm_up):
        call()
    cuda.reset()
    call()
    return {**cuda.counts(), "kernels": cuda.kernels(), "places": [[*place, n] for place, n in cuda.places().items()]}


@task
def inference(cuda: counting_cuda.CountingCuda, name: str, batch: str) -> dict[str, Any]:
    """A forward of a released model at 224, the images on the device; "fixed": the same where weights are promised to stay."""
    import mvnp
    from mvnp.execution.fixed import fixed_weights

    model = mvnp.create_model(name)
    x = mvnp.from_numpy(np.zeros((int(batch), 3, 224, 224), np.float32))
    found = counted(cuda, lambda: model(x))
    with fixed_weights():
        return {**found, "fixed": counted(cuda, lambda: model(x))}


@task
def step(cuda: counting_cuda.CountingCuda, name: str, batch: str, kind: str = "AdamW") -> dict[str, Any]:
    """A training step of a released model at 224, from images on the host."""
    import mvnp
    from mvnp import training

    model, train_step = mvnp.create_model(name, drop_path_rate=0.2), training.train_step
    optimizer, x, labels = (
        getattr(training, kind)(model),
        np.zeros((int(batch), 3, 224, 224), np.float32),
        np.arange(int(batch)),
    )
    return counted(cuda, lambda: train_step(model, optimizer, x, labels, lr=1e-4, clip_norm=5.0))


@task
def precision(cuda: counting_cuda.CountingCuda) -> dict[str, Any]:
    """Products of a small model's forward, with TF32 as it comes, on, and off again."""
    import mvnp
    from mvnp.backend import use_tf32

    model, x = mvnp.MambaVision(**TINY, num_classes=10), mvnp.from_numpy(np.zeros((2, 3, 64, 64), np.float32))
    found = {}
    for choice in ("default", "on", "off"):
        if choice != "default":
            use_tf32(choice)
        found[choice] = counted(cuda, lambda: model(x))
    return found


@task
def first_run(cuda: counting_cuda.CountingCuda) -> dict[str, Any]:
    """What benchmarks/gpu_check.py runs on a GPU, at small sizes: that it runs at all."""
    sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
    import gpu_check

    from mvnp.kernels import use_kernels

    use_kernels("on")
    done = [name for name, call, count in gpu_check.calls(2) if call() is not NotImplemented and count]
    gpu_check._step("cupy", {**TINY, "num_classes": 10}, 72)
    return {"done": done, "refused": cuda.counts()["refused"]}


@task
def place(cuda: counting_cuda.CountingCuda, where: str) -> dict[str, Any]:
    """Where a training step and a forward of a small model are queued: on device 1, or in a stream of the user's."""
    import cupy

    import mvnp
    from mvnp.execution.parallel import use_threads
    from mvnp.training import AdamW, train_step

    use_threads(4)
    if where == "device":
        cupy.cuda.Device(1).use()
    stream = cupy.cuda.Stream(non_blocking=True)

    def both() -> None:
        model = mvnp.MambaVision(**TINY, num_classes=10)
        train_step(model, AdamW(model), np.zeros((4, 3, 64, 64), np.float32), np.arange(4), lr=1e-4, clip_norm=1.0)
        model(mvnp.from_numpy(np.zeros((4, 3, 64, 64), np.float32)))

    both()
    cuda.reset()
    if where == "stream":
        with stream:
            both()
    else:
        both()
    return {"places": [[*place, n] for place, n in cuda.places().items()], "stream": stream.ptr}


@task
def operations(cuda: counting_cuda.CountingCuda) -> dict[str, Any]:
    """Uploads and waits of each computation that the test of the stand-in makes."""
    import cupy
    from test_strict_cupy import COMPUTATIONS, HOST

    found = {}
    for name, compute in COMPUTATIONS.items():
        x, failed = cupy.asarray(HOST), ""
        for _ in range(2):  # the first time it compiles
            cuda.reset()
            try:
                compute(cupy, x)
            except Exception as error:  # of numbers that are all zeros
                failed = f"{type(error).__name__}: {error}"
        counts = cuda.counts()
        found[name] = {"uploads": counts["uploads"], "waits": counts["waits"], "failed": failed}
    return found


@task
def layers(cuda: counting_cuda.CountingCuda) -> dict[str, Any]:
    """Results of every pair of functions whose shape or dtype is another than NumPy's, with kernels and without."""
    import test_runs_on_cupy as cases

    import mvnp
    from mvnp.kernels import use_kernels

    compared, different = 0, []
    for stem, arguments in cases.CASES.items():
        for number, given in enumerate(arguments):
            for dtype in ("float32", "float64"):
                cast = [cases._cast(argument, dtype) for argument in given]
                mvnp.use_backend("numpy")
                use_kernels("off")
                want = cases._forward_and_backward(stem, cast)
                for kernels in ("off", "on"):
                    mvnp.use_backend("cupy")
                    use_kernels(kernels)
                    what = f"{stem} {number} {dtype}, kernels {kernels}"
                    try:
                        got = cases._forward_and_backward(stem, cast)
                    except Exception as error:
                        different.append(f"{what}: {type(error).__name__}: {error}")
                        continue
                    for position, (here, there) in enumerate(zip(got, want, strict=True)):
                        compared += 1
                        if (here is None) != (there is None) or (
                            here is not None and (here.shape, here.dtype) != (there.shape, there.dtype)
                        ):
                            different.append(f"{what}, result {position}")
    return {"compared": compared, "different": different}


@task
def compilers(cuda: counting_cuda.CountingCuda) -> dict[str, Any]:
    """NVIDIA's compiler as the tests load it, and then as CuPy does, in one process."""
    import cupy

    from support import nvrtc

    if nvrtc.library() is None:
        return {"lacking": nvrtc.NEEDS_NVRTC}
    code = 'extern "C" __global__ void f(float* x) { x[0] = fminf(x[1], x[2]); }'
    nvrtc.compiled(code, "sm_90")
    cupy.RawModule(code=code.replace("fminf", "fmaxf"), options=("--std=c++17",)).get_function("f").compile()
    return {"lacking": ""}


def main() -> None:
    name, *arguments = sys.argv[1:]
    warnings.simplefilter("error")
    cuda = counting_cuda.start(devices=2)
    os.environ["MVNP_BACKEND"] = "cupy"
    print(json.dumps(TASKS[name](cuda, *arguments)))


if __name__ == "__main__":
    main()
