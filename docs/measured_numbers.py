"""The measured numbers that stand in sentences, from the files that the benchmarks write to docs/measured.

A page writes `` {measured}`accuracy decay 150 15` `` for what `accuracy(data, "decay", "150", "15")` gives. `data` has the
content of each file by its stem. A number that is not in a file stands in no sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from typing import Any

Data = dict[str, Any]
SPACE = "\N{NO-BREAK SPACE}"


def milliseconds(data: Data, file: str, key: str) -> str:
    """mvnp's time for a case of the benchmark."""
    return _each(data, file, key, lambda row: f"{1000 * row['mvnp']['seconds']:.0f} ms")


def ratio(data: Data, file: str, key: str, peer: str) -> str:
    """mvnp's time over a peer's."""
    return _each(data, file, key, lambda row: f"{row['peers'][peer]['ratio']:.2f}")


def accuracy(data: Data, method: str, images: str, steps: str) -> str:
    """Of fine-tuning, mean over the seeds."""
    return f"{100 * mean(_accuracies(data, method, images, steps)):.1f} %"


def accuracy_range(data: Data, method: str, images: str, steps: str) -> str:
    """Between the worst and the best seed."""
    found = _accuracies(data, method, images, steps)
    return f"{100 * (max(found) - min(found)):.0f} points"


def probe(data: Data, inputs: str, classes: str) -> str:
    """Accuracy of logistic regression, mean over the models."""
    rows = data["transfer"]["probes"]
    return f"{100 * mean(row['accuracy'] for row in rows if (row['inputs'], row['classes']) == (inputs, classes)):.1f} %"


def export_ratio(data: Data, batch: str) -> str:
    """The exported T in ONNX Runtime over mvnp itself."""
    forms = {row["form"]: row[f"seconds_{batch}"] for row in data["onnx_export"]["model"]}
    return f"{forms['scan'] / forms['mvnp']:.2f}"


def family(data: Data, model: str, size: str, what: str) -> str:
    """Of one image in one of three families: "time", or "memory" of the process."""
    row = next(row for row in data["families"]["rows"] if (row["model"], row["size"]) == (model, int(size)))
    return {"time": f"{1000 * row['seconds']:.0f} ms", "memory": f"{row['peak_mb']} MB"}[what]


def family_growth(data: Data, model: str, first: str, last: str) -> str:
    """How many times as long an image of `last` takes as one of `first`."""
    seconds = {row["size"]: row["seconds"] for row in data["families"]["rows"] if row["model"] == model}
    return f"{seconds[int(last)] / seconds[int(first)]:.1f}"


def recipe_difference(data: Data, part: str, *label: str) -> str:
    """Of a row of the recipe's study to the one that it is compared with, in points, with its interval."""
    row = data["recipe"]["differences"][part][" ".join(label)]
    return f"{row['mean']:+.1f}{SPACE}±{SPACE}{row['half']:.1f}".replace("-", "\N{MINUS SIGN}")


def recipe_mean(data: Data, part: str, what: str, *label: str) -> str:
    """Of what the runs of a row found: "accuracy", "train_accuracy" or "calibration"."""
    return f"{100 * mean(run[what] for run in data['recipe']['parts'][part][' '.join(label)]):.1f}{SPACE}%"


def recipe_distorted(data: Data, kind: str, *label: str) -> str:
    """Accuracy of a row of A1 on distorted test images."""
    return f"{100 * mean(run['distorted'][kind] for run in data['recipe']['parts']['A1'][' '.join(label)]):.0f}{SPACE}%"


def recipe_curve(data: Data, epoch: str, which: str) -> str:
    """Held-out accuracy of the base in A1 after an epoch: of its "weights" or of their "average"."""
    place = {"weights": 1, "average": 2}[which]
    curves = [run["curve"] for run in data["recipe"]["parts"]["A1"]["base"]]
    return f"{100 * mean(next(point for point in curve if point[0] == int(epoch))[place] for curve in curves):.0f}{SPACE}%"


def recipe_ms(data: Data, part: str, *label: str) -> str:
    """What an image takes in training, its batch and all."""
    return f"{data['recipe']['costs'][part][' '.join(label)]:.2f} ms"


def _each(data: Data, file: str, key: str, text: Callable[[dict[str, Any]], str]) -> str:
    """The text of a case's row; where several processors have been met, that of each, with the processor's name."""
    found = {name: text(next(row for row in r["rows"] if row["key"] == key)) for name, r in data[file]["processors"].items()}
    if len(found) == 1:
        return next(iter(found.values()))
    return ", ".join(f"{value} on {name.partition(' (')[0]}" for name, value in found.items())


def _accuracies(data: Data, method: str, images: str, steps: str) -> list[float]:
    wanted = (method, int(images), int(steps))
    return [run["accuracy"] for run in data["transfer"]["runs"] if (run["method"], run["images"], run["steps"]) == wanted]
