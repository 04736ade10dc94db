"""The folder of a run: its last checkpoint, its best, its log.

checkpoint.safetensors    the run as it was a moment ago; what it resumes from
best.safetensors          the same, after the epoch with the best test accuracy; of a fine-tuning, the weights alone, as
                          `mvnp.load_pretrained` reads them
log.jsonl                 see mvnp/training/log.py
config.toml               its settings, for people, and for `mvnp train --config`
held-out.csv              see mvnp/data/held_out.py
.lock                     while a process trains; see run_lock.py
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ..atomic import drop_empty_folders, make_folder, remove_stale
from ..data.held_out import BEST, CHECKPOINT, HELD_OUT, LOG
from ..data.sources import check_outside
from ..errors import CheckpointError, InputError, TrainingError, refusing
from .config import TrainingConfig
from .run_checkpoint import Checkpoint, Position, read_checkpoint
from .run_lock import RunLock, hold

# Settings that a run may go on with otherwise than it began: longer, or after it has diverged.
CHANGEABLE = (
    *("epochs", "lr", "min_lr", "warmup_epochs", "cooldown_epochs", "clip_norm", "patience", "eval_every"),
    *("checkpoint_every", "workers"),
)

SETTINGS = "config.toml"

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended. `accuracy` is that after the last epoch, `best_accuracy` the best, after `best_epoch`.

    part             which part these are of: "val", "test", or None: then they are NaN, and the last epoch is the best
    mean_accuracy    the mean of the classes' accuracies, after the last epoch
    ema_accuracy     of the average of the weights, after the last epoch; None: there is none
    best_of          whose the best accuracy was: the "model"'s, or the "average"'s
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
    ema_accuracy: float | None = None
    best_of: str = "model"


@dataclass
class RunFolder:
    """A folder that is ready to be written to and, for a run that goes on, the checkpoint that it goes on from.

    It is this process's alone as long as this object lives, or to the end of the context that it is. After a context that
    fails, it is removed again where it was made for it and nothing has come into it.
    """

    path: Path
    config: TrainingConfig
    resumed: Checkpoint | None = None
    notes: tuple[str, ...] = ()  # what is otherwise than when the run began
    lock: RunLock | None = field(default=None, repr=False, compare=False)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.lock is not None:
            self.lock.release()
        if error is not None:
            drop_empty_folders(self.path)

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    @property
    def best(self) -> Path:
        return self.path / BEST

    @property
    def log(self) -> Path:
        return self.path / LOG

    @property
    def settings(self) -> Path:
        return self.path / SETTINGS

    @property
    def held_out(self) -> Path:
        return self.path / HELD_OUT

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
            ema_accuracy=position.ema_accuracy,
            best_of=position.best_of,
            seconds=position.seconds,
            checkpoint=self.checkpoint,
            best=self.best,
            log=self.log,
        )


@refusing
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
    check_outside(config.dataset, path, config.dataset_options.get("labels"))
    make_folder(path, TrainingError)
    folder = RunFolder(path, config, lock=hold(path))
    present = [path / name for name in (CHECKPOINT, BEST, LOG, HELD_OUT) if (path / name).exists()]
    strange = [file for file in present if not file.is_file()]
    if strange:
        raise TrainingError(f"{strange[0]} is no file, and a run would write one there; choose another folder, or move it away")
    found = [file.name for file in present if file.stat().st_size]
    if CHECKPOINT in found:
        raise TrainingError(f"{path} already holds a run ({CHECKPOINT}); resume it, or choose another folder, or remove it")
    if found:
        raise TrainingError(f"{path} {_left_of_a_run(path, found)}; or choose another folder")
    return _cleared(folder)


def known(value: T | None) -> T:
    """A number of a position that there is by now."""
    assert value is not None, "the last epoch is always evaluated"
    return value


def _reopen(path: Path, config: TrainingConfig | None) -> RunFolder:
    if not (path / CHECKPOINT).is_file():
        found = [name for name in (BEST, LOG) if (path / name).is_file()]
        if found:
            raise TrainingError(f"there is no run to resume in {path}: it {_left_of_a_run(path, found)}")
        raise TrainingError(f"there is no run to resume in {path}: it has no {CHECKPOINT}. Start it without resuming first")
    make_folder(path, TrainingError)
    lock = hold(path)
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
    notes = tuple(f"{name} is {now!r} from here on, and was {then!r}" for name, now, then in changed)
    return _cleared(RunFolder(path, config if config is not None and changed else resumed.config, resumed, notes, lock))


def _left_of_a_run(path: Path, found: list[str]) -> str:
    """What a folder holds that has no checkpoint, and what can be done with it: the same, whatever was asked for."""
    holds = f"has {' and '.join(found)} of an earlier run, but no {CHECKPOINT}"
    if BEST in found and _is_run(path / BEST):
        return f"{holds}: to go on from its best epoch, copy {BEST} to {CHECKPOINT} and resume"
    if BEST in found:
        return f"{holds}, and cannot be resumed: to begin from its weights, give --weights {path / BEST} and another folder"
    return f"{holds}, and cannot be resumed: move {' and '.join(found)} away to begin anew"


def _is_run(path: Path) -> bool:
    """Whether a run could resume from this file."""
    try:
        read_checkpoint(path)
    except (CheckpointError, OSError):
        return False
    return True


def _cleared(folder: RunFolder) -> RunFolder:
    """The folder without what killed writes left in it. Not before it is ours: another run's writes may be under way."""
    for path in (folder.checkpoint, folder.best, folder.settings):
        remove_stale(path)
    return folder
