"""Activations and gains, entry by entry: ReLU, SiLU, the gate, GELU, softplus, dropout, drop path, layer scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import erf
from ..exercise import Exercise, Ingredients, Inputs, Mistake, Part, Setting, flat, off_zero, sigmoid

_MATRIX, _TENSOR = {"B": 4, "C": 5}, {"B": 2, "L": 3, "C": 4}
_SLOPE = {"mask": "[x > 0]", "comp": "(1 − σ(x))", "sigma": "σ(x)", "slope": "u'", "curve": "(1 − tanh² u)", "half": "1/2"}


def _relu(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    x = given["x"]
    return {"dy": dy, "mask": (x > 0) * 1.0, "x": x, "y": np.maximum(x, 0)}


def _relu_mistakes(have: Ingredients) -> list[Mistake]:
    mask = have["mask"]
    return [
        Mistake("dy passes where x is negative: the condition is the wrong way round", {"mask": 1.0 - mask}),
        Mistake("−dy comes back where x is negative: that is the backward of |x|", {"mask": 2.0 * mask - 1.0}),
        Mistake("the condition looks at the sign of dy; it is x that was cut off", {"mask": (have["dy"] > 0) * 1.0}),
    ]


RELU = Exercise(
    "relu",
    "what a kink lets through",
    (
        Part(
            "relu_forward", "relu_backward", "B C", ("x",),
            (Setting({"x": "B C"}, _MATRIX, prepare={"x": off_zero}),),
            _relu, {"x": {"dy [x > 0]": lambda dy, mask: dy * mask}}, _relu_mistakes, _SLOPE, apart=False,
        ),
    ),
)  # fmt: skip


def _silu(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    sigma = sigmoid(given["x"])
    return {"dy": dy, "x": given["x"], "sigma": sigma, "comp": 1.0 - sigma}


def _silu_mistakes(have: Ingredients) -> list[Mistake]:
    twice, half = sigmoid(2.0 * have["x"]), sigmoid(0.5 * have["x"])
    return [
        Mistake("σ(2x) stands where σ(x) belongs: σ(x) = (1 + tanh(x/2)) / 2", {"sigma": twice, "comp": 1.0 - twice}),
        Mistake("σ(x/2) stands where σ(x) belongs", {"sigma": half, "comp": 1.0 - half}),
        Mistake("the slope of the sigmoid is σ (1 − σ), not σ (1 + σ)", {"comp": 1.0 + have["sigma"]}),
    ]


SILU = Exercise(
    "silu",
    "the product rule",
    (
        Part(
            "silu_forward", "silu_backward", "B C", ("x",), (Setting({"x": "B C"}, _MATRIX),), _silu,
            {
                "x": {
                    "dy σ(x)": lambda dy, sigma: dy * sigma,
                    "dy x σ(x) (1 − σ(x))": lambda dy, x, sigma, comp: dy * x * sigma * comp,
                }
            },
            _silu_mistakes, _SLOPE,
        ),
    ),
)  # fmt: skip


def _gate(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    sigma = sigmoid(given["z"])
    return {"dy": dy, "x": given["x"], "z": given["z"], "sigma": sigma, "comp": 1.0 - sigma}


def _gate_mistakes(have: Ingredients) -> list[Mistake]:
    dy, x, z, of_x = have["dy"], have["x"], have["z"], sigmoid(have["x"])
    silu = z * have["sigma"]
    return [
        Mistake("σ is taken of x; it belongs to z", {"sigma": of_x, "comp": 1.0 - of_x}),
        Mistake("SiLU is taken of x; it belongs to z", {"z": x, "sigma": of_x, "comp": 1.0 - of_x}),
        Mistake("x stands in its own gradient: y is linear in x", gradients={"x": dy * x * silu}),
        Mistake("SiLU(z) is there twice", gradients={"x": dy * silu**2}),
        Mistake("[z > 0] is the slope of ReLU; SiLU has another", gradients={"z": dy * x * (z > 0)}),
        Mistake("the slope of the sigmoid is σ (1 − σ), not σ (1 + σ)", {"comp": 1.0 + have["sigma"]}),
        Mistake("y = x z σ(z) stands where x belongs", {"x": x * have["z"] * have["sigma"]}),
    ]


GATE = Exercise(
    "gate",
    "a product of two branches",
    (
        Part(
            "gate_forward", "gate_backward", "B L C", ("x", "z"),
            (Setting({"x": "B L C", "z": "B L C"}, _TENSOR),), _gate,
            {
                "x": {"dy z σ(z)": lambda dy, z, sigma: dy * z * sigma},
                "z": {
                    "dy x σ(z)": lambda dy, x, sigma: dy * x * sigma,
                    "dy x z σ(z) (1 − σ(z))": lambda dy, x, z, sigma, comp: dy * x * z * sigma * comp,
                },
            },
            _gate_mistakes, {"sigma": "σ(z)", "comp": "(1 − σ(z))"},
        ),
    ),
)  # fmt: skip


def _gelu(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    x = given["x"]
    norm = 1.0 / math.sqrt(2.0 * math.pi)
    return {"dy": dy, "x": x, "Phi": 0.5 * (1.0 + erf(x / math.sqrt(2.0))), "bell": np.exp(-0.5 * x * x), "norm": norm}


def _gelu_mistakes(have: Ingredients) -> list[Mistake]:
    x = have["x"]
    return [
        Mistake("erf takes x/√2, not x", {"Phi": 0.5 * (1.0 + erf(x))}),
        Mistake("erf alone is not Φ: Φ = (1 + erf(x/√2)) / 2", {"Phi": erf(x / math.sqrt(2.0))}),
        Mistake("the 1/2 of Φ = (1 + erf(x/√2)) / 2 is missing", {"Phi": 2.0 * have["Phi"]}),
        Mistake("φ has exp(−x²/2), without the 1/2 it is another bell", {"bell": np.exp(-x * x)}),
        Mistake("the exponent of φ is −x²/2, and −x/2 stands there", {"bell": np.exp(-0.5 * x)}),
        Mistake("the exponent of φ has the wrong sign", {"bell": np.exp(0.5 * x * x)}),
        Mistake("φ is divided by √π, expected √(2π)", {"norm": 1.0 / math.sqrt(math.pi)}),
        Mistake("φ is divided by 2π, expected √(2π)", {"norm": 0.5 / math.pi}),
        Mistake("Φ stands where φ belongs", {"bell": have["Phi"], "norm": 1.0}),
    ]


def _gelu_tanh(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    x, scale = given["x"], math.sqrt(2.0 / math.pi)
    tanh = np.tanh(scale * (x + 0.044715 * x**3))
    slope = scale * (1.0 + 3.0 * 0.044715 * x * x)
    return {"dy": dy, "x": x, "tanh": tanh, "curve": 1.0 - tanh * tanh, "slope": slope, "half": 0.5}


def _gelu_tanh_mistakes(have: Ingredients) -> list[Mistake]:
    x, tanh, scale = have["x"], have["tanh"], math.sqrt(2.0 / math.pi)
    return [
        Mistake("tanh u is missing in 1 + tanh u", {"tanh": 0.0 * tanh}),
        Mistake("the slope of tanh is 1 − tanh², not 1 − tanh", {"curve": 1.0 - tanh}),
        Mistake("the slope of tanh is 1 − tanh², not tanh²", {"curve": tanh * tanh}),
        Mistake("the slope of tanh is 1 − tanh², not 1 + tanh²", {"curve": 1.0 + tanh * tanh}),
        Mistake("the 3 of (x³)' = 3x² is missing in u'", {"slope": scale * (1.0 + 0.044715 * x * x)}),
        Mistake("√(2/π) is missing in u'", {"slope": have["slope"] / scale}),
        Mistake("the cubic part is missing in u'", {"slope": np.full_like(x, scale)}),
        Mistake("u' has x where (x³)' = 3x² belongs", {"slope": scale * (1.0 + 3.0 * 0.044715 * x)}),
    ]


GELU = Exercise(
    "gelu",
    "two formulas for one curve",
    (
        Part(
            "gelu_forward", "gelu_backward", "B C", ("x",), (Setting({"x": "B C"}, _MATRIX),), _gelu,
            {"x": {"dy Φ(x)": lambda dy, Phi: dy * Phi, "dy x φ(x)": lambda dy, x, bell, norm: dy * x * bell * norm}},
            _gelu_mistakes, {"Phi": "Φ(x)", "bell": "exp(−x²/2)", "norm": "1/√(2π)"},
        ),
        Part(
            "gelu_tanh_forward", "gelu_tanh_backward", "B C", ("x",), (Setting({"x": "B C"}, _MATRIX),), _gelu_tanh,
            {
                "x": {
                    "dy/2 (1 + tanh u)": lambda dy, half, tanh: dy * half * (1.0 + tanh),
                    "dy/2 x (1 − tanh² u) u'": lambda dy, half, x, curve, slope: dy * half * x * curve * slope,
                }
            },
            _gelu_tanh_mistakes, {**_SLOPE, "tanh": "tanh u"},
        ),
    ),
)  # fmt: skip


def _softplus(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    x = given["x"]
    return {"dy": dy, "x": x, "y": np.log1p(np.exp(x)), "sigma": sigmoid(x)}


def _softplus_mistakes(have: Ingredients) -> list[Mistake]:
    x, y, sigma = have["x"], have["y"], have["sigma"]
    return [
        Mistake("the factor is σ(−x), which is 1 − σ(x); σ(x) belongs there", {"sigma": 1.0 - sigma}),
        Mistake("σ is taken of y; it belongs to x", {"sigma": sigmoid(y)}),
        Mistake("σ (1 − σ) is the slope of σ, one derivative too many", {"sigma": sigma * (1.0 - sigma)}),
        Mistake("the factor eˣ lacks its denominator 1 + eˣ", {"sigma": np.exp(x)}),
        Mistake("the denominator 1/(1 + eˣ) has the wrong sign in the exponent or lacks eˣ", {"sigma": np.exp(-x)}),
        Mistake("tanh stands where σ belongs", {"sigma": np.tanh(x)}),
        Mistake("[x > 0] is the slope of max(x, 0); log(1 + e^−|x|) has one too", {"sigma": (x > 0) * 1.0}),
        Mistake("1 − eʸ stands where 1 − e⁻ʸ belongs: a sign in the exponent", {"sigma": 1.0 - np.exp(y)}),
        Mistake("1 + e⁻ʸ stands where 1 − e⁻ʸ belongs", {"sigma": 1.0 + np.exp(-y)}),
        Mistake("1 − e⁻ˣ stands where 1 − e⁻ʸ belongs: it is the output that counts", {"sigma": 1.0 - np.exp(-x)}),
    ]


SOFTPLUS = Exercise(
    "softplus",
    "a gradient from the output alone",
    (
        Part(
            "softplus_forward", "softplus_backward", "B C", ("x",), (Setting({"x": "B C"}, _MATRIX),), _softplus,
            {"x": {"dy σ(x)": lambda dy, sigma: dy * sigma}}, _softplus_mistakes, _SLOPE,
        ),
    ),
)  # fmt: skip


def _dropout(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    return {"dy": dy, "x": given["x"], "mask": np.broadcast_to(options["mask"], dy.shape)}


def _dropout_mistakes(have: Ingredients) -> list[Mistake]:
    mask, kept = have["mask"], have["mask"] > 0
    spread = "the mask has lost an axis, and is spread along another than that of the samples"
    others = [axis for axis in range(1, mask.ndim) if mask.shape[axis] == len(mask)]
    return [
        *(Mistake(spread, {"mask": mask.swapaxes(0, axis)}) for axis in others),
        Mistake("the factor 1/(1 − p) of what was kept is missing: the mask is not only zeros and ones", {"mask": kept * 1.0}),
        Mistake("what was kept is scaled by 1 − p, expected 1/(1 − p)", {"mask": kept / mask.max()}),
        Mistake("the gradient goes through what was dropped, not through what was kept", {"mask": (~kept) * 1.0}),
        Mistake("the gradient goes through what was dropped, not through what was kept", {"mask": (~kept) * mask.max()}),
        Mistake("1 − m stands where m belongs", {"mask": 1.0 - mask}),
        Mistake("all is scaled by 1/(1 − p), also what was dropped", {"mask": np.full_like(mask, mask.max())}),
        Mistake(
            "what was dropped gets dy unscaled; it had no influence, so its gradient is 0", {"mask": np.where(kept, mask, 1.0)}
        ),
        Mistake("m is divided by its sum or mean; it was not averaged in the forward", {"mask": mask / mask.mean()}),
        Mistake("m is divided by its sum or mean; it was not averaged in the forward", {"mask": mask / mask.sum()}),
        Mistake("the mask is taken in reverse order", {"mask": mask[::-1]}),
        Mistake("the mask of the sample before is used", {"mask": np.roll(mask, 1, axis=0)}),
        Mistake("only the mask of the first sample is used", {"mask": np.broadcast_to(mask[:1], mask.shape)}),
        Mistake("the average of the mask over the samples is used", {"mask": np.broadcast_to(mask.mean(0), mask.shape)}),
    ]


def _mask(*shape: int) -> np.ndarray:
    """p = 0.4: at least one of each kind in every column, and no two rows alike."""
    kept = np.random.default_rng(3).random(shape) >= 0.4
    kept.flat[0], kept.flat[1] = False, True
    return kept / 0.6


_DROPOUT = {"x": {"m dy": lambda dy, mask: dy * mask}}

DROPOUT = Exercise(
    "dropout",
    "through the same mask",
    (
        Part(
            "dropout_forward", "dropout_backward", "B C", ("x",),
            (Setting({"x": "B C"}, _MATRIX, options=lambda given: {"mask": _mask(*given["x"].shape)}),),
            _dropout, _DROPOUT, _dropout_mistakes, {"mask": "m"}, apart=False,
        ),
    ),
)  # fmt: skip

DROP_PATH = Exercise(
    "drop_path",
    "a mask with one draw for a sample",
    (
        Part(
            "drop_path_forward", "drop_path_backward", "B L C", ("x",),
            (Setting({"x": "B L C"}, {"B": 4, "L": 3, "C": 5}, options=lambda given: {"mask": _mask(len(given["x"]), 1, 1)}),),
            _dropout, _DROPOUT, _dropout_mistakes, {"mask": "m"}, apart=False,
        ),
    ),
)  # fmt: skip


def _layer_scale(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    return {"dy": dy, "x": given["x"], "gamma": np.broadcast_to(given["gamma"], dy.shape)}


def _layer_scale_mistakes(have: Ingredients) -> list[Mistake]:
    return [Mistake("γ stands in its own gradient: y is linear in γ", {"x": have["x"] * have["gamma"]})]


LAYER_SCALE = Exercise(
    "layer_scale",
    "a parameter that many entries share",
    (
        Part(
            "layer_scale_forward", "layer_scale_backward", "B L C", ("x", "gamma"),
            (Setting({"x": "B L C", "gamma": "C"}, _TENSOR),), _layer_scale,
            {
                "x": {"γ dy": lambda dy, gamma: dy * gamma},
                "gamma": {"Σ dy x": lambda dy, x: flat(dy * x).sum(0)},
            },
            _layer_scale_mistakes,
            written={"gamma": "γ"},
        ),
    ),
)  # fmt: skip
