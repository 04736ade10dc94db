"""A run's log as series of numbers over its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import InputError


def step_series(records: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """step, loss and lr of every training step."""
    lines = [line for line in records if line.get("event") == "step"]
    if not lines:
        raise InputError("training_curves: the log has no steps; is it the log.jsonl of a training run?")
    return {name: np.array([line[name] for line in lines], float) for name in ("step", "loss", "lr")}


def evaluation_series(records: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """step, test_loss and test_accuracy after every epoch that was evaluated."""
    lines = [line for line in records if line.get("event") == "epoch" and line["test_accuracy"] is not None]
    return {name: np.array([line[name] for line in lines], float) for name in ("step", "test_loss", "test_accuracy")}


def running_mean(values: np.ndarray) -> np.ndarray:
    """The mean of each value and of those before it, a fortieth of them all at most: it uses nothing from the future."""
    span = max(1, len(values) // 40)
    total = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, len(values) + 1)
    start = np.maximum(0, end - span)
    return (total[end] - total[start]) / (end - start)
