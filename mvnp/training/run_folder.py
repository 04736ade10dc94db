"""The folder of a run: its last checkpoint, its best, its log.

checkpoint.safetensors    the run as it was a moment ago; what it resumes from
best.safetensors          the same, after the epoch with the best test accuracy; of a fine-tuning, the weights alone, as
                          `mvnp.load_pretrained` reads them
log.jsonl                 see mvnp/training/log.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..atomic import make_folder, remove_stale
from ..errors import CheckpointError, InputError, TrainingError
from .config import TrainingConfig
from .run_checkpoint import Checkpoint, Position, read_checkpoint

CHECKPOINT, BEST, LOG = "checkpoint.safetensors", "best.safetensors", "log.jsonl"

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended. `accuracy` is that after the last epoch, `best_accuracy` the highest, after `best_epoch`."""

    steps: int
    epochs: int
    accuracy: float
    best_accuracy: float
    best_epoch: int
    seconds: float
    checkpoint: Path
    best: Path
    log: Path


@dataclass
class RunFolder:
    """A folder that is ready to be written to and, for a run that goes on, the checkpoint that it goes on from."""

    path: Path
    config: TrainingConfig
    resumed: Checkpoint | None = None

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    @property
    def best(self) -> Path:
        return self.path / BEST

    @property
    def log(self) -> Path:
        return self.path / LOG

    def result(self, position: Position) -> TrainingResult:
        """What a run that has come to its end gives."""
        return TrainingResult(
            steps=position.step,
            epochs=position.epoch,
            accuracy=known(position.accuracy),
            best_accuracy=known(position.best_accuracy),
            best_epoch=known(position.best_epoch),
            seconds=position.seconds,
            checkpoint=self.checkpoint,
            best=self.best,
            log=self.log,
        )


def open_run(out: str | Path, config: TrainingConfig | None = None, resume: bool = False) -> RunFolder:
    """Make the folder of a new run, or open that of an earlier one to go on with it.

    config    None, with `resume`: the earlier run's

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
    if differing:
        listed = "; ".join(f"{name} is {now!r} and was {then!r}" for name, now, then in differing)
        raise TrainingError(
            f"the run in {path} can only go on with the settings that it began with, and these differ: {listed}."
            " Leave them as they were, or start anew in another folder"
        )
    make_folder(path, TrainingError)
    return _cleared(RunFolder(path, resumed.config, resumed))


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
