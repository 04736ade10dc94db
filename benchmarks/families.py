"""Three families of about 30 million parameters as images grow: operations, time and peak memory.

    python benchmarks/families.py                       the table
    python benchmarks/families.py --out docs/measured   writes families.json and families.md there

One image at a time, float32. Each row is a process of its own, which makes the model and calls it; its first call compiles and
is not timed. Peak memory is that of the whole process, weights and libraries in it; a process that had to compile kernels would
have more, so that a first run of all rows warms the cache.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import machine, sentence
from results import write_results

MODELS = {"MambaVision-T": "mamba_vision_T", "Vim-S": "vim_small", "VMamba-T": "vmamba_tiny_s1l8"}
SIZES = (224, 448, 672)  # at each of them MambaVision's windows fit

ONE_ROW = """
import json, sys
import numpy as np, mvnp
from measure import peak_mb, time_calls
from mvnp.costs.cost import model_cost
name, size = sys.argv[1], int(sys.argv[2])
sized = {"img_size": size} if name.startswith("vim_") else {}
model = mvnp.create_model(name, **sized)
image = np.random.default_rng(0).standard_normal((1, 3, size, size)).astype("float32")
seconds, _ = time_calls(lambda: model(image))
peak = round(peak_mb())
cost = model_cost(model, size)
print(json.dumps({"seconds": seconds, "peak_mb": peak, "flops": cost.flops, "parameters": model.parameter_count}))
"""


def measure(name: str, size: int) -> dict[str, Any]:
    """One row."""
    command = [sys.executable, "-c", ONE_ROW, name, str(size)]
    # In this folder, from which the process takes what measures it.
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent)
    return json.loads(done.stdout)


def table(rows: list[dict[str, Any]]) -> str:
    """In Markdown, a row for each model and size."""
    lines = ["| | image | operations | time | peak memory |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in rows:
        operations = f"{row['flops'] / 1e9:.1f} GFLOP"
        numbers = f"{operations} | {1000 * row['seconds']:.0f} ms | {row['peak_mb']} MB"
        lines.append(f"| {row['model']}, {row['parameters'] / 1e6:.1f} M | {row['size']} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for families.json and families.md")
    given = parser.parse_args()
    for name in MODELS.values():
        measure(name, SIZES[0])  # compiles
    rows = [{"model": model, "size": size, **measure(name, size)} for model, name in MODELS.items() for size in SIZES]
    print(table(rows))
    if given.out:
        about = machine(2)
        write_results(
            given.out, "families", {"machine": about, "rows": rows}, f"{table(rows)}\n\nOne image, float32. {sentence(about)}\n"
        )


if __name__ == "__main__":
    main()
