"""The log of a run: one JSON object a line.

    {"event": "step", "step", "epoch", "lr", "loss", "grad_norm"}
    {"event": "epoch", "step", "epoch", "train_loss", "test_loss", "test_accuracy", "test_mean_accuracy", "best_accuracy",
     "images_per_second", "seconds"}
    {"event": "test", "step", "epoch", "loss", "accuracy", "mean_accuracy"}

The images of an epoch's `test_…` are those that choose the best epoch: the validation part where the data set has one. Then the
event "test" has the last word, once, about the best epoch and the test part. `mean_accuracy` is the mean of the classes'
accuracies.

Steps and epochs count from 1. Losses are in nats, accuracies shares of 1, `seconds` the time trained so far, over all
resumptions. A step that was skipped (mixed precision, loss_scale.py) has null for `grad_norm`; an epoch that was not evaluated
has null for all `test_…`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO


class RunLog:
    """Appends to a log file."""

    def __init__(self, path: Path, keep: int = 0) -> None:
        """Open the log and cut it back to its first `keep` bytes: what a killed run wrote later will be written again."""
        self._file: BinaryIO = open(path, "ab")  # noqa: SIM115 (closed by `close`)
        present = self._file.seek(0, os.SEEK_END)
        self.lost = max(0, keep - present)  # bytes that should be there and are not
        self._file.truncate(min(keep, present))
        self.size = min(keep, present)

    def write(self, **fields: Any) -> None:
        """One line, visible to whoever follows the file at once."""
        line = json.dumps(fields).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        self.size += len(line)

    def sync(self) -> int:
        """Bring all lines to the disk; gives the size that the log then has there."""
        os.fsync(self._file.fileno())
        return self.size

    def close(self) -> None:
        self._file.close()


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


def read_log(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a log. A last line that is not whole, of a run that is still writing or was killed, is left out."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return [json.loads(line) for line in text.split("\n")[:-1]]
