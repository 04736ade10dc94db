"""The first run on a GPU: numbers, kernels against a copy's speed, launches, tests and sanitizers, in about ten minutes.

    python benchmarks/gpu_check.py [--out build/gpu_check] [--only numbers]

Each step is a process of its own with a limit of time; logs go to the folder, and what matters is printed. What
`benchmarks/gpu.py` measures beside PyTorch comes at the end. Needs an NVIDIA GPU and CuPy; PyTorch and NVIDIA's
compute-sanitizer where they are there."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

VARIANTS: dict[str, dict[str, Any]] = {
    "official": {},
    "layer scale": {"layer_scale": 0.1, "layer_scale_conv": 0.2},
    "qk-norm": {"qk_scale": True},
    "corrected": {"quirks": "corrected", "head_norm": "layer"},
    "dropout": {"drop_rate": 0.1, "attn_drop_rate": 0.1},
}
SMALL: dict[str, Any] = {"dim": 16, "in_dim": 8, "depths": [1, 1, 2, 2], "num_heads": [1, 1, 2, 2], "window_size": [8, 8, 4, 2]}


def numbers(size: int = 72) -> None:
    """A training step in float64 on the GPU, with kernels and without, against NumPy's; twice, to the bit; T's logits in
    float32."""
    import mvnp
    from mvnp.kernels import use_kernels

    tiny = json.loads((ROOT / "tests/reference/tiny_even.json").read_text(encoding="utf-8")) | {"drop_path_rate": 0.2}
    for name, options in VARIANTS.items():
        want = _step("numpy", {**tiny, **options}, size)
        scale = max(np.abs(array).max() for key, array in want.items() if key.startswith("gradient"))
        for kernels in ("on", "off"):
            use_kernels(kernels)
            got, again = (_step("cupy", {**tiny, **options}, size) for _ in range(2))
            limits = {key: 1e-9 * max(scale if "gradient" in key else 0.0, np.abs(array).max()) for key, array in want.items()}
            bad = [key for key, array in want.items() if not np.abs(got[key] - array).max() <= limits[key] + 1e-12]
            same = all((got[key] == again[key]).all() for key in got)
            print(f"{name}, kernels {kernels}: {len(want)} arrays, {len(bad)} differ {bad[:3]}; again bit for bit: {same}")
    use_kernels("on")
    x = np.random.default_rng(0).standard_normal((2, 3, 224, 224), dtype=np.float32)
    mvnp.use_backend("numpy")
    want_logits = mvnp.create_model("mamba_vision_T")(x)
    mvnp.use_backend("cupy")
    for choice in ("off", "on"):
        mvnp.backend.use_tf32(choice)
        got_logits = mvnp.to_numpy(mvnp.create_model("mamba_vision_T")(mvnp.from_numpy(x)))
        error = np.abs(got_logits - want_logits).max() / np.abs(want_logits).max()
        print(f"T's logits in float32, TF32 {choice}: off NumPy's by {error:.1e} of the largest")


def _step(backend: str, options: dict[str, Any], size: int) -> dict[str, np.ndarray]:
    import mvnp
    from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward

    mvnp.use_backend(backend)
    model, tape = mvnp.MambaVision(**options, dtype="float64", seed=1), mvnp.Tape(training=True, seed=2)
    logits = model(mvnp.from_numpy(np.random.default_rng(5).standard_normal((2, 3, size, 56))), tape)
    loss, cache = cross_entropy_forward(logits, np.array([3, 7]), 0.1)
    found = {"loss": loss, "logits": logits, "gradient of x": model.backward(cross_entropy_backward(1.0, cache), tape)}
    found |= {f"gradient of {key}": array for key, array in model.gradients(tape).items()}
    tape.commit()
    found |= {f"value of {key}": array for key, array in model.state_dict().items()}
    return {key: mvnp.to_numpy(array) for key, array in found.items()}


def kernels(batch: int = 128) -> None:
    """Each kernel's time, and the bytes a second that its arrays amount to, as a share of a copy's."""
    import cupy
    from gpu_timer import cupy_clock, seconds

    clock = cupy_clock()
    large = cupy.empty(batch << 21, np.float32)
    half = large.size // 2
    rate = 8 * half / seconds(lambda: cupy.copyto(large[:half], large[half:]), clock)
    print(f"a copy: {rate / 1e9:.0f} GB/s")
    for name, call, count in calls(batch):
        taken = seconds(call, clock)
        began = time.perf_counter()
        call()
        host = time.perf_counter() - began
        moved = 4 * count / taken
        shown = f"{1e6 * taken:8.1f} us, host {1e6 * host:6.1f} us, {moved / 1e9:6.0f} GB/s"
        print(f"{name:28s} {shown}, {moved / rate:5.0%} of a copy")


def calls(batch: int) -> list[tuple[str, Callable[[], Any], int]]:
    """What is timed, at the shapes of T: a name, the call, and how many numbers it has to move."""
    import cupy

    from mvnp.kernels.cuda import batchnorm as bn
    from mvnp.kernels.cuda import columns, conv2d
    from mvnp.layers import batchnorm, conv1d, gelu, layernorm, linear, selective_scan, softmax

    def drawn(*shape: int) -> Any:
        return cupy.random.default_rng(0).standard_normal(shape, dtype=np.float32)

    hidden, image, tokens, u = drawn(batch, 196, 1280), drawn(batch, 56, 56, 80), drawn(batch, 196, 320), drawn(batch, 196, 160)
    w, v, D, kernel, taps = drawn(320), drawn(80), drawn(160), drawn(80, 80, 3, 3), drawn(160, 1, 3)
    scores, gates, A = drawn(8 * batch, 196, 196), drawn(batch, 196, 36), -cupy.exp(drawn(160, 8))
    one, rows = image[: max(1, batch // 8)], slice(0, 56)
    X = conv2d._im2col(one, (3, 3), (1, 1), (1, 1), rows)
    dX, padded = X.reshape(len(one), 56, 56, 3, 3, 80), cupy.zeros((len(one), 58, 58, 80), np.float32)
    _, norm = layernorm.layernorm_forward(tokens, w, w)
    _, bias = linear.linear_forward(tokens, drawn(1280, 320), drawn(1280))

    def scan(keep: bool) -> Any:
        return selective_scan.selective_scan_forward(u, u, A, gates[..., 20:28], gates[..., 28:], D, D, keep=keep)

    kept = scan(True)[1]
    return [
        ("gelu forward", lambda: gelu.gelu_forward(hidden), 2 * hidden.size),
        ("gelu backward", lambda: gelu.gelu_backward(hidden, hidden), 3 * hidden.size),
        ("a bias", lambda: columns.add_bias(hidden, hidden[0, 0]), 2 * hidden.size),
        ("sums over rows", lambda: columns.sum_rows(hidden), hidden.size),
        ("layernorm forward", lambda: layernorm.layernorm_forward(tokens, w, w), 2 * tokens.size),
        ("layernorm backward", lambda: layernorm.layernorm_backward(tokens, norm), 5 * tokens.size),
        ("softmax forward", lambda: softmax.softmax_forward(scores), 2 * scores.size),
        ("batchnorm moments", lambda: bn.moments(image), image.size),
        ("batchnorm evaluation", lambda: batchnorm.batchnorm_eval_forward(image, v, v, v, v * v), 2 * image.size),
        ("batchnorm input gradient", lambda: bn.input_gradient(image, image, v, v, v, v, v), 3 * image.size),
        ("conv1d", lambda: conv1d.conv1d_forward(u, taps, silu=True), 2 * u.size),
        ("im2col 3x3", lambda: conv2d._im2col(one, (3, 3), (1, 1), (1, 1), rows), X.size + one.size),
        ("col2im 3x3", lambda: conv2d._col2im(dX, padded, 0, (1, 1)), X.size + 2 * padded.size),
        ("conv2d 3x3, 80 to 80", lambda: conv2d.conv2d_forward(image, kernel, None, (1, 1), (1, 1)), 2 * image.size),
        ("linear 320 to 1280", lambda: linear.linear_backward(hidden, bias), 2 * hidden.size),
        ("scan forward", lambda: scan(False), 3 * u.size),
        ("scan backward", lambda: selective_scan.selective_scan_backward(u, kept), 7 * u.size),
    ]


def sanitize() -> None:
    """A small training step where each array has a block of its own, whose ends the sanitizer knows."""
    import cupy

    import mvnp
    from mvnp.training import LAMB, AdamW, train_step

    cupy.cuda.set_allocator(None)
    for optimizer in (AdamW, LAMB):
        model = mvnp.MambaVision(**SMALL, num_classes=10)
        print(train_step(model, optimizer(model), np.ones((2, 3, 72, 56), np.float32), np.arange(2), lr=1e-3, clip_norm=1.0))


def steps() -> dict[str, tuple[int, list[str]]]:
    """What is run, by name: seconds at most, and the command."""
    python, own = sys.executable, str(Path(__file__))
    tests = [python, "-m", "pytest", "tests/kernels", "tests/models/test_strict_cupy_model.py", "-k", "GPU or gpu", "--tb=line"]
    sanitizer = ["compute-sanitizer", "--error-exitcode", "1", "--tool"]
    return {
        "device": (30, ["nvidia-smi", "-L"]),
        "numbers": (120, [python, own, "--task", "numbers"]),
        "kernels": (60, [python, own, "--task", "kernels"]),
        "tests": (180, [*tests, "-p", "no:cacheprovider"]),
        "memcheck": (60, [*sanitizer, "memcheck", python, own, "--task", "sanitize"]),
        "racecheck": (60, [*sanitizer, "racecheck", python, own, "--task", "sanitize"]),
        "speed": (900, [python, str(ROOT / "benchmarks/gpu.py"), "--only", "t-", "--out", "docs/measured"]),
    }


TASKS = {task.__name__: task for task in (numbers, kernels, sanitize)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu_check", help="folder of the logs")
    parser.add_argument("--only", choices=steps(), help="one step")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        TASKS[arguments.task]()
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "MVNP_BACKEND": "cupy",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "PYTHONUNBUFFERED": "1",
    }
    for name, (limit, command) in steps().items():
        if arguments.only not in (None, name):
            continue
        log = arguments.out / f"{name}.log"
        with open(log, "w", encoding="utf-8") as file:
            try:
                done = subprocess.run(
                    command, stdout=file, stderr=subprocess.STDOUT, timeout=limit, env=environment, cwd=ROOT, check=False
                )
                ended = f"ended with {done.returncode}"
            except subprocess.TimeoutExpired:
                ended = f"took more than {limit} s"
            except FileNotFoundError:
                ended = f"left out: there is no {command[0]}"
        print(f"=== {name}: {ended}", *log.read_text(encoding="utf-8").splitlines()[-30:], sep="\n", flush=True)


if __name__ == "__main__":
    main()
