"""The checkpoint of a run: everything that it takes to go on as if nothing had happened.

    model.<key>        parameters and running statistics
    optimizer.<key>    moments and step of the optimiser
    ema.<key>          the average of the state, where the run has one
    metadata           the settings, the position, what is worth knowing of model and data, and which of the two sets of weights
                       the file is about: the best epoch may be that of the average

There is no state of a random generator in it, because none outlives a step: everything drawn at random is keyed by the seed,
which is among the settings, and the position.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import Array, to_numpy
from ..checkpoint import load_arrays, save_arrays
from ..errors import CheckpointError, InputError, TrainingError, refusing
from .config import TrainingConfig
from .loss_scale import FIRST

KIND = "training"  # what `load_checkpoint` looks for


@dataclass
class Position:
    """How far a run has come, all as counts of what is done.

    epoch, batch, step    epochs finished and evaluated; batches of the current one; steps in all
    loss_sum              of the steps of the current epoch
    accuracy, mean_accuracy    of the last evaluation
    ema_accuracy          of the last evaluation of the average
    best_accuracy, best_epoch    of the best, and the epoch, from 1, after which it was
    best_of               whose it was: the "model"'s, or the "average"'s
    best_score            what it was the best by: the larger the better
    final                 what the test part said of the best epoch, where another part chose it: accuracy, mean accuracy
    log_size              bytes of the log that belong to this position
    seconds               spent training so far
    loss_scale, good_steps    of training in mixed precision: see loss_scale.py
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    accuracy: float | None = None
    best_accuracy: float | None = None
    best_epoch: int | None = None
    mean_accuracy: float | None = None
    best_score: float | None = None
    final: list[float] | None = None
    log_size: int = 0
    seconds: float = 0.0
    loss_scale: float = FIRST
    good_steps: int = 0
    ema_accuracy: float | None = None
    best_of: str = "model"


@dataclass
class Checkpoint:
    """A run as it was: arrays with their prefixes, settings, position, `about`, what is worth knowing of model and data, and
    which `weights` who loads it is given: those of the "model" or the "average"."""

    arrays: dict[str, Array]
    config: TrainingConfig
    position: Position
    about: dict[str, Any] = field(default_factory=dict)
    weights: str = "model"

    def part(self, prefix: str) -> dict[str, Array]:
        """The arrays under "model." or "optimizer.", without the prefix."""
        return {key.removeprefix(prefix): array for key, array in self.arrays.items() if key.startswith(prefix)}


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all. Raises TrainingError, and writes nothing, where a number is not finite."""
    arrays = {key: to_numpy(array) for key, array in checkpoint.arrays.items()}
    for key, array in arrays.items():
        if not np.isfinite(array).all():
            raise TrainingError(f"{key} holds values that are not finite")
    metadata = {
        "kind": KIND,
        "config": checkpoint.config.to_dict(),
        "position": asdict(checkpoint.position),
        "about": checkpoint.about,
        "weights": checkpoint.weights,
    }
    save_arrays(path, arrays, metadata)


@refusing
def read_checkpoint(path: str | Path) -> Checkpoint:
    """The checkpoint at `path`, or CheckpointError: it is damaged, or not of a training run."""
    arrays, metadata = load_arrays(path)
    if metadata.get("kind") != KIND:
        raise CheckpointError(f"{path} holds no training run, only arrays; a run resumes from its checkpoint.safetensors")
    try:
        config, about = TrainingConfig.from_dict(metadata["config"]), metadata["about"]
        if not isinstance(about, dict):
            raise TypeError(f"about is a {type(about).__name__}, expected a dict")
        position = Position(**metadata["position"])
        check_position(position, config, about)
        _check_sizes(config, about)
        return Checkpoint(arrays, config, position, about, metadata.get("weights", "model"))
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise CheckpointError(
            f"{path} is damaged, or was written by another version of mvnp, and cannot be resumed: {what}"
        ) from error


def check_position(position: Position, config: TrainingConfig, about: dict[str, Any]) -> None:
    """Raise InputError unless this is a place that a run of these settings comes to: any other one it would never end from."""
    most = {"epoch": config.epochs, "batch": about.get("batches_per_epoch"), "best_epoch": position.epoch}
    for name in ("epoch", "batch", "step", "log_size", "good_steps", "best_epoch"):
        value, largest = getattr(position, name), most.get(name)
        if name == "best_epoch" and value is None and position.epoch < config.eval_every:
            continue
        least = 1 if name == "best_epoch" else 0
        whole = type(value) is int and type(position.epoch) is int and value >= least
        if not whole or (type(largest) is int and value > largest):
            upto = f" and at most {largest}" if type(largest) is int else ""
            raise InputError(f"{name} is {value!r}, expected an integer of at least {least}{upto}")
    for name in ("loss_sum", "seconds", "loss_scale"):
        if not _is_finite(getattr(position, name)):
            raise InputError(f"{name} is {getattr(position, name)!r}, expected a number")
    for name in ("accuracy", "best_accuracy", "mean_accuracy", "best_score", "ema_accuracy"):
        if getattr(position, name) is not None and not _is_finite(getattr(position, name)):
            raise InputError(f"{name} is {getattr(position, name)!r}, expected a number or nothing")
    final = position.final
    if final is not None and not (isinstance(final, list) and len(final) == 2 and all(map(_is_finite, final))):
        raise InputError(f"final is {final!r}, expected two numbers or nothing")
    batches = about.get("batches_per_epoch")
    if type(batches) is int and position.step != position.epoch * batches + position.batch:
        raise InputError(
            f"step is {position.step}, and {position.epoch} epochs of {batches} batches and {position.batch} more are"
            f" {position.epoch * batches + position.batch}"
        )


def _check_sizes(config: TrainingConfig, about: dict[str, Any]) -> None:
    """Raise InputError where the settings ask for a model of other sizes than was trained: it is made first."""
    trained = about.get("model")
    for name in ("dim", "in_dim", "depths"):
        if isinstance(trained, dict) and name in config.model and trained.get(name) != config.model[name]:
            raise InputError(f"{name} of the model is {config.model[name]!r} in the settings, and the trained one has another")


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False
