"""What is in the pickles of torch.save: tensors that refer to storages, and what else a training script puts beside them.

A storage is a row of numbers, kept outside the pickle; a tensor is a view of one, with an offset, a shape and the distance of
its elements along each axis. Several tensors may be views of one storage. While the pickle is read, no numbers are: what comes
of it are references (`StorageRef`, `TensorRef`), every size and offset checked. Then the weights are chosen, and only their
storages are read, one after the other. A tensor that cannot be read is noted (`Unreadable`), and told of where it is needed.
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
from ..states import Unreadable
from .inert_pickle import Inert, Name
from .numpy_pickle import encoded, no_bytes

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
# Newer dtypes have no storage of their own: theirs is untyped, and the tensor says the dtype.
_UNTYPED = ("torch.storage UntypedStorage", "torch UntypedStorage")
_DTYPES = {
    "torch uint16": "u2",
    "torch uint32": "u4",
    "torch uint64": "u8",
    "torch float64": "f8",
    "torch float32": "f4",
    "torch float16": "f2",
    "torch int64": "i8",
    "torch int32": "i4",
    "torch int16": "i2",
    "torch int8": "i1",
    "torch uint8": "u1",
    "torch bool": "?",
}
# Bytes of an element in storages that NumPy has no dtype for; where such a one ends, another begins.
_OTHERS = {
    "torch QInt8Storage": 1,
    "torch QUInt8Storage": 1,
    "torch QUInt4x2Storage": 1,
    "torch QUInt2x4Storage": 1,
    "torch QInt32Storage": 4,
    "torch ComplexFloatStorage": 8,
    "torch ComplexDoubleStorage": 16,
    **dict.fromkeys(_UNTYPED, 1),
}

# How many times larger than its storage a tensor may be, which a script has expanded, and all of them than the file: tied
# weights are there twice.
MAX_EXPANSION = 2
MAX_SHARING = 3
_ALWAYS = 2**16  # bytes in any case

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
        return np.dtype(STORAGES.get(self.kind) or _DTYPES[self.kind])

    @property
    def nbytes(self) -> int:
        return self.count * (_OTHERS.get(self.kind) or self.dtype.itemsize)


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

    @property
    def nbytes(self) -> int:
        """Of the dense array."""
        return self.size * self.storage.dtype.itemsize

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
    """The names in a pickle of torch.save that stand for something here: tensors, and the dicts that they are in."""
    return {
        **_PLAIN,
        "_codecs encode": encoded,
        "__builtin__ bytes": no_bytes,
        "collections OrderedDict": _dict_of,
        "torch._utils _rebuild_from_type": _of_class,
        "torch._tensor _rebuild_from_type": _of_class,
        "torch._tensor _rebuild_from_type_v2": _of_class,
        "torch Size": lambda size=(): size if isinstance(size, tuple) else tuple(size),
        **{name: _unreadable(what) for name, what in _OTHER_TENSORS.items()},
        **dict.fromkeys(STORAGES, _not_called),
    }


def storage_of(reference: Any) -> Any:
    """A persistent id: ("storage", kind, key, device, number of elements), and in the older format None.

    In that one a whole model refers to its classes too: ("module", class, file, source), of which the name is left.
    """
    if not isinstance(reference, tuple) or not reference:
        raise TypeError
    if reference[0] == "module" and len(reference) == 4 and isinstance(reference[1], Name):
        return reference[1]
    label, kind, key, _, count, *view = reference
    if label != "storage" or not isinstance(kind, Name) or not isinstance(key, str) or not _is_size(count):
        raise TypeError
    if kind.text not in STORAGES and kind.text not in _OTHERS:
        raise CheckpointError(f"has a storage of kind {_dotted(kind.text)}, expected one of torch's")
    if view not in ([], [None]):
        raise CheckpointError("has views of storages as torch wrote them before 0.4; open it with torch and save it again")
    return StorageRef(kind.text, key, count)


def read_tensors(
    weights: Mapping[str, TensorRef], read_storage: Callable[[StorageRef], np.ndarray], file_size: int
) -> dict[str, np.ndarray]:
    """The arrays that the references stand for. A storage is read when it is first needed, and let go after its last use.

    read_storage    gives the numbers of a storage, in an array that nobody else has
    """
    if sum(tensor.nbytes for tensor in weights.values()) > MAX_SHARING * file_size + _ALWAYS:
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


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> TensorRef | Unreadable:
    """What `_rebuild_tensor` and `_rebuild_tensor_v2` are called with."""
    if not isinstance(storage, StorageRef) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise TypeError
    if storage.kind in _OTHERS:
        return Unreadable(f"is a tensor of {_dotted(storage.kind).removesuffix('Storage')}, which NumPy does not have")
    if len(shape) != len(strides) or len(shape) > _MAX_RANK or not all(map(_is_size, (offset, *shape, *strides))):
        return Unreadable("is a tensor with an impossible shape, stride or offset")
    tensor = TensorRef(storage, offset, shape, strides)
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True)) if tensor.size else -1
    if last >= storage.count:
        return Unreadable(f"is a tensor that reaches to element {last} of a storage of {storage.count}")
    if tensor.nbytes > MAX_EXPANSION * storage.nbytes + _ALWAYS:
        return Unreadable(
            f"is a tensor of {tensor.size} numbers, many times larger than its storage, which has {storage.count}"
        )
    return tensor


def _typed_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any = None, hooks: Any = None, dtype: Any = None, *_: Any
) -> TensorRef | Unreadable:
    """What `_rebuild_tensor_v3` is called with: the storage is untyped, and its count one of bytes."""
    if not isinstance(storage, StorageRef) or not isinstance(dtype, Name):
        raise TypeError
    if dtype.text not in _DTYPES:
        return Unreadable(f"is a tensor of {_dotted(dtype.text)}, which NumPy does not have")
    count = storage.nbytes // np.dtype(_DTYPES[dtype.text]).itemsize
    return _tensor(StorageRef(dtype.text, storage.key, count), offset, shape, strides)


def _of_class(rebuild: Any, kind: Any = None, arguments: Any = (), *_: Any) -> Any:
    """A tensor of a class of the script's own, or with attributes besides: the tensor."""
    if not isinstance(rebuild, Name) or not isinstance(arguments, tuple):
        raise TypeError
    known = _PLAIN.get(rebuild.text)
    return Inert(rebuild.text, arguments) if known is None else known(*arguments)


def _first(data: Any = None, *_: Any) -> Any:
    """A parameter's tensor."""
    return data


_PLAIN: dict[str, Callable[..., Any]] = {
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_tensor_v3": _typed_tensor,
    "torch._utils _rebuild_parameter": _first,
    "torch._utils _rebuild_parameter_with_state": _first,
}


# Tensors that are no rows of numbers, and what they are.
_OTHER_TENSORS = {
    "torch._utils _rebuild_qtensor": "is quantised: in PyTorch, its dequantize() gives numbers",
    "torch._utils _rebuild_sparse_tensor": "is sparse: in PyTorch, its to_dense() gives all numbers",
    "torch._utils _rebuild_sparse_csr_tensor": "is sparse: in PyTorch, its to_dense() gives all numbers",
    "torch._utils _rebuild_nested_tensor": "is nested, tensors of several shapes in one",
    "torch._utils _rebuild_meta_tensor_no_storage": 'has a shape and no numbers (it is on the device "meta")',
}


def _unreadable(reason: str) -> Callable[..., Unreadable]:
    return lambda *_: Unreadable(reason)


def check_length(storage: StorageRef, present: int) -> None:
    """Raise CheckpointError unless the storage has as many bytes as it declares."""
    if present // storage.dtype.itemsize != storage.count or present % storage.dtype.itemsize:
        raise CheckpointError(
            f"storage {storage.key[:60]} has {present} bytes, which is not the length that it declares; {AGAIN}"
        )


def _dotted(text: str) -> str:
    return text.replace(" ", ".")[:60]


def _is_size(number: Any) -> bool:
    return type(number) is int and 0 <= number < sys.maxsize


def _dict_of(pairs: Any = (), *_: Any) -> dict[str, Any]:
    """Of nothing, or in old files of a list of pairs; a key that is no text is passed over, as in `read_pickle`."""
    if not isinstance(pairs, list | tuple):
        raise TypeError
    return {
        pair[0]: pair[1] for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)
    }


def _not_called(*_: Any) -> Any:
    raise CheckpointError("calls a storage, and torch.save only refers to one")
