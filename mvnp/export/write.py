"""The file: a protobuf with the weights inside or, where that would pass protobuf's 2 GB, in a second file beside it.

    model.onnx                            graph and weights
    model.onnx, model.onnx.<hash>.data    graph; weights, each at a multiple of 4 KiB so that they can be mapped into memory

Whole or not at all, also with two files: the weights' file is named after its content and is on the disk before the graph that
names it, so a graph that can be seen always has its weights. Those of the graph that it replaces are removed after that.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from .. import atomic

INSIDE_UP_TO = 2**31 - 2**24  # bytes of weights in the protobuf: its limit is 2³¹ − 1, the rest is for the graph
ALIGNMENT = 4096


def write_model(path: Path, model: ModelProto, weights: Mapping[str, np.ndarray], external: bool | None = None) -> list[Path]:
    """Add the weights to the model's graph and write both; the files, `path` first.

    external    True: weights in a second file; False: inside; None: inside where there is room

    Raises OSError that names the file.
    """
    if external is None:
        external = sum(array.nbytes for array in weights.values()) > INSIDE_UP_TO
    files = [path]
    if external:
        files.append(_write_weights(path, weights, model))
    else:
        model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    atomic.write_bytes(path, model.SerializeToString())
    for stale in path.parent.glob(f"{glob.escape(path.name)}.{'[0-9a-f]' * 16}.data"):
        if stale not in files:
            stale.unlink(missing_ok=True)
    return files


def _write_weights(path: Path, weights: Mapping[str, np.ndarray], model: ModelProto) -> Path:
    """Write the second file, and note in the model's graph where each weight lies in it."""
    digest, offset = hashlib.blake2b(digest_size=8), 0
    initializers = []
    for name, array in weights.items():
        digest.update(name.encode())
        digest.update(array.data)
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = TensorProto(name=name, dims=array.shape, data_type=kind, data_location=TensorProto.EXTERNAL)
        initializers.append((tensor, offset, array.nbytes))
        offset += _aligned(array.nbytes)
    file = path.with_name(f"{path.name}.{digest.hexdigest()}.data")
    for tensor, start, length in initializers:
        for key, value in (("location", file.name), ("offset", str(start)), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        model.graph.initializer.append(tensor)
    atomic.write_with(file, lambda out: out.writelines(_pieces(weights)))
    return file


def _pieces(weights: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    for array in weights.values():
        yield array.reshape(-1).view(np.uint8).data
        yield bytes(_aligned(array.nbytes) - array.nbytes)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
