"""What each ingredient of the recipe is worth to a small model, and what the recipe as a whole is worth where it has time.

    python benchmarks/recipe.py [A1] [A2] [--work build/recipe] [--out docs/measured] [--data fashion-mnist] [--tiny]

A1  1,000 training images, 40 epochs, LAMB with one ingredient added at a time, seeds 0 to 4; AdamW beside it. Every row is
    written down here before it is run. 800 steps each.
A2  the same images, 160 epochs, seeds 0 to 2: the base, mixing, the recipe without its crops, and with them.

The images are drawn by the seed, 100 of each class from the first 55,000 of the training part. Learning rates are chosen on its
last 5,000, with a seed that is not reported (CHOOSING), from RATES. What counts is the test part after the last step: no epoch
is chosen. The same seed has the same images, weights and order, so what is reported is the paired difference to the base, with
its mean and the 95 % interval of Student's t.

After A1 the same weights are tested on 2,000 test images that are turned, shifted, covered and noisy: what the ingredients are
for.

What is done is kept in --work, run by run, and not done again. With --tiny all is as small as can be: to see that it works.
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from machine import machine, sentence
from results import write_results

from mvnp import atomic
from mvnp.backend import to_numpy
from mvnp.data import BatchLoader, Dataset, load_dataset
from mvnp.data.augment.warp import rotate, translate_x
from mvnp.execution.parallel import threads
from mvnp.layers.softmax import softmax_forward
from mvnp.training import Trainer, TrainingConfig, evaluate, make_model, open_run, read_log
from mvnp.training.presets import PRESETS

PRESET = PRESETS["demo"]
RATES = {"lamb": (0.005, 0.01, 0.02, 0.04), "adamw": (0.001, 0.002, 0.004, 0.008)}
CHOOSING = 100  # the seed that rates are chosen with
STUDENT = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571}  # t of 95 %, by degrees of freedom
MIXED = {"mixup": 0.8, "cutmix": 1.0}
RANDAUGMENT = {"randaugment": "rand-m9-mstd0.5-inc1"}

# What differs from the base: settings, augmentation, arguments of the model.
Row = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
A1: dict[str, Row] = {
    "base": ({}, {}, {}),
    "label smoothing": ({"label_smoothing": 0.1}, {}, {}),
    "mixup, cutmix, smoothing": ({"label_smoothing": 0.1}, MIXED, {}),
    "RandAugment": ({}, RANDAUGMENT, {}),
    "random erasing": ({}, {"erasing": 0.25}, {}),
    "crops of 0.5 to 1": ({}, {"crop_scale": (0.5, 1.0)}, {}),
    "no drop path": ({}, {}, {"drop_path_rate": 0.0}),
    "drop path 0.2": ({}, {}, {"drop_path_rate": 0.2}),
    "MESA": ({"mesa": 0.5, "ema_decay": 0.98}, {}, {}),
    "AdamW": ({"optimizer": "adamw"}, {}, {}),
}
WHOLE: Row = ({"label_smoothing": 0.1, "mesa": 0.5, "ema_decay": 0.99}, {**MIXED, **RANDAUGMENT, "erasing": 0.25}, {})
A2: dict[str, Row] = {
    "base": ({}, {}, {}),
    "mixup, cutmix, smoothing": A1["mixup, cutmix, smoothing"],
    "the recipe without crops": WHOLE,
    "the recipe, crops of 0.5 to 1": (WHOLE[0], {**WHOLE[1], "crop_scale": (0.5, 1.0)}, {}),
}


@dataclass(frozen=True)
class Plan:
    """How large the experiments are."""

    images: int = 1000
    held_out: int = 5000
    tested: int | None = None
    distorted: int = 2000
    epochs: tuple[int, int] = (40, 160)
    seeds: tuple[int, int] = (5, 3)


TINY = Plan(images=100, held_out=100, tested=100, distorted=20, epochs=(2, 3), seeds=(3, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["A1", "A2"], default=["A1", "A2"])
    parser.add_argument("--work", type=Path, default=Path("build/recipe"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    study = Study(given.work, given.data, TINY if given.tiny else Plan())
    found = {part: study.part(part) for part in dict.fromkeys(given.parts)}
    text = "\n\n".join(table(part, runs, study.plan) for part, runs in found.items())
    print(text)
    if given.out:
        results = {"machine": machine(threads()), "data": given.data, "rates": study.rates(), "parts": found}
        write_results(given.out, "recipe", results, f"{text}\n\n{sentence(results['machine'])}\n")


class Study:
    """Runs that are kept in a folder."""

    def __init__(self, work: Path, data: str, plan: Plan) -> None:
        self.work, self.plan = work, plan
        work.mkdir(parents=True, exist_ok=True)
        self.train, self.test = load_dataset(data)
        if len(self.train) < plan.images + plan.held_out:  # of the shipped subset
            self.plan = replace(plan, held_out=len(self.train) // 5)

    def part(self, part: str) -> dict[str, list[dict[str, Any]]]:
        """{row: what its runs found, by seed} of A1 or A2."""
        rows, number = (A1, 0) if part == "A1" else (A2, 1)
        rates = self.rates()
        return {
            name: [
                self.kept(f"{part}-{name}-{seed}", lambda row=row, seed=seed: self.run(row, seed, number, rates))  # type: ignore[misc]
                for seed in range(self.plan.seeds[number])
            ]
            for name, row in rows.items()
        }

    def rates(self) -> dict[str, float]:
        """The rate of each optimiser, chosen on images that are neither trained on nor tested."""
        chosen = {}
        for optimizer, rates in RATES.items():
            row: Row = ({"optimizer": optimizer}, {}, {})
            tried = {
                rate: self.kept(
                    f"rate-{optimizer}-{rate}",
                    lambda row=row, rate=rate, optimizer=optimizer: self.run(row, CHOOSING, 0, {optimizer: rate}),  # type: ignore[misc]
                )
                for rate in rates
            }
            chosen[optimizer] = max(rates, key=lambda rate: tried[rate]["accuracy"])
        return chosen

    def kept(self, name: str, find: Any) -> dict[str, Any]:
        path = self.work / f"{name}.json".replace(" ", "-").replace(",", "")
        if not path.exists():
            result = find()
            print(f"{name}: {result['accuracy']:.2%}", flush=True)
            atomic.write_bytes(path, json.dumps(result).encode())
        return json.loads(path.read_text(encoding="utf-8"))

    def run(self, row: Row, seed: int, number: int, rates: dict[str, float]) -> dict[str, Any]:
        """One training, and what it comes to."""
        config = self.config(row, seed, number, rates)
        train, test = self.drawn(seed), self.held_out() if seed == CHOOSING else self.tested()
        options: dict[str, Any] = {"image_size": PRESET.image_size, "seed": seed, "crop_padding": 0}
        train_loader = BatchLoader(train, config.batch_size, train=True, augmentation=config.augmentation, **options)
        test_loader = BatchLoader(test, 250, train=False, **options)
        out = self.work / f"run-{zlib.crc32(json.dumps(config.to_dict(), sort_keys=True).encode()):08x}"
        model = make_model(config, train)
        with open_run(out, config, resume=(out / "checkpoint.safetensors").exists()) as folder:
            trainer = Trainer(model, train_loader, test_loader, folder, quiet=True)
            result = trainer.run()
        said = evaluate(model, BatchLoader(train, 250, train=False, **options))
        log = [line for line in read_log(result.log) if line["event"] == "epoch"]
        found: dict[str, Any] = {"seed": seed, "accuracy": result.accuracy, "train_accuracy": said.accuracy}
        found |= {"loss": log[-1]["test_loss"], "seconds": result.seconds, "calibration": self.calibration(model, test_loader)}
        found["curve"] = [
            [line["epoch"], line["test_accuracy"], line.get("ema_accuracy")] for line in log if line["test_accuracy"]
        ]
        if number == 0 and seed != CHOOSING:
            found["distorted"] = self.distorted(model, options)
        return found

    def config(self, row: Row, seed: int, number: int, rates: dict[str, float]) -> TrainingConfig:
        settings, augmentation, model = row
        optimizer = settings.get("optimizer", "lamb")
        epochs = self.plan.epochs[number]
        own = {"optimizer": optimizer, "lr": rates[optimizer], "epochs": epochs, "warmup_epochs": min(3.0, epochs / 2)}
        own |= {"batch_size": 50, "label_smoothing": 0.0, "seed": seed, "eval_every": max(1, epochs // 10), "workers": 0}
        loader = {"image_size": PRESET.image_size, "crop_padding": 0}
        return PRESET.config(
            **{**own, **settings}, augmentation=augmentation, model={**PRESET.model, **model}, loader_options=loader
        )

    def drawn(self, seed: int) -> Dataset:
        """Training images, equally many of each class, without those that rates are chosen on."""
        count, order = len(self.train) - self.plan.held_out, np.random.default_rng([7, seed])
        each = self.plan.images // len(self.train.classes)
        labels = self.train.labels[:count]
        kept = np.concatenate([order.permutation(np.flatnonzero(labels == label))[:each] for label in np.unique(labels)])
        return self._some(self.train, kept)

    def held_out(self) -> Dataset:
        return self._some(self.train, np.arange(len(self.train) - self.plan.held_out, len(self.train)), "test")

    def tested(self) -> Dataset:
        return self._some(self.test, np.arange(self.plan.tested or len(self.test)), "test")

    def _some(self, data: Dataset, kept: np.ndarray, part: str | None = None) -> Dataset:
        return replace(data, images=data.images[kept], labels=data.labels[kept], part=part or data.part)

    def calibration(self, model: Any, loader: BatchLoader) -> float:
        """The expected calibration error in 15 bins: how far what it is sure of is from what is right."""
        sure, right = [], []
        for images, labels in loader.epoch(0):
            said = to_numpy(softmax_forward(model(images))[0])
            sure.append(said.max(axis=1))
            right.append(said.argmax(axis=1) == labels)
        confidence, correct = np.concatenate(sure), np.concatenate(right)
        bins = np.minimum((confidence * 15).astype(int), 14)
        gaps = [
            abs(confidence[bins == each].mean() - correct[bins == each].mean()) * (bins == each).mean() for each in set(bins)
        ]
        return float(sum(gaps))

    def distorted(self, model: Any, options: dict[str, Any]) -> dict[str, float]:
        """Accuracies on test images that are turned by 20 degrees, shifted by six pixels, covered by a quarter, noisy."""
        plain = self._some(self.test, np.arange(min(self.plan.distorted, len(self.test))), "test")
        rng, found = np.random.default_rng(11), {}
        side = plain.images.shape[1]
        signs = rng.choice([-1, 1], len(plain))
        corners = rng.integers(0, side // 2 + 1, (len(plain), 2))
        noise = rng.normal(0, 40, plain.images.shape)

        def covered(image: np.ndarray, top: int, left: int) -> np.ndarray:
            image = image.copy()
            image[top : top + side // 2, left : left + side // 2] = 0
            return image

        images = {
            "turned": [rotate(image, 20 * sign, (0,)) for image, sign in zip(plain.images, signs, strict=True)],
            "shifted": [translate_x(image, sign * 6 / side, (0,)) for image, sign in zip(plain.images, signs, strict=True)],
            "covered": [covered(image, *corner) for image, corner in zip(plain.images, corners, strict=True)],
            "noisy": np.clip(plain.images + noise, 0, 255).astype(np.uint8),
        }
        for name, changed in images.items():
            data = replace(plain, images=np.stack(list(changed)))
            found[name] = evaluate(model, BatchLoader(data, 250, train=False, **options)).accuracy
        return found


def paired(row: list[dict[str, Any]], base: list[dict[str, Any]]) -> tuple[float, float]:
    """Mean difference of the accuracies of equal seeds, and half of its 95 % interval; in points."""
    differences = [100 * (one["accuracy"] - other["accuracy"]) for one, other in zip(row, base, strict=True)]
    half = STUDENT[len(differences) - 1] * stdev(differences) / math.sqrt(len(differences))
    return mean(differences), half


def table(part: str, runs: dict[str, list[dict[str, Any]]], plan: Plan) -> str:
    """In Markdown."""
    distorted = list(runs["base"][0].get("distorted", {}))
    heads = ["", "test", "against the base, points", "train", "loss", "calibration error", *distorted]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for name, row in runs.items():
        cells = [name, f"{mean(run['accuracy'] for run in row):.1%}"]
        difference, half = paired(row, runs["base"])
        cells.append("" if name == "base" else f"{difference:+.1f} ± {half:.1f}")
        cells += [f"{mean(run['train_accuracy'] for run in row):.0%}", f"{mean(run['loss'] for run in row):.2f}"]
        cells.append(f"{mean(run['calibration'] for run in row):.1%}")
        cells += [f"{mean(run['distorted'][each] for run in row):.1%}" for each in distorted]
        lines.append("| " + " | ".join(cells) + " |")
    seeds, epochs = len(runs["base"]), plan.epochs[part == "A2"]
    return "\n".join(
        [*lines, "", f"{part}: {plan.images:,} images, {epochs} epochs; means of {seeds} seeds, paired 95 % intervals."]
    )


if __name__ == "__main__":
    main()
