"""Files as torch.save writes them, made without torch: for tests of the reader, honest files and others."""

from __future__ import annotations

import collections
import io
import pickle
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


class FloatStorage:
    """Pickled under torch's name."""


def _rebuild_tensor_v2() -> None:
    """Pickled under torch's name."""


FloatStorage.__module__ = "torch"
_rebuild_tensor_v2.__module__ = "torch._utils"


class Reference:
    """Pickled as a persistent id."""

    def __init__(self, value: tuple) -> None:
        self.value = value


class Tensor:
    """Pickled as a tensor: a call of `_rebuild_tensor_v2` on a reference to storage `key` of `count` float32."""

    def __init__(
        self, key: str, shape: tuple, stride: tuple, offset: int = 0, count: int = 6, legacy: bool | tuple = False
    ) -> None:
        # The older format has one entry more, None or a view of the storage.
        more = () if legacy is False else (None if legacy is True else legacy,)
        storage = Reference(("storage", FloatStorage, key, "cpu", count, *more))
        self.arguments = (storage, offset, shape, stride, False, collections.OrderedDict())

    def __reduce__(self) -> tuple:
        return _rebuild_tensor_v2, self.arguments


class _Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes references as persistent ids, and names without asking whether they can be imported."""

    def persistent_id(self, value: Any) -> Any:
        return value.value if isinstance(value, Reference) else None

    def save_global(self, value: Any, name: str | None = None) -> None:
        self.write(pickle.GLOBAL + f"{value.__module__}\n{name or value.__qualname__}\n".encode())
        self.memoize(value)

    dispatch = {**pickle._Pickler.dispatch, type: save_global, types.FunctionType: save_global}  # type: ignore[attr-defined]  # noqa: RUF012


def dumps(value: Any, protocol: int = 2) -> bytes:
    """The pickle of `value`."""
    stream = io.BytesIO()
    _Pickler(stream, protocol).dump(value)
    return stream.getvalue()


def write_torch(
    path: Path,
    value: Any,
    storages: dict[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
    pickled: bytes | None = None,
    **others: str,
) -> Path:
    """A file with the pickle of `value` (or `pickled`), storages (by default "0", the numbers 0 to 5), and other entries."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x/data.pkl", dumps(value) if pickled is None else pickled)
        for key, data in (storages or {"0": np.arange(6, dtype="<f4").tobytes()}).items():
            archive.writestr(f"x/data/{key}", data)
        for name, data in others.items():
            archive.writestr(f"x/{name}", data)
    return path


def legacy_parts(
    value: Any,
    version: bytes | None = None,
    machine: bytes | None = None,
    keys: bytes | None = None,
    storages: list[tuple[int, int]] | None = None,
) -> list[bytes]:
    """The parts of a file of torch before 1.6, with storages "0" and "1", each the numbers 0 to 5.

    storages    of each how many numbers it says, and how many it has
    """
    described = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    found = sorted(_storage_keys(value))
    counts = storages or [(6, 6)] * len(found)
    return [
        dumps(0x1950A86A20F9469CFC6C),
        version or dumps(1001),
        machine or dumps(described),
        dumps(value),
        keys or dumps(found),
        *(said.to_bytes(8, "little") + np.arange(count, dtype="<f4").tobytes() for said, count in counts),
    ]


def write_legacy(path: Path, value: Any, **changes: Any) -> Path:
    """A file of torch before 1.6."""
    path.write_bytes(b"".join(legacy_parts(value, **changes)))
    return path


def _storage_keys(value: Any) -> set[str]:
    if isinstance(value, Tensor):
        return {value.arguments[0].value[2]}
    return set().union(*(_storage_keys(item) for item in value.values())) if isinstance(value, dict) else set()
