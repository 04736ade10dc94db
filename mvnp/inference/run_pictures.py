"""The pictures that a run has held out, for `mvnp validate RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.held_out import BEST, CHECKPOINT, HELD_OUT, LOG, read_held_out
from ..errors import DataError, InputError
from .class_folders import ClassFolders


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, and not one of pictures."""
    return (folder / BEST).is_file() and ((folder / CHECKPOINT).is_file() or (folder / HELD_OUT).is_file())


def held_out_pictures(run: Path, names: Sequence[str] | None) -> tuple[ClassFolders, str]:
    """Its test pictures or, where there are none, those that chose the best epoch, and what they are called.

    names    of the model's classes

    Raises DataError where the run lists none, or pictures are missing; InputError where the model's classes are others.
    """
    table = run / HELD_OUT
    if not table.is_file():
        raise DataError(
            f"{run} does not list the pictures that it held out: there were none, they are not in files of their own, or it is"
            f" of an earlier version. How often it was right is in {run / LOG}; or give a folder of pictures and --weights"
            f" {run / BEST}"
        )
    parts = read_held_out(table)
    part = "test" if "test" in parts else "val"
    rows = parts[part]
    missing = [str(path) for path, _ in rows if not path.is_file()]
    if missing:
        more = f", and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise DataError(
            f"{len(missing)} of the {len(rows)} pictures that {table} lists are not there: {', '.join(missing[:5])}{more};"
            " bring them back, or give a folder of pictures"
        )
    positions = {name: position for position, name in enumerate(names or ())}
    strange = [label for label in dict.fromkeys(label for _, label in rows) if label not in positions]
    if strange:
        raise InputError(
            f"the model has no class {strange[0]!r}, which pictures that {table} lists are of; are the weights another run's?"
        )
    present = {label for _, label in rows}
    classes = [name for name in positions if name in present]
    rows = sorted(rows, key=lambda row: positions[row[1]])  # class by class, as folders are; otherwise in their order
    labels = np.array([positions[label] for _, label in rows], np.int64)
    found = ClassFolders(
        run, tuple(classes), tuple(positions[name] for name in classes), tuple(path for path, _ in rows), labels
    )
    return found, "test" if part == "test" else "validation"
