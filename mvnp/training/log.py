"""The log of a run: one JSON object a line.

    {"event": "step", "step", "epoch", "lr", "loss", "grad_norm", "apart", "grad_norm_by_depth"}
    {"event": "epoch", "step", "epoch", "train_loss", "test_loss", "test_accuracy", "test_mean_accuracy", "ema_loss",
     "ema_accuracy", "ema_mean_accuracy", "best_accuracy", "images_per_second", "waiting", "seconds"}
    {"event": "test", "step", "epoch", "loss", "accuracy", "mean_accuracy"}

The images of an epoch's `test_…` are those that choose the best epoch: the validation part where the data set has one. Then the
event "test" has the last word, once, about the best epoch and the test part. `mean_accuracy` is the mean of the classes'
accuracies.

`apart`, how far the prediction was from the teacher's, is there while there is one, and times its weight is a part of `loss`;
the norms by depth, from stem to head, are there in the last step of an epoch; what is of `ema` where weights are averaged.

Steps and epochs count from 1. Losses are in nats, accuracies shares of 1, `seconds` the time trained so far, over all
resumptions. A step that was skipped (mixed precision, loss_scale.py) has null for `grad_norm`; an epoch that was not evaluated
has null for all `test_…`. `waiting` is the share of the time that the steps of this epoch waited for their batches.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..data.regular import open_regular
from ..errors import TrainingError, refusing

# By event, what is a number in every line, and what may be null as well.
FIELDS = {"step": (("step", "loss", "lr"), ("grad_norm",)), "epoch": (("step", "epoch"), ("test_loss", "test_accuracy"))}


class RunLog:
    """Appends to a log file."""

    def __init__(self, path: Path, keep: int = 0) -> None:
        """Open the log and cut it back to its first `keep` bytes: what a killed run wrote later will be written again."""
        self._path = path
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise TrainingError(f"the log {path} is to be a file, and is not; move it away, or choose another folder")
        if keep and path.exists():
            _lines(path, keep)  # what is kept is still a log: told before anything is written
        self._file: BinaryIO = open(path, "ab")  # noqa: SIM115 (closed by `close`)
        present = self._file.seek(0, os.SEEK_END)
        self.lost = max(0, keep - present)  # bytes that should be there and are not
        self._file.truncate(min(keep, present))
        self.size = min(keep, present)

    def write(self, **fields: Any) -> None:
        """One line, visible to whoever follows the file at once."""
        line = json.dumps(fields).encode() + b"\n"
        with self._named():
            self._file.write(line)
            self._file.flush()
        self.size += len(line)

    def sync(self) -> int:
        """Bring all lines to the disk; gives the size that the log then has there."""
        with self._named():
            os.fsync(self._file.fileno())
        return self.size

    def close(self) -> None:
        with self._named():
            self._file.close()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """An error that tells which file could not be written."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error


class NoLog(RunLog):
    """Of a rank that writes nothing."""

    def __init__(self) -> None:
        self.lost = self.size = 0

    def write(self, **fields: Any) -> None:
        pass

    def sync(self) -> int:
        return 0

    def close(self) -> None:
        pass


@refusing
def read_log(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a log. A last line that is not whole, of a run that is still writing or was killed, is left out.

    Raises TrainingError that names the line where one is no line of a log, OSError where there is no such file.
    """
    return _lines(path, -1)


def _lines(path: str | os.PathLike[str], size: int) -> list[dict[str, Any]]:
    with open_regular(path) as file:
        lines = file.read(size).split(b"\n")[:-1]
    return [_parsed(path, number, line) for number, line in enumerate(lines, 1)]


def _parsed(path: str | os.PathLike[str], number: int, line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line, parse_constant=_refused)
        if not isinstance(fields, dict):
            raise TypeError(f"a {type(fields).__name__}")
        event = str(fields.get("event"))
        numbers, maybe = FIELDS.get(event, ((), ()))
        if not all(_is_number(fields[name]) for name in numbers) or not all(
            fields[name] is None or _is_number(fields[name]) for name in maybe
        ):
            raise ValueError(f"the fields of {event!r} are not numbers")
        return fields
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        text = line[:40].decode("ascii", "backslashreplace")
        raise TrainingError(
            f"{os.fspath(path)} is damaged: line {number}, {text!r}, is no line of a training log; put back a copy of the file,"
            " or move it away"
        ) from error


def _refused(constant: str) -> None:
    raise ValueError(constant)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
