"""How far ONNX Runtime's outputs of exported models are from mvnp's own, for models of full size.

    python benchmarks/onnx_agreement.py                       the table
    python benchmarks/onnx_agreement.py --out docs/measured   writes onnx_agreement.json and onnx_agreement.md there

Weights are random, and so are the running statistics, by which a wrong fold would show. Batches of 1 and 3.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from machine import machine, sentence
from results import write_results

import mvnp
from mvnp.export import export_onnx, verify_onnx

Size = tuple[int, int]

# variant, dtype of the file, its image size (None: any), the sizes that are tried
CASES: list[tuple[str, str, Size | None, list[Size]]] = [
    ("mamba_vision_T", "float32", (224, 224), [(224, 224)]),
    ("mamba_vision_T", "float32", (230, 197), [(230, 197)]),
    ("mamba_vision_T", "float32", (225, 310), [(225, 310)]),
    ("mamba_vision_T", "float32", None, [(224, 224), (230, 197)]),
    ("mamba_vision_T", "float16", (224, 224), [(224, 224)]),
    ("mamba_vision_L3_256_21k", "float32", (256, 256), [(256, 256)]),
]
HALF = 1e-2  # what float16 may differ by


def model_of(variant: str) -> mvnp.MambaVision:
    """A variant with random statistics."""
    model, rng = mvnp.create_model(variant, seed=1), np.random.default_rng(2)
    statistics = {
        name: rng.uniform(0.5, 1.5, value.shape).astype(value.dtype)
        for name, value in model.state_dict().items()
        if name.endswith(("running_mean", "running_var"))
    }
    model.load_state_dict(statistics, strict=False)
    return model


def difference(variant: str, dtype: str, size: Size | None, sizes: list[Size], folder: Path) -> tuple[int, float]:
    """How many files were written, and the largest error."""
    model = model_of(variant)
    files = export_onnx(model, folder / f"{variant}.onnx", size, dtype=dtype)
    options = {"tolerance": HALF} if dtype == "float16" else {}
    found = verify_onnx(files[0], model, sizes=None if size else sizes, **options)
    return len(files), max(agreement.error for agreement in found)


def table(rows: list[dict]) -> str:
    """In Markdown."""
    lines = ["| | size | files | difference |", "|---|---|---:|---:|"]
    for row in rows:
        name = row["variant"] + (", float16" if row["dtype"] == "float16" else "") + (", one file for any size" * row["any"])
        sizes = ", ".join(f"{height}x{width}" for height, width in row["sizes"])
        lines.append(f"| {name} | {sizes} | {row['files']} | {row['difference']:.0e} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for onnx_agreement.json and onnx_agreement.md")
    given = parser.parse_args()
    rows = []
    for variant, dtype, size, sizes in CASES:
        with tempfile.TemporaryDirectory() as folder:
            files, found = difference(variant, dtype, size, sizes, Path(folder))
        rows.append(
            {"variant": variant, "dtype": dtype, "any": size is None, "sizes": sizes, "files": files, "difference": found}
        )
        print(table(rows[-1:]).splitlines()[-1], flush=True)
    if given.out:
        about = machine(2)
        write_results(given.out, "onnx_agreement", {"machine": about, "rows": rows}, f"{table(rows)}\n\n{sentence(about)}\n")


if __name__ == "__main__":
    main()
