"""A run's log as series by epoch: what was learnt, at which rate, and how large the gradients were at each depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import InputError, refusing

# What a row of the table by epoch has, besides its number. NaN stands for what was not measured.
COLUMNS = (
    *("train_loss", "test_loss", "test_accuracy", "test_mean_accuracy", "ema_loss", "ema_accuracy", "ema_mean_accuracy"),
    *("lr", "grad_norm", "apart", "images_per_second", "waiting", "seconds"),
)


@refusing
def epoch_table(records: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """{"epoch" and each of COLUMNS: (epochs,)}: of the steps the mean over each epoch, the rate at its end."""
    epochs = [line for line in records if line.get("event") == "epoch"]
    if not epochs:
        raise InputError("the log has no finished epoch; is it the log.jsonl of a run that has trained one?")
    table: dict[str, np.ndarray] = {"epoch": np.array([line["epoch"] for line in epochs])}
    for name in COLUMNS:
        values = [line.get(name, _of_steps(records, line["epoch"], name)) for line in epochs]
        table[name] = np.array([np.nan if value is None else value for value in values], float)
    return table


def _of_steps(records: Sequence[dict[str, Any]], epoch: int, name: str) -> float | None:
    lines = [line for line in records if line.get("event") == "step" and line.get("epoch") == epoch]
    values = [line[name] for line in lines if line.get(name) is not None]
    if not values:
        return None
    return float(values[-1] if name == "lr" else np.mean(values))


@refusing
def norms_by_depth(records: Sequence[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs (n,) and the norms of the gradients of their last step, (n, depths): from the stem to the head."""
    lines = [line for line in records if line.get("grad_norm_by_depth")]
    deepest = max((len(line["grad_norm_by_depth"]) for line in lines), default=0)
    lines = [line for line in lines if len(line["grad_norm_by_depth"]) == deepest]
    return np.array([line["epoch"] for line in lines]), np.array([line["grad_norm_by_depth"] for line in lines], float)
