"""What the quirks of the official release do to a small model: each switch of mvnp/models/quirks.py, trained and measured.

    python benchmarks/quirks.py [--seeds 0 1 2] [--only NAME] [--work build/quirks] [--out docs/measured]

The model of `mvnp demo` is trained for EPOCHS epochs on the images that ship with mvnp, with the official behaviour and with
one switch changed. All trainings of a seed see the same images in the same order. At the size of the demo nothing is padded, so
padding is tried with windows of 3 in level 2, whose map of 4x4 is then padded to 6x6.

Then the weights that were trained in one way are tested in the other, as somebody does who loads them with the wrong switch.

The accuracy is that on the 1,500 test images after the last step. What is done is kept in --work, and not done again. With
--out, quirks.json and quirks.md are written there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from machine import machine, sentence
from results import write_results

from mvnp import MambaVision, atomic
from mvnp.data import load_dataset
from mvnp.execution.parallel import threads
from mvnp.training import make_loaders, read_checkpoint, train
from mvnp.training.presets import PRESETS

EPOCHS = 5
PRESET = PRESETS["demo"]
PADDED = {"window_size": (8, 8, 3, 2)}
# name: what differs from the model of the demo, and which row it is compared with
TRAINED: dict[str, tuple[dict[str, Any], str | None]] = {
    "official": ({}, None),
    "bias once": ({"dt_bias": "once"}, "official"),
    "published step": ({"dt_init": "published"}, "official"),
    "LayerNorm before the head": ({"head_norm": "layer"}, "official"),
    "padded, visible": (PADDED, None),
    "padded, masked": ({**PADDED, "padding": "masked"}, "padded, visible"),
}
# trained so, tested otherwise
MISTAKEN = {
    "bias twice, run with once": ("official", {"dt_bias": "once"}),
    "bias once, run with twice": ("bias once", {"dt_bias": "twice"}),
    "padding visible, run masked": ("padded, visible", {"padding": "masked"}),
    "padding masked, run visible": ("padded, masked", {"padding": "visible"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", choices=[*TRAINED, *MISTAKEN], help="one row, and no files")
    parser.add_argument("--work", type=Path, default=Path("build/quirks"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    names = [arguments.only] if arguments.only else [*TRAINED, *MISTAKEN]
    rows = [row(arguments.work, name, seed) for seed in arguments.seeds for name in names]
    if not arguments.only:
        text = report(rows)
        print(text)
        if arguments.out:
            results = {"machine": machine(threads()), "epochs": EPOCHS, "rows": rows}
            write_results(arguments.out, "quirks", results, f"{text}\n\n{sentence(results['machine'])}\n")


def row(work: Path, name: str, seed: int) -> dict[str, Any]:
    """The accuracy of one training, or of its weights run otherwise; from `work` where it has been found before."""
    path = work / f"{name}-{seed}.json".replace(" ", "-").replace(",", "")
    if not path.exists():
        found = trained(work, name, seed) if name in TRAINED else mistaken(work, name, seed)
        print(f"{name}, seed {seed}: {found}", flush=True)
        atomic.write_bytes(path, json.dumps({"name": name, "seed": seed, **found}).encode())
    return json.loads(path.read_text())


def trained(work: Path, name: str, seed: int) -> dict[str, float]:
    out = run_folder(work, name, seed)
    changes = {"model": {**PRESET.model, **TRAINED[name][0]}, "epochs": EPOCHS, "seed": seed, "eval_every": EPOCHS}
    result = train(PRESET.config(**changes), out, resume=(out / "checkpoint.safetensors").exists(), quiet=True)
    return {"accuracy": result.accuracy}


def mistaken(work: Path, name: str, seed: int) -> dict[str, float]:
    """The accuracy, and the share of images that get another class than from the same weights run rightly."""
    origin, switches = MISTAKEN[name]
    row(work, origin, seed)
    checkpoint = read_checkpoint(run_folder(work, origin, seed) / "checkpoint.safetensors")
    config = checkpoint.config
    _, loader = make_loaders(config, *load_dataset(config.dataset, **config.dataset_options))
    batches = [loader.batch(0, number) for number in range(len(loader))]

    def classes(**changes: Any) -> np.ndarray:
        model = MambaVision(**{**checkpoint.about["model"], **changes}, allocate=False)
        model.load_state_dict(checkpoint.part("model."))
        return np.concatenate([model(images).argmax(axis=1) for images, _ in batches])

    labels, right, wrong = np.concatenate([labels for _, labels in batches]), classes(), classes(**switches)
    return {"accuracy": float(np.mean(wrong == labels)), "changed": float(np.mean(wrong != right))}


def run_folder(work: Path, name: str, seed: int) -> Path:
    return work / f"run-{name}-{seed}".replace(" ", "-").replace(",", "")


def report(rows: list[dict[str, Any]]) -> str:
    """Two tables in Markdown: means over the seeds and their range."""
    found = {name: [row["accuracy"] for row in rows if row["name"] == name] for name in [*TRAINED, *MISTAKEN]}

    def cell(name: str) -> str:
        values = found[name]
        return f"{mean(values):.1%} ({min(values):.1%}–{max(values):.1%})"

    lines = ["| trained from scratch | test accuracy | in its place |", "|---|---:|---:|"]
    lines += [f"| {name} | {cell(name)} | {cell(base)} {base} |" for name, (_, base) in TRAINED.items() if base]
    lines += [
        "",
        "| the same weights, run otherwise | test accuracy | as they were trained | other class |",
        "|---|---:|---:|---:|",
    ]
    for name, (origin, _) in MISTAKEN.items():
        changed = mean(row["changed"] for row in rows if row["name"] == name)
        lines.append(f"| {name} | {cell(name)} | {cell(origin)} | {changed:.1%} of the images |")
    seeds = len({row["seed"] for row in rows})
    return "\n".join([*lines, "", f"The model of `mvnp demo`, {EPOCHS} epochs; means of {seeds} seeds, and their range."])


if __name__ == "__main__":
    main()
