"""How long training waits for its pictures: JPEG photographs on the disk, the official augmentation at 224 pixels.

    python benchmarks/waiting.py --work FOLDER [--model mamba_vision_T] [--workers 0 1 2] [--out docs/measured]

The photographs are made: smooth noise with an edge, 640 x 480, as large on the disk as those of cameras at that size.
The first epoch is thrown away: processes start in it, and kernels are compiled.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine, sentence
from PIL import Image
from results import write_results

from mvnp.execution.parallel import threads
from mvnp.training import read_log, train
from mvnp.training.presets import find_preset
from mvnp.training.recipes import recipe_settings

CLASSES = ("left", "right")


def make_photographs(folder: Path, count: int, sides: tuple[int, int] = (480, 640)) -> None:
    """JPEG files, by class: which side is bright."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count // len(CLASSES)):
            small = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            pixels = np.asarray(Image.fromarray(small).resize(sides[::-1], Image.Resampling.BICUBIC)).astype(np.int16)
            pixels += rng.integers(-12, 13, (*sides, 1), dtype=np.int16)
            bright = slice(None, sides[1] // 2) if name == "left" else slice(sides[1] // 2, None)
            pixels[:, bright] += 40
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{number}.jpg", quality=90)


def waiting(work: Path, model: str, workers: int, batch: int, steps: int) -> dict[str, Any]:
    """Share of waiting and images a second in the second epoch."""
    out = work / f"run-{workers}"
    shutil.rmtree(out, ignore_errors=True)
    given: dict[str, Any] = {
        "epochs": 2,
        "batch_size": batch,
        "warmup_epochs": 0.0,
        "cooldown_epochs": 0.0,
        "eval_every": 2,
        "mesa": 0.0,
    }
    given |= {"dataset": str(work / "photographs"), "workers": workers, "checkpoint_every": 0}
    settings = recipe_settings("official", model, given)
    options = {"held_out": 2 / (batch * steps + 4), "image_size": 224}
    loader = {"image_size": 224, "crop_padding": 0}
    config = find_preset(model).config(**{**settings, "dataset_options": options, "loader_options": loader})
    log = read_log(train(config, out, quiet=True).log)
    last = [line for line in log if line["event"] == "epoch"][-1]
    return {"workers": workers, "waiting": last["waiting"], "images_per_second": last["images_per_second"]}


def table(rows: list[dict[str, Any]]) -> str:
    """In Markdown."""
    lines = ["| workers | share of the time that steps wait | images a second |", "|---:|---:|---:|"]
    lines += [f"| {row['workers']} | {row['waiting']:.1%} | {row['images_per_second']:.1f} |" for row in rows]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", default="mamba_vision_T")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    make_photographs(given.work / "photographs", given.batch * given.steps + 4)
    rows = [waiting(given.work, given.model, workers, given.batch, given.steps) for workers in given.workers]
    print(table(rows))
    if given.out:
        results = {"machine": machine(threads()), "model": given.model, "batch": given.batch, "rows": rows}
        write_results(given.out, "waiting", results, f"{table(rows)}\n{sentence(results['machine'])}\n")


if __name__ == "__main__":
    main()
