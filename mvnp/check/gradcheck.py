"""Gradient checking: is this backward the derivative of this forward?

Two checks, both in float64 against central differences of fourth order,

    f'(x) ≈ (8 [f(x+h) − f(x−h)] − [f(x+2h) − f(x−2h)]) / 12h        error O(h⁴)        (1)

*Directions*, at any size: for a random cotangent w and a random direction v, ⟨dx, v⟩ must be the slope of ⟨w, f(x + tv)⟩
at t = 0, where dx = backward(w). The cotangent is drawn at random because some backwards are right for w = 1 by accident:
softmax and every normalisation then have a gradient of zero.

*Jacobian*, at tiny sizes: every ∂y_i/∂x_j on its own, numerically column by column, and by the backward row by row.

    report = mvnp.gradcheck(layernorm_forward, layernorm_backward, {"x": x, "weight": w, "bias": b})
    print(report)               # a table of tensor, index, both values, error
    report.raise_for_error()

Where both differ, the backward need not be wrong: the forward may have a kink or a jump there, or numbers so large that their
differences lose the digits. That is looked for and said (`Comparison.cause`).

The step and its error: Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids" (1988), table 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..backend import Array, from_numpy, to_numpy
from ..core import Layer, Tape
from ..errors import InputError, MvnpError, is_number, refusing, shown

JACOBIAN_LIMIT = 20_000  # entries of the Jacobian, up to which it is checked in full unless the caller says otherwise
LOOKED_AT = 50  # entries of a Jacobian, the worst first, of which one is looked for that is wrong for no other cause
LOCATE_LIMIT = 400  # coordinates that are probed one by one to find where a failed direction goes wrong


class GradientError(MvnpError, AssertionError):
    """A backward that is not the derivative of its forward."""


@dataclass(frozen=True)
class Comparison:
    """One value of a gradient, worked out twice."""

    tensor: str
    where: str  # "direction 3", "x[0, 2]", "∂y[1, 0]/∂x[0, 2]"
    analytic: float
    numeric: float
    error: float  # their difference over the tensor's scale; infinite where one of them is not finite
    cause: str = ""  # why the two differ, where it is not the backward's fault: a kink, a jump, rounding

    @classmethod
    def of(cls, tensor: str, where: str, analytic: float, numeric: float, scale: float) -> Comparison:
        """The comparison of two values. NaN compares with nothing, so it would be neither wrong nor the worst."""
        error = abs(analytic - numeric) / scale
        return cls(tensor, where, analytic, numeric, error if np.isfinite(error) else np.inf)

    def __str__(self) -> str:
        return f"{self.tensor:<24} {self.where:<34} {self.analytic:>14.7e} {self.numeric:>14.7e} {self.error:>9.1e}"


@dataclass
class Report:
    """What `gradcheck` found: the worst comparison of every tensor."""

    name: str
    tolerance: float
    comparisons: list[Comparison] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every error is within the tolerance."""
        return all(comparison.error <= self.tolerance for comparison in self.comparisons)

    @property
    def error(self) -> float:
        """The largest error."""
        return max(comparison.error for comparison in self.comparisons)

    def raise_for_error(self) -> None:
        """Raise GradientError with the table, unless `ok`."""
        wrong = [comparison for comparison in self.comparisons if comparison.error > self.tolerance]
        if wrong and all(comparison.cause for comparison in wrong):
            raise GradientError(f"the backward of {self.name} could not be checked here, which need not be its fault\n{self}")
        if wrong:
            raise GradientError(f"the backward of {self.name} is not the derivative of its forward\n{self}")

    def __str__(self) -> str:
        header = f"{'tensor':<24} {'where':<34} {'backward':>14} {'numeric':>14} {'error':>9}"
        rows = []
        for row in self.comparisons:
            mark = "" if row.error <= self.tolerance else "  <-- unclear" if row.cause else "  <-- wrong"
            rows += [f"{row}{mark}", *([f"    {row.cause}"] if row.cause else [])]
        return "\n".join([header, *rows])


@refusing
def gradcheck(
    forward: Callable[..., tuple[Array, Any]],
    backward: Callable[[Array, Any], Any],
    inputs: Mapping[str, Any],
    *,
    jacobian: bool | None = None,
    directions: int = 6,
    step: float = 1e-4,
    tolerance: float = 1e-7,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Compare a hand-derived backward with central differences of its forward.

    forward      `forward(*inputs.values())` gives the pair `(y, cache)`; it must not be random and not change its arguments
    backward     `backward(dy, cache)` gives the gradients in the order of `inputs` (one input: the array itself)
    inputs       {name: array}; floating ones are differentiated, in float64 on the backend in use. Integers and booleans
                 (labels, masks), and None for an argument that is absent, are passed on as they are; what the backward gives
                 for them is not looked at, but that for None it gives None. Where there are integers alone, they are numbers
    jacobian     True: every entry of the Jacobian; False: random directions; None: the Jacobian where it is small
    step         h of (1), relative to entries of size one. Keep kinks (ReLU at 0) farther than 2h from the inputs.
    tolerance    largest error that counts as right

    An error is a difference over the scale of its tensor's gradient, so that values near zero ask for no miracle.
    Raises InputError for inputs that cannot be checked and for a forward that is random, GradientError where the backward's
    result has a wrong number of arrays, a wrong shape or values that are not finite. A wrong value raises nothing: see
    `Report.ok`. Where a kink, a jump or rounding may be why a value differs, its `cause` says so.
    """
    numbers = {"directions": directions, "step": step, "tolerance": tolerance}
    if type(directions) is not int or directions < 1 or not all(is_number(each) and each > 0 for each in numbers.values()):
        raise InputError(
            f"gradcheck: directions is {shown(directions)}, step {shown(step)}, tolerance {shown(tolerance)}; expected at least"
            " one direction and positive numbers"
        )
    for what, function in (("forward", forward), ("backward", backward)):
        if not callable(function):
            raise InputError(f"gradcheck: the {what} is a {type(function).__name__}, expected a function")
    if not isinstance(inputs, Mapping):
        raise InputError(f"gradcheck: inputs is a {type(inputs).__name__}, expected a dict, {{name: array}}")
    probe = _Probe(forward, backward, inputs, step)
    report = Report(name or str(getattr(forward, "__name__", "this function")), tolerance)
    if jacobian is None:
        jacobian = probe.y.size * sum(x.size for x in probe.inputs.values()) <= JACOBIAN_LIMIT
    if jacobian:
        report.comparisons = probe.check_jacobian(tolerance)
    else:
        report.comparisons = probe.check_directions(directions, np.random.default_rng(seed), tolerance)
    return report


@refusing
def gradcheck_layer(layer: Layer, x: Any, *, training: bool = True, tape_seed: int = 0, **options: Any) -> Report:
    """`gradcheck` of a Layer object: its input `x` and each of its parameters. `options` are those of `gradcheck`.

    The layer is copied to float64 and left alone. Every evaluation gets a new tape with the same seed, so dropout draws the
    same mask each time.
    """
    if not isinstance(layer, Layer):
        raise InputError(f"gradcheck_layer: the layer is a {type(layer).__name__}, expected a Layer; then comes its input x")
    twin = layer.astype("float64")
    params = dict(twin.named_parameters())

    def forward(x: Array, *values: Array) -> tuple[Array, Tape]:
        for param, value in zip(params.values(), values, strict=True):
            param.data = value
        tape = Tape(training=training, seed=tape_seed)
        return twin.forward(x, tape), tape

    def backward(dy: Array, tape: Tape) -> tuple:
        dx = twin.backward(dy, tape)
        gradients = {key: tape.gradient(param) for key, param in params.items()}
        missing = [key for key, gradient in gradients.items() if gradient is None]
        if missing:
            raise GradientError(f"the backward of {layer.label} gives no gradient for {', '.join(missing)}")
        return (dx, *(gradients[key] for key in params))

    options.setdefault("name", layer.label)
    return gradcheck(forward, backward, {"x": x, **{key: param.data for key, param in params.items()}}, **options)


class _Probe:
    """A forward and backward at one point: evaluates, differentiates numerically, compares."""

    def __init__(self, forward: Callable, backward: Callable, inputs: Mapping[str, Any], step: float) -> None:
        self.forward, self.backward, self.step = forward, backward, step
        self.given = dict(inputs)
        kinds = "f" if any(_kind_of(x) not in "iub " for x in inputs.values()) else "fiu"  # integers alone are taken for reals
        constant = [name for name, x in inputs.items() if _kind_of(x) in "iub " and _kind_of(x) not in kinds]
        self.inputs = {name: _as_float64(name, x) for name, x in inputs.items() if name not in constant}
        if not self.inputs:
            came = ", ".join(f"{name} is {_described(x)}" for name, x in inputs.items())
            raise InputError(f"gradcheck: no floating inputs to differentiate{': ' * bool(came)}{came}")
        self.y = self.evaluate()
        apart = np.abs(self.evaluate() - self.y).max(initial=0.0)
        if apart > 1e-9 * max(np.abs(self.y).max(initial=0.0), 1e-300):
            raise InputError(
                f"gradcheck: the forward is random: two calls with the same inputs differ by up to {apart:.1e}. Give it the"
                " same draws each time, from a generator that it makes anew with a fixed seed"
            )

    def evaluate(self, name: str = "", shift: np.ndarray | float = 0.0) -> np.ndarray:
        """y with the input `name` moved by `shift`."""
        moved = self._arguments({key: x + shift if key == name else x for key, x in self.inputs.items()})
        result = self.forward(*moved.values())
        if not isinstance(result, tuple) or len(result) != 2:
            raise InputError(f"gradcheck: the forward gives a {type(result).__name__}, expected a pair (y, cache)")
        return to_numpy(result[0])

    def _arguments(self, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Of the forward: copies of the floating ones, with these values, and all others as they are."""
        return {
            name: from_numpy(values[name].copy())
            if name in values
            else None
            if x is None
            else from_numpy(np.array(to_numpy(x)))
            for name, x in self.given.items()
        }

    def gradients(self, dy: np.ndarray) -> dict[str, np.ndarray]:
        """What the backward says, checked for its form, and for leaving its arguments alone."""
        arguments = self._arguments(self.inputs)
        given = from_numpy(dy.copy())
        result = self.backward(given, self.forward(*arguments.values())[1])
        result = list(result) if isinstance(result, tuple | list) else [result]
        if len(result) == len(self.inputs) < len(arguments):  # those of the floating inputs alone
            left = iter(result)
            result = [next(left) if name in self.inputs else None for name in arguments]
        if len(result) != len(arguments):
            raise GradientError(f"the backward gives {len(result)} gradients, expected {len(arguments)}: {list(arguments)}")
        for name, before, after in [*((name, x, arguments[name]) for name, x in self.inputs.items()), ("dy", dy, given)]:
            if not np.array_equal(before, to_numpy(after), equal_nan=True):
                raise GradientError(f"{name} was changed in place; a layer must leave its arguments alone")
        by_name = dict(zip(arguments, result, strict=True))
        for name, gradient in by_name.items():
            if arguments[name] is None and gradient is not None:
                raise GradientError(f"the backward gives a gradient for {name}, which is absent (None); expected None for it")
        return {name: _well_formed(name, by_name[name], x) for name, x in self.inputs.items()}

    def slope(self, name: str, v: np.ndarray) -> np.ndarray:
        """(1): the derivative of every output along the direction v in one input."""
        h = self.step
        near = self.evaluate(name, h * v) - self.evaluate(name, -h * v)
        far = self.evaluate(name, 2 * h * v) - self.evaluate(name, -2 * h * v)
        return (8.0 * near - far) / (12.0 * h)

    def cause(self, name: str, w: np.ndarray, part: np.ndarray, analytic: float, numeric: float, scale: float) -> str:
        """Why the slope of ⟨w, f⟩ along `part` of an input can differ from the backward's though that is right; empty where
        there is no such reason."""
        eps, h = float(np.finfo(np.float64).eps), self.step
        if not np.isfinite(numeric):
            return f"no number: within {2 * h:.0e} of the input the forward gives values that are not finite; move it away"
        spread = max(float(np.abs(self.evaluate(name, 0.0 * part) - self.y).max()) for _ in range(3))
        if spread * float(np.abs(w).max()) > 0.01 * h * abs(analytic - numeric):
            return (
                f"a random forward: calls with the same inputs differ by up to {spread:.1e}; give it the same draws each time"
            )

        def value(t: float) -> float:
            return float(np.sum(w * self.evaluate(name, t * part)))

        here, x = float(np.sum(w * self.y)), self.inputs[name]
        large = float(np.sum(np.abs(w * self.y)))

        def noise(step: float) -> float:
            return 4 * eps * (large + abs(numeric) * float(np.abs(x).max())) / step

        if abs(analytic - numeric) <= 4 * noise(h):
            return (
                f"rounding: outputs of {np.abs(self.y).max():.0e} and inputs of {np.abs(x).max():.0e} leave differences over a"
                f" step of {h:.0e} no more digits; take a constant off them, or a larger step"
            )
        s = h / 100
        if 16 * noise(s) > abs(analytic - numeric):
            return ""  # so near, nothing can be told from rounding
        at_s = [value(-s), here, value(s)]
        left, right = (at_s[1] - at_s[0]) / s, (at_s[2] - at_s[1]) / s
        far = (value(h) - here) / h, (here - value(-h)) / h
        allowed = 0.1 * abs(analytic - numeric) + 4 * noise(s)
        if abs(left + right) > 20 * max(abs(far[0] + far[1]), scale) and abs(analytic) < 10 * scale:
            return f"a jump: within {s:.0e} of the input the forward changes by {s * (left + right):.1g}; move it away"
        if abs(left - right) > allowed and abs(left - right) > 0.5 * abs(far[0] - far[1]):
            if min(left, right) - allowed <= analytic <= max(left, right) + allowed:
                return f"a kink: the slope is {left:.4g} on one side and {right:.4g} on the other; move the input away from it"
        elif abs((left + right) / 2 - analytic) <= allowed:
            return (
                f"a kink nearer than {2 * h:.0e}: over a step of {s:.0e} the differences agree with the backward; move the"
                " input away from it, or give a smaller step"
            )
        return ""

    def explained(self, found: Comparison, w: np.ndarray, part: np.ndarray, scale: float, tolerance: float) -> Comparison:
        """The comparison with its cause, where it is off."""
        if found.error <= tolerance:
            return found
        return replace(found, cause=self.cause(found.tensor, w, part, found.analytic, found.numeric, scale))

    def check_jacobian(self, tolerance: float) -> list[Comparison]:
        units = np.eye(self.y.size).reshape(self.y.size, *self.y.shape)
        rows = [self.gradients(unit) for unit in units]
        analytic = {name: np.stack([row[name].ravel() for row in rows]) for name in self.inputs}
        numeric = {
            name: np.stack([self.slope(name, unit.reshape(x.shape)).ravel() for unit in np.eye(x.size)], axis=1)
            for name, x in self.inputs.items()
        }
        overall = max(_largest(J) for J in numeric.values())
        comparisons = []
        for name, x in self.inputs.items():
            scale = max(_largest(numeric[name]), np.abs(analytic[name]).max(), 1e-3 * overall, 1e-12)
            off = np.nan_to_num(np.abs(analytic[name] - numeric[name]), nan=np.inf)
            found = []
            for i, j in zip(*np.unravel_index(np.argsort(-off, axis=None)[:LOOKED_AT], off.shape), strict=True):
                a, n = float(analytic[name][i, j]), float(numeric[name][i, j])
                where = f"∂y{_index(i, self.y.shape)}/∂{name}{_index(j, x.shape)}"
                unit = np.eye(x.size)[j].reshape(x.shape)
                found.append(self.explained(Comparison.of(name, where, a, n, scale), units[i], unit, scale, tolerance))
                if not found[-1].cause:
                    break
            # What has a cause does not hide what is wrong: that comes first, though the other may be larger.
            comparisons.append(found[-1] if found[-1].error > tolerance and not found[-1].cause else found[0])
        return comparisons

    def check_directions(self, directions: int, rng: np.random.Generator, tolerance: float) -> list[Comparison]:
        worst: dict[str, Comparison] = {}
        for number in range(directions):
            w = rng.standard_normal(self.y.shape)
            gradients = self.gradients(w)
            overall = max(_rms(g) for g in gradients.values())
            for name, x in self.inputs.items():
                if name in worst and worst[name].error > tolerance:
                    continue  # found and located: once is enough, and locating is slow
                v = rng.standard_normal(x.shape)
                # As long as one entry, however many there are: a step keeps its size, and a kink its distance.
                v /= np.linalg.norm(v)
                a, n = float(np.sum(gradients[name] * v)), float(np.sum(w * self.slope(name, v)))
                # ⟨dx, v⟩ of a unit v is as large as one entry of dx.
                scale = max(abs(a), abs(n), _rms(gradients[name]), 1e-3 * overall, 1e-12)
                found = Comparison.of(name, f"direction {number}", a, n, scale)
                if found.error > tolerance:
                    located, part = self._locate(name, w, gradients[name], scale, v)
                    # A fault that is spread over many coordinates can be small at each: then the direction stands.
                    found, part = (located, part) if located.error > tolerance else (found, v)
                    found = self.explained(found, w, part, scale, tolerance)
                if name not in worst or found.error > worst[name].error:
                    worst[name] = found
        return list(worst.values())

    def _locate(
        self, name: str, w: np.ndarray, gradient: np.ndarray, scale: float, v: np.ndarray
    ) -> tuple[Comparison, np.ndarray]:
        """A coordinate at which a gradient that failed along v is wrong: the worst, where there are at most LOCATE_LIMIT.

        Of more than those, the half along which the gradient is more wrong is taken, and again, until few enough are left.
        """
        x = self.inputs[name]

        def compare(coordinates: Any, weights: np.ndarray | float, where: str) -> Comparison:
            part = np.zeros(x.shape)
            part.flat[coordinates] = weights
            n = float(np.sum(w * self.slope(name, part)))
            return Comparison.of(name, where, float(np.sum(gradient * part)), n, scale)

        left = np.arange(x.size)
        while len(left) > LOCATE_LIMIT:
            left = max(np.array_split(left, 2), key=lambda half: compare(half, v.ravel()[half], "").error)
        j = max(left, key=lambda j: compare(j, 1.0, "").error)
        unit = np.zeros(x.shape)
        unit.flat[j] = 1.0
        return compare(j, 1.0, f"{name}{_index(j, x.shape)}"), unit


def _kind_of(x: Any) -> str:
    """The letter of its dtype's kind; a blank for None."""
    return " " if x is None else to_numpy(x).dtype.kind


def _described(x: Any) -> str:
    return "None" if x is None else f"of {to_numpy(x).dtype}"


def _as_float64(name: str, x: Any) -> np.ndarray:
    array = to_numpy(x)
    if array.dtype.kind not in "fiu":
        raise InputError(f"gradcheck: input {name} has dtype {array.dtype}, expected real numbers")
    if array.size == 0:
        raise InputError(f"gradcheck: input {name} is empty, shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"gradcheck: input {name} holds values that are not finite")
    return np.array(array, dtype=np.float64)


def _well_formed(name: str, gradient: Array, x: np.ndarray) -> np.ndarray:
    if gradient is None:
        raise GradientError(
            f"the backward gives None for d{name}, and {name} was given; None is for an argument that is absent"
        )
    gradient = to_numpy(gradient)
    if gradient.shape != x.shape:
        raise GradientError(f"d{name} has shape {gradient.shape}, expected that of {name}, {x.shape}")
    if not np.isfinite(gradient).all():
        raise GradientError(f"d{name} holds values that are not finite")
    return gradient


def _index(flat: Any, shape: tuple[int, ...]) -> str:
    return f"[{', '.join(str(i) for i in np.unravel_index(int(flat), shape))}]" if shape else ""


def _largest(x: np.ndarray) -> float:
    """The largest of the finite ones."""
    return float(np.abs(x[np.isfinite(x)]).max(initial=0.0))


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x * x)))
