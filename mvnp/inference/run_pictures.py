"""The pictures that a run has held out, for `mvnp validate RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data import Dataset
from ..data.held_out import BEST, CHECKPOINT, HELD_OUT, read_held_out
from ..errors import DataError, InputError
from .class_folders import ClassFolders


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, and not one of pictures."""
    return (folder / BEST).is_file() and ((folder / CHECKPOINT).is_file() or (folder / HELD_OUT).is_file())


def held_out_pictures(run: Path, names: Sequence[str] | None) -> tuple[ClassFolders, str]:
    """Its test pictures or, where there are none, those that chose the best epoch, and what they are called.

    names    of the model's classes

    Raises DataError for a damaged list, and where pictures are missing; InputError where the model's classes are others.
    """
    table = run / HELD_OUT
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
    classes, labels, order = _in_classes([label for _, label in rows], names, f"pictures that {table} lists")
    files = tuple(rows[position][0] for position in order)
    return ClassFolders(run, *classes, files, labels), "test" if part == "test" else "validation"


def held_out_arrays(run: Path, data: Dataset, names: Sequence[str] | None) -> tuple[ClassFolders, str]:
    """The same of pictures that lie in no files of their own: `data` has them (training/run_data.py)."""
    labelled = [data.classes[label] for label in data.labels.tolist()]
    classes, labels, order = _in_classes(labelled, names, f"pictures of {data.name}")
    files = tuple(Path(data.name, data.part, str(position)) for position in order)
    return ClassFolders(run, *classes, files, labels, images=data.images[order]), "validation" if data.part == "val" else "test"


def _in_classes(
    labelled: Sequence[str], names: Sequence[str] | None, what: str
) -> tuple[tuple[tuple[str, ...], tuple[int, ...]], np.ndarray, list[int]]:
    """(names, positions) of the classes that there are; labels and order of the pictures, class by class, as folders are."""
    positions = {name: position for position, name in enumerate(names or ())}
    strange = [label for label in dict.fromkeys(labelled) if label not in positions]
    if strange:
        raise InputError(f"the model has no class {strange[0]!r}, which {what} are of; are the weights another run's?")
    present = set(labelled)
    classes = tuple(name for name in positions if name in present)
    order = sorted(range(len(labelled)), key=lambda position: positions[labelled[position]])  # otherwise in their order
    labels = np.array([positions[labelled[position]] for position in order], np.int64)
    return (classes, tuple(positions[name] for name in classes)), labels, order
