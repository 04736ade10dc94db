"""LayerNorm and BatchNorm: one formula, with the mean over other axes; RMSNorm, which lacks a term of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..exercise import Exercise, Ingredients, Inputs, Mistake, Part, Setting, Terms

_WRITTEN = {"xhat": "x̂", "along": "x̂ in ⟨g x̂⟩", "gamma": "γ", "mean": "⟨·⟩", "centred": "x − μ"}

_TERMS: dict[str, Terms] = {
    "x": {
        "r g": lambda r, g: r * g,
        "− r ⟨g⟩": lambda r, g, mean: -r * mean(g),
        "− r x̂ ⟨g x̂⟩": lambda r, g, mean, xhat, along: -r * xhat * mean(g * along),
    },
    "weight": {"Σ dy x̂": lambda dy, xhat, added: added(dy * xhat)},
    "bias": {"Σ dy": lambda dy, added: added(dy)},
}


def _standardised(given: Inputs, dy: np.ndarray, axes: tuple[int, ...], mean: np.ndarray, variance: np.ndarray) -> Ingredients:
    x, weight = given["x"], given["weight"]
    r = np.broadcast_to((variance + 1e-5) ** -0.5, x.shape)
    leading = tuple(range(x.ndim - weight.ndim))
    return {
        "x": x,
        "dy": dy,
        "r": r,
        "g": dy * weight,
        "gamma": np.broadcast_to(weight, x.shape),
        "xhat": (x - mean) * r,
        "along": (x - mean) * r,
        "centred": x - mean,
        "mean": lambda z: z.mean(axes, keepdims=True),
        "added": lambda z: z.sum(leading),
        "axes": axes,
    }


def _mistakes(have: Ingredients) -> list[Mistake]:
    axes, r, n = have["axes"], have["r"], float(np.prod([have["x"].shape[axis] for axis in have["axes"]]))
    others = tuple(axis for axis in range(r.ndim) if axis not in axes)
    return [
        Mistake("g lacks γ: dy stands where g = γ dy belongs", {"g": have["dy"]}),
        Mistake("⟨·⟩ runs over the wrong axes", {"mean": lambda z: z.mean(others, keepdims=True)}),
        Mistake("⟨·⟩ runs over the whole array", {"mean": np.mean}),
        Mistake("⟨·⟩ is a mean, and a sum stands there", {"mean": lambda z: z.sum(axes, keepdims=True)}),
        Mistake("⟨·⟩ is a mean over n, and is divided by n − 1", {"mean": lambda z: z.sum(axes, keepdims=True) / (n - 1)}),
        Mistake("x, not standardised, stands where x̂ belongs", _both(have["x"])),
        Mistake("x − μ, without its factor r, stands where x̂ belongs", _both(have["centred"])),
        Mistake("μ is not subtracted in x̂", _both(have["x"] * r)),
        Mistake("x̂ has the factor r twice", _both(have["xhat"] * r)),
        Mistake("the standard deviation 1/r stands where r belongs", {"r": 1.0 / r}),
        Mistake("a mean over the rows stands where their sum belongs", {"added": lambda z: have["added"](z) / _rows(have)}),
    ]


def _both(xhat: np.ndarray) -> dict[str, np.ndarray]:
    return {"xhat": xhat, "along": xhat}


def _rows(have: Ingredients) -> float:
    return have["x"].size / have["added"](have["x"]).size


def _layernorm(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    x = given["x"]
    return _standardised(given, dy, (x.ndim - 1,), x.mean(-1, keepdims=True), x.var(-1, keepdims=True))


def _layernorm_mistakes(have: Ingredients) -> list[Mistake]:
    r, gamma, dy, xhat, mean = (have[name] for name in ("r", "gamma", "dy", "xhat", "mean"))
    outside = r * gamma * (dy - mean(dy) - xhat * mean(dy * xhat))
    return [Mistake(_GAMMA_OUTSIDE, gradients={"x": outside}), *_mistakes(have)]


_GAMMA_OUTSIDE = (
    "⟨·⟩ is taken of dy and γ multiplied afterwards: γ varies along the axis that is averaged, so the mean is that of g = γ dy"
)

LAYERNORM = Exercise(
    "layernorm",
    "statistics that depend on x as well",
    (
        Part(
            "layernorm_forward", "layernorm_backward", "B L C", ("x", "weight", "bias"),
            (Setting({"x": "B L C", "weight": "C", "bias": "C"}, {"B": 2, "L": 3, "C": 4}),),
            _layernorm, _TERMS, _layernorm_mistakes, _WRITTEN,
        ),
    ),
)  # fmt: skip


def _rmsnorm(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    x = given["x"]
    return _standardised(given, dy, (x.ndim - 1,), np.zeros_like(x[..., :1]), (x**2).mean(-1, keepdims=True))


def _rmsnorm_mistakes(have: Ingredients) -> list[Mistake]:
    g, mean, dy, xhat = (have[name] for name in ("g", "mean", "dy", "xhat"))
    outside = have["r"] * have["gamma"] * (dy - xhat * mean(dy * xhat))
    return [
        Mistake(_GAMMA_OUTSIDE, gradients={"x": outside}),
        Mistake("⟨g⟩ is subtracted; without μ in the forward there is no such term", {"g": g - mean(g)}),
        Mistake("⟨g⟩ is subtracted; without μ in the forward there is no such term", gradients={"x": _with_mean(have)}),
        *(mistake for mistake in _mistakes(have) if not any(part in mistake.text for part in ("μ is not", "x − μ"))),
    ]


def _with_mean(have: Ingredients) -> np.ndarray:
    """LayerNorm's dx."""
    r, g, xhat, mean = (have[name] for name in ("r", "g", "xhat", "mean"))
    return r * (g - mean(g) - xhat * mean(g * xhat))


RMSNORM = Exercise(
    "rmsnorm",
    "what the mean took away with it",
    (
        Part(
            "rmsnorm_forward", "rmsnorm_backward", "B L C", ("x", "weight"),
            (Setting({"x": "B L C", "weight": "C"}, {"B": 2, "L": 3, "C": 4}),),
            _rmsnorm,
            {
                "x": {"r g": _TERMS["x"]["r g"], "− r x̂ ⟨g x̂⟩": _TERMS["x"]["− r x̂ ⟨g x̂⟩"]},
                "weight": _TERMS["weight"],
            },
            _rmsnorm_mistakes, _WRITTEN,
        ),
    ),
)  # fmt: skip


def _batchnorm(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    x = given["x"]
    axes = tuple(range(x.ndim - 1))
    return _standardised(given, dy, axes, x.mean(axes, keepdims=True), x.var(axes, keepdims=True))


def _batchnorm_eval(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    return _standardised(given, dy, tuple(range(dy.ndim - 1)), options["mean"], options["variance"])


def _batchnorm_eval_mistakes(have: Ingredients) -> list[Mistake]:
    g, xhat, mean = have["g"], have["xhat"], have["mean"]
    trained = g - mean(g) - xhat * mean(g * xhat)
    constants = "the running statistics are constants in evaluation: dx has no term from the mean or the variance"
    return [
        Mistake(constants, {"g": trained}),
        Mistake(constants, {"g": g - mean(g)}),
        *(mistake for mistake in _mistakes(have) if "⟨·⟩" not in mistake.text),
    ]


_CHANNELS = {"x": "B L C", "weight": "C", "bias": "C"}, {"B": 4, "L": 2, "C": 3}

BATCHNORM = Exercise(
    "batchnorm",
    "samples that depend on each other",
    (
        Part(
            "batchnorm_forward", "batchnorm_backward", "B L C", ("x", "weight", "bias"), (Setting(*_CHANNELS, "training"),),
            _batchnorm, _TERMS, _mistakes, _WRITTEN,
        ),
        Part(
            "batchnorm_eval_forward", "batchnorm_eval_backward", "B L C", ("x", "weight", "bias"),
            (
                Setting(
                    *_CHANNELS, "evaluation",
                    lambda given: {"mean": np.array([0.5, -1.0, 2.0]), "variance": np.array([0.3, 1.0, 4.0])},
                ),
            ),
            _batchnorm_eval, {**_TERMS, "x": {"r g": lambda r, g: r * g}}, _batchnorm_eval_mistakes, _WRITTEN,
        ),
    ),
)  # fmt: skip
