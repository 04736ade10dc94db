"""What each ingredient of the recipe is worth to a small model, and what the recipe as a whole is worth where it has time.

    python benchmarks/recipe.py --out docs/measured            all parts: two hours of two cores
    python benchmarks/recipe.py A1 A2 --work build/recipe      some
    python benchmarks/recipe.py --report                       the tables of what has been run so far

All on Fashion-MNIST, enlarged to 64x64, with the model of `mvnp demo`. In A1, A2, L, B and C 5 % of it: 3,000 images, 300 of
each class, which the seed draws from the first 55,000 of the training part.

A1  add one: 16 epochs, 960 steps; LAMB and flips, with one ingredient at a time; AdamW beside it; five seeds
A2  the recipe as a whole, where it has time: 40 epochs, 2,400 steps; mixing, the recipe without its crops, and with them
L   leave one out of the recipe without crops, as in A2
F   all 60,000 images, 3 epochs, 3,600 steps: base, mixing, recipe
B   LAMB and AdamW at batches of 50, 200 and 500, as in A1; three seeds
C   the demo model beside a ConvNeXt, a vision transformer and a ResNet with as many parameters, in PyTorch (torch_peers.py):
    the same batches, schedule, optimiser and drop path, as in A1, base and mixing; three seeds. Before that, 50 steps of mvnp
    and of its PyTorch twin in float64 agree

Every row is written down here before it is run. Each optimiser has a learning rate of its own for each batch size, and each
network of C too: the best of RATES with the base, on the last 5,000 of the training part, with a seed that is not reported.
What counts is the test part, which is looked at once, after the last step: no epoch is chosen. The curves are of 2,000 of those
5,000 images. The same seed has the same images, weights and order, so what is reported is the paired difference to the base,
with its mean and the 95 % interval of Student's t. EMA is looked at on the base's curves: at the end of a cosine it has nothing
to do.

In A1 the same weights are tested on 2,000 test images that are turned, shifted, covered and noisy: what the ingredients are
for.

A run is one process with one thread, and two run together (--jobs). What is done is a line of runs.jsonl in --work, and is not
done again; a run that was killed goes on from its last checkpoint. Times are measured last, one by one, while nothing else
runs: costs.jsonl has what an image takes in training, nets.jsonl the networks of C. With --tiny all is as small as can be: to
see that it works.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import study
from machine import machine, sentence
from recipe_run import CHOOSING, TINY, Plan, Row, Run, agreeing, cost, timed, trained
from recipe_tables import Part, differences, table
from results import write_results
from study import Difference, Runs, in_words

RATES = {"lamb": (0.005, 0.01, 0.02, 0.04), "adamw": (0.001, 0.002, 0.004, 0.008)}
COSTS = ("A1", "A2", "L")  # the parts whose rows differ in what an image takes
NETS = ("MambaVision", "ConvNeXt", "ViT", "ResNet")

SMOOTHING = {"label_smoothing": 0.1}
MIXED = {"mixup": 0.8, "cutmix": 1.0}
RANDAUGMENT = {"randaugment": "rand-m9-mstd0.5-inc1"}
ERASING = {"erasing": 0.25}
CROPS = {"crop_scale": [0.5, 1.0]}
EMA = {"ema_decay": "auto"}
MESA = {"mesa": 0.5, **EMA}
WHOLE = Row("long", {**SMOOTHING, **MESA}, {**MIXED, **RANDAUGMENT, **ERASING})


def part(title: str, rows: dict[str, Row], seeds: int = 5, base: str | None = None) -> Part:
    """All rows against one: the first, or `base`."""
    base = base or next(iter(rows))
    return Part(title, rows, seeds, {name: base for name in rows if name != base})


A1 = {
    "base": Row(settings=EMA),
    "label smoothing": Row(settings=SMOOTHING),
    "mixup, cutmix, smoothing": Row(settings=SMOOTHING, augmentation=MIXED),
    "RandAugment": Row(augmentation=RANDAUGMENT),
    "random erasing": Row(augmentation=ERASING),
    "crops of 0.5 to 1": Row(augmentation=CROPS),
    "no drop path": Row(model={"drop_path_rate": 0.0}),
    "drop path 0.2": Row(model={"drop_path_rate": 0.2}),
    "MESA": Row(settings=MESA),
    "AdamW": Row(settings={"optimizer": "adamw"}),
}


def longer(row: Row, length: str) -> Row:
    return replace(row, length=length)


def without(row: Row, *names: str) -> Row:
    """A row without some of its settings and augmentation."""
    kept = [{key: value for key, value in found.items() if key not in names} for found in (row.settings, row.augmentation)]
    return replace(row, settings=kept[0], augmentation=kept[1])


A2 = {
    "base": longer(A1["base"], "long"),
    "mixup, cutmix, smoothing": longer(A1["mixup, cutmix, smoothing"], "long"),
    "the recipe without crops": WHOLE,
    "the recipe, crops of 0.5 to 1": replace(WHOLE, augmentation={**WHOLE.augmentation, **CROPS}),
}
L = {
    "the recipe without crops": WHOLE,
    "without label smoothing": without(WHOLE, *SMOOTHING),
    "without mixup and cutmix": without(WHOLE, *MIXED),
    "without RandAugment": without(WHOLE, *RANDAUGMENT),
    "without random erasing": without(WHOLE, *ERASING),
    "without MESA": without(WHOLE, "mesa"),
}
F = {name: longer(A2[name], "full") for name in list(A2)[:3]}
B = {
    f"{name}, batches of {batch}": replace(row, batch=batch)
    for batch in (50, 200, 500)
    for name, row in (("AdamW", A1["AdamW"]), ("LAMB", A1["base"]))
}
C = {
    f"{net}{recipe}": replace(row, net=net)
    for recipe, row in (("", A1["base"]), (", mixed", A1["mixup, cutmix, smoothing"]))
    for net in NETS
}
PARTS = {
    "A1": part("Add one", A1),
    "A2": part("The recipe, with more time", A2),
    "L": part("Leave one out", L),
    "F": part("All images", F),
    "B": Part("Batch size", B, 3, {name: name.replace("LAMB", "AdamW") for name in B if name.startswith("LAMB")}),
    "C": Part(
        "Networks",
        C,
        3,
        {name: "MambaVision" + ", mixed" * name.endswith("mixed") for name in C if not name.startswith("Mamba")},
    ),
}


class Study:
    """The runs in a folder, and the order in which the rest is run."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.plan = given, TINY if given.tiny else Plan()
        self.runs = Runs(given.work / "runs.jsonl", ("key",))
        self.nets = Runs(given.work / "nets.jsonl", ("net",))
        self.costs = Runs(given.work / "costs.jsonl", ("row",))

    def seeds(self, name: str) -> range:
        return range(self.plan.seeds or PARTS[name].seeds)

    def found(self, run: Run) -> dict[str, Any] | None:
        return self.runs.find(run.key(self.plan))

    def choosing(self, row: Row) -> dict[float, Run]:
        """The runs that choose the rate of a row, by that rate. Rows that differ in ingredients have those of the base."""
        settings = {} if row.optimizer == "lamb" else {"optimizer": row.optimizer}
        base = Row(settings=settings, batch=row.batch, net=row.net)
        return {rate: Run(base, CHOOSING, rate) for rate in RATES[row.optimizer]}

    def rate(self, row: Row) -> float | None:
        """The rate of a row; None as long as its runs are not done."""
        tried = {rate: self.found(run) for rate, run in self.choosing(row).items()}
        if None in tried.values():
            return None
        return max(tried, key=lambda rate: tried[rate]["accuracy"])  # type: ignore[index]

    def run_part(self, name: str) -> None:
        """What is still to be run for a table: rates first, then seed by seed."""
        rows, seeds = PARTS[name].rows, self.seeds(name)
        if name == "C":
            self.agree()
        choosing = {run.key(self.plan): run for row in rows.values() for run in self.choosing(row).values()}
        self.run_all(f"{name}, rates", list(choosing.values()))
        rates = {row: self.rate(rows[row]) for row in rows}
        self.run_all(name, [Run(rows[row], seed, rates[row] or 0.0) for seed in seeds for row in rows])

    def time_all(self, names: Sequence[str]) -> None:
        """What is still to be timed for these parts."""
        for net in NETS if "C" in names else ():
            if self.nets.find(net) is None:
                self.nets.add(self.in_process("--time", net, net))
        for row in (row for name in COSTS if name in names for row in PARTS[name].rows.values()):
            if self.costs.find(key := untimed(row)) is None:
                self.costs.add({"row": key, **self.in_process("--cost", key, f"the time of {key}")})

    def cost(self, row: Row) -> float | None:
        found = self.costs.find(untimed(row))
        return None if found is None else found["ms"]

    def run_all(self, title: str, runs: list[Run]) -> None:
        todo = [run for run in runs if self.found(run) is None]
        print(f"{title}: ", end="")

        def keep(run: Run, row: dict[str, Any]) -> str:
            key = run.key(self.plan)
            about = " ".join(
                f"{name} {value}" for name, value in {**run.row.settings, **run.row.augmentation, **run.row.model}.items()
            )
            self.runs.add({"key": key, "net": run.row.net, "batch": run.row.batch, "length": run.row.length, **row})
            shutil.rmtree(self.given.work / f"run-{key}", ignore_errors=True)
            return f"{run.row.net} {about or 'base'}, seed {run.seed}: {row['accuracy']:.2%} in {in_words(row['seconds'])}"

        def run_one(run: Run) -> dict[str, Any]:
            return self.in_process("--run", run.to_json(), f"{run.row.net} {run.row.settings}, seed {run.seed}")

        study.side_by_side(todo, self.given.jobs, run_one, keep, len(runs), lambda run: run.images(self.plan))

    def agree(self) -> None:
        """SystemExit where mvnp and its PyTorch twin do not."""
        found = self.nets.find("agreement")
        if found is None:
            self.nets.add(found := self.in_process("--agree", "yes", "agreement"))
        if found["worst"] > 1e-9:
            raise SystemExit(
                f"the losses of mvnp and its PyTorch twin differ by {found['worst']:.1e} in {found['steps']} steps"
            )

    def in_process(self, option: str, value: str, about: str) -> dict[str, Any]:
        """`child`, in a process with one thread."""
        arguments = [option, value, "--work", str(self.given.work), "--data", self.given.data, *["--tiny"] * self.given.tiny]
        return study.in_process(__file__, arguments, about)

    def results(self, name: str) -> dict[str, list[dict[str, Any]]]:
        """{row: what its runs found, by seed}, of the rows that are whole; none without what they are compared with."""
        rows = {}
        for label, row in PARTS[name].rows.items():
            rate = self.rate(row)
            runs = [None if rate is None else self.found(Run(row, seed, rate)) for seed in self.seeds(name)]
            if None not in runs:
                rows[label] = runs
        against = PARTS[name].against
        return {label: runs for label, runs in rows.items() if against.get(label, label) in rows}  # type: ignore[misc]


def untimed(row: Row) -> str:
    """A row without its length, of which an image's time does not depend: as JSON."""
    return json.dumps(asdict(replace(row, length="short")), sort_keys=True)


def child(given: argparse.Namespace) -> dict[str, Any]:
    """What a process of its own is asked for."""
    plan = TINY if given.tiny else Plan()
    if given.agree:
        return agreeing(plan, given.data)
    if given.time:
        return timed(given.time)
    if given.cost:
        return cost(Row(**json.loads(given.cost)), plan, given.data)
    run = Run.from_json(given.run)
    return trained(run, plan, given.data, given.work / f"run-{run.key(plan)}")


def in_json(compared: dict[str, Difference]) -> dict[str, dict[str, Any]]:
    return {label: {**asdict(each), "verdict": each.verdict} for label, each in compared.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--work", type=Path, default=Path("build/recipe"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", default="fashion-mnist", help="as mvnp train --data")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--tiny", action="store_true")
    for option in ("--run", "--time", "--cost", "--agree"):
        parser.add_argument(option, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.run or given.time or given.cost or given.agree:
        study.answer(lambda: child(given))
        return
    asked, whole = list(dict.fromkeys(given.parts)) or list(PARTS), Study(given)
    if "C" in asked and not given.report and importlib.util.find_spec("torch") is None:
        raise SystemExit("part C needs torch: pip install -e '.[bench]', or name other parts")
    for name in asked if not given.report else ():
        whole.run_part(name)
    if not given.report:
        whole.time_all(asked)
    found = {name: rows for name in asked if (rows := whole.results(name))}
    costs = {name: {label: whole.cost(row) for label, row in PARTS[name].rows.items()} for name in COSTS}
    tables = {
        name: table(name, PARTS[name], rows, whole.plan, whole.nets.rows, costs.get(name, {})) for name, rows in found.items()
    }
    print("\n\n".join(tables.values()))
    left = [f"{name} has {len(found.get(name, ()))} of {len(PARTS[name].rows)} rows" for name in asked]
    left = [text for name, text in zip(asked, left, strict=True) if len(found.get(name, ())) < len(PARTS[name].rows)]
    if left:
        print(f"\nnot whole: {', '.join(left)}")
    complete = [name for name in found if len(found[name]) == len(PARTS[name].rows)]
    if given.out and complete:
        about = machine(1)
        results = {
            "machine": about,
            "data": given.data,
            "nets": whole.nets.rows,
            "costs": costs,
            "parts": {name: found[name] for name in complete},
            "differences": {name: in_json(differences(PARTS[name], found[name])) for name in complete},
        }
        text = "\n\n".join(tables[name] for name in complete)
        write_results(given.out, "recipe", results, f"{text}\n\n{sentence(about)}\n")


if __name__ == "__main__":
    main()
