"""What is in the pickles of torch.save: tensors that refer to storages, and what else a training script puts beside them.

A storage is a row of numbers, kept outside the pickle; a tensor is a view of one, with an offset, a shape and the distance of
its elements along each axis. Several tensors may be views of one storage. While the pickle is read, no numbers are: what comes
of it are references (`StorageRef`, `TensorRef`), every size and offset checked. Then the weights are chosen, and only their
storages are read, one after the other.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import CheckpointError
from ..bfloat16 import from_bfloat16
from ..damage import AGAIN
from .inert_pickle import Inert, Name

# Storages of torch and the NumPy dtype of an element. bfloat16 is the upper half of a float32.
BFLOAT16 = "torch BFloat16Storage"
STORAGES = {
    "torch DoubleStorage": "f8",
    "torch FloatStorage": "f4",
    "torch HalfStorage": "f2",
    BFLOAT16: "u2",
    "torch LongStorage": "i8",
    "torch IntStorage": "i4",
    "torch ShortStorage": "i2",
    "torch CharStorage": "i1",
    "torch ByteStorage": "u1",
    "torch BoolStorage": "?",
}

# Entries under which training scripts keep the weights, in the order in which they are looked for.
PLACES = ("state_dict", "model")
EMA_PLACES = ("state_dict_ema", "model_ema")

# What rides along in checkpoints of training scripts: options, paths, the best metric as a NumPy number, a schedule's state.
# Each becomes an `Inert`, whatever it is called with; nothing of the kind is made.
_RIDERS = (
    "types SimpleNamespace",
    "pathlib PosixPath",
    "pathlib WindowsPath",
    "pathlib PurePosixPath",
    "pathlib PureWindowsPath",
    "collections Counter",
    "collections defaultdict",
    "__builtin__ set",
    "builtins set",
    "datetime datetime",
    "numpy dtype",
    "numpy.core.multiarray scalar",
    "numpy._core.multiarray scalar",
    "_codecs encode",
    "torch device",
    "torch float32",
    "torch float16",
    "torch bfloat16",
)

MAX_SHARING = 4  # how often, on average, an element may be used: tied weights are used twice

_MAX_RANK = 32


@dataclass(frozen=True)
class StorageRef:
    """`count` numbers of a kind, in the storage named `key`."""

    kind: str
    key: str
    count: int

    @property
    def dtype(self) -> np.dtype:
        """Of an element, as it is stored on a machine like this one."""
        return np.dtype(STORAGES[self.kind])

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class TensorRef:
    """A strided view of a storage; offset and strides count elements."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def is_whole(self) -> bool:
        """All of its storage, in row-major order."""
        rows = [math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
        in_order = all(n == 1 or step == row for n, step, row in zip(self.shape, self.strides, rows, strict=True))
        return self.offset == 0 and self.size == self.storage.count and in_order

    def of(self, elements: np.ndarray) -> np.ndarray:
        """The tensor as a dense array of its own, from the numbers of its storage."""
        if not self.size:
            return np.zeros(self.shape, elements.dtype)
        steps = tuple(step * elements.itemsize for step in self.strides)
        view = np.lib.stride_tricks.as_strided(elements[self.offset :], self.shape, steps, writeable=False)
        return np.array(view, order="C")


def functions() -> dict[str, Callable[..., Any]]:
    """The names that a pickle of torch.save may bring up, and what they stand for here."""
    return {
        "collections OrderedDict": _empty_dict,
        "torch._utils _rebuild_tensor_v2": _tensor,
        "torch._utils _rebuild_parameter": lambda data, *_: data,
        "torch Size": lambda size: size,
        "yacs.config CfgNode": _empty_dict,  # the options of VMamba's training, a dict with a class of its own
        "argparse Namespace": lambda: Inert("argparse Namespace"),
        **{name: _rider(name) for name in _RIDERS},
        **dict.fromkeys(STORAGES, _not_called),
    }


def storage_of(reference: Any) -> StorageRef:
    """A persistent id: ("storage", kind, key, device, number of elements), and in the older format None."""
    label, kind, key, _, count, *view = reference
    if label != "storage" or not isinstance(kind, Name) or not isinstance(key, str) or not _is_size(count):
        raise TypeError
    if kind.text not in STORAGES:
        raise CheckpointError(f"has a storage of kind {kind.text.replace(' ', '.')}, expected one of torch's")
    if view not in ([], [None]):
        raise CheckpointError("has views of storages as torch wrote them before 0.4; open it with torch and save it again")
    return StorageRef(kind.text, key, count)


def weights_of(content: Any, ema: bool = False) -> dict[str, TensorRef]:
    """The state dict among what a training script may have saved; with `ema`, that of the moving average."""
    if not isinstance(content, dict):
        raise CheckpointError(f"holds a {_kind(content)}, expected a state dict or a dict with one under {' or '.join(PLACES)}")
    places = EMA_PLACES if ema else PLACES
    place = next((name for name in places if isinstance(content.get(name), dict)), None)
    if ema and place is None:
        raise CheckpointError(f"has no moving average of the weights under {' or '.join(places)}; leave out ema")
    weights = content if place is None else content[place]
    strange = [key for key, value in weights.items() if not isinstance(key, str) or not isinstance(value, TensorRef)]
    if strange:
        shown = ", ".join(f"{str(key)[:60]} ({_kind(weights[key])})" for key in strange[:5] if isinstance(key, str))
        raise CheckpointError(
            f"no state dict found: {len(strange)} of {len(weights)} entries are no tensors ({shown});"
            f" expected one, bare or under {' or '.join(PLACES)}"
        )
    return weights


def read_tensors(
    weights: Mapping[str, TensorRef], read_storage: Callable[[StorageRef], np.ndarray], file_size: int
) -> dict[str, np.ndarray]:
    """The arrays that the references stand for. A storage is read when it is first needed, and let go after its last use.

    read_storage    gives the numbers of a storage, in an array that nobody else has
    """
    if sum(tensor.size for tensor in weights.values()) > MAX_SHARING * file_size:
        raise CheckpointError("has tensors that together are many times larger than the file")
    uses = Counter(tensor.storage for tensor in weights.values())
    held: dict[StorageRef, np.ndarray] = {}
    arrays = {}
    for key, tensor in weights.items():
        storage = tensor.storage
        shared = uses[storage] > 1 or storage in held
        elements = held.pop(storage) if storage in held else read_storage(storage)
        uses[storage] -= 1
        if uses[storage]:
            held[storage] = elements
        # A whole storage is the tensor; a part of one, or one of several views, is copied out of it.
        dense = elements.reshape(tensor.shape) if tensor.is_whole() and not shared else tensor.of(elements)
        arrays[key] = from_bfloat16(dense) if storage.kind == BFLOAT16 else dense
    return arrays


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> TensorRef:
    """What `_rebuild_tensor_v2` is called with."""
    if not isinstance(storage, StorageRef) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise TypeError
    if len(shape) != len(strides) or len(shape) > _MAX_RANK or not all(map(_is_size, (offset, *shape, *strides))):
        raise CheckpointError("has a tensor with an impossible shape, stride or offset")
    tensor = TensorRef(storage, offset, shape, strides)
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) if tensor.size else -1
    if last >= storage.count:
        raise CheckpointError(f"has a tensor that reaches to element {last} of a storage of {storage.count}")
    return tensor


def check_length(storage: StorageRef, present: int) -> None:
    """Raise CheckpointError unless the storage has as many bytes as it declares."""
    if present != storage.nbytes:
        raise CheckpointError(
            f"storage {storage.key[:60]} has {present} bytes, which is not the length that it declares; {AGAIN}"
        )


def _kind(value: Any) -> str:
    return value.name.replace(" ", ".") if isinstance(value, Inert) else type(value).__name__


def _is_size(number: Any) -> bool:
    return type(number) is int and 0 <= number < sys.maxsize


def _rider(name: str) -> Callable[..., Inert]:
    return lambda *_: Inert(name)


def _empty_dict() -> dict[Any, Any]:
    return {}  # `dict` itself would take arguments, and with them keys that `read_pickle` has not seen


def _not_called(*_: Any) -> Any:
    raise CheckpointError("calls a storage, and torch.save only refers to one")
