"""Mistakes in the values that show without a formula: a factor, a sign, another's gradient, an axis run backwards.

A gradient is linear in dy, so a mistake on the way in shows as the right gradient of another dy: with one token left out,
shifted, or read backwards. A mistake on the way out shows as the right gradient, turned or scaled.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .hint import Evidence, Hint, Probe, as_tuple, listed, same

Move = tuple[str, str, Callable[[np.ndarray], np.ndarray]]


def sign(evidence: Evidence) -> Hint | None:
    """The negative of the right gradient."""
    return _hint("sign", evidence, "has the wrong sign") if evidence.fits(-g for g in evidence.right) else None


def zero(evidence: Evidence) -> Hint | None:
    """Nothing at all."""
    found = all(not g.any() for g in evidence.got)
    return (
        _hint(
            "zero",
            evidence,
            "is zero everywhere: is it filled, and each share added (+=) and not put in place of the others (=)?",
        )
        if found
        else None
    )


def not_finite(evidence: Evidence) -> Hint | None:
    """NaN or infinity."""
    if all(np.isfinite(g).all() for g in evidence.got):
        return None
    g = next(g for g in evidence.got if not np.isfinite(g).all())
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(g))[0]) if g.ndim else ()
    text = f"holds {g[index]}, first at {list(index)}: look for a division by 0, the log of 0, or an exponent too large"
    return _hint("not finite", evidence, text)


def independent_of_dy(evidence: Evidence) -> Hint | None:
    """The same for two cotangents, which happens to nothing that is a gradient."""
    found = all(same(evidence.got[0], g) for g in evidence.got[1:])
    return _hint("no dy", evidence, "does not depend on dy: the chain rule's factor dy is missing") if found else None


def constant(evidence: Evidence) -> Hint | None:
    """A constant factor, with the size that it may come from."""
    right = np.concatenate([g.ravel() for g in evidence.right])
    got = np.concatenate([g.ravel() for g in evidence.got])
    c = float(got @ right / (right @ right))
    if not c or not same(c * right, got):
        return None
    found = _as_size(evidence.probe, abs(c))
    sign = "the wrong sign and " if c < 0 else ""
    text = f"has {sign}a factor of {abs(c):.4g} too much" if not found else f"has {sign}{found}"
    return _hint("factor", evidence, text)


def _as_size(probe: Probe, c: float) -> str:
    sizes = {letter: size for letter, size in probe.setting.sizes.items() if size > 1}
    named = {letter: float(size) for letter, size in sizes.items()}
    for count in (2, 3):
        for some in itertools.combinations(sizes, count):
            named["·".join(some)] = float(np.prod([sizes[letter] for letter in some]))
    for kind, value in (("a factor {n} too much: a sum stands where a mean belongs, or is taken twice", c),
                        ("a factor 1/{n} too much: a mean stands where a sum belongs, or is taken twice", 1.0 / c)):  # fmt: skip
        names = [name for name, size in named.items() if abs(size - value) < 1e-6]
        if names and abs(value - 2.0) > 1e-6:
            return kind.format(n=f"{value:.4g} ({' or '.join(names[:3])})")
    return ""


def of_another(evidence: Evidence) -> Hint | None:
    """The right gradient of another input of the same shape, or something that was lying about: dy, an input, y."""
    for other in evidence.probe.present():
        if other != evidence.name and evidence.fits(trial.right[other] for trial in evidence.probe.trials):
            return _hint("order", evidence, f"is the gradient of {other}: two gradients are exchanged")
    for trial in evidence.probe.trials[:1]:
        for name, value in {"dy": trial.dy, "y": evidence.probe.y, **evidence.probe.inputs}.items():
            if same(evidence.got[0], value):
                return _hint("unchanged", evidence, f"is {name} itself, unchanged")
    return None


def turned(evidence: Evidence) -> Hint | None:
    """The right gradient with its axes exchanged, reversed or shifted, or without its mean."""
    letters = evidence.probe.setting.axes[evidence.name].split()
    for kind, text, move in _moves(letters, evidence.right[0].shape):
        if evidence.fits(move(g) for g in evidence.right):
            return _hint(kind, evidence, text)
    return None


def _moves(letters: list[str], shape: tuple[int, ...]) -> Iterator[Move]:
    for a in range(len(shape)):
        for b in range(a):
            if shape[a] == shape[b] > 1:
                yield (
                    "transposed",
                    f"is transposed: the axes {letters[b]} and {letters[a]} are exchanged",
                    lambda g, a=a, b=b: g.swapaxes(a, b),
                )
    for axis, letter in enumerate(letters):
        if shape[axis] > 1:
            yield "reversed", f"runs the wrong way round along {letter}", lambda g, axis=axis: np.flip(g, axis)
            for by, word in ((1, "late"), (-1, "early")):
                text = f"is right, but one step too {word} along {letter}"
                yield "shifted", text, lambda g, axis=axis, by=by: np.roll(g, by, axis)
                yield "shifted", text, lambda g, axis=axis, by=by: _shift(g, by, axis)
            yield "mean", f"lacks its mean along {letter}", lambda g, axis=axis: g - g.mean(axis, keepdims=True)
            yield "averaged", f"is averaged along {letter}", lambda g, axis=axis: np.mean(g, axis, keepdims=True) + 0 * g
            yield (
                "averaged",
                f"is summed along {letter}, and spread again",
                lambda g, axis=axis: np.sum(g, axis, keepdims=True) + 0 * g,
            )
            for index, word in ((0, "first"), (-1, "last")):
                text = f"is right at the {word} index along {letter} only, and 0 elsewhere"
                yield "partly", text, lambda g, axis=axis, index=index: g * _only(g, axis, index)
    yield "absolute", "is right but for its signs: an absolute value was taken", np.abs


def of_another_dy(evidence: Evidence) -> Hint | None:
    """The right gradient of a dy that is turned, cut or squared."""
    probe = evidence.probe
    letters = probe.part.output.split()
    for kind, text, move in _cotangents(letters, probe.y.shape):
        if evidence.fits(probe.right(move(trial.dy))[evidence.name] for trial in probe.trials):
            return _hint(kind, evidence, text)
    return None


def _cotangents(letters: list[str], shape: tuple[int, ...]) -> Iterator[Move]:
    yield "no dy", "is the gradient for a dy of ones: dy itself is not used", np.ones_like
    yield "absolute", "is the gradient for |dy|: the sign of dy is lost", np.abs
    yield "twice", "is the gradient for dy²: dy is used twice", np.square
    for axis, letter in enumerate(letters):
        if shape[axis] < 2:
            continue
        for index, word in ((0, "first"), (-1, "last")):
            only = f"only the {word} index along {letter} is taken of dy: the sum over {letter} is missing"
            yield "partly", only, lambda dy, axis=axis, index=index: dy * _only(dy, axis, index)
            without = f"the {word} index along {letter} of dy is left out"
            yield "partly", without, lambda dy, axis=axis, index=index: dy * (1.0 - _only(dy, axis, index))
        yield "reversed", f"dy is read the wrong way round along {letter}", lambda dy, axis=axis: np.flip(dy, axis)
        for by, word in ((1, "before"), (-1, "after")):
            text = f"dy is shifted along {letter}: that of the step {word} is used"
            yield "shifted", text, lambda dy, axis=axis, by=by: np.roll(dy, by, axis)
            yield "shifted", text, lambda dy, axis=axis, by=by: _shift(dy, by, axis)
        for index, word in ((0, "first"), (-1, "last")):
            text = f"dy of the {word} index along {letter} is used for all"
            yield "partly", text, lambda dy, axis=axis, index=index: np.take(dy, [index], axis) + 0 * dy
        average = f"dy is averaged along {letter} first"
        yield "averaged", average, lambda dy, axis=axis: dy.mean(axis, keepdims=True) + 0 * dy
        summed = f"dy is summed along {letter} first"
        yield "averaged", summed, lambda dy, axis=axis: dy.sum(axis, keepdims=True) + 0 * dy


def not_linear(evidence: Evidence) -> Hint | None:
    """A gradient for 2 dy is twice that for dy."""
    probe = evidence.probe
    result = as_tuple(probe.got(2.0 * probe.trials[0].dy)[0])
    twice = dict(zip(probe.part.returns, result, strict=False)).get(evidence.name)
    if twice is None or same(twice, 2.0 * evidence.got[0]):
        return None
    return _hint(
        "not linear", evidence, "is not proportional to dy, as every gradient is: dy is squared, or something is added"
    )


def where_wrong(evidence: Evidence) -> Hint | None:
    """Right but for some places."""
    letters = evidence.probe.setting.axes[evidence.name].split()
    scale = max(float(np.abs(g).max()) for g in evidence.right)
    wrong = np.any([np.abs(g - r) > 1e-9 * scale for g, r in zip(evidence.got, evidence.right, strict=True)], axis=0)
    for axis, letter in enumerate(letters):
        places = np.unique(np.nonzero(wrong)[axis]) if wrong.ndim else np.zeros(0)
        size = wrong.shape[axis]
        if 0 < len(places) < size and size > 1:
            named = [{0: "first", size - 1: "last"}.get(int(place), str(int(place))) for place in places]
            plural = "index" if len(named) == 1 else "indices"
            text = f"is wrong at the {listed(named)} {plural} along {letter} only: is the border a case of its own?"
            return _hint("partly wrong", evidence, text)
    if all(abs(g.sum() - r.sum()) < 1e-9 * np.abs(r).sum() for g, r in zip(evidence.got, evidence.right, strict=True)):
        return _hint("shares", evidence, "is right in sum but not entry by entry: it goes to the wrong entries")
    share = wrong.mean()
    return (
        _hint("partly wrong", evidence, f"is wrong in {share:.0%} of its entries, right in the others") if share < 0.9 else None
    )


def unknown(evidence: Evidence) -> Hint:
    """None of these: the worst entry, to begin with."""
    g, r = evidence.got[0], evidence.right[0]
    index = tuple(int(i) for i in np.unravel_index(int(np.abs(g - r).argmax()), g.shape))
    text = f"is wrong, most at {list(index)}: {g[index]:.6g}, expected {r[index]:.6g}; no single mistake explains it"
    return _hint("unknown", evidence, text)


def _hint(kind: str, evidence: Evidence, text: str) -> Hint:
    return Hint(kind, f"d{evidence.name}", text)


def _only(like: np.ndarray, axis: int, index: int) -> np.ndarray:
    mask = np.zeros_like(like)
    mask[(slice(None),) * axis + (index,)] = 1.0
    return mask


def _shift(z: np.ndarray, by: int, axis: int) -> np.ndarray:
    """Moved by one step, with 0 where nothing comes from."""
    moved: Any = np.roll(z, by, axis)
    return moved * (1.0 - _only(z, axis, 0 if by > 0 else -1))
