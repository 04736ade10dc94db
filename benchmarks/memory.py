"""Peak memory of a training step, for batches with and without the settings that bound it.

    python benchmarks/memory.py                       the table
    python benchmarks/memory.py --out docs/measured   writes memory.json and memory.md there

Each step is the first of a process of its own; the figure is the largest resident size of that process, so that Python, its
libraries, the weights and the moments of AdamW are in it. It does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import machine, sentence
from results import write_results

VARIANT, SIZE = "mamba_vision_T", 224
BATCHES = (8, 32, 64)
SETTINGS = {
    "whole batch": (0, "full"),
    "`--micro-batch 8`": (8, "full"),
    "`--precision mixed`": (0, "mixed"),
    "both": (8, "mixed"),
}

ONE_STEP = f"""
import sys
import numpy as np, mvnp
from measure import peak_mb
from mvnp.training import AdamW, train_step
from mvnp.execution.scratch import keep_freed_memory
batch, micro, precision = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
keep_freed_memory()
model = mvnp.create_model("{VARIANT}")
optimizer = AdamW(model.named_parameters())
images = np.random.default_rng(0).standard_normal((batch, 3, {SIZE}, {SIZE})).astype("float32")
scale = 256.0 if precision == "mixed" else None
train_step(model, optimizer, images, np.arange(batch), lr=1e-3, micro_batch=micro, loss_scale=scale)
print(round(peak_mb() * 2**20))
"""


def peak(batch: int, micro: int, precision: str) -> int:
    """Bytes of one step's process."""
    command = [sys.executable, "-c", ONE_STEP, str(batch), str(micro), precision]
    # In this folder, from which the step takes what measures it.
    return int(subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent).stdout)


def table(peaks: dict[str, dict[str, int]]) -> str:
    """In Markdown, a row for each batch."""
    lines = [f"| batch | {' | '.join(SETTINGS)} |", "| ---: |" + " ---: |" * len(SETTINGS)]
    for batch, row in peaks.items():
        lines.append(f"| {batch} | {' | '.join(f'{row[name] / 1e9:.2f} GB' for name in SETTINGS)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for memory.json and memory.md")
    given = parser.parse_args()
    peaks = {str(batch): {name: peak(batch, *setting) for name, setting in SETTINGS.items()} for batch in BATCHES}
    print(table(peaks))
    if given.out:
        about = machine(1)
        results: dict[str, Any] = {"machine": about, "model": VARIANT, "size": SIZE, "peaks": peaks}
        write_results(given.out, "memory", results, f"{table(peaks)}\n\n{VARIANT}, {SIZE}x{SIZE}. {sentence(about)}\n")


if __name__ == "__main__":
    main()
