"""A folder that has a folder of pictures for each class, and which class of the model each of them is.

A folder's name may be, in this order, the same kind for all of them:

    the name of a class       of the model's own or, of a thousand classes without names, ImageNet's. Case does not matter, and
                              a space or _ may stand for what folders cannot be called: T-shirt_top for T-shirt/top
    a WordNet id              n01440764, as ImageNet's own folders have; for a model of a thousand classes without names
    a number                  0, 1, 2 …, the position of the class

A model without names whose classes are as many as the folders takes these in the order of their names: as training with mvnp,
torchvision and timm do. Not all classes need a folder, but each folder needs a class.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..data.folder import TEST_NAMES, pictures_by_class
from ..errors import DataError, nearest, refusing
from .class_names import IMAGENET_CLASSES, wordnet_ids


@dataclass(frozen=True)
class ClassFolders:
    """Pictures whose class is known.

    folders    names of the folders, in natural order
    classes    which class of the model each folder is
    files      all pictures (n,), folder by folder
    labels     int64 (n,), their classes of the model
    passed_over    files in the folders that are no pictures, by extension
    images     the pictures themselves, uint8 (n, H, W, C), where they lie in no files: `files` then numbers them; None: they do
    """

    root: Path
    folders: tuple[str, ...]
    classes: tuple[int, ...]
    files: tuple[Path, ...]
    labels: np.ndarray
    passed_over: Counter[str] = field(default_factory=Counter)
    images: np.ndarray | None = None


@refusing
def find_class_folders(
    root: str | os.PathLike[str], count: int, names: Sequence[str] | None, imagenet: bool = False
) -> ClassFolders:
    """The class folders below `root`, for a model of `count` classes.

    names       of the classes; None: they have none
    imagenet    whether WordNet ids are meant by folders that have such names

    Raises DataError where `root` is no such folder, or a folder is of none of the classes.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{root} {what}, expected a folder that has a folder of pictures for each class")
    passed_over: Counter[str] = Counter()
    found = pictures_by_class(root, empty=True, passed_over=passed_over)
    classes = _matched(root, tuple(found), count, names, imagenet)
    labelled = [(path, label) for paths, label in zip(found.values(), classes, strict=True) for path in paths]
    if not labelled:
        raise DataError(f"{root}: no pictures in its {len(found)} folders; expected files such as {next(iter(found))}/1.jpg")
    labels = np.array([label for _, label in labelled], np.int64)
    return ClassFolders(root, tuple(found), classes, tuple(path for path, _ in labelled), labels, passed_over)


def _matched(root: Path, folders: tuple[str, ...], count: int, names: Sequence[str] | None, imagenet: bool) -> tuple[int, ...]:
    by_name = _positions(names or ())
    ways = [by_name]
    if imagenet and count == IMAGENET_CLASSES:
        ways.append(_positions(wordnet_ids()))
    ways.append(_positions(map(str, range(count))))
    for way in ways:
        if all(_key(folder) in way for folder in folders):
            return _unambiguous(root, folders, way)
    if names is None and len(folders) == count:
        if list(folders) != sorted(folders):
            first = next(name for name, other in zip(folders, sorted(folders), strict=True) if name != other)
            raise DataError(
                f"{root}: the model has no names for its {count} classes, and the order of the folders is not certain: letter"
                f" by letter, as torchvision sorts, {first!r} has another place than as people sort; give the names in the"
                " model's order (--classes FILE)"
            )
        return tuple(range(count))
    best = max(ways, key=lambda way: sum(_key(folder) in way for folder in folders))
    raise DataError(_mismatch(root, folders, count, names, best))


def _positions(names: Sequence[str] | map[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        found.setdefault(_key(name), []).append(position)
    return found


def _key(name: str) -> str:
    return re.sub(r"""[\s_/\\:*?"<>|]+""", " ", name).strip().casefold()


def _unambiguous(root: Path, folders: tuple[str, ...], way: dict[str, list[int]]) -> tuple[int, ...]:
    several = {folder: way[_key(folder)] for folder in folders if len(way[_key(folder)]) > 1}
    if several:
        folder, positions = next(iter(several.items()))
        raise DataError(
            f"{root}: {folder!r} is the name of the classes {' and '.join(map(str, positions))}; name the folders by number, or"
            " by WordNet id"
        )
    chosen = [way[_key(folder)][0] for folder in folders]
    if len(set(chosen)) < len(chosen):
        twice = [folder for folder in folders if chosen.count(way[_key(folder)][0]) > 1]
        raise DataError(f"{root}: the folders {', '.join(map(repr, twice))} are of the same class; merge them")
    return tuple(chosen)


def _mismatch(root: Path, folders: tuple[str, ...], count: int, names: Sequence[str] | None, best: dict[str, list[int]]) -> str:
    parts = [name for name in folders if name.lower() in ("train", *TEST_NAMES)]
    if len(parts) == len(folders):
        part = next((name for name in parts if name.lower() in TEST_NAMES), parts[0])
        return f"{root} has the parts {', '.join(parts)}, and no classes; give one of them: {root / part}"
    unknown = [folder for folder in folders if _key(folder) not in best]
    shown = ", ".join(repr(name) + nearest(name, names or ()) for name in unknown[:5]) + (", …" if len(unknown) > 5 else "")
    if names is None:
        return (
            f"{root} has {len(folders)} class folders ({shown}), but the model has {count} classes and no names for them;"
            f" expected {count} folders in the classes' order, or folders named 0 to {count - 1}, or the names in a file"
            " (--classes FILE)"
        )
    some = ", ".join(names[:5])
    more = f" and {count - 5} more" if count > 5 else ""
    return (
        f"{root}: {len(unknown)} of {len(folders)} folders are of no class of the model: {shown}; expected {some}{more}"
        + (", or WordNet ids" if count == IMAGENET_CLASSES else "")
        + f", or numbers from 0 to {count - 1}"
    )
