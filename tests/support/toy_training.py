"""A run small enough to be repeated many times, with all that a run can forget: dropout, running statistics, augmentation.

    python toy_training.py OUT [--resume] [--die MOMENT | --die-after SECONDS]

trains it in a process of its own, which can be killed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from mvnp import atomic
from mvnp.backend import Array
from mvnp.core import Initializer, Layer, Tape
from mvnp.data import BatchLoader, Dataset
from mvnp.layers.batchnorm import BatchNorm
from mvnp.layers.dropout import Dropout
from mvnp.layers.linear import Linear
from mvnp.layers.relu import ReLU
from mvnp.training import Trainer, TrainingConfig, TrainingResult, open_run, read_checkpoint, read_log

CLASSES, SIDE = 3, 6


class ToyModel(Layer):
    """Pixels, linear, batch norm, ReLU, dropout, linear."""

    def __init__(self, seed: int = 0, dtype: str = "float32") -> None:
        init = Initializer(seed, dtype)
        self.inner = Linear(SIDE * SIDE, 8, init=init)
        self.norm = BatchNorm(8, init=init)
        self.relu = ReLU()
        self.dropout = Dropout(0.2)
        self.outer = Linear(8, CLASSES, init=init)
        self.steps = [self.inner, self.norm, self.relu, self.dropout, self.outer]

    # `steps` is for the two methods below; the layers are already named by their own attributes.
    def children(self) -> Any:
        return ((name, layer) for name, layer in super().children() if not name.startswith("steps."))

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        x = x.reshape(len(x), -1).astype(self.inner.weight.dtype, copy=False)
        for layer in self.steps:
            x = layer(x, tape)
        return x

    def backward(self, dy: Array, tape: Tape) -> Array:
        for layer in reversed(self.steps):
            dy = layer.backward(dy, tape)
        return dy.reshape(len(dy), 1, SIDE, SIDE)


def toy_data(count: int, part: str) -> Dataset:
    """Noise with a bright row, and the class is the row."""
    rng = np.random.default_rng([9, len(part)])
    labels = np.arange(count) % CLASSES
    images = rng.integers(0, 100, (count, SIDE, SIDE, 1))
    images[np.arange(count), 2 * labels] += 60
    return Dataset("toy", part, images.astype(np.uint8), labels.astype(np.int64), ("a", "b", "c"), (0.3,), (0.2,))


def toy_loaders(config: TrainingConfig, images: int = 30) -> tuple[BatchLoader, BatchLoader]:
    """Five batches of six images an epoch to train on, three to test."""
    train, test = toy_data(images, "train"), toy_data(18, "test")
    shift = 0 if "crop_scale" in config.augmentation else 1
    options: dict[str, Any] = {"crop_padding": shift, "augmentation": config.augmentation}
    return (
        BatchLoader(train, config.batch_size, train=True, seed=config.seed, **options),
        BatchLoader(test, config.batch_size, train=False),
    )


def toy_config(**changes: Any) -> TrainingConfig:
    settings: dict[str, Any] = {"epochs": 3, "batch_size": 6, "lr": 0.05, "warmup_epochs": 0.5, "clip_norm": 1.0}
    settings["workers"] = 0
    return TrainingConfig(model={}, **{**settings, "checkpoint_every": 2, **changes})


# The whole recipe. Two batches make a step: three steps an epoch, the last of one batch.
RECIPE: dict[str, Any] = {
    "optimizer": "lamb",
    "cosine_from": "start",
    "cooldown_epochs": 1,
    "ema_decay": 0.8,
    "ema_warmup": True,
    "mesa": 0.5,
    "mesa_start": 0.2,
    "accumulate": 2,
    "checkpoint_every": 1,
    "augmentation": {
        "crop_scale": [0.5, 1.0],
        "randaugment": "rand-m9-mstd0.5-inc1",
        "mixup": 0.8,
        "cutmix": 1.0,
        "erasing": 0.25,
        "repeats": 1.5,
    },
}


def toy_trainer(out: Path, resume: bool = False, config: TrainingConfig | None = None, quiet: bool = True) -> Trainer:
    config = config or toy_config()
    return Trainer(ToyModel(config.seed), *toy_loaders(config), open_run(out, config, resume), quiet=quiet)


def toy_run(out: Path, resume: bool = False, config: TrainingConfig | None = None) -> TrainingResult:
    return toy_trainer(out, resume, config).run()


def outcome(out: Path) -> dict[str, Any]:
    """All that two equal runs have in common: everything but the clock."""
    found: dict[str, Any] = {}
    for name in ("checkpoint", "best"):
        checkpoint = read_checkpoint(out / f"{name}.safetensors")
        found.update({f"{name} {key}": (a.dtype.str, a.shape, a.tobytes()) for key, a in checkpoint.arrays.items()})
        position = vars(checkpoint.position) | {"seconds": None, "log_size": None}
        found[f"{name} rest"] = (position, checkpoint.config, checkpoint.about)
    found["log"] = [{**line, "seconds": 0, "images_per_second": 0, "waiting": 0} for line in read_log(out / "log.jsonl")]
    return found


def assert_same_outcome(got: Path, want: Path) -> None:
    """Bit for bit."""
    one, other = outcome(got), outcome(want)
    differing = [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
    assert not differing, f"differing: {sorted(differing)}"
    json.dumps(one["log"], allow_nan=False)


def _die_while_writing(moment: str, count: int) -> None:
    """Arrange for this process to be killed during its `count`-th write of a checkpoint."""
    writes, renamed = 0, False

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def fsync(descriptor: int) -> None:
        nonlocal writes, renamed
        if renamed:  # this one is for the folder
            renamed = False
        else:
            writes += 1
            if moment == "half" and writes == count:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
                die()
        os.fsync(descriptor)

    def replace(source: Any, target: Any) -> None:
        nonlocal renamed
        if moment == "synced" and writes == count:
            die()
        os.replace(source, target)
        renamed = True
        if moment == "renamed" and writes == count:
            die()

    # In that one module alone: the log is brought to the disk as well, and is not meant.
    atomic.os = SimpleNamespace(**{**vars(os), "fsync": fsync, "replace": replace})  # type: ignore[assignment]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--recipe", action="store_true", help="the whole recipe")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--die")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--die-after", type=float, default=0.0, help="seconds of processor time, anywhere in the run")
    options = parser.parse_args()
    if options.die:
        _die_while_writing(options.die, options.count)
    signal.setitimer(signal.ITIMER_PROF, options.die_after)  # SIGPROF ends a process that does not expect it, and 0 is never
    toy_run(
        options.out,
        options.resume,
        toy_config(epochs=options.epochs, workers=options.workers, **(RECIPE if options.recipe else {})),
    )
