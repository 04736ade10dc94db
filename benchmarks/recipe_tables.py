"""The tables of benchmarks/recipe.py, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from types import MappingProxyType
from typing import Any

from recipe_run import Plan, Row
from study import Difference, markdown, paired

Found = Mapping[str, Sequence[dict[str, Any]]]  # what the runs of each row found, by seed

NO_BREAK = "\N{NO-BREAK SPACE}"  # so that the columns stay on a page
SIZES = {"parameters": "{:,}", "step_ms": "{:.2f}", "forward_ms": "{:.2f}", "peak_mb": "{:.0f}"}


@dataclass(frozen=True)
class Part:
    """A table.

    rows       by name, in the order of the table
    against    the row that another is compared with, by its name
    """

    title: str
    rows: dict[str, Row]
    seeds: int
    against: dict[str, str]


def differences(part: Part, found: Found) -> dict[str, Difference]:
    """Of each row's accuracies to those of the row that it is compared with."""
    return {
        label: paired([run["accuracy"] for run in runs], [run["accuracy"] for run in found[part.against[label]]])
        for label, runs in found.items()
        if label in part.against
    }


def table(
    name: str,
    part: Part,
    found: Found,
    plan: Plan,
    nets: Sequence[dict[str, Any]] = (),
    costs: Mapping[str, float | None] = MappingProxyType({}),
) -> str:
    """Of one part, and below it what else its runs tell.

    nets     how large and how fast the networks of C are
    costs    milliseconds that an image takes in training, by row
    """
    first = next(iter(found.values()))[0]
    known, compared = {net["net"]: net for net in nets}, differences(part, found)
    rates = ("rate",) if name in "BC" else ()
    fits = ("train, %",) if first["train_accuracy"] is not None else ()
    sizes = ("parameters", "ms an image, step", "ms an image, forward", "peak MB") if name == "C" else ()
    timed = ("ms an image",) if any(costs.values()) else ()
    head = [part.title, *rates, "test, %", "difference, points", "", *fits, "loss", "calibration error, %", *timed, *sizes]
    rows = []
    for label, runs in found.items():
        cells = [label, *(f"{runs[0]['rate']:g}" for _ in rates), f"{of(runs, 'accuracy'):.2f}"]
        cells += told(compared.get(label))
        cells += [f"{of(runs, 'train_accuracy'):.1f}" for _ in fits]
        cells += [f"{of(runs, 'loss') / 100:.3f}", f"{of(runs, 'calibration'):.1f}"]
        cells += ["" if (ms := costs.get(label)) is None else f"{ms:.3f}" for _ in timed]
        net = known.get(runs[0].get("net", ""))
        cells += [form.format(net[key]) if net else "" for key, form in SIZES.items() if sizes]
        rows.append(cells)
    length = next(iter(part.rows.values())).length
    images, epochs = plan.images[length], plan.epochs[length]
    seeds = len(next(iter(found.values())))
    about = f"{name}: {f'{images:,}' if images else 'all'} images, {epochs} epochs; means of {seeds} seeds, difference"
    about += " to the first row" if len(set(part.against.values())) == 1 else {"B": " to AdamW", "C": " to MambaVision"}[name]
    about += ", in pairs, with the 95 % interval of its mean; noise: zero lies in it."
    return "\n".join(
        [*markdown(head, rows, left=("",)), "", about, *(distortions(found) if name == "A1" else ()), *curve(found)]
    )


def of(runs: Sequence[dict[str, Any]], *keys: str) -> float:
    """A hundred times the mean of what the runs found."""
    values: Sequence[Any] = runs
    for key in keys:
        values = [value[key] for value in values]
    return 100 * mean(values)


def told(difference: Difference | None) -> list[str]:
    """A difference and what it says, for two columns."""
    if difference is None:
        return ["", ""]
    return [str(difference).replace(" ", NO_BREAK), difference.verdict.removeprefix("within the ")]


def distortions(found: Found) -> list[str]:
    """How the same weights do on test images that are distorted: a second table."""
    label, base = next(iter(found.items()))
    kinds = list(base[0]["distorted"])
    rows = [[f"{label}, %", *(f"{of(base, 'distorted', kind):.1f}" for kind in kinds)]]
    for label, runs in list(found.items())[1:]:
        pairs = [paired(*([run["distorted"][kind] for run in these] for these in (runs, base))) for kind in kinds]
        rows.append([label, *(" ".join(told(pair)) for pair in pairs)])
    return ["", *markdown(["on distorted test images", *kinds], rows)]


def curve(found: Found) -> list[str]:
    """The weights of the base and their average, by epoch, on images that are held out: a second table."""
    curves = [run["curve"] for run in found.get("base", ())]
    if not curves or not curves[0] or any(averaged is None for _, _, averaged in curves[0]):
        return []
    points = list(zip(*curves, strict=True))
    rows = [
        [name, *(f"{100 * mean(run[place] for run in point):.1f}" for point in points)]
        for place, name in ((1, "weights"), (2, "their average"))
    ]
    return ["", *markdown(["base, held-out accuracy in % after epoch", *(str(point[0][0]) for point in points)], rows)]
