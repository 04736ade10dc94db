"""The measured numbers that stand in sentences, from the files that the benchmarks write to docs/measured.

A page writes `` {measured}`accuracy decay 150 15` `` for what `accuracy(data, "decay", "150", "15")` gives. `data` has the
content of each file by its stem. A number that is not in a file stands in no sentence.
"""

from __future__ import annotations

from statistics import mean
from typing import Any

Data = dict[str, Any]


def milliseconds(data: Data, file: str, key: str) -> str:
    """mvnp's time for a case of the benchmark."""
    return f"{1000 * _row(data, file, key)['mvnp']['seconds']:.0f} ms"


def ratio(data: Data, file: str, key: str, peer: str) -> str:
    """mvnp's time over a peer's."""
    return f"{_row(data, file, key)['peers'][peer]['ratio']:.2f}"


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


def _row(data: Data, file: str, key: str) -> dict[str, Any]:
    return next(row for row in data[file]["rows"] if row["key"] == key)


def _accuracies(data: Data, method: str, images: str, steps: str) -> list[float]:
    wanted = (method, int(images), int(steps))
    return [run["accuracy"] for run in data["transfer"]["runs"] if (run["method"], run["images"], run["steps"]) == wanted]
