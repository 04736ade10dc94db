"""How often a model is right, on pictures whose class is known. Can be interrupted, and goes on with the same result."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data import ImageTransform
from ..data.image_file import MAX_BYTES
from ..errors import DataError, MvnpError, refusing
from ..execution.stopping import StopRequest
from ..models.classifier import Classifier
from .class_folders import ClassFolders
from .classify import check_head, logits_of
from .pictures import OnBroken, PictureBatch, array_batches, picture_batches
from .validation_state import ValidationState, fingerprint

SAVE_EVERY = 15.0  # seconds


class ValidationInterrupted(MvnpError, RuntimeError):
    """It was asked to stop, and has saved what it found. `signal` says by what; a shell expects status 128 + signal."""

    def __init__(self, message: str, signal: signal.Signals) -> None:
        super().__init__(message)
        self.signal = signal


@dataclass(frozen=True)
class Validation:
    """What was found.

    found      the pictures, their folders and classes
    best       int64 (n,), the likeliest class of each picture; −1: it could not be read, and does not count
    rank       int64 (n,), how many classes were likelier than the right one; −1 likewise
    broken     {position: why it could not be read}
    """

    found: ClassFolders
    num_classes: int
    best: np.ndarray
    rank: np.ndarray
    broken: dict[int, str]

    @property
    def counted(self) -> int:
        """Pictures that could be read."""
        return int((self.rank >= 0).sum())

    def right(self, k: int, label: int | None = None) -> int:
        """Pictures, of one class or of all, whose class is among the `k` likeliest."""
        of = np.ones(len(self.rank), bool) if label is None else self.found.labels == label
        return int(((self.rank >= 0) & (self.rank < k) & of).sum())

    @property
    def mean_accuracy(self) -> float:
        """The mean over the classes, of those that have pictures, of the share that is right: rare ones count as much."""
        counted = [(self.right(1, label), self._pictures(label)) for label in self.found.classes]
        return float(np.mean([right / pictures for right, pictures in counted if pictures]))

    def _pictures(self, label: int) -> int:
        return int(((self.found.labels == label) & (self.rank >= 0)).sum())

    def confusion(self) -> np.ndarray:
        """int64 (folders, folders + 1): rows what pictures are, columns what they were taken for, last what has no folder."""
        F = len(self.found.folders)
        column = np.full(self.num_classes, F)
        column[list(self.found.classes)] = np.arange(F)
        counts = np.zeros((F, F + 1), np.int64)
        read = self.best >= 0
        np.add.at(counts, (column[self.found.labels[read]], column[self.best[read]]), 1)
        return counts

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        rows = []
        for folder, label in zip(self.found.folders, self.found.classes, strict=True):
            pictures = self._pictures(label)
            rows.append(
                {
                    "folder": folder,
                    "class": label,
                    "pictures": pictures,
                    "top1": self.right(1, label) / pictures if pictures else None,
                    "top5": self.right(5, label) / pictures if pictures else None,
                }
            )
        return {
            "pictures": self.counted,
            "top1": self.right(1) / self.counted,
            "top5": self.right(5) / self.counted,
            "mean_of_classes": self.mean_accuracy,
            "classes": rows,
            "left_out": {str(self.found.files[position]): why for position, why in self.broken.items()},
        }


@refusing
def validate(
    model: Classifier,
    found: ClassFolders,
    transform: ImageTransform,
    batch_size: int = 16,
    state_file: Path | None = None,
    on_start: Callable[[int], None] | None = None,
    on_batch: Callable[[PictureBatch, float], None] | None = None,
    on_broken: OnBroken | None = None,
    announce: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Validation:
    """Ask the model about every picture.

    state_file    written now and then and on Ctrl-C, and gone on from where it is there already; None: none of it
    on_start      told how many pictures were done before
    on_batch      told of each batch, and of the share that is right so far
    on_broken     told of each picture that cannot be read; it is left out of all counts
    max_bytes     what one picture may take once it is decoded
    announce      say on standard error that Ctrl-C was heard, while the batch is finished

    A rank counts the classes with a larger logit, and those with the same one that come first. Raises ValidationInterrupted on
    Ctrl-C; CheckpointError where the state is of other weights or pictures, or logits are not finite; DataError where no
    picture could be read; InputError for a model without a head.
    """
    check_head(model)
    state, of = ValidationState(len(found.files)), {}
    if state_file is not None:
        of = fingerprint(model, transform, found)
        if state_file.exists():
            state = ValidationState.load(state_file, of, len(found.files), model.num_classes)
    if on_start is not None:
        on_start(state.done)

    def note_broken(position: int, error: DataError) -> None:
        state.broken[position] = str(error)
        if on_broken is not None:
            on_broken(position, error)

    batches = (
        picture_batches(found.files, transform, batch_size, note_broken, state.done, max_bytes)
        if found.images is None
        else array_batches(found.images, transform, batch_size, state.done)
    )
    saved = time.monotonic()
    with StopRequest(announce) as stop:
        for batch in batches:
            if batch.positions:
                positions = list(batch.positions)
                logits = logits_of(model, batch, found.files)
                state.best[positions], state.rank[positions] = _best_and_rank(logits, found.labels[positions])
            state.done = batch.stop
            if on_batch is not None:
                on_batch(batch, _share(state))
            if state_file is not None and (stop.signal or time.monotonic() - saved > SAVE_EVERY):
                state.save(state_file, of)
                saved = time.monotonic()
            if stop.signal is not None:
                raise ValidationInterrupted(_stopped(state, state_file, len(found.files), stop.signal), stop.signal)
    if len(state.broken) == len(found.files):
        raise DataError(f"none of the {len(found.files)} pictures below {found.root} could be read")
    return Validation(found, model.num_classes, state.best, state.rank, state.broken)


def _best_and_rank(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    before = np.arange(logits.shape[1]) < labels[:, None]
    return logits.argmax(axis=1), ((logits > own) | ((logits == own) & before)).sum(axis=1)


def _share(state: ValidationState) -> float:
    read = state.rank[state.rank >= 0]
    return float((read == 0).mean()) if len(read) else 0.0


def _stopped(state: ValidationState, state_file: Path | None, count: int, by: signal.Signals) -> str:
    how = "Ctrl-C" if by == signal.SIGINT else by.name
    kept = "nothing is kept" if state_file is None else "the same command goes on from there"
    return f"stopped by {how} after {state.done} of {count} pictures; {kept}"
