"""Mistakes of form: how many gradients come back, of what kind, and of which shape.

A wrong shape tells a lot. Axes too many are a sum that was not taken: the forward used one number many times, and each use
adds its share. Axes too few are a sum too many. The values then say whether that was all.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np

from ..backend import to_numpy
from .hint import Hint, Probe, as_tuple, listed, same
from .theirs import Raised
from .wire import Strange


def form_hints(probe: Probe, result: Any, right: dict[str, np.ndarray]) -> tuple[list[Hint], dict[str, np.ndarray]]:
    """The mistakes of form in what a backward returned, and the gradients that have none. None is no mistake in steps."""
    names = probe.part.returns
    expected = listed(f"d{name}" for name in names)
    if result is None:
        return [Hint("nothing", "", f"the backward returns None: its last line is to be `return` with {expected}")], {}
    given = as_tuple(result)
    if len(given) != len(names):
        came = f"{len(given)} array{'s' * (len(given) != 1)}"
        text = f"the backward returns {came}, expected {len(names)}: {expected}, in this order"
        if len(names) == 1 and not isinstance(result, np.ndarray):
            text = f"the backward returns a {type(result).__name__} of {len(given)}, expected one array, {expected}"
        return [Hint("number", "", text)], {}
    arrays, hints = {}, []
    for name, g in zip(names, given, strict=True):
        if name not in right:
            if g is not None:
                hints.append(Hint("absent", f"d{name}", f"there was no {name}, so its gradient is to be None"))
        elif g is None and probe.in_steps:
            continue
        elif (array := _as_array(g)) is None:
            hints.append(Hint("kind", f"d{name}", f"is {_described(g)}, expected an array of real numbers"))
        else:
            arrays[name] = array
    if hints or (swapped := _order(arrays, right, expected)) is None:
        for name, array in arrays.items():
            if array.shape != right[name].shape:
                hints.append(_shape_hint(probe, name, array, right[name]))
        return hints, {name: array for name, array in arrays.items() if array.shape == right[name].shape}
    return [swapped], {}


def _as_array(g: Any) -> np.ndarray | None:
    if g is None or isinstance(g, str | tuple | list | dict | Strange):
        return None
    array = to_numpy(g) if hasattr(g, "dtype") else np.asarray(g)
    return array.astype(np.float64) if array.dtype.kind in "fiub" else None


def _described(g: Any) -> str:
    if isinstance(g, Strange):
        return f"a {g.kind}" + (f" of dtype {g.dtype}" if g.dtype else "")
    return "None" if g is None else f"a {type(g).__name__}" + (f" of dtype {g.dtype}" if hasattr(g, "dtype") else "")


def _order(arrays: dict[str, np.ndarray], right: dict[str, np.ndarray], expected: str) -> Hint | None:
    """The right gradients, each in another's place."""
    if len(arrays) < 2 or all(same(arrays[name], right[name]) for name in arrays):
        return None
    found = [next((name for name in right if same(array, right[name])), "") for array in arrays.values()]
    if "" in found or len(set(found)) < len(found):
        return None
    text = f"the gradients are right, but come in the order {listed(f'd{name}' for name in found)}; expected {expected}"
    return Hint("order", "", text)


def _shape_hint(probe: Probe, name: str, got: np.ndarray, right: np.ndarray) -> Hint:
    where = f"d{name}"
    came = f"has shape {got.shape}, expected that of {name}, {right.shape}"
    if got.size == 0:
        return Hint("empty", where, f"{came}: it is empty; a slice such as [p:-p] is, for p = 0")
    if found := _missing_sum(probe, got, right):
        return Hint("missing sum", where, f"{came}: the sum over {found} is missing")
    if any(same(got.transpose(order), right) for order in _orders(got)):
        return Hint("transposed", where, f"{came}: it is transposed, the numbers are right")
    if got.size == right.size and same(got.reshape(right.shape), right):
        return Hint("shape", where, f"{came}: the numbers are right, reshape them")
    if _spreads(got, right):
        return Hint("broadcast", where, f"{came}: the numbers are right, and belong to every entry along the missing axes")
    if found := _larger(probe, name, got, right):
        return Hint("too large", where, f"{came}: {found}")
    if found := _smaller(probe, name, got, right):
        return Hint("too small", where, f"{came}: {found}")
    if found := _too_much(probe, name, got, right):
        return Hint("sum too many", where, f"{came}: it is summed over {found}, and should not be")
    if got.size != right.size and got.size * right.size == probe.y.size:
        return Hint("wrong sum", where, f"{came}: it seems to be summed over the wrong axes")
    if extra := _leading(got, right):
        axes = _axes_of(probe, got, tuple(range(extra)))
        return Hint("missing sum", where, f"{came}: a sum over {axes} seems to be missing, and something more is wrong")
    if sorted(got.shape) == sorted(right.shape):
        return Hint("transposed", where, f"{came}: it seems to be transposed, and something more is wrong")
    return Hint("shape", where, came)


def _missing_sum(probe: Probe, got: np.ndarray, right: np.ndarray) -> str:
    for count in range(1, got.ndim + 1):
        for axes in itertools.combinations(range(got.ndim), count):
            summed = got.sum(axes)
            if summed.size == right.size and any(
                same(summed.transpose(o).reshape(right.shape), right) for o in _orders(summed)
            ):
                return _axes_of(probe, got, axes)
    return ""


def _orders(array: np.ndarray) -> list[tuple[int, ...]]:
    return list(itertools.permutations(range(array.ndim)))


def _axes_of(probe: Probe, got: np.ndarray, axes: tuple[int, ...]) -> str:
    """By their letters, where the array has the shape of y; by number elsewhere."""
    letters = probe.part.output.split()
    if got.shape == probe.y.shape and len(letters) == got.ndim:
        return f"the ax{'i' if len(axes) == 1 else 'e'}s {listed(letters[axis] for axis in axes)}"
    return f"the ax{'i' if len(axes) == 1 else 'e'}s {listed(str(axis) for axis in axes)} of this array"


def _spreads(got: np.ndarray, right: np.ndarray) -> bool:
    """Whether `got`, with axes of size one put in, spreads to `right`."""
    got = got.reshape([size for size in got.shape if size > 1])
    shapes = [
        tuple(right.shape[axis] if axis in kept else 1 for axis in range(right.ndim))
        for kept in itertools.combinations(range(right.ndim), got.ndim)
    ]
    return any(got.size == np.prod(shape) and same(got.reshape(shape) + np.zeros(right.shape), right) for shape in shapes)


def _too_much(probe: Probe, name: str, got: np.ndarray, right: np.ndarray) -> str:
    letters = probe.setting.axes[name].split()
    for count in range(1, right.ndim + 1):
        for axes in itertools.combinations(range(right.ndim), count):
            summed = right.sum(axes)
            if summed.size == got.size and same(got.reshape(summed.shape), summed):
                return f"the ax{'i' if count == 1 else 'e'}s {listed(letters[axis] for axis in axes)}"
    return ""


def _larger(probe: Probe, name: str, got: np.ndarray, right: np.ndarray) -> str:
    """A part of `got` is right: it was not cut, or one index of an axis was meant."""
    letters = probe.setting.axes[name].split()
    if got.ndim == right.ndim + 1:
        for index, word in ((0, "first"), (-1, "last")):
            if got[index].shape == right.shape and same(got[index], right):
                return f"only that of the {word} index along axis 0 is asked for"
    if got.ndim != right.ndim or any(g < r for g, r in zip(got.shape, right.shape, strict=True)):
        return ""
    starts = [range(g - r + 1) for g, r in zip(got.shape, right.shape, strict=True)]
    for start in itertools.product(*starts):
        if same(got[tuple(slice(s, s + r) for s, r in zip(start, right.shape, strict=True))], right):
            axes = [letter for letter, g, r in zip(letters, got.shape, right.shape, strict=True) if g > r]
            return f"too large along {listed(axes)}, the padding is not cropped; begin at index {list(start)}"
    return ""


def _smaller(probe: Probe, name: str, got: np.ndarray, right: np.ndarray) -> str:
    """`got` is a part of what is right."""
    if got.ndim != right.ndim or any(g > r for g, r in zip(got.shape, right.shape, strict=True)):
        return ""
    starts = [range(r - g + 1) for g, r in zip(got.shape, right.shape, strict=True)]
    for start in itertools.product(*starts):
        if same(right[tuple(slice(s, s + g) for s, g in zip(start, got.shape, strict=True))], got):
            axes = [a for a, g, r in zip(probe.setting.axes[name].split(), got.shape, right.shape, strict=True) if g < r]
            return f"too small along {listed(axes)}, the border is missing; what is there is right"
    return ""


def _leading(got: np.ndarray, right: np.ndarray) -> int:
    extra = got.ndim - right.ndim
    return extra if extra > 0 and got.shape[extra:] == right.shape else 0


def shape_error_hints(error: Raised) -> list[Hint]:
    """What NumPy's complaint about shapes means here. The sizes of an exercise differ, so that such a slip cannot pass."""
    text = str(error)
    if match := re.search(r"cannot reshape array of size (\d+) into shape \((.*?)\)", text):
        wanted = math.prod(int(size) for size in re.findall(r"\d+", match[2]))
        if wanted and int(match[1]) % wanted == 0 and int(match[1]) > wanted:
            size = int(match[1]) // wanted
            told = f"{match[1]} numbers are to become {wanted}: a sum over an axis of {size} seems to be missing"
            return [Hint("missing sum", "", told)]
    if "matmul" in text or "core dimension" in text:
        told = "the inner sizes of a matrix product differ: a transposition is missing, or is one too many"
        return [Hint("product", "", told)]
    if "broadcast" in text:
        told = "these shapes cannot be combined entry by entry: a sum, or an axis of size 1 (keepdims=True), is missing"
        return [Hint("broadcast", "", told)]
    return []
