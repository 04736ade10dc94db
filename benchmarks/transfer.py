"""Does it pay to begin from trained weights? Fine-tuning to one half of Fashion-MNIST's classes from the other half.

    python benchmarks/transfer.py [--seeds 0 1 2] [--work build/transfer] [--out docs/measured]
    python benchmarks/transfer.py --tune          how the learning rates were chosen, with a seed of its own

For each seed a small model is trained on T-shirt/top, Trouser, Pullover, Dress and Coat. Then Sandal, Shirt, Sneaker, Bag and
Ankle boot are learnt with the same number of steps, the same images in the same order and the same schedule:

    scratch       from fresh weights
    full          from the trained ones, all of them trained further
    decay         the same, with smaller steps nearer to the image (layer-wise decay)
    head          the trained ones fixed, the new head alone

once from 150 images of each class, once from all 600. The accuracy is that after the last step, on 750 test images that decide
nothing. What is done is kept in --work, and not done again. With --out, transfer.json and transfer.md are written there.

The linear probe then asks what a scikit-learn user gets from such features: logistic regression on them, and on raw pixels.
"""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from machine import machine, sentence
from results import write_results

from mvnp import atomic
from mvnp.data import load_dataset, write_idx
from mvnp.data.fashion_mnist import MEAN, STD
from mvnp.execution.parallel import threads
from mvnp.training import finetune, train
from mvnp.training.presets import PRESETS

FIRST, SECOND = [0, 1, 2, 3, 4], [5, 6, 7, 8, 9]
PRESET = PRESETS["demo"]
TRAINED_EPOCHS = 10
BATCH = 50
# images of each class, and the epochs that are tried
BUDGETS = {150: (1, 2, 4, 8), 600: (1, 2, 4)}
DECAY = 0.8
RATES = {"scratch": 4e-3, "full": 8e-3, "decay": 8e-3, "head": 0.3}  # the best of --tune
TRIED = {**dict.fromkeys(("scratch", "full", "decay"), (2e-3, 4e-3, 8e-3)), "head": (0.1, 0.3, 1.0)}
TUNING_SEED = 100
NAMES = {"scratch": "from scratch", "full": "fine-tuned", "decay": f"fine-tuned, layer decay {DECAY}", "head": "head alone"}
PROBE_STAGES = {"pooled": ("pooled",), "stages": (0, 1, 2, 3)}
# Okabe and Ito's colours, with markers that tell the lines apart without them.
STYLE = {"scratch": ("#000000", "o"), "full": ("#0072B2", "s"), "decay": ("#009E73", "D"), "head": ("#D55E00", "^")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path("build/transfer"))
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    work = Work(arguments.work)
    if arguments.tune:
        tune(work)
        return
    runs = [
        work.run(seed, method, images, epochs, RATES[method])
        for seed in arguments.seeds
        for images, budget in BUDGETS.items()
        for method, epochs in itertools.product(RATES, budget)
    ]
    probes = [
        work.once(f"probe-{group}-{inputs}-{seed}", partial(probe, work, seed, group, inputs))
        for seed, group, inputs in itertools.product(arguments.seeds, ("new", "all"), ("pixels", *PROBE_STAGES))
        if inputs != "pixels" or seed == arguments.seeds[0]  # which are the same for all
    ]
    text = report(runs, probes)
    print(text)
    if arguments.out:
        results = {"machine": machine(threads()), "runs": runs, "probes": probes}
        write_results(arguments.out, "transfer", results, text)


class Work:
    """A folder of results that are there already, and the way to those that are not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `make` gives, from the folder where it has been made before."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            atomic.write_bytes(path, json.dumps(make()).encode())
        return json.loads(path.read_text())

    def weights(self, seed: int) -> Path:
        """A small model that knows the first five classes."""
        out = self.folder / f"first-{seed}"

        def make() -> dict[str, Any]:
            config = PRESET.config(**common(FIRST, TRAINED_EPOCHS, seed))
            result = train(config, out, resume=begun(out), quiet=True)
            print(f"seed {seed}: trained on the first five classes to {result.accuracy:.1%}", flush=True)
            return {"accuracy": result.accuracy}

        self.once(f"first-{seed}", make)
        return out / "checkpoint.safetensors"

    def images(self, each: int) -> str:
        """A folder with `each` training images of every class, and all test images."""
        folder = self.folder / f"images-{each}"
        if not folder.exists():
            train_set, test_set = load_dataset()
            first = [np.flatnonzero(train_set.labels == label)[:each] for label in range(10)]
            folder.mkdir()
            parts = (("train", train_set, np.sort(np.concatenate(first))), ("t10k", test_set, np.arange(len(test_set))))
            for part, dataset, chosen in parts:
                write_idx(folder / f"{part}-images-idx3-ubyte.gz", dataset.images[chosen][..., 0])
                write_idx(folder / f"{part}-labels-idx1-ubyte.gz", dataset.labels[chosen].astype(np.uint8))
        return str(folder)

    def run(self, seed: int, method: str, each: int, epochs: int, lr: float) -> dict[str, Any]:
        """One training on the second five classes."""
        name = f"{method}-{each}-{epochs}-{lr:g}-{seed}"
        out = self.folder / name

        def make() -> dict[str, Any]:
            settings = {**common(SECOND, epochs, seed), "dataset": self.images(each), "lr": lr}
            if method == "scratch":
                result = train(PRESET.config(**settings), out, resume=begun(out), quiet=True)
            else:
                settings |= {"model": {}, "weights": str(self.weights(seed)), "frozen": method == "head"}
                settings |= {"layer_decay": DECAY} if method == "decay" else {}
                config = PRESET.config(**settings) if not begun(out) else None
                result = finetune(config, out, resume=begun(out), quiet=True)
            row = {"seed": seed, "method": method, "images": each, "epochs": epochs, "lr": lr}
            row |= {"steps": result.steps, "accuracy": result.accuracy, "seconds": result.seconds}
            print(f"{name}: {result.accuracy:.1%} in {result.seconds:.1f} s", flush=True)
            return row

        return self.once(name, make)


def begun(out: Path) -> bool:
    return (out / "checkpoint.safetensors").exists()


def common(classes: list[int], epochs: int, seed: int) -> dict[str, Any]:
    """What all trainings share: images as the model knows them, one test at the end, and a warm-up of half an epoch."""
    return {
        "dataset_options": {"classes": classes},
        "loader_options": {"image_size": PRESET.image_size, "crop_padding": PRESET.crop_padding, "mean": MEAN, "std": STD},
        "epochs": epochs,
        "batch_size": BATCH,
        "seed": seed,
        "eval_every": epochs,
        "checkpoint_every": 0,
    }


def tune(work: Work) -> None:
    """The mean accuracy over the budgets, of each method at each learning rate."""
    budgets = [(each, epochs) for each, budget in BUDGETS.items() for epochs in budget]
    for method, rates in TRIED.items():
        for lr in rates:
            found = [work.run(TUNING_SEED, method, *budget, lr)["accuracy"] for budget in budgets]
            print(f"{NAMES[method]}, lr {lr:g}: {mean(found):.2%}", flush=True)


def probe(work: Work, seed: int, group: str, inputs: str) -> dict[str, Any]:
    """Test accuracy of logistic regression on pixels or on features, for the five new classes or for all ten."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    from mvnp.inference.sklearn import MambaVisionFeatures

    train_set, test_set = load_dataset(classes=SECOND if group == "new" else None)
    if inputs == "pixels":
        vectors: Any = FunctionTransformer(lambda X: X.reshape(len(X), -1) / 255.0)
    else:
        vectors = MambaVisionFeatures(str(work.weights(seed)), stages=PROBE_STAGES[inputs])
    # The strength of the penalty is chosen on the training images alone.
    search = GridSearchCV(LogisticRegression(max_iter=100), {"C": (1e-3, 1e-2, 1e-1, 1.0)}, cv=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fits that 100 steps do not finish
        model = make_pipeline(vectors, StandardScaler(), search).fit(train_set.images, train_set.labels)
    accuracy = model.score(test_set.images, test_set.labels)
    print(f"seed {seed}: logistic regression on {inputs}, {group} classes: {accuracy:.1%}", flush=True)
    return {"seed": seed, "classes": group, "inputs": inputs, "accuracy": accuracy, **search.best_params_}


# ---------------------------------------------------------------------------------------------------- the table, the figure


def cells(runs: list[dict[str, Any]], method: str, each: int) -> Iterator[tuple[int, list[float]]]:
    """(steps, accuracies of the seeds), by number of steps."""
    chosen = [run for run in runs if run["method"] == method and run["images"] == each]
    for steps in sorted({run["steps"] for run in chosen}):
        yield steps, [run["accuracy"] for run in chosen if run["steps"] == steps]


def report(runs: list[dict[str, Any]], probes: list[dict[str, Any]]) -> str:
    lines = [f"| images of a class | steps | {' | '.join(NAMES.values())} |", "|---:|---:" + "|---:" * len(NAMES) + "|"]
    for each in BUDGETS:
        by_method = [dict(cells(runs, method, each)) for method in NAMES]
        for steps in by_method[0]:
            found = [mean(accuracies[steps]) for accuracies in by_method]
            shown = [f"**{value:.1%}**" if value == max(found) else f"{value:.1%}" for value in found]
            spread = [f" ({min(a[steps]):.1%}–{max(a[steps]):.1%})" for a in by_method]
            lines.append(f"| {each} | {steps} | " + " | ".join(map("".join, zip(shown, spread, strict=True))) + " |")
    lines += ["", "| logistic regression on | the five new classes | all ten |", "|---|---:|---:|"]
    titles = {"pixels": "raw pixels", "pooled": "what the head sees", "stages": "the means of all four stages"}
    for name, title in titles.items():
        chosen = [row for row in probes if row["inputs"] == name]
        found = [mean(row["accuracy"] for row in chosen if row["classes"] == group) for group in ("new", "all")]
        lines.append(f"| {title} | " + " | ".join(f"{value:.1%}" for value in found) + " |")
    seeds = sorted({run["seed"] for run in runs})
    return "\n".join([*lines, "", f"Means of {len(seeds)} seeds, and their range. {sentence(machine(threads()))}", ""])


def draw(runs: list[dict[str, Any]], narrow: bool = False) -> Any:
    """The figure of docs/finetune.md: accuracy against steps, a line for each method in a band of its seeds."""
    from mvnp.visualize.figures import style

    title = "Five new classes: test accuracy by number of steps"
    if narrow:
        figure = style.new_figure(4.3, 6.6, title.replace(": ", ":\n"))
        panels = figure.subplots(len(BUDGETS), 1, sharex=True)
    else:
        figure = style.new_figure(style.WIDE, 4.0, title)
        panels = figure.subplots(1, len(BUDGETS), sharey=True)
    for axes, each in zip(panels, BUDGETS, strict=True):
        for method, (colour, marker) in STYLE.items():
            steps, found = zip(*cells(runs, method, each), strict=True)
            axes.fill_between(steps, [min(a) for a in found], [max(a) for a in found], color=colour, alpha=0.13, linewidth=0)
            axes.plot(steps, [mean(a) for a in found], color=colour, marker=marker, linewidth=1.8, label=NAMES[method])
        axes.set_xscale("log")
        axes.set_xticks(steps, [str(count) for count in steps])
        axes.minorticks_off()
        axes.grid(True, axis="y", color=style.FAINT, linewidth=0.8)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        style.set_labels(
            axes, f"{each} images of each class", "steps of 50 images", "test accuracy" if narrow or axes is panels[0] else ""
        )
    panels[1].legend(frameon=False, fontsize=9, loc="lower right")
    return figure


if __name__ == "__main__":
    main()
