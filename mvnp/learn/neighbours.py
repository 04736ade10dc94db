"""Mistakes in the formula: which slip of the pen turns the right gradient into the reader's?

A gradient is a sum of terms T_i, each made of ingredients (exercise.py). Two searches, both exact to rounding:

    got = Σ_i c_i T_i              least squares: c_i = 0 a term is missing, −1 its sign is wrong, 2 it is there twice     (1)
    got = Σ_i T_i(ingredients')    an ingredient changed: left out, there twice, turned, another in its place              (2)

With random inputs a coincidence in all entries of two cotangents has probability zero, so what fits is what was written, or
is equal to it.
"""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .exercise import Ingredients, Part
from .hint import TOLERANCE, Evidence, Hint, Trial, listed, same

Change = tuple[str, str, dict[str, Any], Any]  # kind, text, ingredients to put in place, or whole gradients

_USUAL = {0.0: ("missing term", "is missing"), -1.0: ("sign", "has the wrong sign"), 2.0: ("twice", "is counted twice")}


def evaluate(term: Callable[..., np.ndarray], have: Ingredients) -> np.ndarray:
    """A term, of the ingredients that its parameters name."""
    return np.asarray(term(*(have[name] for name in inspect.signature(term).parameters)))


def coefficients(evidence: Evidence, usual: bool) -> Hint | None:
    """(1). With `usual` only missing, sign and twice are hints; without, any factor."""
    terms = evidence.probe.part.terms[evidence.name]
    return _fitted(
        evidence, [{name: evaluate(term, t.have) for name, term in terms.items()} for t in evidence.probe.trials], usual
    )


def _fitted(evidence: Evidence, values: list[dict[str, np.ndarray]], usual: bool) -> Hint | None:
    """(1) for terms with these values in each trial."""
    columns = {name: np.concatenate([np.ravel(of_trial[name]) for of_trial in values]) for name in values[0]}
    used = {name: column for name, column in columns.items() if np.isfinite(column).all() and np.abs(column).max() > 0.0}
    got = np.concatenate([g.ravel() for g in evidence.got])
    if len(used) < 2 or any(column.shape != got.shape for column in used.values()):
        return None
    matrix = np.stack(list(used.values()), axis=1)
    found, _, rank, _ = np.linalg.lstsq(matrix, got, rcond=1e-8)
    if rank < len(used) or not same(matrix @ found, got):
        return None
    wrong = {name: float(c) for name, c in zip(used, found, strict=True) if abs(c - 1.0) > 1e3 * TOLERANCE}
    as_usual = [
        next((told for usual, told in _USUAL.items() if abs(c - usual) < 1e3 * TOLERANCE), None) for c in wrong.values()
    ]
    if not wrong or (usual and None in as_usual) or len({round(c, 6) for c in found}) == 1:
        return None
    told = [
        f"the term {name} {of_name[1] if of_name else f'has a factor of {c:.4g} too much'}"
        for (name, c), of_name in zip(wrong.items(), as_usual, strict=True)
    ]
    kind = next((of_name[0] for of_name in as_usual if of_name), "factor")
    return Hint(kind, f"d{evidence.name}", listed(told))


def changed_ingredient(evidence: Evidence) -> Hint | None:
    """(2), in all terms together, then in some."""
    return _search(evidence, evidence.fits, _tried(evidence), "")


def changed_at_some_entries(evidence: Evidence) -> Hint | None:
    """(2), at those entries that are wrong. What only moves entries about would explain too much here."""
    if not evidence.probe.part.apart:
        return None
    tried = (some for some in _tried(evidence) if some[0][0] not in ("reversed", "transposed", "inverse"))
    return _search(evidence, evidence.fits_where_wrong, tried, " (not at every entry)")


def two_mistakes(evidence: Evidence) -> Hint | None:
    """(1) and (2) at once."""
    terms = evidence.probe.part.terms[evidence.name]
    for changes in _tried(evidence):
        moved = [_attempt(terms, trial.have, change, evidence.name) for trial, change in _paired(evidence, changes)]
        found = [new for new in moved if new is not None]
        if len(found) == len(moved) and not changes[0][3] and (hint := _fitted(evidence, found, usual=True)):
            return Hint(hint.kind, hint.where, f"{hint.text}; and {changes[0][1]}")
    return None


def _tried(evidence: Evidence) -> Iterator[tuple[Change, ...]]:
    """Every change, once for each trial."""
    lists = [list(_changes(evidence.probe.part, evidence.name, trial.have)) for trial in evidence.probe.trials]
    return zip(*lists, strict=True)


def _paired(evidence: Evidence, changes: tuple[Change, ...]) -> Iterator[tuple[Trial, Change]]:
    return zip(evidence.probe.trials, changes, strict=True)


def _search(
    evidence: Evidence,
    fits: Callable[[Iterable[np.ndarray]], bool],
    tried: Iterable[tuple[Change, ...]],
    remark: str,
) -> Hint | None:
    terms = evidence.probe.part.terms[evidence.name]
    kept = [{name: evaluate(term, trial.have) for name, term in terms.items()} for trial in evidence.probe.trials]
    for changes in tried:
        moved = [_attempt(terms, trial.have, change, evidence.name) for trial, change in _paired(evidence, changes)]
        pairs = [(old, new) for old, new in zip(kept, moved, strict=True) if new is not None]
        if len(pairs) < len(moved):
            continue
        changed = [name for name in terms if not all(same(new[name], old[name]) for old, new in pairs)]
        for some in (some for size in range(len(changed), 0, -1) for some in itertools.combinations(changed, size)):
            candidates = [np.asarray(sum((new if name in some else old)[name] for name in terms)) for old, new in pairs]
            if fits(candidates):
                where = "" if len(some) == len(changed) else f"in the term {listed(some)}: "
                return Hint(changes[0][0], f"d{evidence.name}", f"{where}{changes[0][1]}{remark}")
    return None


def _attempt(terms: Any, have: Ingredients, change: Change, gradient: str) -> dict[str, np.ndarray] | None:
    """The terms after a change; None where it does not fit together with these shapes."""
    _, _, instead, gradients = change
    if gradients:
        zero = dict.fromkeys(terms, np.zeros(()))
        return {**zero, next(iter(terms)): gradients[gradient]} if gradient in gradients else None
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return {name: evaluate(term, {**have, **instead}) for name, term in terms.items()}
    except (ValueError, IndexError):
        return None


def _changes(part: Part, gradient: str, have: Ingredients) -> Iterator[Change]:
    """Every change that is tried: those of the layer first, which know best what they mean."""
    for mistake in part.mistakes(have):
        yield "mistake", mistake.text, dict(mistake.instead), mistake.gradients
    names = dict.fromkeys(p for term in part.terms[gradient].values() for p in inspect.signature(term).parameters)
    arrays = {name: have[name] for name in names if isinstance(have[name], np.ndarray | float)}
    others = {name: value for name, value in have.items() if isinstance(value, np.ndarray)}

    def written(name: str) -> str:
        return part.written.get(name, name)

    for name, value in arrays.items():
        yield "missing factor", f"the factor {written(name)} is missing", {name: np.ones_like(value)}, {}
        yield "twice", f"the factor {written(name)} is there twice", {name: value * value}, {}
        with np.errstate(divide="ignore"):
            yield "inverse", f"divided by {written(name)}, expected multiplied by it", {name: np.divide(1.0, value)}, {}
    for name, value in arrays.items():
        for other, theirs in others.items():
            if other != name and np.shape(value) == theirs.shape and theirs.ndim and written(other) != written(name):
                yield "mixed up", f"{written(other)} stands where {written(name)} belongs", {name: theirs}, {}
    for name, value in arrays.items():
        if np.ndim(value) >= 2:
            yield (
                "transposed",
                f"{written(name)} is to be transposed, or is and should not be",
                {name: value.swapaxes(-1, -2)},
                {},
            )
    for name, value in arrays.items():
        for axis in range(np.ndim(value)):
            yield (
                "reversed",
                f"{written(name)} is read the wrong way round along its axis {axis}",
                {name: np.flip(value, axis)},
                {},
            )
