"""Speed and memory on a GPU: mvnp beside PyTorch with the scan as a loop, with a fused one, and with none, as a bound.

    python benchmarks/gpu.py [--only t-] [--out docs/measured]

T, S and B at 224, inference and training steps, from images that are on the device, in three precisions, the same for all
engines: float32 throughout; TF32 in all products and convolutions; mixed. Each engine measures each case in a process of its
own: the median between device events, after a warm-up, and the peak of its memory pool. The floor is the longer of the case's
operations at the rate of a float32 product and its unavoidable bytes at the rate of a copy, both measured in the same run.

Needs an NVIDIA GPU, CuPy (`pip install -e '.[gpu-cuda12]'`) and PyTorch for CUDA; mamba_ssm for the fused scan, and without it
the table says that it is not installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # this tree's mvnp, installed or not

from gpu_cases import ENGINES, GPU_CASES, GpuCase
from machine import version
from results import write_results

from mvnp.backend import use_backend
from mvnp.errors import BackendError

HEADER = ["case", "engine", "ms", "images/s", "peak MB", "share of the floor", "mvnp's time over it"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose key begins with this, such as t- or s-training")
    parser.add_argument("--out", type=Path, help="folder for gpu.json and gpu.md, such as docs/measured")
    parser.add_argument("--one", nargs=3, metavar=("CASE", "ENGINE", "WEIGHTS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        from gpu_engines import measure, rates

        key, engine, weights = arguments.one
        print(json.dumps(rates() if key == "rates" else measure(GPU_CASES[key], engine, Path(weights))))
        return
    cases = [case for key, case in GPU_CASES.items() if key.startswith(arguments.only)]
    if not cases:
        parser.error(f"no case begins with {arguments.only!r}; there are {', '.join(GPU_CASES)}")
    need_gpu()
    with tempfile.TemporaryDirectory(prefix="mvnp-gpu-") as folder:
        result = run(cases, Path(folder))
    table = as_markdown(result)
    print(table)
    if arguments.out:
        write_results(arguments.out, "gpu", result, table)


def need_gpu() -> None:
    """Ends the program, with how to get what is missing, where there is no CuPy or no GPU."""
    try:
        use_backend("cupy")
    except BackendError as error:
        raise SystemExit(f"nothing can be measured without a GPU: {error}") from None
    finally:
        use_backend("numpy")


def run(cases: list[GpuCase], folder: Path) -> dict[str, Any]:
    """All rows, and what they were measured on."""
    device = in_process("rates", "mvnp", folder)
    if "reason" in device:
        raise SystemExit(f"the GPU's own rates cannot be measured: {device['reason']}")
    rows = []
    for case in cases:
        weights = folder / f"{case.case.model}.npz"
        if not weights.exists():
            _save_weights(case.case.model, weights)
        print(f"{case.title} …", file=sys.stderr, flush=True)
        found = {}
        for engine in ENGINES:
            reason = case.reason_against(engine)
            found[engine] = {"reason": reason} if reason else in_process(case.key, engine, weights)
        floor = case.floor_seconds(device["rate"], device["bandwidth"])
        rows.append({"title": case.title, "batch": case.case.batch, "floor_s": floor, "engines": found})
    versions = {name: version(name) for name in ("mvnp", "torch", "mamba-ssm")}
    return {**device, "versions": versions, "date": date.today().isoformat(), "rows": rows}


def in_process(key: str, engine: str, weights: Path) -> dict[str, Any]:
    """What `--one` prints or, where it fails, {"reason": its last line}: for lack of memory, say."""
    command = [sys.executable, __file__, "--one", key, engine, str(weights)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"reason": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def as_markdown(result: dict[str, Any]) -> str:
    """The table, with the device below."""
    lines = [HEADER, ["---", "---", *["---:"] * 5]]
    for row in result["rows"]:
        lines += [[row["title"] if i == 0 else "", *cells] for i, cells in enumerate(engine_lines(row))]
    body = ["| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    rates = f"{result['rate'] / 1e12:.1f} TFLOP/s in float32 products, {result['bandwidth'] / 1e9:.0f} GB/s in copies"
    return "\n".join([*body, "", f"{result['device']}: {rates}; {versions}; {result['date']}.", ""])


def engine_lines(row: dict[str, Any]) -> list[list[str]]:
    """One line for each engine of a case."""
    ours, lines = row["engines"]["mvnp"].get("seconds"), []
    for engine, found in row["engines"].items():
        if "reason" in found:
            lines.append([ENGINES[engine], f"left out: {found['reason']}", *["–"] * 4])
            continue
        taken = found["seconds"]
        ratio = "–" if ours is None or engine == "mvnp" else f"{ours / taken:.2f}"
        numbers = [f"{1e3 * taken:.2f}", f"{row['batch'] / taken:.0f}", f"{found['peak_mb']:.0f}"]
        lines.append([ENGINES[engine], *numbers, f"{row['floor_s'] / taken:.0%}", ratio])
    return lines


def _save_weights(model: str, path: Path) -> None:
    from engine_torch import save_weights

    save_weights(model, path)


if __name__ == "__main__":
    main()
