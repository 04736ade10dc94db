"""Where data sets come from: two names, files and folders of several kinds, a folder of pictures.

    train_set, test_set = load_dataset()                          # the part of Fashion-MNIST that ships with mvnp
    train_set, test_set = load_dataset("fashion-mnist")           # all of it, from Debian's dataset-fashion-mnist
    train_set, test_set = load_dataset("folder/of/idx/files")     # MNIST, KMNIST, EMNIST under their usual file names
    train_set, test_set = load_dataset("cifar-10-batches-py")     # CIFAR-10 and -100, unpacked, of either version
    train_set, test_set = load_dataset("pathmnist.npz")           # MedMNIST, and others of its names
    train_set, test_set = load_dataset("folder/of/pictures")      # a folder for each class
    train_set, test_set = load_dataset("folder", labels="labels.csv")

`load_parts` gives all parts that there are: where there is a validation part, it is for choosing the best epoch, and the test
part for a last word.
"""

from __future__ import annotations

import os
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, InputError, check_path, is_number, nearest, printable, refusing, shown
from ..models.variants import IMAGENET_MEAN, IMAGENET_STD
from . import fashion_mnist
from .cifar import FOLDERS as CIFAR_FOLDERS
from .cifar import is_cifar, read_cifar
from .dataset import Dataset, chosen_classes, statistics
from .folder import (
    ALL_ALIKE,
    Found,
    ImageFiles,
    Size,
    damaged_error,
    find_parts,
    has_pictures_by_class,
    in_words,
    labelled_parts,
    sides_of,
)
from .idx import read_idx
from .image_file import MAX_BYTES
from .labels_csv import read_labels
from .npz_set import read_npz_set
from .picture import FOUND_RANGES, ValueRange, bands_of, checked_range, found_range, read_picture
from .regular import is_regular

NAMES = ("fashion-mnist-small", "fashion-mnist")
KEPT_BYTES = 2**29  # pictures are decoded once and kept up to this size; beyond it they are decoded for each batch
MOST_BANDS = 2**16
LOOKED_AT = 1000  # pictures, evenly chosen, whose sizes and values stand for those of all

# train-images-idx3-ubyte, emnist-letters-test-labels-idx1-ubyte.gz and the like
_IDX_NAME = re.compile(r"(?:(emnist-[a-z]+)-)?(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")


@dataclass(frozen=True)
class DataParts:
    """A data set.

    val      chooses the best epoch; None: there is none
    test     for a last word or, where there is no `val`, for choosing as well; None: there is none
    notes    what was found, in words
    """

    train: Dataset
    val: Dataset | None = None
    test: Dataset | None = None
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Any:
        return iter([part for part in (self.train, self.val, self.test) if part is not None])

    @property
    def chooser(self) -> Dataset | None:
        """The part that chooses the best epoch."""
        return self.val or self.test


@refusing
def load_dataset(spec: str | os.PathLike[str] = NAMES[0], **options: Any) -> tuple[Dataset, Dataset]:
    """The training and the test part of a data set, or its validation part where it has no other. See `load_parts`."""
    parts = load_parts(spec, **options)
    second = parts.test or parts.val
    if second is None:
        raise InputError("load_dataset: with held_out=0 there is no second part to give; load_parts gives the first alone")
    return parts.train, second


@refusing
def load_parts(
    spec: str | os.PathLike[str] = NAMES[0],
    *,
    image_size: Size = 224,
    channels: int | None = None,
    held_out: float = 0.2,
    seed: int = 0,
    classes: Sequence[str | int] | None = None,
    value_range: ValueRange = None,
    labels: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
    skip_damaged: bool = False,
    max_bytes: int = MAX_BYTES,
    whole: bool = False,
) -> DataParts:
    """All parts of a data set.

    spec          a name: "fashion-mnist-small", "fashion-mnist"; or a folder of IDX files, of CIFAR, or of pictures; or an .npz
                  file. A folder that has one of the names is meant by "./fashion-mnist".
    classes       only these, in this order, by name or by their number from 0; None: all. Means and deviations remain those
                  of all.

    For a folder of pictures only:
    image_size    side, or (H, W), that each picture is brought to: resized to cover it, the centre cut out
    channels      3: colour; 1: grey; n: pictures of n bands; None: as many as they have, of photographs 3
    held_out      share of each class kept for testing, where there is no folder for it; 0: none
    seed          of that choice
    value_range   which stored values are black and white: (0, 4095) say; "auto" or "percentile": looked for in the training
                  pictures (picture.py)
    labels        a table of them (labels_csv.py), in place of a folder for each class
    columns       the names of its columns, where they are not found
    skip_damaged  go on without pictures that cannot be read
    max_bytes     what one picture may take once it is decoded
    whole         training pictures stay on the disk, so that parts can be cut out of all of each (`ImageFiles.whole`)

    Raises DataError that says what is missing or damaged, and where, all pictures of it by name; InputError for an option that
    cannot be.
    """
    check_path("load_dataset", spec, f"a folder, or one of {', '.join(NAMES)}")
    if classes is not None and not isinstance(classes, Sequence):
        raise InputError(f"load_dataset: classes is {shown(classes)}, expected names or numbers of classes, in a list")
    sides = image_size if isinstance(image_size, list | tuple) else (image_size, image_size)
    sized = len(sides) == 2 and all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in sides)
    bands = channels is None or (type(channels) is int and 1 <= channels <= MOST_BANDS)
    if not sized or not bands or not is_number(held_out) or not 0.0 <= held_out < 1.0:
        raise InputError(
            f"load_dataset: image_size={shown(image_size)}, channels={shown(channels)}, held_out={shown(held_out)}; expected"
            f" image_size of at least 1, or (H, W), channels from 1 to {MOST_BANDS}, held_out of at least 0 and below 1"
        )
    if columns is not None and labels is None:
        raise InputError("load_dataset: columns are of a table of labels, and there is none; give it with labels= (--labels)")
    value_range = checked_range("load_dataset", value_range)
    reading = {"channels": channels, "value_range": value_range, "skip_damaged": skip_damaged, "max_bytes": max_bytes}
    reading["whole"] = whole
    size = (sides[0], sides[1]) if sides[0] != sides[1] else sides[0]
    parts = _load(os.fspath(spec), size, held_out, seed, labels, columns, reading)
    if classes is None:
        return parts
    numbers = _class_numbers(parts.train, classes)
    some = {part.part: chosen_classes(part, numbers) for part in parts}
    chosen = ", ".join(map(printable, some["train"].classes))
    return replace(parts, **some, notes=(*parts.notes, f"of these, the classes {chosen} alone"))


def check_outside(spec: str, out: Path, labels: str | None = None) -> None:
    """Raise InputError for a folder to write into that would be taken for a class of a data set of pictures: it lies among
    the folders of its classes, or in one. With a table of `labels` folders are no classes."""
    folder, out_ = Path(os.path.expanduser(spec)).resolve(), out.resolve()
    inside = [above for above in (out_, *out_.parents) if above == folder or folder in above.parents]
    if spec in NAMES or labels is not None or not inside:
        return
    of_arrays = _idx_files(folder) or any(is_cifar(folder / inner) for inner in ("", *CIFAR_FOLDERS))
    if not of_arrays and any(map(has_pictures_by_class, inside)):
        raise InputError(
            f"--out {printable(out)} lies among the pictures of {printable(spec)}, where it would be taken for one of their"
            " classes; choose a folder outside of it"
        )


def _class_numbers(dataset: Dataset, classes: Sequence[str | int]) -> list[int]:
    """The positions in `dataset.classes` of classes that are given by name, or by position."""
    known = {name: number for number, name in enumerate(dataset.classes)}
    by_number = {str(number): number for number in range(len(known))}
    numbers = []
    for each in [classes] if isinstance(classes, str) else classes:
        number = known.get(str(each), by_number.get(str(each)))
        if number is None:
            listed = ", ".join(f"{number} {name}" for name, number in known.items())
            raise InputError(f"{dataset.name} has no class {each!r}{nearest(each, known)}; choose from {listed}")
        numbers.append(number)
    if len(numbers) < 2 or len(set(numbers)) < len(numbers):
        raise InputError(f"{dataset.name}: classes are {', '.join(map(str, classes))}; expected at least two, each once")
    return numbers


def _load(
    name: str,
    size: Size,
    held_out: float,
    seed: int,
    labels: str | os.PathLike[str] | None,
    columns: Mapping[str, str] | None,
    reading: dict[str, Any],
) -> DataParts:
    if labels is None and name == "fashion-mnist-small":
        return _load_idx(name, fashion_mnist.SUBSET, known=True)
    if labels is None and name == "fashion-mnist":
        if not fashion_mnist.FULL.is_dir():
            raise DataError(_no_full_set(fashion_mnist.FULL))
        return _load_idx(name, fashion_mnist.FULL, known=True)
    folder = Path(os.path.expanduser(name))
    if name and _idx_files(folder.parent, folder.name):
        return _load_idx(folder.name, folder.parent, known=False, prefix=folder.name)
    if name == "" or not folder.exists():
        raise DataError(
            f"no data set and no folder {name!r}{nearest(name, NAMES)}; give {', '.join(NAMES)}, a folder of IDX files or of"
            " CIFAR, an .npz file, or a folder that has a folder of pictures for each class"
        )
    if not folder.is_dir():
        if folder.suffix.lower() == ".npz" and is_regular(folder):
            return _arrays(folder.stem, read_npz_set(folder))
        advice = "give the folder that it is in"
        if folder.suffix.lower() in (".csv", ".tsv", ".txt") and labels is None:
            advice = f"give the folder of the pictures, and as the table of their labels --labels {folder} (labels in Python)"
        elif folder.name.endswith((".tar.gz", ".tgz", ".zip", ".tar")):
            advice = "unpack it, and give the folder"
        raise DataError(f"{folder} is a file; {advice}")
    if labels is not None:
        found = labelled_parts(folder, read_labels(Path(labels).expanduser(), folder, columns), held_out, seed)
        return _load_pictures(folder, *found, size, reading, Counter())
    inner = next((folder / inner for inner in CIFAR_FOLDERS if is_cifar(folder / inner)), folder)
    if is_cifar(inner):
        names, parts = read_cifar(inner)
        return _arrays(inner.name, parts, names)
    prefixes = _idx_files(folder)
    if len(prefixes) > 1:
        listed = ", ".join(str(folder / prefix) for prefix in prefixes)
        raise DataError(f"{folder} has the files of several data sets; give one of {listed}")
    if prefixes:
        return _load_idx(folder.name or str(folder), folder, known=False, prefix=prefixes[0])
    passed_over: Counter[str] = Counter()
    return _load_pictures(folder, *find_parts(folder, held_out, seed, passed_over), size, reading, passed_over)


def _idx_files(folder: Path, prefix: str | None = None) -> list[str]:
    """What the names of IDX files in a folder begin with: nothing, or emnist-letters and the like."""
    if (prefix is not None and not prefix.startswith("emnist-")) or not folder.is_dir():
        return []
    matches = (_IDX_NAME.fullmatch(entry.name) for entry in folder.iterdir())
    found = {match[1] or "" for match in matches if match}
    return sorted(found if prefix is None else found & {prefix})


def _arrays(name: str, parts: Mapping[str, tuple[np.ndarray, np.ndarray]], names: tuple[str, ...] | None = None) -> DataParts:
    """Parts that are arrays. Without names, classes are called by their numbers."""
    images, labels = parts["train"]
    classes = names or tuple(str(label) for label in range(int(labels.max()) + 1))
    if len(np.unique(labels)) < 2:
        raise DataError(f"{name}: all training labels are {labels[0]}; expected at least two classes")
    mean, std = statistics(images)
    made = {part: Dataset(name, part, *arrays, classes, mean, std) for part, arrays in parts.items()}
    return DataParts(**made, notes=(_found(made, f"{_by(images.shape[1:3])} pixels, {_bands(images.shape[3])}"),))


def _load_idx(name: str, folder: Path, known: bool, prefix: str = "") -> DataParts:
    """The four files of a folder. `known`: they are of Fashion-MNIST; otherwise their labels tell."""
    images, labels = {}, {}
    second = "test" if prefix else "t10k"
    for part in ("train", second):
        image_file, label_file = _idx_file(folder, part, "images", prefix), _idx_file(folder, part, "labels", prefix)
        images[part] = read_idx(image_file, dtype="uint8", ndim=3)[..., None]
        labels[part] = read_idx(label_file, dtype="uint8", ndim=1).astype(np.int64)
        if len(images[part]) != len(labels[part]):
            raise DataError(
                f"{image_file} holds {len(images[part])} images but {label_file.name} {len(labels[part])} labels;"
                " expected as many of each: are they of the same data set?"
            )
        if images[part].size == 0:
            raise DataError(f"{image_file}: holds images of shape {images[part].shape[:3]}, expected at least one with pixels")
    if images["train"].shape[1:] != images[second].shape[1:]:
        sizes = " and ".join(_by(images[part].shape[1:3]) for part in ("train", second))
        raise DataError(f"{folder}: training and test images are of different sizes, {sizes}; are they of the same data set?")
    names = None
    if prefix:  # EMNIST stores columns as rows, and counts its letters from 1
        images = {part: np.ascontiguousarray(stored.transpose(0, 2, 1, 3)) for part, stored in images.items()}
        first = int(labels["train"].min())
        labels = {part: stored - first for part, stored in labels.items()}
        names = _emnist_names(folder / f"{prefix}-mapping.txt", first, int(labels["train"].max()) + 1)
    parts = {"train": (images["train"], labels["train"]), "test": (images[second], labels[second])}
    if known or zlib.crc32(labels["train"].astype(np.uint8).tobytes()) == fashion_mnist.LABELS_CRC:
        classes, mean, std = fashion_mnist.CLASSES, fashion_mnist.MEAN, fashion_mnist.STD
        made = {part: Dataset(name, part, *arrays, classes, mean, std) for part, arrays in parts.items()}
        return DataParts(**made, notes=(_found(made, "28x28 pixels, grey"),))
    return _arrays(name, parts, names)


def _emnist_names(mapping: Path, first: int, count: int) -> tuple[str, ...]:
    """The letters and digits that the classes are, from the table beside them: label, code, and for letters the small one's."""
    names = {}
    if is_regular(mapping) and mapping.stat().st_size < 2**16:
        for line in mapping.read_text(encoding="ascii", errors="replace").splitlines():
            numbers = line.split()
            if len(numbers) >= 2 and all(number.isascii() and number.isdigit() and len(number) < 5 for number in numbers):
                names[int(numbers[0]) - first] = chr(int(numbers[1]))
    found = tuple(names.get(label, str(label + first)) for label in range(count))
    return found if len(set(found)) == count else tuple(str(label + first) for label in range(count))


def _idx_file(folder: Path, part: str, what: str, prefix: str) -> Path:
    begin = f"{prefix}-" if prefix else ""
    usual = f"{begin}{part}-{what}-idx{3 if what == 'images' else 1}-ubyte"
    for stem in (usual, usual.replace("-idx", ".idx")):
        for file in (folder / f"{stem}.gz", folder / stem):
            if is_regular(file):
                return file
    parts = "train and test" if prefix else "train and t10k"
    raise DataError(f"{folder}: has no {usual}.gz (or without .gz); expected images and labels of {parts}, four files")


def _load_pictures(
    folder: Path,
    classes: tuple[str, ...],
    parts: dict[str, Found],
    size: Size,
    reading: dict[str, Any],
    passed_over: Counter[str],
) -> DataParts:
    paths = [path for found in parts.values() for path in found.paths]
    seen = _survey(paths, reading["max_bytes"])
    channels = reading["channels"] or seen.channels()
    value_range = reading["value_range"]
    if value_range in FOUND_RANGES:
        value_range = _range_of(parts["train"].paths, value_range, channels, reading["max_bytes"])
    deep = value_range is not None or channels not in (1, 3) or seen.deep
    files = {
        part: ImageFiles(found.paths, size, channels, value_range, deep, reading["max_bytes"]) for part, found in parts.items()
    }
    keep = sum(each.nbytes for each in files.values()) <= KEPT_BYTES
    images: dict[str, np.ndarray | ImageFiles] = {}
    damaged: dict[Path, DataError] = {}
    for part, stored in files.items():
        in_memory = keep and not (reading["whole"] and part == "train")
        images[part], broken = _decoded(stored) if in_memory else (stored, stored.broken() if reading["skip_damaged"] else {})
        damaged.update({stored.paths[position]: error for position, error in broken.items()})
    if damaged and (not reading["skip_damaged"] or len(damaged) == len(paths)):
        raise damaged_error(dict(enumerate(damaged.values())), tuple(paths))
    if damaged:
        images, parts = _without(images, parts, set(damaged))
        if len(np.unique(parts["train"].labels)) < 2:
            raise DataError(f"{folder}: without the {len(damaged)} damaged pictures there is less than two classes to train on")
    if channels == 3 and not deep:
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    else:  # of some, evenly chosen, so that a large folder need not be read twice
        mean, std = statistics(images["train"], most=LOOKED_AT)  # type: ignore[assignment]
    name = folder.resolve().name or str(folder)
    made = {
        part: Dataset(name, part, images[part], found.labels, classes, mean, std, value_range, found.paths)
        for part, found in parts.items()
    }
    notes = [_found(made, f"{seen.in_words()}, given at {_by(sides_of(size))}, {_bands(channels)}")]
    if value_range is not None:
        notes.append(f"the values {value_range[0]:g} to {value_range[1]:g} are black to white")
    if passed_over:
        notes.append(f"passed over: {in_words(passed_over)}")
    notes += [f"left out: {error}" for error in damaged.values()]
    return DataParts(**made, notes=tuple(notes))


@dataclass(frozen=True)
class _Survey:
    """What the headers of some pictures say: {(height, width)}, {bands: a picture of so many}, {depths}."""

    sizes: set[tuple[int, int]]
    bands: dict[int, Path]
    depths: set[str]
    all: bool

    @property
    def deep(self) -> bool:
        """Whether some have more than 8 bits in a way that 8 bits cannot hold."""
        return bool(self.depths - {"8 bits", "16 bits"})

    def channels(self) -> int:
        """As many as the pictures have; 3 for photographs, grey or not. Raises DataError where they disagree."""
        several = {bands: path for bands, path in self.bands.items() if bands not in (1, 3)}
        if not several:
            return 3
        if len(self.bands) > 1:
            examples = " and ".join(f"{bands} ({path.name})" for bands, path in sorted(self.bands.items())[:3])
            raise DataError(
                f"{next(iter(several.values())).parent}: the pictures have different numbers of bands, {examples}; expected"
                " one: move the others away, or say which with --channels (channels in Python)"
            )
        return next(iter(several))

    def in_words(self) -> str:
        if not self.sizes:
            return "of no known size"
        heights, widths = zip(*sorted(self.sizes), strict=True)
        small, large = (min(heights), min(widths)), (max(heights), max(widths))
        some = "" if self.all else "about "
        sizes = f"{_by(small)}" if small == large else f"{_by(small)} to {_by(large)}"
        return f"{some}{sizes} pixels of {' and '.join(sorted(self.depths))}"


def _survey(paths: Sequence[Path], max_bytes: int) -> _Survey:
    step = max(1, -(-len(paths) // LOOKED_AT))
    sizes: set[tuple[int, int]] = set()
    bands: dict[int, Path] = {}
    depths: set[str] = set()
    for path in paths[::step]:
        try:
            height, width, count, depth = bands_of(path, max_bytes)
        except DataError:  # told where it is decoded
            continue
        sizes.add((height, width))
        bands.setdefault(count, path)
        depths.add(depth)
    return _Survey(sizes, bands, depths, step == 1)


def _range_of(paths: Sequence[Path], how: str, channels: int, max_bytes: int) -> tuple[float, float]:
    """The range that "auto" or "percentile" find in the training pictures, or in a thousand of them, evenly chosen."""
    step = max(1, -(-len(paths) // LOOKED_AT))
    found = []
    for path in paths[::step]:
        try:
            values = np.asarray(read_picture(path, channels, (0.0, 1.0), max_bytes=max_bytes)).ravel()
        except DataError:
            continue
        if how == "auto":
            found.append(np.array([values.min(), values.max()], np.float64))
        else:
            found.append(values[:: max(1, len(values) // _VALUES_EACH)].astype(np.float64))
    if not found:
        raise DataError(f"none of the training pictures could be read, {paths[0]} for one")
    values = np.concatenate(found)
    if not np.isfinite(values).all():
        raise DataError(
            "some values of the training pictures are not finite (NaN or infinite); give --range min:max, or fill them in"
        )
    return found_range(values, how)


_VALUES_EACH = 10_000  # of a picture, evenly chosen, that percentiles are taken of


def _decoded(files: ImageFiles) -> tuple[np.ndarray, dict[int, DataError]]:
    """All pictures in memory, and those that could not be read, which are black."""
    images = np.zeros(files.shape, files.dtype)
    broken = {}
    for position in range(len(files)):
        try:
            images[position] = files.read(position)
        except DataError as error:
            broken[position] = error
            if len(broken) == position + 1 == ALL_ALIKE:
                raise damaged_error(broken, files.paths) from error
    return images, broken


def _without(images: dict[str, Any], parts: dict[str, Found], damaged: set[Path]) -> tuple[dict[str, Any], dict[str, Found]]:
    for part, found in parts.items():
        kept = np.array([position for position, path in enumerate(found.paths) if path not in damaged], np.int64)
        if not len(kept):
            raise DataError(f"none of the {len(found.paths)} pictures of the part {part} can be read")
        files = images[part]
        images = {**images, part: files.chosen(kept) if isinstance(files, ImageFiles) else files[kept]}
        parts = {**parts, part: Found(tuple(found.paths[position] for position in kept), found.labels[kept])}
    return images, parts


_PURPOSES = {"train": "to train", "val": "to choose the best epoch", "test": "to test"}


def _found(parts: Mapping[str, Dataset], pictures: str) -> str:
    """`pets: 40 pictures of 2 classes (cat 20, dog 20), 32 to train, 8 to test; 64x48 pixels …`"""
    train = next(iter(parts.values()))
    total = np.sum([part.counts for part in parts.values()], axis=0)
    listed = ", ".join(f"{printable(name)} {count}" for name, count in list(zip(train.classes, total, strict=True))[:10])
    more = ", …" if len(train.classes) > 10 else ""
    shares = ", ".join(f"{len(part):,} {_PURPOSES[name]}" for name, part in parts.items())
    classes = f"{len(train.classes)} classes ({listed}{more})"
    return f"{printable(train.name)}: {total.sum():,} pictures of {classes}, {shares}; {pictures}"


def _by(sides: Sequence[int]) -> str:
    return f"{sides[0]}x{sides[1]}"


def _bands(channels: int) -> str:
    return {1: "grey", 3: "colour"}.get(channels, f"{channels} bands")


def _no_full_set(place: Path) -> str:
    return (
        f"the full Fashion-MNIST is not installed: there is no folder {place}. On Debian or Ubuntu, `apt install"
        " dataset-fashion-mnist`; elsewhere, give the folder of its four files (train-images-idx3-ubyte.gz and so on) in"
        " place of the name. fashion-mnist-small ships with mvnp and needs no installation"
    )
