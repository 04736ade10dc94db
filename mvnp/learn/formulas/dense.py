"""Matrices, means and probabilities: linear, pool, softmax, cross-entropy, MESA."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..exercise import Exercise, Ingredients, Inputs, Mistake, Part, Setting, flat

_ROWS = {"B": 2, "L": 3, "I": 4, "O": 5}


def _linear(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    return {"dy": dy, "x": given["x"], "W": given["weight"]}


LINEAR = Exercise(
    "linear",
    "the gradient of a matrix product",
    (
        Part(
            "linear_forward", "linear_backward", "B L O", ("x", "weight", "bias"),
            (
                Setting({"x": "B L I", "weight": "O I", "bias": "O"}, _ROWS),
                Setting({"x": "B L I", "weight": "O I"}, _ROWS, "no bias"),
            ),
            _linear,
            {
                "x": {"dy W": lambda dy, W: dy @ W},
                "weight": {"Σ dyᵀ x": lambda dy, x: flat(dy).T @ flat(x)},
                "bias": {"Σ dy": lambda dy: flat(dy).sum(0)},
            },
        ),
    ),
)  # fmt: skip


def _pool(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    B, H, W, C = given["x"].shape
    return {"dy": np.broadcast_to(dy[:, None, None, :], (B, H, W, C)), "x": given["x"], "share": 1.0 / (H * W)}


def _pool_mistakes(have: Ingredients) -> list[Mistake]:
    B, H, W, C = have["x"].shape
    only = np.zeros((1, H, W, 1))
    only[:, 0, 0] = H * W
    return [
        Mistake("divided by H alone; a mean over H and W has the share 1/(HW)", {"share": 1.0 / H}),
        Mistake("divided by W alone; a mean over H and W has the share 1/(HW)", {"share": 1.0 / W}),
        Mistake("divided by H + W; a mean over H and W has the share 1/(HW)", {"share": 1.0 / (H + W)}),
        Mistake("multiplied by HW; a mean over H and W has the share 1/(HW)", {"share": float(H * W)}),
        Mistake("divided by the batch size as well; the mean runs over H and W only", {"share": 1.0 / (B * H * W)}),
        Mistake("divided by the channels as well; the mean runs over H and W only", {"share": 1.0 / (C * H * W)}),
        Mistake("divided by B C, expected the pixels of one image, H W", {"share": 1.0 / (B * C)}),
        Mistake("all of dy goes to the first pixel; every pixel had the same share", {"share": only / (H * W)}),
        Mistake("all of dy goes to the first pixel; every pixel had the same share", {"share": only / (H * W) ** 2}),
        Mistake("all of dy goes to the largest pixel: that is max pooling", {"share": _largest(have["x"])}),
        Mistake("dy is weighed by x; a mean weighs all pixels alike, whatever they hold", {"share": have["x"]}),
        Mistake("dy is weighed by x; a mean weighs all pixels alike, whatever they hold", {"share": have["x"] / (H * W)}),
    ]


def _largest(x: np.ndarray) -> np.ndarray:
    return (x == x.max(axis=(1, 2), keepdims=True)) * 1.0


POOL = Exercise(
    "pool",
    "equal shares",
    (
        Part(
            "pool_forward", "pool_backward", "B C", ("x",), (Setting({"x": "B H W C"}, {"B": 2, "H": 3, "W": 5, "C": 7}),),
            _pool, {"x": {"dy / (HW)": lambda dy, share: dy * share}}, _pool_mistakes, {"share": "1/(HW)"},
        ),
    ),
)  # fmt: skip


def _softmax(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    y = np.exp(given["x"])
    y /= y.sum(-1, keepdims=True)
    return {"dy": dy, "x": given["x"], "y": y, "weights": y, "total": lambda z: z.sum(-1, keepdims=True)}


def _softmax_mistakes(have: Ingredients) -> list[Mistake]:
    C = have["y"].shape[-1]
    return [
        Mistake(
            "the sum Σ_j dy_j y_j runs over the first axis; j runs over the last", {"total": lambda z: z.sum(0, keepdims=True)}
        ),
        Mistake(
            "the sum Σ_j dy_j y_j runs over the tokens; j runs over the last axis", {"total": lambda z: z.sum(1, keepdims=True)}
        ),
        Mistake("the sum Σ_j dy_j y_j runs over the whole array; each row has its own", {"total": np.sum}),
        Mistake("a mean stands where the sum Σ_j dy_j y_j belongs", {"total": lambda z: z.sum(-1, keepdims=True) / C}),
        Mistake("the sum over j is not taken: dy_j y_j stands for Σ_j dy_j y_j", {"total": lambda z: z}),
        Mistake("the largest entry stands where the sum Σ_j dy_j y_j belongs", {"total": lambda z: z.max(-1, keepdims=True)}),
    ]


SOFTMAX = Exercise(
    "softmax",
    "every output depends on every input",
    (
        Part(
            "softmax_forward", "softmax_backward", "B L C", ("x",), (Setting({"x": "B L C"}, {"B": 2, "L": 3, "C": 4}),),
            _softmax,
            {
                "x": {
                    "y dy": lambda y, dy: y * dy,
                    "− y Σ_j dy_j y_j": lambda y, dy, weights, total: -y * total(dy * weights),
                }
            },
            _softmax_mistakes, {"weights": "y_j in the sum"},
        ),
    ),
)  # fmt: skip


def _cross_entropy(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    z, target, s = given["logits"], options["target"], options.get("smoothing", 0.0)
    B, C = z.shape
    p = np.eye(C)[target] if target.ndim == 1 else target
    q = np.exp(z)
    q /= q.sum(-1, keepdims=True)
    return {"dloss": dy, "z": z, "q": q, "p": (1.0 - s) * p + s / C, "share": 1.0 / B, "log_q": np.log(q)}


def _cross_entropy_mistakes(have: Ingredients) -> list[Mistake]:
    B, C = have["z"].shape
    q, exp = have["q"], np.exp(have["z"])
    return [
        Mistake("divided by the classes C, expected the samples B", {"share": 1.0 / C}),
        Mistake("divided by all B·C entries, expected the samples B alone", {"share": 1.0 / (B * C)}),
        Mistake("multiplied by B, expected divided by it", {"share": float(B)}),
        Mistake("q is not normalised: e^z stands where the softmax belongs", {"q": exp}),
        Mistake("q is normalised over the batch; softmax runs over the classes", {"q": exp / exp.sum(0)}),
        Mistake(
            "−p log q stands there: that is the loss itself, not its gradient", {"q": 0.0 * q, "p": have["p"] * have["log_q"]}
        ),
        Mistake(
            "−p/q stands there: that is the gradient of q, before softmax's own backward", {"q": 0.0 * q, "p": have["p"] / q}
        ),
        Mistake("q (1 − q) stands where q belongs: that is the slope of a single sigmoid", {"q": q * (1.0 - q)}),
        Mistake("the sigmoid of each logit stands where the softmax belongs", {"q": exp / (1.0 + exp)}),
    ]


_LOGITS = {"logits": "B C"}, {"B": 3, "C": 4}
_LABELS = np.array([2, 0, 3])
_SOFT = np.array([[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0]])

CROSS_ENTROPY = Exercise(
    "cross_entropy",
    "why softmax and log go together",
    (
        Part(
            "cross_entropy_forward", "cross_entropy_backward", "", ("logits",),
            (
                Setting(*_LOGITS, "labels", lambda given: {"target": _LABELS}),
                Setting(*_LOGITS, "soft targets", lambda given: {"target": _SOFT}),
                Setting(*_LOGITS, "labels, smoothed", lambda given: {"target": _LABELS, "smoothing": 0.1}),
            ),
            _cross_entropy,
            {
                "logits": {
                    "dloss/B q": lambda dloss, share, q, p: dloss * share * q * p.sum(1, keepdims=True),
                    "− dloss/B p": lambda dloss, share, p: -dloss * share * p,
                }
            },
            _cross_entropy_mistakes, {"share": "1/B", "log_q": "log q"},
        ),
    ),
)  # fmt: skip


def _binary_cross_entropy(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    z, target, s = given["logits"], options["target"], options.get("smoothing", 0.0)
    B, C = z.shape
    p = (1.0 - s) * (np.eye(C)[target] if target.ndim == 1 else target) + s / C
    n = B if options.get("summed") else B * C
    return {"dloss": dy, "z": z, "q": 1.0 / (1.0 + np.exp(-z)), "p": p, "share": 1.0 / n}


def _binary_cross_entropy_mistakes(have: Ingredients) -> list[Mistake]:
    q, p, z = have["q"], have["p"], have["z"]
    B, C = z.shape
    summed = have["share"] == 1.0 / B
    return [
        Mistake(
            "divided by B C, expected B: these questions are summed"
            if summed
            else "divided by B, expected B C: every question counts",
            {"share": 1.0 / (B * C) if summed else 1.0 / B},
        ),
        Mistake("divided by the classes C; n is B C, or B", {"share": 1.0 / C}),
        Mistake("the softmax stands where the sigmoid belongs", {"q": np.exp(z) / np.exp(z).sum(-1, keepdims=True)}),
        Mistake("q (1 − q) stands where q belongs: that is the slope of the sigmoid", {"q": q * (1.0 - q)}),
        Mistake("−p/q stands there: that is the gradient of q, before the sigmoid's own backward", {"q": 0.0 * q, "p": p / q}),
        Mistake("only the answer yes is differentiated: p (1 − q) without (1 − p) q", {"q": p * q}),
        Mistake("the sigmoid is of −z", {"q": 1.0 - q}),
    ]


BINARY_CROSS_ENTROPY = Exercise(
    "binary_cross_entropy",
    "a sigmoid and two logarithms",
    (
        Part(
            "binary_cross_entropy_forward", "binary_cross_entropy_backward", "", ("logits",),
            (
                Setting(*_LOGITS, "labels, smoothed", lambda given: {"target": _LABELS, "smoothing": 0.1}),
                Setting(*_LOGITS, "shares, summed", lambda given: {"target": _SOFT, "summed": True}),
            ),
            _binary_cross_entropy,
            {
                "logits": {
                    "dloss/n q": lambda dloss, share, q: dloss * share * q,
                    "− dloss/n p": lambda dloss, share, p: -dloss * share * p,
                }
            },
            _binary_cross_entropy_mistakes, {"share": "1/n"},
        ),
    ),
)  # fmt: skip


_TEACHER = np.array([[2.0, -1.0, 0.5, 0.0], [0.0, 0.0, 3.0, -2.0], [-0.5, 1.0, -1.5, 0.5]])


def _mesa(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    z, teacher, T, F = given["logits"], options["teacher_logits"], options.get("temperature", 3.0), options.get("factor", 50.0)
    exp_q, exp_p = np.exp(z / T), np.exp(teacher / T)
    q, p = (e / e.sum(-1, keepdims=True) for e in (exp_q, exp_p))
    return {"dloss": dy, "z": z, "q": q, "p": p, "share": 1.0 / len(z), "slope": 1.0 / T, "F": F, "log_q": np.log(q)}


def _mesa_mistakes(have: Ingredients) -> list[Mistake]:
    B, C = have["z"].shape
    T, q, p = 1.0 / have["slope"], have["q"], have["p"]
    hot = np.exp(have["z"]) / np.exp(have["z"]).sum(-1, keepdims=True)
    return [
        Mistake("divided by the classes C, expected the samples B", {"share": 1.0 / C}),
        Mistake("divided by all B·C entries, expected the samples B alone", {"share": 1.0 / (B * C)}),
        Mistake("multiplied by T, expected divided by it: the inner derivative of z/T", {"slope": T}),
        Mistake("divided by T twice; one 1/T is the inner derivative, and there is no other", {"slope": 1.0 / T**2}),
        Mistake("q is the softmax of z, expected that of z/T", {"q": hot}),
        Mistake("teacher and student have changed places: that is the gradient of z̄ in KL(q ‖ p)", {"q": p, "p": q}),
        Mistake("−p/q stands there: that is the gradient of q, before softmax's own backward", {"q": 0.0 * q, "p": p / q}),
        Mistake("q log q stands there: that is a term of an entropy, not a gradient", {"q": q * have["log_q"]}),
    ]


MESA = Exercise(
    "mesa",
    "a soft target, at a temperature",
    (
        Part(
            "mesa_forward", "mesa_backward", "", ("logits",),
            (
                Setting(*_LOGITS, "", lambda given: {"teacher_logits": _TEACHER, "temperature": 2.5}),
                Setting(*_LOGITS, "distillation", lambda given: {"teacher_logits": _TEACHER, "temperature": 2, "factor": 4}),
            ),
            _mesa,
            {
                "logits": {
                    "dloss F/(B T) q": lambda dloss, F, share, slope, q: dloss * F * share * slope * q,
                    "− dloss F/(B T) p": lambda dloss, F, share, slope, p: -dloss * F * share * slope * p,
                }
            },
            _mesa_mistakes, {"share": "1/B", "slope": "1/T", "log_q": "log q"},
        ),
    ),
)  # fmt: skip
