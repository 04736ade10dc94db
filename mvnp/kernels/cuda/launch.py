"""From the text of a kernel to its launch: compiled when first used, once for each dtype.

The text names no dtype. It is written for T, the numbers in memory, and A, the numbers in arithmetic, and the lines that say
what they are stand in front of it when it is compiled:

    float32    T = A = float            float64    T = A = double            float16    T = half, A = float

Whatever there is one of for each number of an array is a T. What belongs to a whole row or channel (parameters, statistics,
sums) is an A, also in float16: it is little, and a sum of many halves has no digit right.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...backend import Array, array_module
from ...errors import InputError

FOLDER = Path(__file__).parent
TYPES = {
    "float16": '#include "half.cuh"\ntypedef half T;\ntypedef float A;\n',
    "float32": "typedef float T;\ntypedef float A;\n",
    "float64": "typedef double T;\ntypedef double A;\n",
}
OPTIONS = ("--std=c++17",)
LARGEST = 2**31 - 1  # of a C int, which counts and sizes are for a kernel
WARP = 32  # threads that take their steps together, as in common.cuh
THREADS = 256  # of a block, where each does the same by itself
MOST_BLOCKS = 4096  # of such blocks, whose threads go round in a loop: enough to fill any GPU several times over


class Kernels:
    """The kernels of one file `<stem>.cu` of this folder.

    `constants` are numbers that its text leaves open, such as STATES=8: what is a constant to the compiler, the length of a
    loop above all, it can unroll, and keep an array of that length in registers. The text says what they are otherwise.
    """

    def __init__(self, stem: str, **constants: int) -> None:
        self.stem, self.constants = stem, constants
        self._constants = tuple(constants.items())

    def source(self, dtype: Any) -> str:
        """What is compiled for arrays of `dtype`: the types, what all kernels share, and the file. Raises InputError for a
        dtype that no kernel is made for."""
        name = np.dtype(dtype).name
        if name not in TYPES:
            raise InputError(f"{self.stem}: no kernel for dtype {name}; there are those of {', '.join(TYPES)}")
        constants = "".join(f"#define {constant} {value}\n" for constant, value in self.constants.items())
        text = TYPES[name] + constants + '#include "common.cuh"\n' + f'#include "{self.stem}.cu"\n'
        for file in ("half.cuh", "common.cuh", f"{self.stem}.cu"):  # in place of a search path, which CuPy has no use for
            text = text.replace(f'#include "{file}"\n', _text(file))
        # Without comments: CuPy writes it to a file in the system's encoding, which on Windows lacks some of their letters.
        return re.sub(r"//.*", "", text)

    def launch(
        self, name: str, grid: int | Sequence[int], block: int | Sequence[int], *arguments: Any, shared: int = 0
    ) -> None:
        """Queue the kernel `name`; like all work on a GPU it runs some time after this returns.

        grid, block    numbers of blocks, and of threads in each: one number, or up to three
        arguments      those of the kernel. The first is an array, whose dtype is T. Arrays have to be contiguous, unless they
                       are given as Rows, which become two arguments. Python's floats become an A, its integers and booleans
                       an int; NumPy scalars stay what they are
        shared         bytes of dynamic shared memory
        """
        first = arguments[0].array if type(arguments[0]) is Rows else arguments[0]
        array: type = type(first)
        dtype: str = first.dtype.char
        passed: list[Any] = []
        for value in arguments:  # a step has a thousand launches, each with a dozen of these
            kind = type(value)
            if kind is array:
                # A kernel gets an address and nothing else: with a view it would read what lies between.
                assert value.flags.c_contiguous, f"{name}: an array of shape {value.shape} that is not contiguous"
                passed.append(value)
            elif kind is int or kind is bool:
                passed.append(_count(name, value))
            elif kind is float:
                passed.append(_real(value, dtype))
            elif kind is Rows:
                passed += value.array, _count(name, value.pitch)
            else:
                passed.append(value)
        kernel = _compiled(array, self.stem, self._constants, dtype, name)
        kernel((grid,) if type(grid) is int else grid, (block,) if type(block) is int else block, passed, shared_mem=shared)

    def each(self, name: str, count: int, *arguments: Any) -> None:
        """Queue a kernel that does the same for each of `count` numbers (EACH of common.cuh), its last parameter."""
        self.launch(name, min(-(-count // THREADS), MOST_BLOCKS), THREADS, *arguments, count)

    def map(self, name: str, *arrays: Array) -> Array:
        """The array that a kernel makes number by number, four at a time, from arrays of one shape: it takes them, the result
        and the count. The result has the dtype of the last."""
        arrays = tuple(contiguous(array, arrays[-1].dtype) for array in arrays)
        result = array_module(*arrays).empty(arrays[-1].shape, arrays[-1].dtype)
        self.launch(name, min(-(-result.size // (4 * THREADS)) or 1, MOST_BLOCKS), THREADS, *arrays, result, result.size)
        return result


class Rows(NamedTuple):
    """An array to be read as rows of neighbouring numbers, each `pitch` numbers behind the one before: a kernel gets both."""

    array: Array
    pitch: int


def rows_of(x: Array, dtype: Any) -> Rows:
    """x (..., C) as rows of `dtype`: x itself where all its rows are equally far apart, as those of x[..., :5] are, and a copy
    where they are not."""
    strides, width = x.strides, x.shape[-1] * x.itemsize
    equal = all(strides[i] == x.shape[i + 1] * strides[i + 1] for i in range(x.ndim - 2))
    if x.dtype == dtype and strides[-1] == x.itemsize and strides[-2] >= width and equal:
        return Rows(x, strides[-2] // x.itemsize)
    return Rows(contiguous(x, dtype), x.shape[-1])


def accumulator_dtype(dtype: Any) -> np.dtype:
    """The dtype of A for arrays of `dtype`."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def address_of(x: Array) -> int:
    """Where x begins in memory."""
    return x.data.ptr


def contiguous(x: Array, dtype: Any = None) -> Array:
    """x as a kernel can read it: its numbers in a row, of `dtype`; x itself where it is so already."""
    return array_module(x).ascontiguousarray(x, dtype).reshape(x.shape)  # of a single number NumPy makes a row of one


@functools.cache
def _text(file: str) -> str:
    return (FOLDER / file).read_text(encoding="utf-8")


def forget() -> None:
    """Compile all anew: the texts have changed."""
    _module.cache_clear()
    _compiled.cache_clear()


@functools.cache
def _compiled(array: type, stem: str, constants: tuple[tuple[str, int], ...], dtype: str, name: str) -> Any:
    """The kernel of this name for arrays of `dtype`, a character, and of the class `array`, which says whose they are."""
    return _module(array, stem, constants, dtype).get_function(name)


@functools.cache
def _module(array: type, stem: str, constants: tuple[tuple[str, int], ...], dtype: str) -> Any:
    # CuPy compiles at the first `get_function` on a device, and keeps the result on disk for the next process.
    xp = sys.modules["cupy"]
    assert array is xp.ndarray, f"{stem}: a kernel was given a {array.__name__}"
    return xp.RawModule(code=Kernels(stem, **dict(constants)).source(dtype), options=OPTIONS)


@functools.lru_cache(4096)
def _count(name: str, value: int) -> np.int32:
    if abs(value) > LARGEST:
        raise InputError(f"{name}: {value} is more than a kernel counts to, {LARGEST}; use smaller batches")
    return np.int32(value)


@functools.lru_cache(4096)
def _real(value: float, dtype: str) -> Any:
    """`value` as an A."""
    return accumulator_dtype(dtype).type(value)
