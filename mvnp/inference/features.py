"""Features of many pictures in one .npz file, however many there are.

    pooled               (n, width)     what the classifier sees
    stage0 … stage3      (n, C, H, W)   the maps of the stages; of MambaVision each before its downsampling
    files                (n,)           where row by row they come from

A zip file's entries are written one after the other, but each batch adds to all of them. So the batches go to nameless
temporary files beside the target, one an array, and from there in large pieces into the .npz, which gets its name at the end.
Memory holds one batch; the disk, for a moment, everything twice.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
from numpy.lib import format as npy

from ..atomic import write_with
from ..backend import from_numpy, to_numpy
from ..data import ImageTransform
from ..data.image_file import MAX_BYTES
from ..errors import DataError, InputError, check_choice, refusing
from ..models.backbone import Backbone
from ..models.classifier import Classifier
from .pictures import OnBroken, PictureBatch, check_finite, picture_batches

ARRAYS = ("pooled", "stage0", "stage1", "stage2", "stage3")

_PIECE = 2**22


@refusing
def write_features(
    model: Classifier | Backbone,
    files: Sequence[Path],
    transform: ImageTransform,
    out: str | os.PathLike[str],
    arrays: Sequence[str] | None = None,
    batch_size: int = 16,
    on_broken: OnBroken | None = None,
    on_batch: Callable[[PictureBatch], None] | None = None,
    max_bytes: int = MAX_BYTES,
) -> dict[str, tuple[int, ...]]:
    """Write the chosen ARRAYS, float32 or the model's float64, and `files` to `out`; the shapes of what was written.

    arrays       None: all that the model gives (`arrays_of`)
    on_broken    told of each file that cannot be read and is left out; None: such a file ends it, with its DataError
    on_batch     told of each batch once it is done
    max_bytes    what one picture may take once it is decoded

    The file is written whole or not at all. Raises InputError for a name that does not end in .npz, a folder that is not there
    or an unknown array; DataError where no picture could be read; OSError.
    """
    out, arrays = Path(out), arrays_of(model, arrays)
    check_target(out, arrays)
    done: list[int] = []
    with _named(out), contextlib.ExitStack() as stack:
        entries = {name: _Entry(stack.enter_context(tempfile.TemporaryFile(dir=out.parent))) for name in dict.fromkeys(arrays)}
        for batch in picture_batches(files, transform, batch_size, on_broken or _raise, max_bytes=max_bytes):
            if batch.positions:
                for name, values in _features(model, batch.x, list(entries)).items():
                    check_finite(values, batch, files)
                    entries[name].append(values)
                done += batch.positions
            if on_batch is not None:
                on_batch(batch)
        if not done:
            raise DataError(f"none of the {len(files)} pictures could be read; nothing was written")
        names = np.array([str(files[position]) for position in done])
        write_with(out, lambda target: _write_npz(target, entries, names))
        return {**{name: entry.shape for name, entry in entries.items()}, "files": names.shape}


def arrays_of(model: Classifier | Backbone, asked: Sequence[str] | None = None) -> tuple[str, ...]:
    """Which of ARRAYS are to be written: `asked`, or all that the model gives; of a Backbone its maps, behind their norms.

    Raises InputError for one that it does not give.
    """
    given = ARRAYS[: 1 + len(model.channels)]
    if isinstance(model, Backbone):
        given = tuple(f"stage{index}" for index in model.out_indices)
    for name in asked or ():
        if name in ARRAYS and name not in given:
            raise InputError(f"the weights are of a {type(model).__name__} that gives {', '.join(given)}, and no {name}")
    return tuple(given if asked is None else asked)


def check_target(out: Path, arrays: Sequence[str]) -> None:
    """Raise InputError unless a .npz of these arrays can be written to `out`, as far as that can be told beforehand."""
    if out.suffix.lower() != ".npz":
        raise InputError(f"features are written to a .npz file, and {out} is none by its name")
    if not out.absolute().parent.is_dir():
        raise InputError(f"there is no folder {out.parent} to write {out.name} to; make it first")
    if out.is_dir():
        raise InputError(f"{out} is a folder, expected the name of a file to be")
    if not arrays:
        raise InputError(f"no arrays to write were given, expected some of {', '.join(ARRAYS)}")
    for name in arrays:
        check_choice("array", name, ARRAYS)


class _Entry:
    """One array of the file to be, of as many rows as were appended."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.rows = file, 0
        self.row_shape: tuple[int, ...] = ()
        self.dtype = np.dtype(np.float32)

    def append(self, values: np.ndarray) -> None:
        self.rows, self.row_shape, self.dtype = self.rows + len(values), values.shape[1:], values.dtype
        self.file.write(np.ascontiguousarray(values).data)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows, *self.row_shape)

    def header(self) -> bytes:
        stream = io.BytesIO()
        npy.write_array_header_1_0(
            stream, {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": self.shape}
        )
        return stream.getvalue()


def _features(model: Classifier | Backbone, x: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):  # `check_finite` tells it better
        if isinstance(model, Backbone):
            maps = zip(model.out_indices, model(from_numpy(x)), strict=True)
            named = {f"stage{index}": to_numpy(each) for index, each in maps}
            return {name: named[name] for name in names}
        if names == ["pooled"]:
            return {"pooled": to_numpy(model.pooled(from_numpy(x)))}
        if "pooled" in names:
            stages, pooled = model.features_and_pooled(from_numpy(x))
        else:
            stages, pooled = model.features(from_numpy(x)), None
        found = {f"stage{number}": stage for number, stage in enumerate(stages)} | {"pooled": pooled}
    return {name: to_numpy(found[name]) for name in names}


def _write_npz(target: BinaryIO, entries: dict[str, _Entry], names: np.ndarray) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, entry in entries.items():
            entry.file.seek(0)
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                member.write(entry.header())
                shutil.copyfileobj(entry.file, member, _PIECE)
        with archive.open(zipfile.ZipInfo("files.npy"), "w", force_zip64=True) as member:
            npy.write_array(member, names, allow_pickle=False)


@contextlib.contextmanager
def _named(out: Path) -> Iterator[None]:
    """A full disk is told with the name of the file that it leaves no room for: the temporary ones have none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise OSError(error.errno, f"{error.strerror}; nothing was written", str(out)) from error
        raise


def _raise(position: int, error: DataError) -> None:
    raise error
