"""The linear recurrence, and the selective scan that is made of it: step by step in time."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ...core import ceil_sqrt
from ..exercise import Exercise, Ingredients, Inputs, Mistake, Pair, Part, Setting, Step


def _states(decay: np.ndarray, inputs: np.ndarray, start: np.ndarray) -> np.ndarray:
    """h_t = a_t h_(t−1) + u_t, time first."""
    states, h = np.empty_like(inputs), start
    for t, (a, u) in enumerate(zip(decay, inputs, strict=True)):
        states[t] = h = a * h + u
    return states


def _adjoint(next_decay: np.ndarray, dh: np.ndarray) -> np.ndarray:
    """g_t = dh_t + next_decay_t g_(t+1), time first; what next_decay is for the last t has no effect."""
    g, after = np.empty_like(dh), np.zeros_like(dh[0])
    for t in reversed(range(len(dh))):
        g[t] = after = dh[t] + next_decay[t] * after
    return g


def _later(z: np.ndarray, end: float = 0.0) -> np.ndarray:
    """z_(t+1), time first."""
    return np.concatenate([z[1:], np.full_like(z[:1], end)])


def _earlier(z: np.ndarray, start: np.ndarray | float = 0.0) -> np.ndarray:
    """z_(t−1), time first."""
    return np.concatenate([np.zeros_like(z[:1]) + start, z[:-1]])


def _wrong_adjoints(a: np.ndarray, dh: np.ndarray) -> list[tuple[str, np.ndarray]]:
    forward = "g runs forward in time; the gradient of a state comes from the steps after it"
    return [
        ("g_t takes the decay of its own step, a_t; h_t reached h_(t+1) through a_(t+1)", _adjoint(a, dh)),
        ("g_t takes the decay two steps on; h_t reached h_(t+1) through a_(t+1)", _adjoint(_later(_later(a)), dh)),
        ("g_t has no decay: g_(t+1) comes back multiplied by a_(t+1)", _adjoint(np.ones_like(a), dh)),
        ("nothing comes back from later steps: g_t = dh_t lacks a_(t+1) g_(t+1)", dh),
        ("only one step comes back: dh_(t+1) stands where g_(t+1) belongs", dh + _later(a) * _later(dh)),
        *((forward, _states(decay, dh, np.zeros_like(dh[0]))) for decay in (a, _earlier(a))),
        ("the part that comes back from later steps has the wrong sign", _adjoint(-_later(a), dh)),
        ("g lacks dh_t itself at its own step", _later(a) * _later(_adjoint(_later(a), dh))),
    ]


def _recurrence(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    a, start = given["decay"], given.get("start")
    before = np.zeros_like(a[0]) if start is None else start
    h = _states(a, given["inputs"], before)
    g = _adjoint(_later(a), dy)
    return {
        "dh": dy, "a": a, "a_next": _later(a), "g": g, "g_next": _later(g), "h": h, "h_before": _earlier(h, before),
        "start": before, "u": given["inputs"], "a_0": a[0], "g_0": g[0],
    }  # fmt: skip


def _recurrence_mistakes(have: Ingredients) -> list[Mistake]:
    found = [
        Mistake(text, {"g": g, "g_0": g[0], "g_next": _later(g)})
        for text, g in _wrong_adjoints(have["a"], have["dh"])
    ]  # fmt: skip
    h = have["h"]
    return [
        *found,
        Mistake("h_t stands where h_(t−1) belongs: a_t multiplied the state before", {"h_before": h}),
        Mistake("h_(t−2) stands where h_(t−1) belongs", {"h_before": _earlier(have["h_before"])}),
        Mistake("at the first step h_(−1) is the start, and 0 stands there", {"h_before": _earlier(h)}),
        Mistake("h_(t−1) wraps round: before the first step stands the last state", {"h_before": np.roll(h, 1, axis=0)}),
        Mistake("h_(t+1) stands where h_(t−1) belongs", {"h_before": _later(h)}),
        Mistake("g_(t+1) stands where g_t belongs", {"g": have["g_next"]}),
        Mistake("g_(t−1) stands where g_t belongs", {"g": _earlier(have["g"])}),
        Mistake("a_1 stands where a_0 belongs: the start is multiplied by the first decay", {"a_0": have["a"][1]}),
        Mistake("g of the last step stands where g_0 belongs", {"g_0": have["g"][-1]}),
    ]


def _between(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.abs(x))


_SEQUENCE = {"k": 7, "N": 2}

LINEAR_RECURRENCE = Exercise(
    "linear_recurrence",
    "backwards in time",
    (
        Part(
            "linear_recurrence_forward", "linear_recurrence_backward", "k N", ("decay", "inputs", "start"),
            (
                Setting({"decay": "k N", "inputs": "k N", "start": "N"}, _SEQUENCE, prepare={"decay": _between}),
                Setting({"decay": "k N", "inputs": "k N"}, _SEQUENCE, "no start", prepare={"decay": _between}),
            ),
            _recurrence,
            {
                "decay": {"g_t h_(t−1)": lambda g, h_before: g * h_before},
                "inputs": {
                    "dh_t": lambda g, a_next, g_next: g - a_next * g_next,
                    "a_(t+1) g_(t+1)": lambda a_next, g_next: a_next * g_next,
                },
                "start": {"a_0 g_0": lambda a_0, g_0: a_0 * g_0},
            },
            _recurrence_mistakes,
            {"a_next": "a_(t+1)", "g_next": "g_(t+1)", "h_before": "h_(t−1)", "g": "g_t", "h": "h_t", "a": "a_t", "dh": "dh_t"},
        ),
    ),
)  # fmt: skip


_SCAN = {"x": "b l d", "dt": "b l d", "A": "d n", "B": "b l n", "C": "b l n", "D": "d"}
_SIZES = {"b": 2, "l": 5, "d": 3, "n": 4}
_NEGATIVE = {"A": lambda x: -np.exp(x)}


def _scan(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    """Everything as (l, b, d, n), time first, so that a product needs no thought."""
    x, dt, A, B, C, D = (given[name] for name in ("x", "dt", "A", "B", "C", "D"))

    def channels(z: np.ndarray) -> np.ndarray:
        return z.swapaxes(0, 1)[..., None]

    def states(z: np.ndarray) -> np.ndarray:
        return z.swapaxes(0, 1)[:, :, None, :]

    raw = dt + given.get("dt_bias", 0.0)
    delta = np.log1p(np.exp(raw)) if options.get("softplus", True) else raw
    slope = 1.0 - np.exp(-delta) if options.get("softplus", True) else np.ones_like(delta)
    delta_, x_, B_, C_, dy_ = channels(delta), channels(x), states(B), states(C), channels(dy)
    decay = np.exp(delta_ * A)
    h = _states(decay, delta_ * B_ * x_, np.zeros_like(decay[0]))
    g = _adjoint(_later(decay), C_ * dy_)
    before = _earlier(h)
    return {
        "x": x_, "delta": delta_, "A": np.broadcast_to(A, g.shape), "B": B_, "C": C_, "D": D[:, None], "dy": dy_,
        "decay": decay, "h": h, "g": g, "h_before": before, "e_decay": decay, "slope": channels(slope),
        "over_n": lambda z: z.sum(3).swapaxes(0, 1), "over_d": lambda z: z.sum(2).swapaxes(0, 1),
        "over_tokens": lambda z: z.sum((0, 1)), "dt": channels(dt),
    }  # fmt: skip


def _scan_mistakes(have: Ingredients) -> list[Mistake]:
    decay, h, delta = have["decay"], have["h"], have["delta"]
    dh = have["C"] * have["dy"]
    found = [Mistake(text, {"g": wrong}) for text, wrong in _wrong_adjoints(decay, dh)]
    return [
        *found,
        Mistake(_NO_C, {"g": _adjoint(_later(decay), have["dy"] + 0 * h)}),
        Mistake("B stands where C belongs in g_t = C_t dy_t + …", {"g": _adjoint(_later(decay), have["B"] * have["dy"])}),
        Mistake("h_t stands where h_(t−1) belongs: the decay multiplied the state before", {"h_before": h}),
        Mistake("h_(t−2) stands where h_(t−1) belongs", {"h_before": _earlier(have["h_before"])}),
        Mistake("h_(t−1) wraps round: before the first step stands the last state", {"h_before": np.roll(h, 1, axis=0)}),
        Mistake("h_(t−1) stands where h_t belongs: y_t looks at the state after token t", {"h": np.roll(h, 1, axis=0)}),
        Mistake("the factor exp(Δ_t A) of e_t is missing: the exponential is its own slope", {"e_decay": np.ones_like(decay)}),
        Mistake("the exponential of the step after stands in e_t, expected exp(Δ_t A)", {"e_decay": _later(decay)}),
        Mistake("there is no softplus here (softplus=False), and its slope is applied", {"slope": 1.0 - np.exp(-delta)}),
        Mistake("the slope 1 − e^−Δ of softplus is missing", {"slope": np.ones_like(delta)}),
        Mistake("the slope of softplus is e^−Δ, expected 1 − e^−Δ", {"slope": 1.0 - have["slope"]}),
        Mistake("the slope of softplus is taken of Δ: σ(Δ), expected 1 − e^−Δ", {"slope": 1.0 / (1.0 + np.exp(-delta))}),
        Mistake("dt, before softplus, stands where Δ belongs", {"delta": have["dt"]}),
    ]


def _checkpointed_mistakes(have: Ingredients) -> list[Mistake]:
    decay, dh = have["decay"], have["C"] * have["dy"]
    K = ceil_sqrt(len(dh))
    border = (np.arange(len(dh)) % K == K - 1)[:, None, None, None]
    no_carry = _adjoint(np.where(border, 0.0, _later(decay)), dh)
    return [
        Mistake(
            "nothing comes back over the border of two blocks: what the next block wants of h_t is missing", {"g": no_carry}
        ),
        Mistake(
            "what comes back over the border of two blocks has the wrong sign",
            {"g": _adjoint(np.where(border, -1.0, 1.0) * _later(decay), dh)},
        ),
        *_scan_mistakes(have),
    ]


def _e(g: np.ndarray, h_before: np.ndarray, e_decay: np.ndarray) -> np.ndarray:
    return g * h_before * e_decay


def _fixed(given: Inputs) -> dict[str, Any]:
    """C and decays that fit the states, for the adjoint alone."""
    generator, shape = np.random.default_rng(31), given["h"].shape
    return {"C": generator.standard_normal(shape[:3]), "decay": _between(generator.standard_normal(shape))}


def _states_alone(module: ModuleType, options: dict[str, Any]) -> Pair:
    """Σ_n C_t h_t of a recurrence to whose states something is added, which is what a gradient of h is about; `adjoint`."""
    C, decay = options["C"], options["decay"]

    def forward(added: np.ndarray) -> tuple[np.ndarray, None]:
        h = _states(decay.swapaxes(0, 1), added.swapaxes(0, 1), np.zeros_like(added[:, 0]))
        return np.einsum("bln,lbnd->bld", C, h), None

    return forward, lambda dy, _: module.adjoint(dy, C, decay)


def _of_states(given: Inputs, options: dict[str, Any], dy: np.ndarray) -> Ingredients:
    C, decay = options["C"][..., None], options["decay"]
    later = _later(decay.swapaxes(0, 1))
    g = _adjoint(later, (C * dy[:, :, None, :]).swapaxes(0, 1))
    return {
        "C": C + 0 * decay, "dy": dy[:, :, None, :] + 0 * decay, "decay": decay,
        "later": later.swapaxes(0, 1), "g_later": _later(g).swapaxes(0, 1),
    }  # fmt: skip


def _mistakes_of_states(have: Ingredients) -> list[Mistake]:
    decay, dh, dy = (z.swapaxes(0, 1) for z in (have["decay"], have["C"] * have["dy"], have["dy"]))
    wrong = [*_wrong_adjoints(decay, dh), (_NO_C, _adjoint(_later(decay), dy))]
    return [Mistake(text, gradients={"h": g.swapaxes(0, 1)}) for text, g in wrong]


_NO_C = "g lacks C_t: the gradient of h_t begins with C_t dy_t"

ADJOINT = Part(
    "selective_scan_forward", "adjoint", "b l d", ("h",),
    (Setting({"h": "b l n d"}, _SIZES, options=_fixed),),
    _of_states,
    {"h": {"C_t dy_t": lambda C, dy: C * dy, "exp(Δ_(t+1) A) g_(t+1)": lambda later, g_later: later * g_later}},
    _mistakes_of_states,
    {"C": "C_t", "dy": "dy_t", "later": "exp(Δ_(t+1) A)", "g_later": "g_(t+1)", "decay": "exp(Δ_t A)"},
    call=_states_alone,
    help=True,
)  # fmt: skip

_STEPS = (
    Step(("B", "C"), "the gates of a token serve all its channels"),
    Step(("x", "D"), "a token's input goes into all states of its channel, and past them"),
    Step(("dt", "dt_bias"), "the gradient of Δ first, which decay and input both read, for all states; then the softplus"),
    Step(("A",), "every token uses A, and each use is counted with the state before it as a constant"),
)


def _exercise(
    stem: str,
    about: str,
    mistakes: Callable[[Ingredients], list[Mistake]],
    also: tuple[str, ...] = (),
    before: tuple[Part, ...] = (),
    steps: tuple[Step, ...] = (),
) -> Exercise:
    """Of the scan, whichever way it takes through the tokens. `before`: what is written first."""
    return Exercise(
        stem,
        about,
        (
            *before,
            Part(
                f"{stem}_forward", f"{stem}_backward", "b l d", ("x", "dt", "A", "B", "C", "D", "dt_bias"),
                (
                    Setting({**_SCAN, "dt_bias": "d"}, _SIZES, prepare=_NEGATIVE),
                    Setting(_SCAN, _SIZES, "no bias", prepare=_NEGATIVE),
                    Setting({**_SCAN, "dt_bias": "d"}, _SIZES, "no softplus", lambda given: {"softplus": False}, _NEGATIVE),
                ),
                _scan,
                {
                    "x": {
                        "Δ_t Σ_n g_t B_t": lambda g, B, delta, over_n: over_n(g * B * delta),
                        "D dy_t": lambda D, dy: (D * dy)[..., 0].swapaxes(0, 1),
                    },
                    "dt": {
                        "Σ_n e_t A": lambda g, h_before, e_decay, A, slope, over_n: (
                            over_n(_e(g, h_before, e_decay) * A * slope)
                        ),
                        "x_t Σ_n g_t B_t": lambda g, B, x, slope, over_n: over_n(g * B * x * slope),
                    },
                    "A": {
                        "Σ e_t Δ_t": lambda g, h_before, e_decay, delta, over_tokens: (
                            over_tokens(_e(g, h_before, e_decay) * delta)
                        )
                    },
                    "B": {"Σ_d g_t Δ_t x_t": lambda g, delta, x, over_d: over_d(g * delta * x)},
                    "C": {"Σ_d dy_t h_t": lambda dy, h, over_d: over_d(dy * h)},
                    "D": {"Σ dy_t x_t": lambda dy, x, over_tokens: over_tokens(dy * x)[..., 0]},
                    "dt_bias": {
                        "Σ_(b,t) Σ_n e_t A": lambda g, h_before, e_decay, A, slope, over_n: (
                            over_n(_e(g, h_before, e_decay) * A * slope).sum((0, 1))
                        ),
                        "Σ_(b,t) x_t Σ_n g_t B_t": lambda g, B, x, slope, over_n: over_n(g * B * x * slope).sum((0, 1)),
                    },
                },
                mistakes,
                {
                    "delta": "Δ_t", "h": "h_t", "h_before": "h_(t−1)", "slope": "1 − e^−Δ",
                    "e_decay": "exp(Δ_t A)", "decay": "exp(Δ_t A)",
                },
            ),
        ),
        also=also,
        steps=steps,
    )  # fmt: skip


SELECTIVE_SCAN = _exercise(
    "selective_scan",
    "the whole of it",
    _scan_mistakes,
    also=("selective_scan_states", "decays"),
    before=(ADJOINT,),
    steps=(Step(("h",), "`adjoint`: what is wanted of each state, by way of y and of the state after it"), *_STEPS),
)
CHECKPOINTED_SCAN = _exercise("checkpointed_scan", "block by block", _checkpointed_mistakes)
