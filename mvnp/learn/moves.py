"""Mistakes that turn, shift or cut: an axis run backwards, a step too late, a sample left out.

A mistake on the way out shows as the right gradient, moved. One on the way in shows as the right gradient of another dy,
since a gradient is linear in dy: of a dy with one token left out, shifted, or read backwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from .hint import Evidence, Hint
from .structure import hint_of

Move = tuple[str, str, Callable[[np.ndarray], np.ndarray]]  # kind, text, what is done to the right gradient or to dy

ENDS, STEPS = ((0, "first"), (-1, "last")), ((1, "late", "before"), (-1, "early", "after"))


def turned(evidence: Evidence) -> Hint | None:
    """The right gradient with its axes exchanged, reversed or shifted, or without its mean."""
    letters = evidence.probe.setting.axes[evidence.name].split()
    for kind, text, move in _of_gradient(letters, evidence.right[0].shape):
        if evidence.fits(move(g) for g in evidence.right):
            return hint_of(kind, evidence, text)
    return None


def of_another_dy(evidence: Evidence) -> Hint | None:
    """The right gradient of a dy that is turned, cut or squared."""
    probe = evidence.probe
    for kind, text, move in _of_dy(probe.part.output.split(), probe.y.shape):
        if evidence.fits(probe.right(move(trial.dy))[evidence.name] for trial in probe.trials):
            return hint_of(kind, evidence, text)
    return None


def _of_gradient(letters: list[str], shape: tuple[int, ...]) -> Iterator[Move]:
    for a in range(len(shape)):
        for b in range(a):
            if shape[a] == shape[b] > 1:
                text = f"is transposed: the axes {letters[b]} and {letters[a]} are exchanged"
                yield "transposed", text, partial(_exchanged, a=a, b=b)
    for axis, letter in enumerate(letters):
        if shape[axis] > 1:
            yield "reversed", f"runs the wrong way round along {letter}", partial(np.flip, axis=axis)
            for by, word, _ in STEPS:
                text = f"is right, but one step too {word} along {letter}"
                yield "shifted", text, partial(np.roll, shift=by, axis=axis)
                yield "shifted", text, partial(_shifted, by=by, axis=axis)
            yield "mean", f"lacks its mean along {letter}", partial(_centred, axis=axis)
            yield "averaged", f"is averaged along {letter}", partial(_averaged, axis=axis)
            yield "averaged", f"is summed along {letter}, and spread again", partial(_summed, axis=axis)
            for index, word in ENDS:
                text = f"is right at the {word} index along {letter} only, and 0 elsewhere"
                yield "partly", text, partial(_only, axis=axis, index=index)
    yield "absolute", "is right but for its signs: an absolute value was taken", np.abs


def _of_dy(letters: list[str], shape: tuple[int, ...]) -> Iterator[Move]:
    yield "no dy", "is the gradient for a dy of ones: dy itself is not used", np.ones_like
    yield "absolute", "is the gradient for |dy|: the sign of dy is lost", np.abs
    yield "twice", "is the gradient for dy²: dy is used twice", np.square
    for a, b in itertools.combinations(range(len(shape)), 2):
        if min(shape[a], shape[b]) > 1:
            text = f"only the last index along {letters[a]} and {letters[b]} is taken of dy: each share is to be added (+=)"
            yield "partly", text, partial(_last_of_both, a=a, b=b)
    for axis, letter in enumerate(letters):
        if shape[axis] < 2:
            continue
        for index, word in ENDS:
            only = f"only the {word} index along {letter} is taken of dy: the sum over {letter} is missing"
            yield "partly", only, partial(_only, axis=axis, index=index)
            yield "partly", f"the {word} index along {letter} of dy is left out", partial(_without, axis=axis, index=index)
        yield "reversed", f"dy is read the wrong way round along {letter}", partial(np.flip, axis=axis)
        for by, _, word in STEPS:
            text = f"dy is shifted along {letter}: that of the step {word} is used"
            yield "shifted", text, partial(np.roll, shift=by, axis=axis)
            yield "shifted", text, partial(_shifted, by=by, axis=axis)
        for index, word in ENDS:
            yield "partly", f"dy of the {word} index along {letter} is used for all", partial(_spread, axis=axis, index=index)
        yield "averaged", f"dy is averaged along {letter} first", partial(_averaged, axis=axis)
        yield "averaged", f"dy is summed along {letter} first", partial(_summed, axis=axis)


def _exchanged(z: np.ndarray, a: int, b: int) -> np.ndarray:
    return z.swapaxes(a, b)


def _only(z: np.ndarray, axis: int, index: int) -> np.ndarray:
    """z at one index of an axis, 0 elsewhere."""
    mask = np.zeros_like(z)
    mask[(slice(None),) * axis + (index,)] = 1.0
    return z * mask


def _last_of_both(z: np.ndarray, a: int, b: int) -> np.ndarray:
    return _only(_only(z, a, -1), b, -1)


def _without(z: np.ndarray, axis: int, index: int) -> np.ndarray:
    return z - _only(z, axis, index)


def _shifted(z: np.ndarray, by: int, axis: int) -> np.ndarray:
    """Moved by one step, with 0 where nothing comes from."""
    return _without(np.roll(z, by, axis), axis, 0 if by > 0 else -1)


def _spread(z: np.ndarray, axis: int, index: int) -> np.ndarray:
    return np.take(z, [index], axis) + np.zeros_like(z)


def _averaged(z: np.ndarray, axis: int) -> np.ndarray:
    return z.mean(axis, keepdims=True) + np.zeros_like(z)


def _summed(z: np.ndarray, axis: int) -> np.ndarray:
    return z.sum(axis, keepdims=True) + np.zeros_like(z)


def _centred(z: np.ndarray, axis: int) -> np.ndarray:
    return z - z.mean(axis, keepdims=True)
