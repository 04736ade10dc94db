"""What `mvnp demo` reaches, and how long it takes: pictures and page included.

python benchmarks/small_model.py                       the table
python benchmarks/small_model.py --out docs/measured   writes small_model.json and small_model.md there
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine, sentence
from results import write_results

from mvnp.data import load_dataset


def run_demo(folder: Path) -> dict[str, Any]:
    """Seconds of the command, and what the last epoch's line of its log says."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mvnp", "demo", "--quiet", "--out", str(folder)], check=True, capture_output=True)
    seconds = time.perf_counter() - begin
    epochs = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    last = next(row for row in reversed(epochs) if row["event"] == "epoch")
    train_set, test_set = load_dataset("fashion-mnist-small")
    return {
        "seconds": seconds,
        "epochs": last["epoch"],
        "images": len(train_set),
        "test_images": len(test_set),
        "accuracy": last["best_accuracy"],
        "last_accuracy": last["test_accuracy"],
    }


def table(found: dict[str, Any]) -> str:
    """In Markdown."""
    accuracy = f"{found['accuracy']:.1%} of {found['test_images']:,} (after the last epoch {found['last_accuracy']:.1%})"
    return "\n".join(
        [
            "| | training images | epochs | best test accuracy | time |",
            "|---|---:|---:|---|---|",
            f"| `mvnp demo` | {found['images']:,} | {found['epochs']} | {accuracy} | {found['seconds']:.0f} s, with the page |",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for small_model.json and small_model.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run_demo(Path(folder) / "demo")
    print(table(found))
    if given.out:
        about = machine(2)
        results = {"machine": about, **found}
        write_results(given.out, "small_model", results, f"{table(found)}\n\nOne run, seed 0. {sentence(about)}\n")


if __name__ == "__main__":
    main()
