"""MESA: mvnp/layers/mesa.py."""

import math

import numpy as np
import pytest

from mvnp.errors import InputError
from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from mvnp.layers.mesa import mesa_backward, mesa_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.recipe_cases import recipe_case
from support.tolerance import assert_close

SETTINGS, ARRAYS = recipe_case("losses")


def loss_of(teacher, **options):
    """The loss as a function of the student's logits alone."""
    return lambda logits: mesa_forward(logits, teacher.astype(logits.dtype), **options)


def test_by_hand():
    # p = (1/4, 3/4), q = (1/2, 1/2), F = 8, T = 1, twice: 8 (1/4 ln 1/2 + 3/4 ln 3/2), dz = 8/2 (q − p)
    student, teacher = np.zeros((2, 2)), np.log([[1.0, 3.0]] * 2)
    loss, cache = mesa_forward(student, teacher, temperature=1.0, factor=8.0)
    assert_close(loss, 8 * (0.25 * math.log(0.5) + 0.75 * math.log(1.5)), terms=16)
    assert_close(mesa_backward(3.0, cache), [[3.0, -3.0]] * 2, terms=16)


def test_temperature_by_hand():
    # z/T = (0, ln 3) at T = 2 and z = (0, 2 ln 3): q = (1/4, 3/4); p = (1/2, 1/2); dz = F/(B T) (q − p) = 4/2 (−1/4, 1/4)
    loss, cache = mesa_forward(np.array([[0.0, 2 * math.log(3)]]), np.zeros((1, 2)), temperature=2.0, factor=4.0)
    assert_close(loss, 4 * (0.5 * math.log(2) + 0.5 * math.log(2 / 3)), terms=16)
    assert_close(mesa_backward(1.0, cache), [[-0.5, 0.5]], terms=16)


@pytest.mark.parametrize(("case", "options"), [("mesa", {}), ("mesa_paper", {"temperature": 5.0, "factor": 25.0})])
def test_against_the_reference(case, options):
    loss, cache = mesa_forward(ARRAYS["logits"], ARRAYS["teacher_logits"], **options)
    assert_close(loss, SETTINGS["cases"][case]["loss"], terms=64)
    assert_close(mesa_backward(1.0, cache), ARRAYS[f"{case}.dlogits"], terms=64)


@pytest.mark.parametrize("weight", [0.5, 6])
def test_beside_the_cross_entropy(weight):
    case = f"mesa_weight_{weight}"
    loss, cache = cross_entropy_forward(ARRAYS["logits"], ARRAYS["soft"])
    mesa, mesa_cache = mesa_forward(ARRAYS["logits"], ARRAYS["teacher_logits"])
    assert_close(loss + weight * mesa, SETTINGS["cases"][case]["loss"], terms=64)
    gradient = cross_entropy_backward(1.0, cache) + mesa_backward(weight, mesa_cache)
    assert_close(gradient, ARRAYS[f"{case}.dlogits"], terms=64)


@pytest.mark.parametrize("options", [{}, {"temperature": 1.0, "factor": 2.5}])
@pytest.mark.parametrize("shape", [(4, 3), (1, 5), (3, 1)])
def test_gradients(shape, options):
    teacher = 2 * normal(shape, seed=2)
    assert_gradients(loss_of(teacher, **options), mesa_backward, {"logits": 2 * normal(shape, seed=1)})


def test_oracle():
    import autograd.numpy as anp

    teacher = 2 * normal((6, 5), seed=2)

    def independent(logits):
        # Cross-entropy minus entropy, each from the ratios of exponentials: −log q_c = log Σ_j e^((z_j − z_c)/T)
        surprise = anp.log(anp.sum(anp.exp((logits[:, :, None] - logits[:, None, :]) / 3), axis=1))
        of_teacher = anp.log(anp.sum(anp.exp((teacher[:, :, None] - teacher[:, None, :]) / 3), axis=1))
        return 50 * anp.mean(anp.sum(anp.exp(-of_teacher) * (surprise - of_teacher), axis=1))

    assert_oracle(loss_of(teacher), mesa_backward, independent, {"logits": 2 * normal((6, 5), seed=1)})


def test_float32():
    assert_float32_follows(loss_of(3 * normal((8, 10), seed=6)), mesa_backward, {"logits": 3 * normal((8, 10), seed=5)})


def test_agreement_costs_nothing():
    z = 5 * normal((4, 7), seed=1)
    loss, cache = mesa_forward(z + 2.5, z)  # what all classes share changes nothing
    assert_close(loss, 0.0, scale=50.0)
    assert_close(mesa_backward(1.0, cache), 0.0, scale=50.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    z = np.array([[1e4, -1e4, 0.0]], dtype)
    loss, cache = mesa_forward(z, z[:, ::-1].copy(), temperature=1.0, factor=1.0)
    assert_close(loss, 1e4)
    assert_close(mesa_backward(1.0, cache), [[1.0, 0.0, -1.0]])
    ruled_out = np.array([[0.0, -np.inf, 0.0]], dtype)
    assert_close(mesa_forward(ruled_out, ruled_out)[0], 0.0, scale=50.0)


def test_nan_passes_through():
    loss, cache = mesa_forward(np.array([[0.0, np.nan], [0.0, 0.0]]), np.zeros((2, 2)))
    assert np.isnan(loss)
    np.testing.assert_array_equal(np.isnan(mesa_backward(1.0, cache)), [[True, True], [False, False]])


@pytest.mark.parametrize(
    ("logits", "teacher", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), "MESA: teacher_logits has shape (2, 4), expected (2, 3)"),
        (np.zeros((2, 3)), np.zeros((2, 3), np.float32), "MESA: "),
        (np.zeros(3), np.zeros(3), "MESA: logits has shape (3,), expected (B, C)"),
        (np.zeros((2, 3), int), np.zeros((2, 3)), "MESA: logits has dtype int64, expected a floating one"),
    ],
)
def test_wrong_input(logits, teacher, message):
    with pytest.raises(InputError) as caught:
        mesa_forward(logits, teacher)
    assert message in str(caught.value)


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"temperature": math.nan}, {"factor": -1.0}, {"factor": math.inf}])
def test_wrong_settings(options):
    with pytest.raises(InputError, match=r"MESA: (temperature|factor) is .*, expected a number above 0"):
        mesa_forward(np.zeros((2, 3)), np.zeros((2, 3)), **options)
