"""The gradient checker itself: mvnp/check/gradcheck.py. It is fed backwards that are right and many that are not.

The victim has what a layer can have: an input that all outputs share, one that is summed over rows, one that only some
outputs see, a product and a sum.

    y_bo = Σ_i x_bi² W_oi + c_o        dx = 2 x (dy W)        dW = dyᵀ x²        dc = Σ_b dy
"""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp import Layer, Param, Tape, from_numpy, gradcheck, gradcheck_layer, to_numpy
from mvnp.check.gradcheck import JACOBIAN_LIMIT, Comparison, GradientError, Report
from mvnp.errors import InputError, MvnpError
from mvnp.layers.dropout import Dropout
from mvnp.layers.linear import Linear
from support.checks import normal
from support.tolerance import assert_close, near, rounding

B, I, O = 3, 4, 4  # W is square, so that a transposed gradient has the right shape
modes = pytest.mark.parametrize("jacobian", [True, False], ids=["jacobian", "directions"])


def inputs():
    return {"x": normal((B, I), seed=1), "W": normal((O, I), seed=2), "c": normal((O,), seed=3)}


def forward(x, W, c):
    return (x * x) @ W.T + c, (x, W)


def backward(dy, cache):
    x, W = cache
    return 2 * x * (dy @ W), dy.T @ (x * x), dy.sum(axis=0)


def one_entry(gradient, index, factor):
    changed = gradient.copy()
    changed[index] *= factor
    return changed


# Each spoils one gradient of the right three. The second word is the tensor that has to be blamed.
WRONG_VALUES = {
    "a factor dropped from dx": ("x", lambda dx, dW, dc, x, W, dy: (dx / 2, dW, dc)),
    "a factor x dropped from dx": ("x", lambda dx, dW, dc, x, W, dy: (2 * (dy @ W), dW, dc)),
    "the sign of dx": ("x", lambda dx, dW, dc, x, W, dy: (-dx, dW, dc)),
    "a transposed dW": ("W", lambda dx, dW, dc, x, W, dy: (dx, dW.T, dc)),
    "W transposed on the way to dx": ("x", lambda dx, dW, dc, x, W, dy: (2 * x * (dy @ W.T), dW, dc)),
    "a square forgotten in dW": ("W", lambda dx, dW, dc, x, W, dy: (dx, dy.T @ x, dc)),
    "only the first row in dc": ("c", lambda dx, dW, dc, x, W, dy: (dx, dW, dy[0])),
    "a mean for a sum in dc": ("c", lambda dx, dW, dc, x, W, dy: (dx, dW, dc / B)),
    "a dx of zeros": ("x", lambda dx, dW, dc, x, W, dy: (0 * dx, dW, dc)),
    "a dc of zeros": ("c", lambda dx, dW, dc, x, W, dy: (dx, dW, 0 * dc)),
    "a term too many in dc": ("c", lambda dx, dW, dc, x, W, dy: (dx, dW, dc + 1e-3 * dy[1])),
    "a constant added to dW": ("W", lambda dx, dW, dc, x, W, dy: (dx, dW + 1e-4, dc)),
    "dx wrong by 1e-5 of itself": ("x", lambda dx, dW, dc, x, W, dy: (dx * (1 + 1e-5), dW, dc)),
    "dW wrong by 1e-5 of itself": ("W", lambda dx, dW, dc, x, W, dy: (dx, dW * (1 - 1e-5), dc)),
    "rows of dx rolled": ("x", lambda dx, dW, dc, x, W, dy: (np.roll(dx, 1, axis=0), dW, dc)),
    "one entry of dx wrong": ("x", lambda dx, dW, dc, x, W, dy: (one_entry(dx, (1, 2), 1.01), dW, dc)),
    "one entry of dW of the other sign": ("W", lambda dx, dW, dc, x, W, dy: (dx, one_entry(dW, (3, 0), -1), dc)),
    "one entry of dc missing": ("c", lambda dx, dW, dc, x, W, dy: (dx, dW, one_entry(dc, 2, 0))),
    "dW rounded to 16 bits": ("W", lambda dx, dW, dc, x, W, dy: (dx, dW.astype(np.float16), dc)),
    "dy taken for ones": ("x", lambda dx, dW, dc, x, W, dy: (2 * x * (np.ones_like(dy) @ W), dW, dc)),
}

# Each gives something that is no gradient at all, with what the error says.
WRONG_FORMS = {
    "None": (lambda dx, dW, dc: (dx, None, dc), "the backward gives None for dW"),
    "a wrong shape": (lambda dx, dW, dc: (dx, dW[:, :2], dc), r"dW has shape \(4, 2\), expected that of W, \(4, 4\)"),
    "a shape that would broadcast": (lambda dx, dW, dc: (dx, dW, dc[:1]), r"dc has shape \(1,\), expected that of c, \(4,\)"),
    "a sum that was forgotten": (lambda dx, dW, dc: (dx, dW, dx), r"dc has shape \(3, 4\), expected that of c"),
    "too few": (lambda dx, dW, dc: (dx, dW), r"the backward gives 2 gradients, expected 3: \['x', 'W', 'c'\]"),
    "too many": (lambda dx, dW, dc: (dx, dW, dc, dc), "the backward gives 4 gradients, expected 3"),
    "a single array": (lambda dx, dW, dc: dx, "the backward gives 1 gradients, expected 3"),
    "NaN": (lambda dx, dW, dc: (dx, np.where(dW == dW[0, 0], np.nan, dW), dc), "dW holds values that are not finite"),
    "infinity": (lambda dx, dW, dc: (np.where(dx == dx[2, 1], np.inf, dx), dW, dc), "dx holds values that are not finite"),
}


def spoiled(change):
    def wrong(dy, cache):
        return change(*backward(dy, cache), *cache, dy)

    return wrong


@modes
def test_right_backward(jacobian):
    report = gradcheck(forward, backward, inputs(), jacobian=jacobian)
    report.raise_for_error()
    assert report.ok
    assert report.error <= rounding("float64", scale=1 / 1e-4)  # differences of numbers near 1, over the step
    assert [comparison.tensor for comparison in report.comparisons] == ["x", "W", "c"]
    assert "wrong" not in str(report)


@modes
@pytest.mark.parametrize("fault", WRONG_VALUES)
def test_wrong_value(fault, jacobian):
    tensor, change = WRONG_VALUES[fault]
    report = gradcheck(forward, spoiled(change), inputs(), jacobian=jacobian)
    assert not report.ok
    assert report.error > report.tolerance
    assert [comparison.tensor for comparison in report.comparisons if comparison.error > report.tolerance] == [tensor]
    with pytest.raises(GradientError, match="the backward of forward is not the derivative of its forward"):
        report.raise_for_error()


@modes
@pytest.mark.parametrize("fault", WRONG_FORMS)
def test_wrong_form(fault, jacobian):
    change, message = WRONG_FORMS[fault]
    with pytest.raises(GradientError, match=message):
        gradcheck(forward, lambda dy, cache: change(*backward(dy, cache)), inputs(), jacobian=jacobian)


DIFFERENCES = 10.0 / 1e-4  # a difference quotient is as uncertain as numbers near 10 over the step


@modes
@pytest.mark.parametrize("index", [(0, 0), (1, 2), (2, 3)])
def test_report_names_tensor_index_and_both_values(index, jacobian):
    """dx is wrong by 1 % at one place. Directions find which; the Jacobian also says for which output."""

    def wrong(dy, cache):
        dx, dW, dc = backward(dy, cache)
        return one_entry(dx, index, 1.01), dW, dc

    report = gradcheck(forward, wrong, inputs(), jacobian=jacobian)
    (worst,) = (comparison for comparison in report.comparisons if comparison.error > report.tolerance)
    assert worst.tensor == "x"
    place = f"x[{index[0]}, {index[1]}]"
    assert worst.where.startswith(f"∂y[{index[0]}, ") if jacobian else worst.where == place
    assert worst.where.endswith(place)
    assert_close(worst.analytic, 1.01 * worst.numeric, scale=DIFFERENCES)

    text = str(report)
    (row,) = (line for line in text.splitlines() if "<-- wrong" in line)
    for part in ("x", worst.where, f"{worst.analytic:.7e}", f"{worst.numeric:.7e}", f"{worst.error:.1e}"):
        assert part in row
    with pytest.raises(GradientError) as caught:
        report.raise_for_error()
    assert row in str(caught.value)


def test_values_of_the_jacobian():
    """∂y_bo/∂x_bi = 2 x_bi W_oi is what the row of the table has to hold."""
    given, report = inputs(), gradcheck(forward, spoiled(WRONG_VALUES["the sign of dx"][1]), inputs(), jacobian=True)
    row = report.comparisons[0]
    b, o, i = next((b, o, i) for b in range(B) for o in range(O) for i in range(I) if row.where == f"∂y[{b}, {o}]/∂x[{b}, {i}]")
    assert_close(row.numeric, 2 * given["x"][b, i] * given["W"][o, i], scale=DIFFERENCES)
    assert_close(row.analytic, -row.numeric, scale=DIFFERENCES)
    # The worst is the largest: with a wrong sign the error is twice the entry, over the largest entry.
    assert_close(row.error, 2.0, scale=DIFFERENCES)


@modes
@pytest.mark.parametrize("victim", ["x", "W", "c", "dy"])
def test_argument_changed_in_place(victim, jacobian):
    def careless(dy, cache):
        (x, W, c), result = cache, backward(dy, cache[:2])
        {"x": x, "W": W, "c": c, "dy": dy}[victim][...] += 1e-9
        return result

    def keeping(x, W, c):
        return forward(x, W, c)[0], (x, W, c)

    with pytest.raises(GradientError, match=f"^{victim} was changed in place; a layer must leave its arguments alone"):
        gradcheck(keeping, careless, inputs(), jacobian=jacobian)


@modes
def test_argument_changed_in_place_by_the_forward(jacobian):
    def careless(x, W, c):
        result = forward(x.copy(), W, c)
        x *= 2
        return result

    with pytest.raises(GradientError, match=r"^x was changed in place"):
        gradcheck(careless, backward, inputs(), jacobian=jacobian)


def test_the_inputs_of_the_caller_stay_as_they_are():
    given, before = inputs(), inputs()
    gradcheck(forward, backward, given)
    for name, x in given.items():
        np.testing.assert_array_equal(x, before[name])


@modes
def test_small_gradients_are_judged_by_their_own_size(jacobian):
    """dc is a thousandth of the rest here, and an error of 1e-5 of it is still seen."""

    def small(x, W, c):
        return forward(x, W, 1e-3 * c)

    def small_backward(factor):
        def result(dy, cache):
            dx, dW, dc = backward(dy, cache)
            return dx, dW, 1e-3 * factor * dc

        return result

    assert gradcheck(small, small_backward(1.0), inputs(), jacobian=jacobian).ok
    assert not gradcheck(small, small_backward(1.0 + 1e-5), inputs(), jacobian=jacobian).ok


@modes
def test_gradient_that_is_zero(jacobian):
    """Where the function does not depend on an input, 0 is right, and a small number is not."""

    def careless_of_c(x, c):
        return x * x, x

    assert gradcheck(careless_of_c, lambda dy, x: (2 * x * dy, np.zeros(2)), {"x": normal((3,), 1), "c": np.ones(2)}).ok
    report = gradcheck(
        careless_of_c, lambda dy, x: (2 * x * dy, np.full(2, 1e-6)), {"x": normal((3,), 1), "c": np.ones(2)}, jacobian=jacobian
    )
    assert not report.ok


def test_ones_would_not_do_as_cotangent():
    """The softmax of a wrong backward that answers 0: with dy = 1 it would be right."""

    def softmax(x):
        y = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
        return y, y

    for jacobian in (True, False):
        assert not gradcheck(softmax, lambda dy, y: 0 * dy, {"x": normal((2, 3), 1)}, jacobian=jacobian).ok


def test_dropped_term_of_a_normalisation():
    """What goes wrong most often: the part of the gradient that passes through the mean or the variance."""

    def normalise(x):
        z = (x - x.mean()) / x.std()
        return z, (z, x.std())

    terms = {
        "right": lambda g, z: g - g.mean() - z * (g * z).mean(),
        "no mean": lambda g, z: g - z * (g * z).mean(),
        "no variance": lambda g, z: g - g.mean(),
        "a sum for a mean": lambda g, z: g - g.mean() - z * (g * z).sum(),
    }
    for name, term in terms.items():
        for jacobian in (True, False):
            report = gradcheck(
                normalise, lambda dy, cache, term=term: term(dy, cache[0]) / cache[1], {"x": normal((6,), 1)}, jacobian=jacobian
            )
            assert report.ok == (name == "right"), name


@pytest.mark.parametrize("number", range(6))
def test_a_fault_in_one_direction_only_is_kept(number):
    """What depends on the cotangent may show once: the table holds the worst direction, not the last or the first."""
    calls = []

    def wrong(dy, cache):
        calls.append(dy)
        dx, dW, dc = backward(dy, cache)
        return dx * (1.01 if len(calls) == number + 1 else 1.0), dW, dc

    report = gradcheck(forward, wrong, inputs(), jacobian=False, directions=6)
    assert len(calls) == 6
    assert [c.tensor for c in report.comparisons if c.error > report.tolerance] == ["x"]


def test_differences_are_of_fourth_order():
    """Half the step, a sixteenth of the error: of sin at 1 it is sin⁽⁵⁾(1) h⁴/30, over cos 1 as the scale h⁴/30, and the next
    term h² of that."""

    def error(step):
        return gradcheck(lambda x: (np.sin(x), x), lambda dy, x: np.cos(x) * dy, {"x": np.array([1.0])}, step=step).error

    assert error(0.1) == near(0.1**4 / 30, noise=0.1**2 * 0.1**4 / 30)
    assert error(0.05) == near(error(0.1) / 16, noise=0.1**2 * error(0.1) / 16)


@pytest.mark.parametrize("index", [0, 1234, 4999])
def test_one_wrong_entry_among_thousands_is_found(index):
    """More entries than are probed one by one."""

    def wrong(dy, x):
        dx = 2 * x * dy
        dx[index] *= 2
        return dx

    report = gradcheck(lambda x: (x * x, x), wrong, {"x": normal((5000,), seed=1)}, jacobian=False)
    assert not report.ok
    assert report.comparisons[0].where == f"x[{index}]"
    assert_close(report.comparisons[0].analytic, 2 * report.comparisons[0].numeric, scale=DIFFERENCES)


def test_fault_that_is_small_everywhere_stays_a_fault():
    """Each entry is wrong by 6e-8 of the scale and passes on its own; a direction that adds them up does not."""
    x = np.ones(300)
    report = gradcheck(
        lambda x: (x * x, x), lambda dy, x: 2 * x * dy + 0.6e-7 * 2 * np.sign(dy), {"x": x}, jacobian=False, directions=50
    )
    assert not report.ok
    assert report.comparisons[0].where.startswith("direction")


def test_direction_that_leads_out_of_the_domain_is_wrong():
    """√x close to 0: some directions give NaN. The table holds them, and their error is infinite, not NaN."""

    def root(x):
        with np.errstate(invalid="ignore"):
            return np.sqrt(x), x

    for jacobian in (True, False):
        report = gradcheck(root, lambda dy, x: dy / (2 * np.sqrt(x)), {"x": np.array([1e-5, 1.0])}, jacobian=jacobian)
        assert not report.ok
        assert report.error == np.inf


@pytest.mark.parametrize(
    "options", [{"directions": 0}, {"step": 0.0}, {"step": np.nan}, {"tolerance": 0.0}, {"tolerance": np.nan}]
)
def test_options_with_which_nothing_could_fail_or_pass(options):
    with pytest.raises(InputError, match="expected at least one direction and positive numbers"):
        gradcheck(forward, backward, inputs(), **options)


def test_forward_without_a_cache():
    with pytest.raises(InputError, match=r"gradcheck: the forward gives a ndarray, expected a pair \(y, cache\)"):
        gradcheck(lambda x: 2 * x, lambda dy, _: 2 * dy, {"x": np.ones(2)})


def test_kink_nearer_than_the_step_is_seen():
    """The advice of the docstring: at |x| < 2h the difference quotient of a ReLU is not its derivative."""

    def check(x):
        return gradcheck(lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * (x > 0), {"x": np.array([x])}, step=1e-4).ok

    assert not check(1e-5)
    assert check(3e-4)


def test_random_forward_is_seen():
    generator = np.random.default_rng(0)

    def noisy(x):
        mask = generator.random(x.shape) < 0.5
        return x * mask, mask

    with pytest.raises(InputError, match=r"the forward is random: two calls with the same inputs differ by up to \d"):
        gradcheck(noisy, lambda dy, mask: dy * mask, {"x": normal((8,), 1)}, jacobian=False)


@modes
def test_forward_that_is_not_finite_is_never_right(jacobian):
    """log at −1: NaN on both sides of the comparison is no agreement."""

    def logarithm(x):
        with np.errstate(invalid="ignore"):
            return np.log(x), x

    report = gradcheck(logarithm, lambda dy, x: dy / x, {"x": np.array([-1.0, 2.0])}, jacobian=jacobian)
    assert not report.ok


@settings(max_examples=30)
@given(
    rows=st.integers(1, 4), columns=st.integers(1, 4), entry=st.integers(0, 15), seed=st.integers(0, 99), jacobian=st.booleans()
)
def test_any_single_wrong_entry_is_found(rows, columns, entry, seed, jacobian):
    x = normal((rows, columns), seed)
    index = np.unravel_index(entry % x.size, x.shape)

    def wrong(dy, x):
        dx = np.cos(x) * dy
        dx[index] += 1e-4 * dy[index]
        return dx

    def sine(x):
        return np.sin(x), x

    assert gradcheck(sine, lambda dy, x: np.cos(x) * dy, {"x": x}, jacobian=jacobian, seed=seed).ok
    report = gradcheck(sine, wrong, {"x": x}, jacobian=jacobian, seed=seed)
    assert not report.ok
    assert report.comparisons[0].where.endswith(f"x[{index[0]}, {index[1]}]")


def test_one_output_and_one_input_of_no_axes():
    report = gradcheck(lambda x: (x * x, x), lambda dy, x: 2 * x * dy, {"x": np.array(3.0)})
    assert report.ok
    assert report.comparisons[0].where == "∂y/∂x"
    assert_close(report.comparisons[0].numeric, 6.0, terms=16, scale=9.0 / 1e-4)  # differences of numbers near 9, over the step


def test_the_jacobian_is_chosen_where_it_is_small():
    def identity(x):
        return 1.0 * x, None

    def where(size):
        return gradcheck(identity, lambda dy, _: 1.0 * dy, {"x": normal((size,), 1)}).comparisons[0].where

    assert where(int(JACOBIAN_LIMIT**0.5)).startswith("∂y")
    assert where(int(JACOBIAN_LIMIT**0.5) + 1).startswith("direction")


def test_seed_and_number_of_directions():
    """The same seed draws the same; each direction is one backward."""
    calls = []

    def counting(dy, cache):
        calls.append(dy)
        return backward(dy, cache)

    def drawn(**options):
        calls.clear()
        gradcheck(forward, counting, inputs(), jacobian=False, **options)
        return [dy.copy() for dy in calls]

    first = drawn(seed=1, directions=4)
    assert len(first) == 4
    np.testing.assert_array_equal(drawn(seed=1, directions=4), first)
    assert (drawn(seed=2, directions=1)[0] != first[0]).all()
    assert (first[0] != first[1]).all()


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_any_real_input_is_computed_in_float64(dtype):
    seen = []

    def cube(x):
        seen.append(x.dtype)
        return x * x * x, x

    gradcheck(cube, lambda dy, x: 3 * x * x * dy, {"x": np.array([1, 2, -3], dtype)}).raise_for_error()
    assert set(seen) == {np.dtype(np.float64)}


def test_lists_do_as_inputs():
    gradcheck(lambda x: (x * x, x), lambda dy, x: 2 * x * dy, {"x": [1.0, 2.0]}).raise_for_error()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({}, "gradcheck: no floating inputs to differentiate$"),
        ({"x": np.zeros(3, complex)}, "gradcheck: input x has dtype complex128, expected real numbers"),
        ({"x": np.zeros(3, bool)}, "gradcheck: no floating inputs to differentiate: x is of bool"),
        ({"x": "abc"}, "gradcheck: input x has dtype <U3, expected real numbers"),
        ({"x": np.zeros((0, 3))}, r"gradcheck: input x is empty, shape \(0, 3\)"),
        ({"x": np.array([1.0, np.nan])}, "gradcheck: input x holds values that are not finite"),
        ({"x": np.array([1.0, -np.inf])}, "gradcheck: input x holds values that are not finite"),
    ],
)
def test_inputs_that_cannot_be_checked(bad, message):
    with pytest.raises(InputError, match=message):
        gradcheck(lambda x: (x, None), lambda dy, _: dy, bad)


def test_report_and_comparison():
    right, wrong = Comparison("x", "x[0]", 1.0, 1.0, 1e-9), Comparison("weight", "direction 3", 1.0, 2.0, 0.5)
    report = Report("layer", 1e-7, [right, wrong])
    assert not report.ok
    assert report.error == 0.5
    header, first, second = str(report).splitlines()
    assert header.split() == ["tensor", "where", "backward", "numeric", "error"]
    assert first.split() == ["x", "x[0]", "1.0000000e+00", "1.0000000e+00", "1.0e-09"]
    assert second.split() == ["weight", "direction", "3", "1.0000000e+00", "2.0000000e+00", "5.0e-01", "<--", "wrong"]
    assert Report("layer", 1e-7, [right]).ok
    assert not Report("layer", 1e-7, [Comparison("x", "x[0]", 1.0, np.nan, np.nan)]).ok
    assert Comparison.of("x", "x[0]", 1.0, np.nan, 2.0).error == np.inf
    assert Comparison.of("x", "x[0]", 1.0, 2.0, 4.0) == Comparison("x", "x[0]", 1.0, 2.0, 0.25)


def test_name_of_the_report():
    assert gradcheck(forward, backward, inputs()).name == "forward"
    assert gradcheck(forward, backward, inputs(), name="my layer").name == "my layer"
    assert gradcheck_layer(Linear(2, 3), normal((1, 2), 1)).name == "Linear"


def test_gradient_error_is_also_a_failed_assertion():
    assert issubclass(GradientError, MvnpError)
    assert issubclass(GradientError, AssertionError)


class Scale(Layer):
    """A layer whose backward can be spoiled: y = γ x."""

    def __init__(self, fault=""):
        self.gamma, self.fault = Param(from_numpy(np.array([2.0, 3.0], np.float32))), fault

    def forward(self, x, tape=None):
        return self.record(tape, (x * self.gamma.data, x))

    def backward(self, dy, tape):
        x = tape.pop(self)
        if self.fault != "forgets gamma":
            tape.accumulate(self.gamma, (-1 if self.fault == "sign of gamma" else 1) * (dy * x).sum(axis=0))
        return dy * self.gamma.data * (2 if self.fault == "factor of x" else 1)


@modes
def test_layer_object(jacobian):
    x = normal((3, 2), seed=1)
    report = gradcheck_layer(Scale(), x, jacobian=jacobian)
    assert report.ok
    assert [comparison.tensor for comparison in report.comparisons] == ["x", "gamma"]
    for fault, tensor in [("sign of gamma", "gamma"), ("factor of x", "x")]:
        wrong = gradcheck_layer(Scale(fault), x, jacobian=jacobian)
        assert [c.tensor for c in wrong.comparisons if c.error > wrong.tolerance] == [tensor]
    with pytest.raises(GradientError, match="the backward of Scale gives no gradient for gamma"):
        gradcheck_layer(Scale("forgets gamma"), x, jacobian=jacobian)


def test_layer_object_is_left_alone():
    layer = Scale()
    before = layer.state_dict()
    gradcheck_layer(layer, normal((3, 2), seed=1))
    assert layer.gamma.dtype == np.float32
    np.testing.assert_array_equal(to_numpy(layer.gamma.data), to_numpy(before["gamma"]))


def test_layer_object_on_the_tape_that_was_asked_for():
    seen = []

    class Spy(Dropout):
        def forward(self, x, tape=None):
            y = super().forward(x, tape)
            seen.append((tape.training, (y == 0).tobytes()))
            return y

    gradcheck_layer(Spy(0.5), normal((3, 4), seed=1), tape_seed=5).raise_for_error()
    assert len(set(seen)) == 1, "every evaluation draws the same mask"
    assert seen[0][0] is True
    expected = Dropout(0.5)(normal((3, 4), seed=1), Tape(seed=5))
    assert seen[0][1] == (expected == 0).tobytes()
    seen.clear()
    gradcheck_layer(Spy(0.5), normal((3, 4), seed=1), training=False).raise_for_error()
    assert {training for training, _ in seen} == {False}


def test_the_worst_direction_is_reported():
    def forward(x):
        return np.exp(3 * x), x

    def backward(dy, x):
        return 3 * dy * np.exp(3 * x)

    # More directions begin with the same ones, so the largest error can only grow.
    x = {"x": np.linspace(-1.0, 1.0, 7)}
    errors = [gradcheck(forward, backward, x, jacobian=False, directions=n).error for n in range(1, 7)]
    assert errors == sorted(errors)
    assert errors[0] < errors[-1]


# What is not the backward's fault.


def relu(x):
    return np.maximum(x, 0), x


def relu_backward_of(dy, x):
    return dy * (x > 0)


@pytest.mark.parametrize("jacobian", [True, False])
@pytest.mark.parametrize(
    ("forward", "backward", "x", "cause"),
    [
        (
            relu,
            relu_backward_of,
            0.0,
            r"a kink: the slope is 0 on one side and [\d.]+ on the other; move the input away",
        ),
        (
            relu,
            relu_backward_of,
            5e-5,
            r"a kink nearer than 2e-04: over a step of 1e-06 the differences agree",
        ),
        (lambda x: (np.sign(x), x), lambda dy, x: 0 * dy, 0.0, r"a jump: within 1e-06 of the input the forward changes by"),
        (
            lambda x: (1e10 + x**3, x),
            lambda dy, x: 3 * dy * x**2,
            0.5,
            r"rounding: outputs of 1e\+10 and inputs of 1e\+00 leave",
        ),
        (lambda x: (x - 1e9, x), lambda dy, x: dy, 1e9, r"rounding: outputs of 1e\+09 and inputs of 1e\+09 leave differences"),
    ],
)
def test_a_cause_that_is_not_the_backward_is_named(forward, backward, x, cause, jacobian):
    report = gradcheck(forward, backward, {"x": np.array([x, 1.0])}, jacobian=jacobian)
    assert not report.ok
    assert re.match(cause, report.comparisons[0].cause)
    assert "<-- unclear" in str(report)
    assert "wrong" not in str(report)
    with pytest.raises(GradientError, match="could not be checked here, which need not be its fault"):
        report.raise_for_error()


@pytest.mark.parametrize("jacobian", [True, False])
@pytest.mark.parametrize(
    ("forward", "backward", "x"),
    [
        (relu, lambda dy, x: 2 * dy * (x >= 0), 0.0),  # no slope of either side
        (lambda x: (x**3, x), lambda dy, x: 2 * dy * x**2, 0.5),
        (lambda x: (1e10 + x**3, x), lambda dy, x: 2 * dy * x**2, 0.5),
        (lambda x: (np.exp(5 * x), x), lambda dy, x: 4.999 * dy * np.exp(5 * x), 0.5),  # bends, and has no kink
    ],
)
def test_a_wrong_backward_has_no_excuse(forward, backward, x, jacobian):
    report = gradcheck(forward, backward, {"x": np.array([x, 1.0])}, jacobian=jacobian)
    assert [comparison.cause for comparison in report.comparisons] == [""]
    with pytest.raises(GradientError, match="is not the derivative of its forward"):
        report.raise_for_error()


def test_integers_and_absent_arguments_are_left_alone():
    def gather(x, index, bias):
        assert index.dtype == np.int64
        assert bias is None
        return x[index], (index, x.shape)

    def backward(dy, cache):
        dx = np.zeros(cache[1])
        np.add.at(dx, cache[0], dy)
        return dx, None, None

    inputs = {"x": np.array([0.5, 1.0, 2.0]), "index": np.array([2, 0, 2]), "bias": None}
    report = gradcheck(gather, backward, inputs)
    assert report.ok
    assert [comparison.tensor for comparison in report.comparisons] == ["x"]
    assert gradcheck(gather, lambda dy, cache: backward(dy, cache)[0], inputs).ok, "those of floating inputs alone will do"
    with pytest.raises(GradientError, match=r"a gradient for bias, which is absent \(None\); expected None for it"):
        gradcheck(gather, lambda dy, cache: (*backward(dy, cache)[:2], dy), inputs)
    with pytest.raises(InputError, match="no floating inputs to differentiate: mask is of bool, bias is None"):
        gradcheck(gather, backward, {"mask": np.array([True]), "bias": None})


def test_noise_of_a_random_forward_is_no_kink():
    generator = np.random.default_rng(3)

    def forward(x):
        return 2 * x + 1e-10 * generator.standard_normal(x.shape), None

    report = gradcheck(forward, lambda dy, cache: 2 * dy, {"x": np.array([0.5, -2.0])})
    assert report.comparisons[0].cause.startswith("a random forward: calls with the same inputs differ by up to ")


def test_a_forward_that_gives_no_numbers():
    with np.errstate(invalid="ignore"):
        report = gradcheck(lambda x: (np.sqrt(x), x), lambda dy, x: dy / (2 * np.sqrt(abs(x))), {"x": np.array([-2.0, 4.0])})
    assert not report.ok
    assert report.comparisons[0].cause.startswith("no number: within 2e-04 of the input the forward gives values that are not")


def test_a_kink_does_not_hide_what_is_wrong():
    """relu with a factor that the backward forgets, at 0 and beside it: both are off by a half."""
    report = gradcheck(lambda x: (2 * np.maximum(x, 0), x), lambda dy, x: dy * (x > 0), {"x": np.array([0.0, 1.0, -1.0])})
    worst = report.comparisons[0]
    assert (worst.where, worst.analytic, worst.cause) == ("∂y[1]/∂x[1]", 1.0, "")
    assert worst.numeric == pytest.approx(2.0)


@pytest.mark.parametrize("option", [{"directions": "x"}, {"directions": 1.5}, {"step": None}, {"tolerance": 1j}, {"step": []}])
def test_options_that_are_no_numbers(option):
    with pytest.raises(
        InputError, match=r"gradcheck: directions is .*, step .*, tolerance .*; expected at least one direction"
    ):
        gradcheck(lambda x: (x, None), lambda dy, cache: dy, {"x": np.ones(2)}, **option)


def test_a_layer_to_check_is_a_layer():
    with pytest.raises(InputError, match=r"gradcheck_layer: the layer is a ndarray, expected a Layer; then comes its input x"):
        gradcheck_layer(np.ones(2), np.ones(2))
