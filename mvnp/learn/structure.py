"""Mistakes in the values that show without a formula: a factor, a sign, another's gradient, a border."""

from __future__ import annotations

import itertools

import numpy as np

from .hint import Evidence, Hint, Probe, as_tuple, listed, same


def sign(evidence: Evidence) -> Hint | None:
    """The negative of the right gradient."""
    return hint_of("sign", evidence, "has the wrong sign") if evidence.fits(-g for g in evidence.right) else None


def zero(evidence: Evidence) -> Hint | None:
    """Nothing at all."""
    found = all(not g.any() for g in evidence.got)
    return (
        hint_of(
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
    return hint_of("not finite", evidence, text)


def rounded(evidence: Evidence) -> Hint | None:
    """Right, but to a few digits."""
    worst = max(
        float(np.abs(g - r).max(initial=0.0) / max(np.abs(r).max(initial=0.0), 1e-300))
        for g, r in zip(evidence.got, evidence.right, strict=True)
    )
    if not worst < 1e-3:
        return None
    digits = max(1, int(-np.log10(worst)))
    text = f"is right to {digits} digits only: is it computed in float32, or a small constant such as ε left out?"
    return hint_of("rounded", evidence, text)


def independent_of_dy(evidence: Evidence) -> Hint | None:
    """The same for two cotangents, which happens to nothing that is a gradient."""
    found = all(same(evidence.got[0], g) for g in evidence.got[1:])
    return hint_of("no dy", evidence, "does not depend on dy: the chain rule's factor dy is missing") if found else None


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
    return hint_of("factor", evidence, text)


def _as_size(probe: Probe, c: float) -> str:
    sizes = {letter: size for letter, size in probe.setting.sizes.items() if size > 1}
    named = {letter: float(size) for letter, size in sizes.items()}
    for count in (2, 3):
        for some in itertools.combinations(sizes, count):
            named["·".join(some)] = float(np.prod([sizes[letter] for letter in some]))
    sum_for_mean = "a factor {n} too much: a sum stands where a mean belongs, or is taken twice"
    mean_for_sum = "a factor 1/{n} too much: a mean stands where a sum belongs, or is taken twice"
    for kind, value in ((sum_for_mean, c), (mean_for_sum, 1.0 / c)):
        names = [name for name, size in named.items() if abs(size - value) < 1e-6]
        if names:
            return kind.format(n=f"{value:.4g} ({' or '.join(names[:3])})")
    return ""


def of_another(evidence: Evidence) -> Hint | None:
    """The right gradient of another input of the same shape, or something that was lying about: dy, an input, y."""
    for other in evidence.probe.present():
        if other != evidence.name and evidence.fits(trial.right[other] for trial in evidence.probe.trials):
            return hint_of("order", evidence, f"is the gradient of {other}: two gradients are exchanged")
    for trial in evidence.probe.trials[:1]:
        for name, value in {"dy": trial.dy, "y": evidence.probe.y, **evidence.probe.inputs}.items():
            if same(evidence.got[0], value):
                return hint_of("unchanged", evidence, f"is {name} itself, unchanged")
    return None


def not_linear(evidence: Evidence) -> Hint | None:
    """A gradient for 2 dy is twice that for dy."""
    probe = evidence.probe
    result = as_tuple(probe.got(2.0 * probe.trials[0].dy).result)
    twice = dict(zip(probe.part.returns, result, strict=False)).get(evidence.name)
    if twice is None or same(twice, 2.0 * evidence.got[0]):
        return None
    return hint_of(
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
            named = [{0: "the first index", size - 1: "the last index"}.get(int(place), f"index {place}") for place in places]
            which = named[0] if len(named) == 1 else f"the indices {listed(map(str, places))}"
            text = f"is wrong at {which} along {letter} only: is the border a case of its own?"
            return hint_of("partly wrong", evidence, text)
    if all(abs(g.sum() - r.sum()) < 1e-9 * np.abs(r).sum() for g, r in zip(evidence.got, evidence.right, strict=True)):
        return hint_of("shares", evidence, "is right in sum but not entry by entry: it goes to the wrong entries")
    share = wrong.mean()
    return (
        hint_of("partly wrong", evidence, f"is wrong in {share:.0%} of its entries, right in the others")
        if share < 0.9
        else None
    )


def unknown(evidence: Evidence) -> Hint:
    """None of these: the worst entry, to begin with."""
    g, r = evidence.got[0], evidence.right[0]
    index = tuple(int(i) for i in np.unravel_index(int(np.abs(g - r).argmax()), g.shape))
    text = f"is wrong, most at {list(index)}: {g[index]:.6g}, expected {r[index]:.6g}; no single mistake explains it"
    return hint_of("unknown", evidence, text)


def hint_of(kind: str, evidence: Evidence, text: str) -> Hint:
    """A hint about the gradient that the evidence is of."""
    return Hint(kind, f"d{evidence.name}", text)
