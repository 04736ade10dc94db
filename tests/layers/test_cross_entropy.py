"""Cross-entropy: mvnp/layers/cross_entropy.py."""

import math

import numpy as np
import pytest

from mvnp.backend import from_numpy, to_numpy
from mvnp.errors import InputError
from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.recipe_cases import recipe_case
from support.tolerance import assert_close

SHAPES = [(4, 3), (1, 5), (3, 1), (1, 1), (6, 2)]  # B, C


def labels_of(shape):
    return np.random.default_rng(3).integers(0, shape[1], shape[0])


def soft_of(shape):
    p = np.random.default_rng(4).random(shape)
    return p / p.sum(axis=1, keepdims=True)


def loss_of(target, smoothing=0.0):
    """The loss as a function of the logits alone."""
    return lambda logits: cross_entropy_forward(logits, target, smoothing)


def test_by_hand():
    # z = (0, ln 3): q = (1/4, 3/4). Label 0: −log q_0 = ln 4; dz = q − (1, 0) = (−3/4, 3/4). Label 1: ln 4/3, dz = (1/4, −1/4).
    z = np.array([[0.0, math.log(3)]])
    for label, loss, gradient in [(0, math.log(4), [[-0.75, 0.75]]), (1, math.log(4 / 3), [[0.25, -0.25]])]:
        value, cache = cross_entropy_forward(z, np.array([label]))
        assert_close(value, loss, terms=16)
        assert_close(cross_entropy_backward(1.0, cache), gradient, terms=16)


def test_mean_over_the_batch_by_hand():
    # Both labels at once: the mean (ln 4 + ln 4/3)/2, gradients halved; dloss = 10 scales them.
    z = np.array([[0.0, math.log(3)]] * 2)
    loss, cache = cross_entropy_forward(z, np.array([0, 1]))
    assert_close(loss, (math.log(4) + math.log(4 / 3)) / 2, terms=16)
    assert_close(cross_entropy_backward(10.0, cache), [[-3.75, 3.75], [1.25, -1.25]], terms=16)


def test_smoothing_by_hand():
    # s = 1/2, C = 2, label 0: p = 1/2 (1, 0) + 1/4 (1, 1) = (3/4, 1/4), loss = 3/4 ln 4 + 1/4 ln 4/3, dz = q − p = (−1/2, 1/2).
    loss, cache = cross_entropy_forward(np.array([[0.0, math.log(3)]]), np.array([0]), smoothing=0.5)
    assert_close(loss, 0.75 * math.log(4) + 0.25 * math.log(4 / 3), terms=16)
    assert_close(cross_entropy_backward(1.0, cache), [[-0.5, 0.5]], terms=16)


def test_soft_target_by_hand():
    # p = (1/2, 1/2): loss = (ln 4 + ln 4/3)/2, dz = (1/4 − 1/2, 3/4 − 1/2).
    loss, cache = cross_entropy_forward(np.array([[0.0, math.log(3)]]), np.array([[0.5, 0.5]]))
    assert_close(loss, (math.log(4) + math.log(4 / 3)) / 2, terms=16)
    assert_close(cross_entropy_backward(1.0, cache), [[-0.25, 0.25]], terms=16)


def test_knowing_nothing_costs_log_c():
    loss, _ = cross_entropy_forward(np.full((3, 10), 2.5), np.array([0, 4, 9]))
    assert_close(loss, math.log(10), terms=16)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape, smoothing):
    logits = {"logits": 2 * normal(shape, seed=1)}
    assert_gradients(loss_of(labels_of(shape), smoothing), cross_entropy_backward, logits)
    assert_gradients(loss_of(soft_of(shape), smoothing), cross_entropy_backward, logits)


def test_gradients_where_target_rows_do_not_sum_to_one():
    assert_gradients(loss_of(3 * soft_of((4, 3))), cross_entropy_backward, {"logits": normal((4, 3), seed=1)})


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_oracle(smoothing):
    import autograd.numpy as anp

    labels = labels_of((6, 5))

    def independent(logits):
        # The loss of each sample from the ratios of its exponentials: log Σ_j e^(z_j − z_c), smoothed as a mean of two losses.
        surprise = anp.log(anp.sum(anp.exp(logits[:, :, None] - logits[:, None, :]), axis=1))  # −log q_c
        of_label = sum(surprise[b, labels[b]] for b in range(6)) / 6
        return (1 - smoothing) * of_label + smoothing * anp.mean(surprise)

    assert_oracle(loss_of(labels, smoothing), cross_entropy_backward, independent, {"logits": 2 * normal((6, 5), seed=2)})


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("soft", [False, True])
def test_as_in_torch(soft, smoothing):
    torch = pytest.importorskip("torch")
    logits, target = 5 * normal((7, 10), seed=3), soft_of((7, 10)) if soft else labels_of((7, 10))
    theirs = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(theirs, torch.tensor(target), label_smoothing=smoothing)
    (2.5 * expected).backward()
    loss, cache = cross_entropy_forward(logits, target, smoothing)
    assert_close(loss, expected.detach(), terms=16)
    assert_close(cross_entropy_backward(2.5, cache), theirs.grad)


@pytest.mark.parametrize("target", [labels_of((8, 10)), soft_of((8, 10))], ids=["labels", "soft"])
def test_float32(target):
    assert_float32_follows(loss_of(target, 0.1), cross_entropy_backward, {"logits": 3 * normal((8, 10), seed=5)})


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_any_integer_labels(dtype):
    logits = normal((4, 3), seed=1).astype(np.float32)
    loss, cache = cross_entropy_forward(logits, np.array([2, 0, 1, 1], dtype))
    expected, _ = cross_entropy_forward(logits, np.eye(3, dtype=np.float32)[[2, 0, 1, 1]])
    np.testing.assert_array_equal(loss, expected)
    assert loss.dtype == np.float32
    assert loss.shape == ()
    assert cross_entropy_backward(loss, cache).dtype == np.float32


def test_soft_target_takes_the_dtype_of_the_logits():
    loss, cache = cross_entropy_forward(normal((4, 3), seed=1).astype(np.float32), soft_of((4, 3)))
    assert loss.dtype == cross_entropy_backward(1.0, cache).dtype == np.float32


def test_rows_of_the_gradient_sum_to_zero():
    _, cache = cross_entropy_forward(3 * normal((5, 7), seed=1), labels_of((5, 7)), smoothing=0.1)
    assert_close(cross_entropy_backward(1.0, cache).sum(axis=1), 0.0, scale=1.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    """Certain and wrong costs the distance of the logits, certain and right nothing: no logarithm of 0 is taken."""
    for size in (88.0, 1e4):
        z = np.array([[size, -size, -size]], dtype)
        right, _ = cross_entropy_forward(z, np.array([0]))
        wrong, cache = cross_entropy_forward(z, np.array([1]))
        assert_close([right, wrong], [0.0, 2 * size])
        assert_close(cross_entropy_backward(1.0, cache), [[1.0, -1.0, 0.0]])
        smoothed, _ = cross_entropy_forward(z, np.array([0]), smoothing=0.3)
        assert_close(smoothed, 0.2 * 2 * size)


def test_nan_passes_through():
    loss, cache = cross_entropy_forward(np.array([[0.0, np.nan], [0.0, 0.0]]), np.array([0, 0]))
    assert np.isnan(loss)
    np.testing.assert_array_equal(np.isnan(cross_entropy_backward(1.0, cache)), [[True, True], [False, False]])


WRONG = [
    (np.zeros((2, 3, 4)), np.array([0, 1]), "CrossEntropy: logits has shape (2, 3, 4), expected (B, C)"),
    (np.zeros(3), np.array([0]), "CrossEntropy: logits has shape (3,), expected (B, C)"),
    (np.zeros((2, 3), int), np.array([0, 1]), "CrossEntropy: logits has dtype int64, expected a floating one"),
    (np.zeros((0, 3)), np.zeros(0, int), "CrossEntropy: logits is empty, shape (0, 3)"),
    ([[0.0]], np.array([0]), "CrossEntropy: logits is a list, expected an array (B, C)"),
    (np.zeros((2, 3)), np.array([0, 1, 2]), "CrossEntropy: labels have shape (3,), expected (2,) for logits (2, 3)"),
    (np.zeros((2, 3)), np.array([[0], [1]]), "CrossEntropy: labels have shape (2, 1), expected (2,) for logits (2, 3)"),
    (np.zeros((2, 3)), np.array([-1, 2]), "CrossEntropy: labels run from -1 to 2, expected 0..2 for 3 classes"),
    (np.zeros((2, 3)), np.array([0, 3]), "CrossEntropy: labels run from 0 to 3, expected 0..2 for 3 classes"),
    (np.zeros((2, 3)), [0, 1], "CrossEntropy: target is a list, expected an array of labels or distributions"),
    (np.zeros((2, 3)), np.array([0.0, 1.0]), "target has shape (2,), expected that of the logits, (2, 3); labels are integers"),
    (np.zeros((2, 3)), np.zeros((2, 4)), "CrossEntropy: target has shape (2, 4), expected that of the logits, (2, 3)"),
    (np.zeros((2, 3)), np.zeros((2, 3), bool), "target has dtype bool, expected integer labels or floating distributions"),
    (np.zeros((2, 3)), np.zeros((2, 3), complex), "CrossEntropy: target has dtype complex128"),
]


@pytest.mark.parametrize(("logits", "target", "message"), WRONG)
def test_wrong_input(logits, target, message):
    with pytest.raises(InputError) as caught:
        cross_entropy_forward(logits, target)
    assert message in str(caught.value)


@pytest.mark.parametrize("smoothing", [1.0, -0.1, math.nan])
def test_wrong_smoothing(smoothing):
    with pytest.raises(InputError, match=r"CrossEntropy: smoothing is .*, expected a probability in \[0, 1\)"):
        cross_entropy_forward(np.zeros((2, 3)), np.array([0, 1]), smoothing)


def test_labels_on_a_device_are_not_looked_at(strict_cupy):
    """To look at them would be to wait for the device."""
    logits, labels = from_numpy(normal((2, 3), seed=1)), from_numpy(np.array([0, 2]))
    strict_cupy.clear()
    cross_entropy_forward(logits, labels)
    strict_cupy.assert_no_syncs("cross_entropy_forward")


@pytest.mark.parametrize("target", [np.array([0, 2]), np.array([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]])])
def test_target_on_the_host_is_moved_to_the_logits(strict_cupy, target):
    logits = normal((2, 3), seed=1)
    loss, _ = cross_entropy_forward(from_numpy(logits), target)
    assert_close(float(to_numpy(loss)), float(cross_entropy_forward(logits, target)[0]))


@pytest.mark.parametrize(
    ("case", "target", "smoothing"), [("hard", "labels", 0), ("label_smoothing", "labels", 0.1), ("soft_target", "soft", 0)]
)
def test_against_the_reference(case, target, smoothing):
    settings, arrays = recipe_case("losses")
    loss, cache = cross_entropy_forward(arrays["logits"], arrays[target], smoothing)
    assert_close(loss, settings["cases"][case]["loss"], terms=64)
    assert_close(cross_entropy_backward(1.0, cache), arrays[f"{case}.dlogits"], terms=64)
