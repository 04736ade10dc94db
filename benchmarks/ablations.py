"""The ablations of MambaVision's paper, and the three families side by side, on all of Fashion-MNIST: an evening of two cores.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python benchmarks/ablations.py --out docs/measured
    python benchmarks/ablations.py --only mixers          one study, or one arm: --only gated
    python benchmarks/ablations.py --seeds 0 1            sooner, and less sure
    python benchmarks/ablations.py --report               the tables of what has been run so far

Every arm is trained with each seed for one pass over the 60,000 training images, so that it sees each of them once, and tested
once on the 10,000 test images, after the last step. Arms of a seed see the same images in the same order, with the same
augmentation; the optimiser and its schedule are the same, but that Vim has the learning rate that suits it
(mvnp/training/presets.py). So arms are compared in pairs: the difference to the released arm, seed by seed, its mean and the
95 % interval of that mean by Student's t. Where the interval has 0 in it, the difference lies within the noise, and the table
says so.

The model is MambaVision with dim 8, depths 1, 1, 8, 4 at 128x128, which leaves the eight blocks of level 2 a map of 8x8 tokens,
as ablations of mixers and patterns need. The windows are as large as the maps.

    mixers      Table 4: from Mamba's block to the released mixer, narrow, D = C/2, which is compared with the paper; and as a
                control wide, D = C (mvnp/models/mixer.py)
    patterns    Table 5: where attention stands (mvnp/models/pattern.py); "random" is another draw with each seed
    families    Vim and VMamba with as many parameters, and with as many operations; VMamba has both at once

A run is one process with one thread, and two run together, which is fastest on two cores (--jobs). What is done is a line of
runs.jsonl in --work, and is not done again; a run that was interrupted goes on from its last checkpoint. The memory is the most
that a process had while it trained.

An image's time is measured apart, once all runs are done: a forward of an arm with random weights, in batches of 50, the
median, in a process of one thread while nothing else runs. It is kept in times.jsonl in --work.
"""

from __future__ import annotations

import argparse
import math
import resource
import shutil
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import study
from machine import machine, sentence
from measure import time_calls
from results import write_results
from study import Difference, Runs, in_words, markdown, paired

from mvnp.costs.cost import model_cost
from mvnp.models import FAMILIES
from mvnp.training import TrainingConfig

SEEDS, EPOCHS, BATCH, SIZE = (0, 1, 2, 3, 4), 1, 50, 128
MODEL = {
    "dim": 8,
    "in_dim": 8,
    "depths": [1, 1, 8, 4],
    "num_heads": [1, 1, 2, 4],
    "window_size": [8, 8, 8, 4],
    "drop_path_rate": 0.05,
}
SETTINGS: dict[str, Any] = {"warmup_epochs": 0.2, "label_smoothing": 0.05, "weight_decay": 0.05, "batch_size": BATCH}
RELEASED = "concat, last_half"
STUDIES = {"mixers": "Mixer (Table 4)", "patterns": "Pattern (Table 5)", "families": "Families"}


@dataclass(frozen=True)
class Arm:
    """One row of a table. `paper`: top-1 on ImageNet-1K at full size, less that of the released; None: not in there."""

    study: str
    what: dict[str, Any]
    paper: float | None = None
    family: str = "MambaVision"
    lr: float = 4e-3
    seed_of_pattern: bool = False

    def arguments(self, seed: int) -> dict[str, Any]:
        """Of the family's class, but those that follow from the data."""
        own = {**MODEL, **self.what} if self.family == "MambaVision" else {"drop_path_rate": 0.05, **self.what}
        return {**own, "pattern_seed": seed} if self.seed_of_pattern else own

    def config(self, seed: int, epochs: int, data: str) -> TrainingConfig:
        return TrainingConfig(
            model=self.arguments(seed),
            family=self.family,
            dataset=data,
            dataset_options={"image_size": SIZE},
            loader_options={"image_size": SIZE, "crop_padding": 0},
            epochs=epochs,
            eval_every=epochs,
            checkpoint_every=0,
            lr=self.lr,
            seed=seed,
            **SETTINGS,
        )

    def cost(self) -> tuple[int, int]:
        """Parameters, and operations of an image."""
        sized = {"img_size": SIZE} if self.family == "Vim" else {}
        model = FAMILIES[self.family](**self.arguments(0), **sized, in_chans=1, num_classes=10, allocate=False)
        return model.parameter_count, model_cost(model, SIZE, SIZE).flops


ARMS = {
    RELEASED: Arm("released", {}, 0.0),
    "gated": Arm("mixers", {"mixer": "gated"}, -1.0),
    "gated_one_conv": Arm("mixers", {"mixer": "gated_one_conv"}, -1.4),
    "mamba": Arm("mixers", {"mixer": "mamba"}, -1.8),
    "gated_wide": Arm("mixers", {"mixer": "gated_wide"}),
    "gated_one_conv_wide": Arm("mixers", {"mixer": "gated_one_conv_wide"}),
    "mamba_wide": Arm("mixers", {"mixer": "mamba_wide"}),
    "random": Arm("patterns", {"pattern": "random"}, -1.0, seed_of_pattern=True),
    "first_half": Arm("patterns", {"pattern": "first_half"}, -0.8),
    "interleaved_sm": Arm("patterns", {"pattern": "interleaved_sm"}, -0.9),
    "interleaved_ms": Arm("patterns", {"pattern": "interleaved_ms"}, -0.7),
    "last_quarter": Arm("patterns", {"pattern": "last_quarter"}, -0.4),
    "none": Arm("patterns", {"pattern": "none"}),
    "all": Arm("patterns", {"pattern": "all"}),
    "Vim, equal parameters": Arm(
        "families", {"patch_size": 16, "embed_dim": 76, "depth": 6, "d_state": 8}, family="Vim", lr=2e-3
    ),
    "Vim, equal operations": Arm(
        "families", {"patch_size": 16, "embed_dim": 48, "depth": 8, "d_state": 8}, family="Vim", lr=2e-3
    ),
    "VMamba, equal both": Arm("families", {"dims": [8, 16, 32, 64], "depths": [2, 2, 8, 4]}, family="VMamba"),
}


def chosen(only: Iterable[str] | None) -> list[str]:
    """The arms of studies and arms by name, and the released one, which all are compared with."""
    wanted = set(only or STUDIES)
    return [name for name, arm in ARMS.items() if name == RELEASED or {name, arm.study} & wanted]


def run_folder(work: Path, name: str, seed: int, epochs: int) -> Path:
    """Where a run keeps its checkpoint until it is done."""
    return work / f"run-{list(ARMS).index(name)}-{seed}-{epochs}"


# One run, in a process of its own


def trained(name: str, seed: int, epochs: int, data: str, work: Path) -> dict[str, Any]:
    """The line of one run."""
    from mvnp.training import train

    config, folder = ARMS[name].config(seed, epochs, data), run_folder(work, name, seed, epochs)
    result = train(config, folder, resume=(folder / "checkpoint.safetensors").exists(), quiet=True)
    parameters, flops = ARMS[name].cost()
    return {
        "arm": name,
        "seed": seed,
        "epochs": epochs,
        "accuracy": float(result.accuracy),
        "seconds": result.seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "parameters": parameters,
        "flops": flops,
    }


def timed(name: str) -> dict[str, Any]:
    """The line of times.jsonl of an arm: milliseconds of an image in a forward."""
    import numpy as np

    arm = ARMS[name]
    sized = {"img_size": SIZE} if arm.family == "Vim" else {}
    model = FAMILIES[arm.family](**arm.arguments(0), **sized, in_chans=1, num_classes=10, seed=0)
    images = np.random.default_rng(0).standard_normal((BATCH, 1, SIZE, SIZE), dtype=np.float32)
    seconds, _ = time_calls(lambda: model(images))
    return {"arm": name, "image_ms": 1e3 * seconds / BATCH}


def child(given: argparse.Namespace) -> dict[str, Any]:
    """What a process of its own is asked for."""
    if given.time:
        return timed(given.time)
    return trained(given.run[0], int(given.run[1]), given.epochs, given.data, given.work)


# All runs


def in_process(name: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """`trained`, in a process with one thread."""
    arguments = ["--run", name, str(seed), "--epochs", str(given.epochs), "--data", given.data, "--work", str(given.work)]
    return study.in_process(__file__, arguments, f"{name}, seed {seed}")


def timed_in_process(name: str) -> dict[str, Any]:
    """`timed`, in a process with one thread."""
    return study.in_process(__file__, ["--time", name], name)


def run_all(names: list[str], given: argparse.Namespace, runs: Runs) -> None:
    """What is still to be run, seed by seed, so that the tables are whole as early as can be; says how long it will take."""
    todo = [(name, seed) for seed in given.seeds for name in names if runs.find(name, seed, given.epochs) is None]

    def keep(task: tuple[str, int], row: dict[str, Any]) -> str:
        runs.add(row)
        shutil.rmtree(run_folder(given.work, *task, given.epochs))
        return told(row)

    study.side_by_side(todo, given.jobs, lambda task: in_process(*task, given), keep, len(names) * len(given.seeds))


def time_all(names: list[str], times: Runs) -> None:
    """One after the other."""
    for name in names:
        if times.find(name) is None:
            times.add(timed_in_process(name))


def told(row: dict[str, Any]) -> str:
    return f"{row['arm']}, seed {row['seed']}: {row['accuracy']:.2%} in {in_words(row['seconds'])}"


# The tables


def summary(rows: list[dict[str, Any]], times: list[dict[str, Any]], epochs: int, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each arm that has been run with all the seeds, in the order of ARMS; none without the released one.

    times    the lines of times.jsonl; an arm that is not among them has no time of an image
    """
    image_ms = {row["arm"]: row["image_ms"] for row in times}
    of_arm: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in ARMS}
    for row in rows:
        if row["epochs"] == epochs and row["arm"] in ARMS:
            of_arm[row["arm"]][row["seed"]] = row
    whole = {name: [runs[seed] for seed in seeds] for name, runs in of_arm.items() if set(seeds) <= set(runs)}
    if RELEASED not in whole:
        return []
    base = [row["accuracy"] for row in whole[RELEASED]]
    found = []
    for name, runs in whole.items():
        accuracies = [row["accuracy"] for row in runs]
        difference = paired(accuracies, base)
        found.append(
            {
                "arm": name,
                "study": ARMS[name].study,
                "parameters": runs[0]["parameters"],
                "flops": runs[0]["flops"],
                "accuracies": accuracies,
                "mean": statistics.mean(accuracies),
                "deviation": statistics.stdev(accuracies) if len(seeds) > 1 else math.nan,
                "difference": difference.mean,
                "half": difference.half,
                "verdict": "" if name == RELEASED else difference.verdict,
                "paper": ARMS[name].paper,
                "image_ms": image_ms.get(name),
                "peak_mb": max(row["peak_mb"] for row in runs),
            }
        )
    return found


NO_BREAK = "\N{NO-BREAK SPACE}"  # so that the columns stay on a page
HEADER = ("thousand parameters", "MFLOPs", "accuracy, %", "difference, points", "", "paper", "ms an image", "peak MB")


def tables(found: list[dict[str, Any]], epochs: int, seeds: Sequence[int]) -> str:
    """In Markdown, a table for each study."""
    lines: list[str] = []
    for group, title in STUDIES.items():
        rows = [row for row in found if row["study"] in ("released", group)]
        if len(rows) < 2:
            continue
        lines += [*markdown([title, *HEADER], [cells(row) for row in rows], left=("",)), *order(rows), ""]
    counted = f"{len(seeds)} seeds, mean ± standard deviation, and the 95 % interval of the difference's mean"
    counted = counted if len(seeds) > 1 else "one seed, which proves nothing"
    about = f"{epochs} epochs of the training images at {SIZE}x{SIZE}" if epochs > 1 else f"one epoch, at {SIZE}x{SIZE}"
    return "\n".join(
        [
            *lines,
            f"Fashion-MNIST, {about}; {counted}; difference: to {RELEASED}, in pairs; noise:"
            " zero lies in its interval. Paper: the difference of top-1 on ImageNet at full size. Small grey"
            " pictures, and nothing tuned for any arm: what is seen here says little about ImageNet.",
        ]
    )


def cells(row: dict[str, Any]) -> list[str]:
    spread = "" if math.isnan(row["deviation"]) else f"{NO_BREAK}±{NO_BREAK}{100 * row['deviation']:.2f}"
    released = row["arm"] == RELEASED
    return [
        f"**{row['arm']}**" if released else row["arm"],
        f"{row['parameters'] / 1e3:,.1f}",
        f"{row['flops'] / 1e6:.1f}",
        f"{100 * row['mean']:.2f}{spread}",
        "" if released else str(Difference(row["difference"], row["half"])).replace(" ", NO_BREAK),
        row["verdict"].removeprefix("within the "),
        "" if row["paper"] is None or released else f"{row['paper']:+.1f}",
        "" if row["image_ms"] is None else f"{row['image_ms']:.2f}",
        f"{row['peak_mb']:.0f}",
    ]


def order(rows: list[dict[str, Any]]) -> list[str]:
    """Below the table: where a difference that is more than noise has another sign than in the paper."""
    told = [row for row in rows if row["paper"] is not None and row["verdict"] in ("better", "worse")]
    against = [row["arm"] for row in told if row["difference"] * row["paper"] < 0]
    if not any(row["paper"] for row in rows) or any(row["verdict"] == "one seed" for row in rows):
        return []
    agree = len(told) - len(against)
    text = f"Of {sum(row['paper'] is not None for row in rows) - 1} differences in the paper, {agree} are seen here"
    return [
        "",
        f"{text}, {len(against)} the other way round{': ' + ', '.join(against) if against else ''}; the others are noise.",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*STUDIES, *ARMS], metavar="NAME", help="studies or arms; no files then")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--data", default="fashion-mnist", help="as mvnp train --data")
    parser.add_argument("--work", type=Path, default=Path("build/ablations"))
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--run", nargs=2, metavar=("ARM", "SEED"), help=argparse.SUPPRESS)
    parser.add_argument("--time", metavar="ARM", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.run or given.time:
        study.answer(lambda: child(given))
        return
    names, runs, times = chosen(given.only), Runs(given.work / "runs.jsonl"), Runs(given.work / "times.jsonl", ("arm",))
    if not given.report:
        run_all(names, given, runs)
        time_all(names, times)
    found = [row for row in summary(runs.rows, times.rows, given.epochs, given.seeds) if row["arm"] in names]
    text = tables(found, given.epochs, given.seeds)
    print(text)
    if given.out and not given.only:
        if len(found) < len(ARMS):
            raise SystemExit(f"only {len(found)} of {len(ARMS)} arms have been run with all seeds; nothing is written")
        about = machine(1)
        results = {"machine": about, "epochs": given.epochs, "seeds": given.seeds, "size": SIZE, "rows": found}
        write_results(given.out, "ablations", results, f"{text}\n\n{sentence(about)}\n")


if __name__ == "__main__":
    main()
