"""Gradient clipping: mvnp/training/clipping.py."""

import numpy as np
import pytest

from mvnp.core import Param
from mvnp.errors import InputError
from mvnp.training import clipped, clipped_by_unit, clipped_by_value, global_norm
from support.checks import normal
from support.recipe_cases import recipe_case, under
from support.tolerance import assert_close, near

SETTINGS, ARRAYS = recipe_case("clip")


def test_norm_by_hand():
    norm = global_norm({"a": np.array([[3.0, 0.0]]), "b": np.array([4.0]), "c": np.array(12.0)})
    assert norm == 13.0
    assert norm.shape == ()
    assert norm.dtype == np.float64


def test_norm_in_float32_and_any_layout():
    gradients = {str(i): normal((20 + i, 30), seed=i) for i in range(5)}
    want = np.linalg.norm(np.concatenate([g.ravel() for g in gradients.values()]))
    assert_close(global_norm(gradients), want, terms=16)
    views = {name: np.asfortranarray(g.astype(np.float32)) for name, g in gradients.items()}
    assert_close(global_norm(views), want, terms=1, dtype="float32")


def test_clipped():
    gradients = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
    short = clipped(gradients, 5.0, 1.0)
    assert_close(short["a"], [3 / 5.000001, 0.0])
    assert_close(short["b"], [[4 / 5.000001]])
    np.testing.assert_array_equal(gradients["a"], [3.0, 0.0])
    assert_close(clipped(gradients, 5.0, 4.9)["a"], [3 * 4.9 / 5.000001, 0.0])
    assert_close(clipped(gradients, 5.0, 5.0)["a"], [3 * 5 / 5.000001, 0.0])
    assert clipped(gradients, 5.0, 5.000001) is gradients
    assert clipped(gradients, 5.0, None) is gradients


def test_float32_stays_float32():
    assert clipped({"a": np.ones(3, np.float32)}, 5.0, 1.0)["a"].dtype == np.float32


def test_against_torch():
    torch = pytest.importorskip("torch")
    gradients = {"a": normal((4, 5), seed=1), "b": normal((3,), seed=2)}
    theirs = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in gradients.values()]
    for parameter, gradient in zip(theirs, gradients.values(), strict=True):
        parameter.grad = torch.tensor(gradient)
    norm = torch.nn.utils.clip_grad_norm_(theirs, 0.7)
    assert_close(global_norm(gradients), norm.item(), terms=16)
    for parameter, gradient in zip(theirs, clipped(gradients, norm.item(), 0.7).values(), strict=True):
        assert_close(gradient, parameter.grad.numpy(), terms=16)


@pytest.mark.parametrize("case", SETTINGS["cases"])
def test_against_the_reference(case):
    value, mode = SETTINGS["cases"][case]["value"], SETTINGS["cases"][case]["mode"]
    gradients = under("grad", ARRAYS)
    norm = global_norm(gradients)
    assert norm == near(SETTINGS["norm"])
    if mode == "norm":
        got = clipped(gradients, float(norm), value)
    elif mode == "value":
        got = clipped_by_value(gradients, value)
    else:
        params = {name: Param(array) for name, array in under("param", ARRAYS).items() if not name.startswith("head.")}
        got = clipped_by_unit(gradients, params, value)
    for name, want in under(case, ARRAYS).items():
        assert_close(got[name], want, terms=64, message=name)


def test_by_value_and_by_unit_by_hand():
    gradients = {"a": np.array([[3.0, -4.0], [0.3, 0.4]])}
    np.testing.assert_array_equal(clipped_by_value(gradients, 1.0)["a"], [[1.0, -1.0], [0.3, 0.4]])
    # Units of length 10 and 0.0001 (which counts as 0.001) at c = 0.1: 5 becomes 1, 0.5 becomes 0.0001.
    params = {"a": Param(np.array([[6.0, 8.0], [1e-4, 0.0]]))}
    assert_close(clipped_by_unit(gradients, params, 0.1)["a"][0], [0.6, -0.8])
    assert_close(clipped_by_unit(gradients, params, 0.1)["a"][1], [0.6e-4, 0.8e-4])
    assert clipped_by_unit(gradients, {}, 0.1)["a"] is gradients["a"]


def test_a_unit_of_zeros_with_a_short_gradient():
    """It counts as 0.001: at c = 1e-4 its gradient of 1.5e-6 becomes 1e-7."""
    params, gradients = {"a": Param(np.zeros((1, 1)))}, {"a": np.array([[1.5e-6]])}
    assert_close(clipped_by_unit(gradients, params, 1e-4)["a"], [[1e-7]])


def test_a_unit_whose_gradient_is_as_long_as_it_may_be():
    """All are powers of two, so that lengths are exact."""
    params, gradients = {"a": Param(np.array([[2.0**-9]]))}, {"a": np.array([[2.0**-21]])}
    assert clipped_by_unit(gradients, params, 2.0**-12)["a"] == 2.0**-21


def test_no_gradients():
    with pytest.raises(InputError, match="there are no gradients"):
        global_norm({})


@pytest.mark.parametrize("limit", [-1, 0, float("nan"), "a"])
def test_limits_that_cannot_be(limit):
    """A negative one would turn the gradients round."""
    gradients = {"a": np.ones(3)}
    for clip, name in (
        (lambda: clipped(gradients, 3.0, limit), "clipped: max_norm"),
        (lambda: clipped_by_value(gradients, limit), "clipped_by_value: limit"),
        (lambda: clipped_by_unit(gradients, {}, limit), "clipped_by_unit: limit"),
    ):
        with pytest.raises(InputError, match=f"{name} is {limit!r}, expected a number above 0"):
            clip()
