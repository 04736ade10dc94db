"""Time and peak memory of mvnp beside PyTorch, same weights, same input, same cores.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python benchmarks/compare.py [--rounds 5] [--out docs/measured/torch.json]

With --out the figures are written there, and beside it as the table of docs/measured.md.

Every measurement is a process of its own, so that peak memory is its own and no library's threads disturb the other's; the
two implementations take turns, round by round, and medians and their ratio are reported. Before anything is timed the two
must agree. Needs `pip install torch` (a CPU build).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

CASES = {
    "T forward, batch 1": ("forward", 1),
    "T forward, batch 8": ("forward", 8),
    "T training step, batch 8": ("train", 8),
}
MODEL = "mamba_vision_T"
REPEATS = 3  # in one process, after a warm-up; the median counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", nargs=3, metavar=("ENGINE", "MODE", "BATCH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        engine, mode, batch = arguments.worker
        print(json.dumps(measure(engine, mode, int(batch))))
        return
    check_agreement()
    rows = [compare(name, mode, batch, arguments.rounds) for name, (mode, batch) in CASES.items()]
    header = f"{'case':<26} {'mvnp s':>8} {'torch s':>8} {'ratio':>6} {'mvnp MB':>8} {'torch MB':>8}"
    print(header)
    for row in rows:
        print(
            f"{row['case']:<26} {row['mvnp_s']:>8.3f} {row['torch_s']:>8.3f} {row['ratio']:>6.2f}"
            f" {row['mvnp_mb']:>8.0f} {row['torch_mb']:>8.0f}"
        )
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        about = machine()
        arguments.out.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
        arguments.out.with_suffix(".md").write_text(as_markdown(about, rows))


def as_markdown(about: dict[str, str], rows: list[dict[str, Any]]) -> str:
    """The table that docs/measured.md shows."""
    lines = ["| | mvnp | PyTorch | ratio of times | mvnp, peak | PyTorch, peak |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row['case']} | {row['mvnp_s']:.3f} s | {row['torch_s']:.3f} s | {row['ratio']:.2f}"
        f" | {row['mvnp_mb']:.0f} MB | {row['torch_mb']:.0f} MB |"
        for row in rows
    ]
    return "\n".join(
        [
            *lines,
            "",
            f"{about['cpu']}, {about['cores']} cores; NumPy {about['numpy']} with {about['blas']}; PyTorch {about['torch']},"
            f" on the CPU; {about['date']}.",
            "",
        ]
    )


def compare(name: str, mode: str, batch: int, rounds: int) -> dict[str, Any]:
    """Both engines in turn; medians over the rounds."""
    found: dict[str, list[dict[str, float]]] = {"mvnp": [], "torch": []}
    for _ in range(rounds):
        for engine, results in found.items():
            command = [sys.executable, __file__, "--worker", engine, mode, str(batch)]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    medians = {engine: statistics.median(r["seconds"] for r in results) for engine, results in found.items()}
    memory = {engine: statistics.median(r["peak_mb"] for r in results) for engine, results in found.items()}
    ratio = statistics.median(
        ours["seconds"] / theirs["seconds"] for ours, theirs in zip(found["mvnp"], found["torch"], strict=True)
    )
    return {
        "case": name,
        "mvnp_s": medians["mvnp"],
        "torch_s": medians["torch"],
        "ratio": ratio,
        "mvnp_mb": memory["mvnp"],
        "torch_mb": memory["torch"],
    }


def measure(engine: str, mode: str, batch: int) -> dict[str, float]:
    """One engine in this process: the median time of a call, and the process's peak memory."""
    call = (make_mvnp if engine == "mvnp" else make_torch)(mode, batch)
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return {"seconds": statistics.median(times), "peak_mb": peak_mb()}


def peak_mb() -> float:
    """This process's peak resident memory. On Linux not ru_maxrss, which a child begins with its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def images(batch: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((batch, 3, 224, 224)).astype(np.float32)


def make_mvnp(mode: str, batch: int) -> Any:
    import mvnp
    from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
    from mvnp.training.adamw import AdamW

    model = mvnp.create_model(MODEL, drop_path_rate=0.0)
    x, labels = images(batch), np.arange(batch)
    if mode == "forward":
        return lambda: model(x)
    optimiser = AdamW(model.named_parameters())

    def step() -> None:
        tape = mvnp.Tape(training=True, inputs=False)  # PyTorch leaves out the gradient of the images too
        _, cache = cross_entropy_forward(model(x, tape), labels)
        model.backward(cross_entropy_backward(1.0, cache), tape)
        optimiser.step(model.gradients(tape), lr=1e-3)
        tape.commit()

    return step


def make_torch(mode: str, batch: int) -> Any:
    import torch

    model, x = torch_model(), torch.from_numpy(images(batch))
    if mode == "forward":
        model.eval()

        def forward() -> None:
            with torch.inference_mode():
                model(x)

        return forward
    labels, optimiser = torch.arange(batch), torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimiser.step()

    return step


def torch_model() -> Any:
    from torch_twin import TorchMambaVision

    from mvnp.models.variants import VARIANTS

    arguments = VARIANTS[MODEL].arguments()
    return TorchMambaVision(**{k: v for k, v in arguments.items() if k not in ("drop_path_rate", "layer_scale")})


def check_agreement() -> None:
    """The two must compute the same, or comparing their speed would mean nothing."""
    import torch

    import mvnp

    model, twin, x = mvnp.create_model(MODEL), torch_model(), images(1)
    twin.load_state_dict({key: torch.from_numpy(np.asarray(value)) for key, value in model.state_dict().items()})
    twin.eval()
    with torch.inference_mode():
        want = twin(torch.from_numpy(x)).numpy()
    error = float(np.linalg.norm(model(x) - want) / np.linalg.norm(want))
    print(f"relative difference of the logits: {error:.1e}")
    if error > 1e-5:
        raise SystemExit("the two implementations disagree; nothing was timed")


def machine() -> dict[str, str]:
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index,call-overload]
    return {
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}, kernel {os.environ.get('OPENBLAS_CORETYPE', 'chosen by the library')}",
        "torch": torch.__version__,
        "date": date.today().isoformat(),
    }


if __name__ == "__main__":
    main()
