"""Weights as torch.save writes them, read without torch and without running anything.

The file is a zip, its entries uncompressed and under one folder:

    x/data.pkl      a pickle of the object; where a tensor's numbers belong stands a reference to an entry
    x/data/0 …      the numbers, one entry a storage
    x/byteorder     "little" or "big"

Several tensors may be views of one storage; each says where it begins and how far apart its elements lie. Every size
and offset is compared with what is there before it is used.
"""

from __future__ import annotations

import math
import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..errors import CheckpointError
from .damage import AGAIN, DAMAGED_ZIP, brief
from .inert_pickle import Inert, Name, read_pickle

# Storages of torch and the NumPy dtype of an element. bfloat16 is the upper half of a float32.
_BFLOAT16 = "torch BFloat16Storage"
_STORAGES = {
    "torch DoubleStorage": "f8",
    "torch FloatStorage": "f4",
    "torch HalfStorage": "f2",
    _BFLOAT16: "u2",
    "torch LongStorage": "i8",
    "torch IntStorage": "i4",
    "torch ShortStorage": "i2",
    "torch CharStorage": "i1",
    "torch ByteStorage": "u1",
    "torch BoolStorage": "?",
}

# Entries under which training scripts keep the weights, in the order in which they are looked for.
_PLACES = ("state_dict", "model")
_EMA_PLACES = ("state_dict_ema", "model_ema")

MAX_SHARING = 4  # how often, on average, an element may be used: tied weights are used twice

_MAX_RANK = 32


def read_torch(path: str | os.PathLike[str], ema: bool = False) -> dict[str, np.ndarray]:
    """The state dict in a file of torch.save: the object itself, or its entry "state_dict" or "model".

    Raises CheckpointError for a damaged file, for one of torch before 1.6, and for a pickle that names anything but
    what a state dict needs.
    """
    with open(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise CheckpointError(
                f"{path} is no zip file as torch.save writes it since version 1.6, or it is damaged; {AGAIN}, or open it with"
                " torch and save it again"
            )
        try:
            with zipfile.ZipFile(file) as archive:
                return _weights(_Storages(archive, os.path.getsize(path)).read(), ema)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        except DAMAGED_ZIP as error:
            raise CheckpointError(f"{path} is damaged ({brief(error)}); {AGAIN}") from error


def _weights(content: Any, ema: bool) -> dict[str, np.ndarray]:
    """The state dict among what a training script may have saved."""
    if not isinstance(content, dict):
        raise CheckpointError(
            f"holds a {_kind(content)}, expected a state dict or a dict with one under {' or '.join(_PLACES)}"
        )
    places = _EMA_PLACES if ema else _PLACES
    place = next((name for name in places if isinstance(content.get(name), dict)), None)
    if ema and place is None:
        raise CheckpointError(f"has no moving average of the weights under {' or '.join(places)}; leave out ema")
    weights = content if place is None else content[place]
    strange = [key for key, value in weights.items() if not isinstance(key, str) or not isinstance(value, np.ndarray)]
    if strange:
        shown = ", ".join(f"{str(key)[:60]} ({_kind(weights[key])})" for key in strange[:5] if isinstance(key, str))
        raise CheckpointError(
            f"no state dict found: {len(strange)} of {len(weights)} entries are no tensors ({shown});"
            f" expected one, bare or under {' or '.join(_PLACES)}"
        )
    return weights


def _kind(value: Any) -> str:
    return value.name.replace(" ", ".") if isinstance(value, Inert) else type(value).__name__


@dataclass(frozen=True)
class _Storage:
    elements: np.ndarray
    is_bfloat16: bool


class _Storages:
    """The entries of one file, and the functions that stand for the names in its pickle."""

    def __init__(self, archive: zipfile.ZipFile, file_size: int) -> None:
        self.archive = archive
        self.entries = {entry.filename: entry for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in self.entries.values()):
            raise CheckpointError("has compressed entries, and torch.save writes none")
        if sum(entry.file_size for entry in self.entries.values()) > file_size:
            raise CheckpointError("declares entries that are larger than the file")
        pickles = [name for name in self.entries if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(pickles) != 1:
            raise CheckpointError(f"has {len(pickles)} entries data.pkl, expected one: it was not written by torch.save")
        self.folder = pickles[0].removesuffix("data.pkl")
        self.elements_left = MAX_SHARING * file_size
        self.loaded: dict[tuple[str, str], _Storage] = {}

    def read(self) -> Any:
        names: Mapping[str, Callable[..., Any]] = {
            "collections OrderedDict": _empty_dict,
            "torch._utils _rebuild_tensor_v2": self.tensor,
            "torch._utils _rebuild_parameter": lambda data, *_: data,
            "torch Size": lambda size: size,
            "argparse Namespace": lambda: Inert("argparse Namespace"),
            **dict.fromkeys(_STORAGES, _not_called),
        }
        return read_pickle(self.entry("data.pkl"), names, self.storage)

    def entry(self, name: str) -> bytes:
        if self.folder + name not in self.entries:
            raise CheckpointError(f"has no entry {name[:60]}, which it refers to; {AGAIN}")
        return self.archive.read(self.entries[self.folder + name])  # checks the entry's CRC

    def byte_order(self) -> Literal["<", ">"]:
        order = self.entry("byteorder").decode("ascii", "replace") if self.folder + "byteorder" in self.entries else "little"
        if order not in ("little", "big"):
            raise CheckpointError(f"has byte order {order[:20]!r}, expected little or big")
        return "<" if order == "little" else ">"

    def storage(self, reference: Any) -> _Storage:
        """("storage", kind, entry, device, number of elements): the numbers of one storage."""
        label, kind, key, _, count = reference
        if label != "storage" or not isinstance(kind, Name) or not isinstance(key, str):
            raise TypeError
        if kind.text not in _STORAGES:
            raise CheckpointError(f"has a storage of kind {kind.text.replace(' ', '.')}, expected one of torch's")
        if (kind.text, key) not in self.loaded:
            raw = self.entry(f"data/{key}")
            dtype = np.dtype(_STORAGES[kind.text]).newbyteorder(self.byte_order())
            if not isinstance(count, int) or count * dtype.itemsize != len(raw):
                raise CheckpointError(
                    f"storage {key[:60]} has {len(raw)} bytes, which is not the length that it declares; {AGAIN}"
                )
            elements = np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="), copy=False)
            self.loaded[kind.text, key] = _Storage(elements, kind.text == _BFLOAT16)
        return self.loaded[kind.text, key]

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> np.ndarray:
        """A strided view of a storage, as a dense array."""
        if not isinstance(storage, _Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
            raise TypeError
        if len(size) != len(stride) or len(size) > _MAX_RANK or not all(map(_is_size, (offset, *size, *stride))):
            raise CheckpointError("has a tensor with an impossible shape, stride or offset")
        count = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if count else -1
        if last >= storage.elements.size:
            raise CheckpointError(f"has a tensor that reaches to element {last} of a storage of {storage.elements.size}")
        self.elements_left -= count
        if self.elements_left < 0:
            raise CheckpointError("has tensors that together are many times larger than the file")
        if count:
            steps = tuple(step * storage.elements.itemsize for step in stride)
            view = np.lib.stride_tricks.as_strided(storage.elements[offset:], size, steps, writeable=False)
            dense = np.ascontiguousarray(view).reshape(size)
        else:
            dense = np.zeros(size, storage.elements.dtype)
        return (dense.astype(np.uint32) << 16).view(np.float32) if storage.is_bfloat16 else dense


def _is_size(number: Any) -> bool:
    return type(number) is int and 0 <= number < sys.maxsize


def _empty_dict() -> dict[Any, Any]:
    return {}  # `dict` itself would take arguments, and with them keys that `read_pickle` has not seen


def _not_called(*_: Any) -> Any:
    raise CheckpointError("calls a storage, and torch.save only refers to one")
