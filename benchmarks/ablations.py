"""The ablations of MambaVision's paper, and the three families side by side, on all of Fashion-MNIST: an evening of two cores.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python benchmarks/ablations.py --out docs/measured
    python benchmarks/ablations.py --only mixers          one study, or one arm: --only gated
    python benchmarks/ablations.py --seeds 0 1 --epochs 1     sooner, and less sure
    python benchmarks/ablations.py --report               the tables of what has been run so far

Every arm is trained on the 60,000 training images for EPOCHS epochs with each seed, and tested once on the 10,000 test images,
after the last step. Arms of a seed see the same images in the same order, with the same augmentation; the optimiser and its
schedule are the same, but that Vim has the learning rate that suits it (mvnp/training/presets.py). So arms are compared in
pairs: the difference to the released arm, seed by seed, its mean and the 95 % interval of that mean by Student's t. Where the
interval has 0 in it, the difference lies within the noise, and the table says so.

The model is MambaVision with dim 8, depths 1, 1, 8, 4 at 128x128, which leaves the eight blocks of level 2 a map of 8x8 tokens,
as ablations of mixers and patterns need. The windows are as large as the maps.

    mixers      Table 4: from Mamba's block to the released mixer, narrow, D = C/2, which is compared with the paper; and as a
                control wide, D = C (mvnp/models/mixer.py)
    patterns    Table 5: where attention stands (mvnp/models/pattern.py); "random" is another draw with each seed
    families    Vim and VMamba with as many parameters, and with as many operations; VMamba has both at once

A run is one process with one thread, and two run together, which is fastest on two cores (--jobs). What is done is a line of
runs.jsonl in --work, and is not done again; a run that was interrupted goes on from its last epoch. An image's time is that of
a forward, in batches of 50, while another run goes on beside it; the memory is the most that a process had while it trained.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import machine, sentence
from results import write_results

from mvnp import atomic
from mvnp.costs.cost import model_cost
from mvnp.errors import MvnpError
from mvnp.models import FAMILIES
from mvnp.training import TrainingConfig

SEEDS, EPOCHS, BATCH, SIZE = (0, 1, 2, 3, 4), 3, 50, 128
MODEL = {
    "dim": 8,
    "in_dim": 8,
    "depths": [1, 1, 8, 4],
    "num_heads": [1, 1, 2, 4],
    "window_size": [8, 8, 8, 4],
    "drop_path_rate": 0.05,
}
SETTINGS: dict[str, Any] = {"warmup_epochs": 0.5, "label_smoothing": 0.05, "weight_decay": 0.05, "batch_size": BATCH}
RELEASED = "concat, last_half"
STUDIES = {"mixers": "Mixer (Table 4)", "patterns": "Pattern (Table 5)", "families": "Families"}
# 97.5 % quantiles of Student's t for 1, 2, … degrees of freedom; what follows is nearer to the normal one than 0.1.
QUANTILES: tuple[float, ...] = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
QUANTILES += (2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086)


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


@dataclass(frozen=True)
class Difference:
    """Of an arm to the released one, in points: the mean over seeds, and half of its 95 % interval (NaN of a single seed)."""

    mean: float
    half: float

    @property
    def verdict(self) -> str:
        if math.isnan(self.half):
            return "one seed"
        if abs(self.mean) <= self.half:
            return "within the noise"
        return "better" if self.mean > 0 else "worse"


def paired(arm: Sequence[float], released: Sequence[float]) -> Difference:
    """Of accuracies, seed by seed in the same order."""
    points = [100 * (a - b) for a, b in zip(arm, released, strict=True)]
    n = len(points)
    if n < 2:
        return Difference(points[0], math.nan)
    quantile = QUANTILES[min(n - 1, len(QUANTILES)) - 1]
    return Difference(statistics.mean(points), quantile * statistics.stdev(points) / math.sqrt(n))


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
    import numpy as np

    from mvnp import load_pretrained
    from mvnp.data import load_dataset
    from mvnp.training import make_loaders, train

    config, folder = ARMS[name].config(seed, epochs, data), run_folder(work, name, seed, epochs)
    result = train(config, folder, resume=(folder / "checkpoint.safetensors").exists(), quiet=True)
    model = load_pretrained(result.checkpoint)
    _, tests = make_loaders(config, *load_dataset(config.dataset, **config.dataset_options))
    times = []
    for number in range(min(10, len(tests))):
        images, _ = tests.batch(0, number)
        begin = time.perf_counter()
        model(images)
        times.append((time.perf_counter() - begin) / len(images))
    parameters, flops = ARMS[name].cost()
    return {
        "arm": name,
        "seed": seed,
        "epochs": epochs,
        "accuracy": float(result.accuracy),
        "seconds": result.seconds,
        "image_ms": 1e3 * float(np.median(times)),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "parameters": parameters,
        "flops": flops,
    }


# All runs


@dataclass
class Runs:
    """runs.jsonl: a line a run. Only this process writes it, whole each time."""

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path.exists():
            self.rows = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def find(self, name: str, seed: int, epochs: int) -> dict[str, Any] | None:
        return next((row for row in self.rows if (row["arm"], row["seed"], row["epochs"]) == (name, seed, epochs)), None)

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(self.path, "".join(f"{json.dumps(each)}\n" for each in self.rows).encode())


def in_process(name: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """`trained`, in a process with one thread."""
    one = dict.fromkeys(("MVNP_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--run", name, str(seed), "--epochs", str(given.epochs)]
    command += ["--data", given.data, "--work", str(given.work)]
    done = subprocess.run(command, env={**os.environ, **one}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}, seed {seed}: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def run_all(names: list[str], given: argparse.Namespace, runs: Runs) -> None:
    """What is still to be run, seed by seed, so that the tables are whole as early as can be; says how long it will take."""
    todo = [(name, seed) for seed in given.seeds for name in names if runs.find(name, seed, given.epochs) is None]
    total = len(names) * len(given.seeds)
    print(f"{total - len(todo)} of {total} runs are done already", flush=True)
    begin, count = time.monotonic(), 0
    with ThreadPoolExecutor(given.jobs) as pool:
        waiting = [pool.submit(in_process, name, seed, given) for name, seed in todo]
        try:
            for future in as_completed(waiting):
                row = future.result()
                runs.add(row)
                shutil.rmtree(run_folder(given.work, row["arm"], row["seed"], given.epochs))
                count += 1
                left = remaining(time.monotonic() - begin, count, len(todo))
                print(f"{total - len(todo) + count} of {total}: {told(row)}; about {in_words(left)} left", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def remaining(seconds: float, count: int, total: int) -> float:
    """Seconds until all are done, if they go on as `count` of them have gone in `seconds`."""
    return seconds / count * (total - count)


def told(row: dict[str, Any]) -> str:
    return f"{row['arm']}, seed {row['seed']}: {row['accuracy']:.2%} in {in_words(row['seconds'])}"


def in_words(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


# The tables


def summary(rows: list[dict[str, Any]], epochs: int, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each arm that has been run with all the seeds, in the order of ARMS; none without the released one."""
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
                "image_ms": statistics.median(row["image_ms"] for row in runs),
                "peak_mb": max(row["peak_mb"] for row in runs),
            }
        )
    return found


HEADER = ("parameters", "MFLOPs", "accuracy, %", "difference, points", "", "in the paper", "ms an image", "peak MB")


def tables(found: list[dict[str, Any]], epochs: int, seeds: Sequence[int]) -> str:
    """In Markdown, a table for each study."""
    lines: list[str] = []
    for study, title in STUDIES.items():
        rows = [row for row in found if row["study"] in ("released", study)]
        if len(rows) < 2:
            continue
        lines += [f"| {title} | {' | '.join(HEADER)} |", "|---|---:|---:|---:|---:|---|---:|---:|---:|"]
        lines += [f"| {' | '.join(cells(row))} |" for row in rows]
        lines += [*order(rows), ""]
    counted = f"{len(seeds)} seeds, mean ± standard deviation, and the 95 % interval of the difference's mean"
    counted = counted if len(seeds) > 1 else "one seed, which proves nothing"
    about = f"{epochs} epochs of the training images at {SIZE}x{SIZE}" if epochs > 1 else f"one epoch, at {SIZE}x{SIZE}"
    return "\n".join(
        [
            *lines,
            f"Fashion-MNIST, {about}; {counted}; difference: to {RELEASED}, in pairs. In the paper: the"
            " difference of top-1 on ImageNet at full size. Small grey pictures, and nothing tuned for any"
            " arm: what is seen here says little about ImageNet.",
        ]
    )


def cells(row: dict[str, Any]) -> list[str]:
    spread = "" if math.isnan(row["deviation"]) else f" ± {100 * row['deviation']:.2f}"
    half = "" if math.isnan(row["half"]) else f" ± {row['half']:.2f}"
    released = row["arm"] == RELEASED
    return [
        f"**{row['arm']}**" if released else row["arm"],
        f"{row['parameters']:,}",
        f"{row['flops'] / 1e6:.1f}",
        f"{100 * row['mean']:.2f}{spread}",
        "" if released else f"{row['difference']:+.2f}{half}",
        row["verdict"],
        "" if row["paper"] is None or released else f"{row['paper']:+.1f}",
        f"{row['image_ms']:.2f}",
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
    given = parser.parse_args(arguments)
    if given.run:
        try:
            print(json.dumps(trained(given.run[0], int(given.run[1]), given.epochs, given.data, given.work)))
        except MvnpError as error:
            raise SystemExit(str(error)) from error
        return
    names, runs = chosen(given.only), Runs(given.work / "runs.jsonl")
    if not given.report:
        run_all(names, given, runs)
    found = [row for row in summary(runs.rows, given.epochs, given.seeds) if row["arm"] in names]
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
