"""What it takes to load a full-size file of weights: time beside that of reading its bytes, and peak memory.

    python benchmarks/load.py                 all formats, with the weights of mamba_vision_T drawn at random
    python benchmarks/load.py --model mamba_vision_B --rounds 9
    python benchmarks/load.py --out docs/measured         writes load.json and load.md there

Every call is the first in a process of its own, after the imports, with the file in the page cache. In each round reading the
bytes, `load_checkpoint` and `load_pretrained` take turns; times are medians over rounds, ratios of each round. Peak memory is
the growth of the process's largest resident size by the call.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine, sentence
from results import write_results

import mvnp
from mvnp.checkpoint import convert_checkpoint, save_pretrained

# name, ending, dtype
FORMATS = [
    ("safetensors", "w.safetensors", None),
    ("torch zip", "w.pth", None),
    ("npz", "w.npz", None),
    ("safetensors, float16", "half.safetensors", "float16"),
    ("safetensors, bfloat16", "b.safetensors", "bfloat16"),
]

CALLS = ("read", "load_checkpoint", "load_pretrained")

ONE_CALL = """
import resource, sys, time
from pathlib import Path
import mvnp
def peak():
    if sys.platform == "linux":  # ru_maxrss begins with that of the process that started this one
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
name, path, variant = sys.argv[1:]
call = {
    "read": Path(path).read_bytes,
    "load_checkpoint": lambda: mvnp.load_checkpoint(path),
    "load_pretrained": lambda: mvnp.load_pretrained(path, variant=variant),
}[name]
before, begin = peak(), time.perf_counter()
kept = call()
print(time.perf_counter() - begin, peak() - before)
"""


def measure_once(call: str, path: Path, variant: str) -> tuple[float, int]:
    """Seconds of one call in a new process, and bytes by which its largest resident size grew."""
    command = [sys.executable, "-c", ONE_CALL, call, str(path), variant]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(peak) * (1 if sys.platform == "darwin" else 1024)


def measure(path: Path, variant: str, rounds: int) -> dict[str, Any]:
    """The figures of one file."""
    path.read_bytes()  # into the page cache
    found = [{call: measure_once(call, path, variant) for call in CALLS} for _ in range(rounds)]
    size = path.stat().st_size
    row: dict[str, Any] = {"size": size}
    for call in CALLS:
        row[call] = {
            "seconds": statistics.median(each[call][0] for each in found),
            "ratio": statistics.median(each[call][0] / each["read"][0] for each in found),
            "peak": max(each[call][1] for each in found) / size,
        }
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mamba_vision_T", choices=mvnp.list_models())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="folder for load.json, and load.md with the table of docs/weights.md")
    given = parser.parse_args()
    rows = {}
    print(f"{given.model}; NumPy {np.__version__}, Python {sys.version.split()[0]}, {given.rounds} rounds")
    print(f"{'format':<22} {'size':>7} {'read':>8}   {'load_checkpoint':^26}   {'load_pretrained':^26}")
    print(f"{'':<22} {'MB':>7} {'ms':>8} " + 2 * f"  {'ms':>8} {'/ read':>8} {'peak/size':>9}")
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / FORMATS[0][1]
        save_pretrained(first, mvnp.create_model(given.model, seed=1))
        for name, ending, dtype in FORMATS:
            path = Path(folder) / ending
            if path != first:
                convert_checkpoint(first, path, dtype=dtype)
            rows[name] = row = measure(path, given.model, given.rounds)
            line = f"{name:<22} {row['size'] / 1e6:7.1f} {row['read']['seconds'] * 1e3:8.1f} "
            for of in (row["load_checkpoint"], row["load_pretrained"]):
                line += f"  {of['seconds'] * 1e3:8.1f} {of['ratio']:8.2f} {of['peak']:9.2f}"
            print(line, flush=True)
    if given.out:
        about = machine(1)
        results = {"machine": about, "model": given.model, "rounds": given.rounds, "rows": rows}
        write_results(given.out, "load", results, f"{table(rows)}\n\n{given.rounds} rounds. {sentence(about)}\n")


def table(rows: dict[str, dict[str, Any]]) -> str:
    """In Markdown: times, in brackets over the time of reading the bytes, and what memory grew by over the file's size."""
    lines = [
        "| file | MB | reading its bytes | `load_checkpoint` | `load_pretrained` | peak memory |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in rows.items():
        calls = [f"{1e3 * row[call]['seconds']:.0f} ms ({row[call]['ratio']:.2f})" for call in CALLS[1:]]
        times = f"{1e3 * row['read']['seconds']:.0f} ms | {' | '.join(calls)}"
        lines.append(f"| {name} | {row['size'] / 1e6:.1f} | {times} | {row['load_pretrained']['peak']:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
