"""The scan, four ways: time, memory and accuracy of each, from 49 tokens to 16,384.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python benchmarks/scan_study.py [--quick] [--out docs/measured]

Two things are measured, in float32, as array code on one thread. The recurrence of mvnp/layers/linear_recurrence.py over the
whole length, 512 at a time: how the four ways differ. And the checkpointed scan that uses it in blocks of √L tokens, for one
sequence of 64 channels with 8 states. Where PyTorch is installed, its token-by-token loop stands beside the scan, up to 1,024
tokens.

Times are the least of a few, of this thread alone; peaks are of arrays that a call makes (tracemalloc); errors are relative
to the same in float64, step by step. With --out, scan.json and scan.md are written there.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine, sentence
from results import write_results

from mvnp.kernels import use_kernels
from mvnp.layers.checkpointed_scan import checkpointed_scan_backward, checkpointed_scan_forward
from mvnp.layers.linear_recurrence import METHODS, linear_recurrence_backward, linear_recurrence_forward

LENGTHS = (49, 196, 784, 1024, 4096, 16384)
CHANNELS, STATES = 64, 8
TORCH_UP_TO = 1024
# Okabe and Ito's colours, with markers that tell the lines apart without them.
STYLE = {
    "sequential": ("#000000", "o"),
    "chunked": ("#0072B2", "s"),
    "associative": ("#D55E00", "^"),
    "cumulative": ("#009E73", "D"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="lengths up to 784, two calls each")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    use_kernels("off")
    lengths, calls = (LENGTHS[:3], 2) if arguments.quick else (LENGTHS, 7)
    recurrence = [row for L in lengths for row in recurrence_rows(L, calls)]
    scan = [scan_row(L, calls) for L in lengths]
    text = f"{recurrence_table(recurrence)}\n\n{scan_table(scan)}\n\n{sentence(machine(threads=1))}\n"
    print(text)
    if arguments.out:
        results = {"machine": machine(threads=1), "recurrence": recurrence, "scan": scan}
        write_results(arguments.out, "scan", results, text)


def scan_inputs(L: int) -> list[np.ndarray]:
    """x, dt, A, B, C, D, bias as a fresh model has them: A = −1 … −8, Δ about ln 2."""
    rng = np.random.default_rng(L)
    shapes = [(1, L, CHANNELS), (1, L, CHANNELS), (1, L, STATES), (1, L, STATES), (CHANNELS,), (CHANNELS,)]
    x, dt, B, C, D, bias = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    A = -np.tile(np.arange(1.0, STATES + 1, dtype=np.float32), (CHANNELS, 1))
    return [x, 0.5 * dt, A, B, C, D, 0.1 * bias]


def recurrence_rows(L: int, calls: int) -> list[dict[str, Any]]:
    """One row for each way, with the decays of such a scan."""
    x, dt, A, B, *_ = scan_inputs(L)
    delta = np.log1p(np.exp(dt[0]))
    decay = np.exp(delta[:, None, :] * A.T).reshape(L, -1)
    inputs = ((delta * x[0])[:, None, :] * B[0][..., None]).reshape(L, -1)
    dstates = np.random.default_rng(1).standard_normal(inputs.shape).astype(np.float32)
    exact, cache = linear_recurrence_forward(decay.astype(np.float64), inputs.astype(np.float64))
    exact_gradients = linear_recurrence_backward(dstates.astype(np.float64), cache)[:2]

    rows = []
    for method in METHODS:

        def forward(method: str = method) -> Any:
            return linear_recurrence_forward(decay, inputs, method=method)

        def both(forward: Callable = forward) -> Any:
            return linear_recurrence_backward(dstates, forward()[1])

        gradients = zip(both()[:2], exact_gradients, strict=True)
        rows.append(
            {"L": L, "method": method}
            | {"forward_ms": least_ms(forward, calls), "both_ms": least_ms(both, calls)}
            | {"forward_mb": peak_mb(forward), "both_mb": peak_mb(both)}
            | {"error": relative(forward()[0], exact), "gradient_error": max(relative(*pair) for pair in gradients)}
        )
    return rows


def scan_row(L: int, calls: int) -> dict[str, Any]:
    """Forward and backward of the checkpointed scan by each way, and PyTorch's loop."""
    arrays = scan_inputs(L)
    dy = np.ones_like(arrays[0])
    row: dict[str, Any] = {"L": L}
    for method in METHODS:
        row[method] = least_ms(
            lambda method=method: checkpointed_scan_backward(dy, checkpointed_scan_forward(*arrays, method=method)[1]), calls
        )
    row["torch"] = torch_ms(arrays, min(calls, 3)) if L <= TORCH_UP_TO else None
    return row


def torch_ms(arrays: list[np.ndarray], calls: int) -> float | None:
    """The reference loop of torch_twin.py on one thread, forward and backward; None where there is no PyTorch."""
    try:
        import torch
        from torch_twin import reference_scan
    except ImportError:
        return None
    torch.set_num_threads(1)
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]

    def both() -> None:
        # The sum's gradient is the dy of the others. `backward` works on a thread of its own, hence the wall clock.
        reference_scan(*tensors).sum().backward()

    return least_ms(both, calls, time.perf_counter)


def least_ms(call: Callable[[], Any], calls: int, clock: Callable[[], float] = time.thread_time) -> float:
    call()
    times = []
    for _ in range(calls):
        begin = clock()
        call()
        times.append(clock() - begin)
    return 1000 * min(times)


def peak_mb(call: Callable[[], Any]) -> float:
    """The most that arrays made by the call take at once, results included."""
    tracemalloc.start()
    try:
        result = call()
        _, peak = tracemalloc.get_traced_memory()
        del result
    finally:
        tracemalloc.stop()
    return peak / 2**20


def relative(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


# ---------------------------------------------------------------------------------------------------- the table, the figure


def recurrence_table(rows: list[dict[str, Any]]) -> str:
    lines = ["| L | way | forward | with backward | peak, forward | peak, with backward | error of h | of gradients |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for row in rows:
        lines.append(
            f"| {row['L']:,} | {row['method']} | {row['forward_ms']:.2f} ms | {row['both_ms']:.2f} ms"
            f" | {row['forward_mb']:.1f} MB | {row['both_mb']:.1f} MB | {row['error']:.1e} | {row['gradient_error']:.1e} |"
        )
    return "\n".join(lines)


def scan_table(rows: list[dict[str, Any]]) -> str:
    lines = [f"| L | {' | '.join(METHODS)} | PyTorch, reference loop |", "|---" * (len(METHODS) + 2) + "|"]
    for row in rows:
        best = min(row[method] for method in METHODS)
        times = [f"**{row[method]:.2f} ms**" if row[method] == best else f"{row[method]:.2f} ms" for method in METHODS]
        torch = "" if row["torch"] is None else f"{row['torch']:.1f} ms"
        lines.append(f"| {row['L']:,} | {' | '.join(times)} | {torch} |")
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]]) -> Any:
    """The figure of docs/layers/linear_recurrence.md: error, memory and time against L, a line for each way."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    panels = (
        ("gradient_error", "Relative error of the gradients, float32"),
        ("both_mb", "Peak memory, forward and backward (MB)"),
        ("both_ms", "Time, forward and backward (ms)"),
    )
    lengths = sorted({row["L"] for row in rows})
    for axes, (key, title) in zip(figure.subplots(1, 3), panels, strict=True):
        for method, (colour, marker) in STYLE.items():
            values = [row[key] for row in rows if row["method"] == method]
            axes.loglog(lengths, values, color=colour, marker=marker, markersize=6, linewidth=1.8, label=method)
        axes.set_title(title, fontsize=11)
        if key == "gradient_error":
            axes.set_ylim(1e-8, 1e-6)
        axes.set_xlabel("L, tokens")
        axes.set_xticks(lengths, [f"{L:,}" if L != 1024 else "" for L in lengths], fontsize=8)
        axes.minorticks_off()
        axes.grid(True, which="major", color="0.88", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        if key == "both_ms":
            axes.legend(frameon=False, fontsize=10)
    return figure


if __name__ == "__main__":
    main()
