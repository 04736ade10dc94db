"""What it takes to load a full-size file of weights: time beside that of reading its bytes, and peak memory.

    python benchmarks/load.py                 all formats, with the weights of mamba_vision_T drawn at random
    python benchmarks/load.py --model mamba_vision_B --rounds 9

Each format is measured in rounds, in which reading the bytes, `load_checkpoint` and `load_pretrained` take turns, all with the
file in the page cache; the figures are medians, and ratios are of each round. Peak memory is that of a fresh process: its
largest resident size after the call, less that before, after imports.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mvnp
from mvnp.checkpoint import convert_checkpoint, load_checkpoint, save_pretrained

# name, ending, dtype
FORMATS = [
    ("safetensors", "w.safetensors", None),
    ("torch zip", "w.pth", None),
    ("npz", "w.npz", None),
    ("safetensors, float16", "half.safetensors", "float16"),
    ("safetensors, bfloat16", "b.safetensors", "bfloat16"),
]

MEASURE_PEAK = """
import resource, sys
import mvnp
from mvnp.checkpoint import load_checkpoint
def peak():
    if sys.platform == "linux":  # ru_maxrss begins with that of the process that started this one
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
call = {"load_checkpoint": load_checkpoint, "load_pretrained": lambda p: mvnp.load_pretrained(p, variant=sys.argv[3])}[sys.argv[1]]
before = peak()
kept = call(sys.argv[2])
print(peak() - before)
"""


def seconds(call: Callable[[], Any]) -> float:
    """Of one call; what it gives is let go afterwards."""
    begin = time.perf_counter()
    kept = call()
    taken = time.perf_counter() - begin
    del kept
    return taken


def peak_bytes(function: str, path: Path, variant: str) -> int:
    """Growth of the largest resident size by one call, in a process of its own."""
    command = [sys.executable, "-c", MEASURE_PEAK, function, str(path), variant]
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(path: Path, variant: str, rounds: int) -> dict[str, Any]:
    """The figures of one file."""
    calls: dict[str, Callable[[], Any]] = {
        "read": lambda: open(path, "rb").read(),
        "load_checkpoint": lambda: load_checkpoint(path),
        "load_pretrained": lambda: mvnp.load_pretrained(path, variant=variant),
    }
    for call in calls.values():
        call()
    taken = [{name: seconds(call) for name, call in calls.items()} for _ in range(rounds)]
    size = path.stat().st_size
    row: dict[str, Any] = {"size": size, "read_s": statistics.median(each["read"] for each in taken)}
    for name in ("load_checkpoint", "load_pretrained"):
        row[name] = {
            "seconds": statistics.median(each[name] for each in taken),
            "ratio": statistics.median(each[name] / each["read"] for each in taken),
            "peak": peak_bytes(name, path, variant) / size,
        }
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mamba_vision_T", choices=mvnp.list_models())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the figures here")
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
            line = f"{name:<22} {row['size'] / 1e6:7.1f} {row['read_s'] * 1e3:8.1f} "
            for of in (row["load_checkpoint"], row["load_pretrained"]):
                line += f"  {of['seconds'] * 1e3:8.1f} {of['ratio']:8.2f} {of['peak']:9.2f}"
            print(line, flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
