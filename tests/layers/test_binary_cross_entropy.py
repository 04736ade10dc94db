"""Binary cross-entropy: mvnp/layers/binary_cross_entropy.py."""

import math

import numpy as np
import pytest

from mvnp.errors import InputError
from mvnp.layers.binary_cross_entropy import binary_cross_entropy_backward, binary_cross_entropy_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.recipe_cases import recipe_case
from support.tolerance import assert_close

SETTINGS, ARRAYS = recipe_case("losses")


def soft_of(shape):
    return np.random.default_rng(4).random(shape)


def loss_of(target, **options):
    """The loss as a function of the logits alone."""
    return lambda logits: binary_cross_entropy_forward(logits, target, **options)


def test_by_hand():
    # z = (ln 3, 0), label 0: q = (3/4, 1/2), loss (ln 4/3 + ln 2)/2, dz = (−1/4, 1/2)/2
    loss, cache = binary_cross_entropy_forward(np.array([[math.log(3), 0.0]]), np.array([0]))
    assert_close(loss, (math.log(4 / 3) + math.log(2)) / 2, terms=16)
    assert_close(binary_cross_entropy_backward(4.0, cache), [[-0.5, 1.0]], terms=16)


def test_smoothing_threshold_and_sum_by_hand():
    # s = 1/2, C = 2: p = (3/4, 1/4) is q at z = (ln 3, −ln 3): the gradient is zero. Summed: n = B = 1.
    z = np.array([[math.log(3), -math.log(3)]])
    loss, cache = binary_cross_entropy_forward(z, np.array([0]), smoothing=0.5, summed=True)
    assert_close(loss, 2 * (0.75 * math.log(4 / 3) + 0.25 * math.log(4)), terms=16)
    assert_close(binary_cross_entropy_backward(1.0, cache), [[0.0, 0.0]], scale=1.0)
    # With a threshold of 1/4 only what is above it is there, and what equals it is not.
    loss, cache = binary_cross_entropy_forward(z, np.array([[0.3, 0.25]]), threshold=0.25, summed=True)
    assert_close(loss, 2 * math.log(4 / 3), terms=16)
    assert_close(binary_cross_entropy_backward(1.0, cache), [[-0.25, 0.25]], terms=16)


@pytest.mark.parametrize(
    ("case", "target", "options"),
    [
        ("bce", "labels", {"smoothing": 0.1}),
        ("bce_soft", "soft", {}),
        ("bce_sum", "soft", {"summed": True}),
        ("bce_threshold", "soft", {"threshold": 0.2}),
    ],
)
def test_against_the_reference(case, target, options):
    loss, cache = binary_cross_entropy_forward(ARRAYS["logits"], ARRAYS[target], **options)
    assert_close(loss, SETTINGS["cases"][case]["loss"], terms=64)
    assert_close(binary_cross_entropy_backward(1.0, cache), ARRAYS[f"{case}.dlogits"], terms=64)


@pytest.mark.parametrize("options", [{}, {"smoothing": 0.1}, {"summed": True}, {"threshold": 0.4}])
@pytest.mark.parametrize("shape", [(4, 3), (1, 5), (3, 1)])
def test_gradients(shape, options):
    target = soft_of(shape)
    assert_gradients(loss_of(target, **options), binary_cross_entropy_backward, {"logits": 2 * normal(shape, seed=1)})


def test_oracle():
    import autograd.numpy as anp

    target = soft_of((6, 5))

    def independent(logits):
        # Two answers are a softmax of (z, 0): the surprise of each from the ratios of exponentials.
        return anp.mean(target * anp.log(1 + anp.exp(-logits)) + (1 - target) * anp.log(1 + anp.exp(logits)))

    assert_oracle(loss_of(target), binary_cross_entropy_backward, independent, {"logits": 2 * normal((6, 5), seed=1)})


def test_float32():
    assert_float32_follows(loss_of(soft_of((8, 10))), binary_cross_entropy_backward, {"logits": 3 * normal((8, 10), seed=5)})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    z = np.array([[1e4, -1e4, np.inf, -np.inf]], dtype)
    right, cache = binary_cross_entropy_forward(z, np.array([[1.0, 0.0, 1.0, 0.0]]), summed=True)
    assert_close(right, 0.0, scale=1.0)
    assert_close(binary_cross_entropy_backward(1.0, cache), [[0.0, 0.0, 0.0, 0.0]], scale=1.0)
    wrong, cache = binary_cross_entropy_forward(z[:, :2], np.array([[0.0, 1.0]]), summed=True)
    assert_close(wrong, 2e4)
    assert_close(binary_cross_entropy_backward(1.0, cache), [[1.0, -1.0]])


def test_nan_passes_through():
    loss, cache = binary_cross_entropy_forward(np.array([[0.0, np.nan]]), np.array([0]))
    assert np.isnan(loss)
    np.testing.assert_array_equal(np.isnan(binary_cross_entropy_backward(1.0, cache)), [[False, True]])


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (np.zeros(3), np.array([0]), "BinaryCrossEntropy: logits has shape (3,), expected (B, C)"),
        (
            np.zeros((2, 3)),
            np.zeros((2, 4)),
            "BinaryCrossEntropy: target has shape (2, 4), expected that of the logits, (2, 3)",
        ),
        (np.zeros((2, 3)), np.array([0, 3]), "BinaryCrossEntropy: labels run from 0 to 3, expected 0..2 for 3 classes"),
    ],
)
def test_wrong_input(logits, target, message):
    with pytest.raises(InputError) as caught:
        binary_cross_entropy_forward(logits, target)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["smoothing", "threshold"])
def test_wrong_settings(name):
    with pytest.raises(InputError, match=rf"BinaryCrossEntropy: {name} is 1.0, expected a probability in \[0, 1\)"):
        binary_cross_entropy_forward(np.zeros((2, 3)), np.array([0, 1]), **{name: 1.0})
