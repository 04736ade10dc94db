"""The folder of a run: its last checkpoint, its best, its log.

checkpoint.safetensors    the run as it was a moment ago; what it resumes from
best.safetensors          the same, after the epoch with the best test accuracy; of a fine-tuning, the weights alone, as
                          `mvnp.load_pretrained` reads them
log.jsonl                 see mvnp/training/log.py
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..atomic import make_folder, remove_stale
from ..errors import CheckpointError, InputError, TrainingError
from .config import TrainingConfig
from .run_checkpoint import Checkpoint, Position, read_checkpoint

# Settings that a run may go on with otherwise than it began: longer, or after it has diverged.
CHANGEABLE = ("epochs", "lr", "min_lr", "warmup_epochs", "clip_norm", "patience", "eval_every", "checkpoint_every")

CHECKPOINT, BEST, LOG = "checkpoint.safetensors", "best.safetensors", "log.jsonl"

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended. `accuracy` is that after the last epoch, `best_accuracy` the best, after `best_epoch`.

    part             which part these are of: "val", "test", or None: then they are NaN, and the last epoch is the best
    mean_accuracy    the mean of the classes' accuracies, after the last epoch
    final_accuracy, final_mean_accuracy    of the test part, after the best epoch, where "val" has chosen that; else None
    """

    steps: int
    epochs: int
    accuracy: float
    best_accuracy: float
    best_epoch: int
    seconds: float
    checkpoint: Path
    best: Path
    log: Path
    part: str | None = "test"
    mean_accuracy: float = math.nan
    final_accuracy: float | None = None
    final_mean_accuracy: float | None = None


@dataclass
class RunFolder:
    """A folder that is ready to be written to and, for a run that goes on, the checkpoint that it goes on from."""

    path: Path
    config: TrainingConfig
    resumed: Checkpoint | None = None
    notes: tuple[str, ...] = ()  # what is otherwise than when the run began

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    @property
    def best(self) -> Path:
        return self.path / BEST

    @property
    def log(self) -> Path:
        return self.path / LOG

    def result(self, position: Position, part: str | None = "test") -> TrainingResult:
        """What a run that has come to its end gives. Accuracies that nothing was held out for are NaN."""
        final: list[Any] = position.final or [None, None]
        return TrainingResult(
            steps=position.step,
            epochs=position.epoch,
            accuracy=math.nan if position.accuracy is None else position.accuracy,
            best_accuracy=math.nan if position.best_accuracy is None else position.best_accuracy,
            best_epoch=known(position.best_epoch),
            part=part,
            mean_accuracy=math.nan if position.mean_accuracy is None else position.mean_accuracy,
            final_accuracy=final[0],
            final_mean_accuracy=final[1],
            seconds=position.seconds,
            checkpoint=self.checkpoint,
            best=self.best,
            log=self.log,
        )


def open_run(out: str | Path, config: TrainingConfig | None = None, resume: bool = False) -> RunFolder:
    """Make the folder of a new run, or open that of an earlier one to go on with it.

    config    None, with `resume`: the earlier run's. What it may have otherwise than the earlier run: CHANGEABLE.

    Raises TrainingError where the folder cannot be written to, holds a run already (without `resume`) or none (with it), or
    the earlier run had other settings; CheckpointError where its checkpoint is damaged.
    """
    path = Path(out)
    if resume:
        return _reopen(path, config)
    if config is None:
        raise InputError("open_run: a new run needs a config")
    make_folder(path, TrainingError)
    found = next((name for name in (CHECKPOINT, BEST, LOG) if (path / name).exists() and (path / name).stat().st_size), None)
    if found is not None:
        raise TrainingError(f"{path} already holds a run ({found}); resume it, or choose another folder, or remove it")
    return _cleared(RunFolder(path, config))


def known(value: T | None) -> T:
    """A number of a position that there is by now."""
    assert value is not None, "the last epoch is always evaluated"
    return value


def _reopen(path: Path, config: TrainingConfig | None) -> RunFolder:
    if not (path / CHECKPOINT).is_file():
        raise TrainingError(f"there is no run to resume in {path}: it has no {CHECKPOINT}. Start it without resuming first")
    try:
        resumed = read_checkpoint(path / CHECKPOINT)
    except CheckpointError as error:
        other = f". {BEST} in the same folder may be copied into its place" if _is_run(path / BEST) else ""
        raise CheckpointError(f"{error}{other}") from error
    differing = config.differences(resumed.config) if config is not None else []
    if config is not None and config.epochs < resumed.position.epoch:
        raise TrainingError(
            f"the run in {path} has {resumed.position.epoch} epochs behind it, and epochs is {config.epochs}; it counts from"
            f" the beginning: give more, such as {resumed.position.epoch + config.epochs}"
        )
    changed = [(name, now, then) for name, now, then in differing if name in CHANGEABLE]
    differing = [each for each in differing if each[0] not in CHANGEABLE]
    if differing:
        listed = "; ".join(f"{name} is {now!r} and was {then!r}" for name, now, then in differing)
        raise TrainingError(
            f"the run in {path} can only go on with the settings that it began with, and these differ: {listed}."
            f" Leave them as they were, or start anew in another folder; what may be changed is {', '.join(CHANGEABLE)}"
        )
    make_folder(path, TrainingError)
    notes = tuple(f"{name} is {now!r} from here on, and was {then!r}" for name, now, then in changed)
    return _cleared(RunFolder(path, config if config is not None and changed else resumed.config, resumed, notes))


def _is_run(path: Path) -> bool:
    """Whether a run could resume from this file."""
    try:
        read_checkpoint(path)
    except (CheckpointError, OSError):
        return False
    return True


def _cleared(folder: RunFolder) -> RunFolder:
    """The folder without what killed writes left in it. Not before it is ours: another run's writes may be under way."""
    for path in (folder.checkpoint, folder.best):
        remove_stale(path)
    return folder
