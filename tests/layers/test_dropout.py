"""Dropout: mvnp/layers/dropout.py."""

import math

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.backend import from_numpy
from mvnp.errors import BackendError, InputError
from mvnp.layers.dropout import Dropout, draw_mask, dropout_backward, dropout_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal


def mask_of(shape, rate=0.3, seed=4):
    return draw_mask(np.random.default_rng(seed), shape, rate, np.zeros(1))


def apart(shape):
    """Dropout with a given mask, as a function of x alone."""
    mask = mask_of(shape)
    return lambda x: dropout_forward(x, mask.astype(x.dtype)), mask


def test_by_hand():
    # p = 1/2, m = (2, 0, 2): y = (1·2, 2·0, 3·2), dx = (5·2, 7·0, 9·2).
    y, cache = dropout_forward(np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.0, 2.0]))
    np.testing.assert_array_equal(y, [2.0, 0.0, 6.0])
    np.testing.assert_array_equal(dropout_backward(np.array([5.0, 7.0, 9.0]), cache), [10.0, 0.0, 18.0])


@pytest.mark.parametrize("shape", [(), (1,), (20,), (3, 4), (2, 1, 3, 2)])
def test_gradients(shape):
    forward, _ = apart(shape)
    assert_gradients(forward, dropout_backward, {"x": normal(shape, seed=1)}, knows_shape=False)


def test_gradients_with_a_mask_that_is_broadcast():
    mask = mask_of((3, 1, 2))
    assert_gradients(lambda x: dropout_forward(x, mask), dropout_backward, {"x": normal((3, 4, 2), seed=1)}, knows_shape=False)


def test_oracle():
    import autograd.numpy as anp

    forward, mask = apart((5, 7))
    assert_oracle(forward, dropout_backward, lambda x: anp.where(mask == 0, 0.0, x / 0.7), {"x": normal((5, 7), seed=2)})


def test_float32():
    forward, _ = apart((8, 16))
    assert_float32_follows(forward, dropout_backward, {"x": normal((8, 16), seed=3)})


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_statistics_of_the_mask(rate):
    n = 400
    mask = mask_of((n, n), rate)
    np.testing.assert_array_equal(np.unique(mask), [0.0, 1.0 / (1.0 - rate)])
    # Each mean is off by a few standard deviations √(p (1 − p) / count) at most: of all entries, of each row and column.
    # Neighbours know nothing of each other: both are dropped with p², and the mean of n² such pairs, each sharing an entry with
    # the next, has the variance (p² (1 − p²) + 2 p³ (1 − p)) / n².
    dropped, sigma = mask == 0, math.sqrt(rate * (1 - rate))
    sigma_of_pairs = rate * math.sqrt(1 - rate**2 + 2 * rate * (1 - rate))
    assert abs(dropped.mean() - rate) < 4 * sigma / n
    for axis in (0, 1):
        assert np.abs(dropped.mean(axis=axis) - rate).max() < 5 * sigma / math.sqrt(n)
        assert abs((np.roll(dropped, 1, axis) & dropped).mean() - rate**2) < 4 * sigma_of_pairs / n
    # The mean stays: E m = 1, with a standard deviation of √(p / (1 − p)).
    assert abs(mask.mean() - 1) < 4 * math.sqrt(rate / (1 - rate)) / n


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mask_has_the_dtype_of_x_and_the_draws_of_the_seed(dtype):
    mask = draw_mask(np.random.default_rng(1), (50,), 0.4, np.zeros(1, dtype))
    assert mask.dtype == dtype
    np.testing.assert_array_equal(mask == 0, draw_mask(np.random.default_rng(1), (50,), 0.4, np.zeros(1)) == 0)


def test_the_seed_of_the_tape_decides():
    layer, x = Dropout(0.5), np.ones((8, 8), np.float32)
    first = layer(x, Tape(seed=1))
    np.testing.assert_array_equal(layer(x, Tape(seed=1)), first)
    assert (layer(x, Tape(seed=2)) != first).any()
    tape = Tape(seed=1)
    np.testing.assert_array_equal(layer(x, tape), first)
    assert (layer(x, tape) != first).any(), "a second use on the same tape draws anew"


def test_one_draw_for_each_entry():
    assert Dropout(0.5).mask_shape(np.zeros((4, 2, 3))) == (4, 2, 3)
    y = Dropout(0.5)(np.ones((32, 32)), Tape(seed=1))
    assert len(np.unique(y, axis=0)) == len(np.unique(y, axis=1)) == 32, "no two rows and no two columns are alike"


def test_gradient_is_the_mask():
    layer, x, tape = Dropout(0.5), 3.0 * np.ones((4, 5)), Tape(seed=3)
    y = layer(x, tape)
    assert 0 < (y == 0).sum() < y.size
    np.testing.assert_array_equal(layer.backward(np.ones((4, 5)), tape), y / 3.0)
    np.testing.assert_array_equal(set(np.unique(y)), {0.0, 6.0})


@pytest.mark.parametrize(
    ("layer", "tape"), [(Dropout(0.9), None), (Dropout(0.9), Tape(training=False)), (Dropout(0.0), Tape(training=True))]
)
def test_identity_in_evaluation_and_for_rate_zero(layer, tape):
    x, dy = normal((4, 5), seed=1), normal((4, 5), seed=2)
    before = None if tape is None else tape.rng.bit_generator.state
    np.testing.assert_array_equal(layer(x, tape), x)
    if tape is not None:
        assert tape.rng.bit_generator.state == before, "nothing is drawn where nothing is dropped"
        np.testing.assert_array_equal(layer.backward(dy, tape), dy)
        assert tape.entries == []


@pytest.mark.parametrize("training", [True, False])
def test_layer_has_the_gradients_of_the_functions(training):
    gradcheck_layer(Dropout(0.4), normal((3, 4, 2), seed=1), training=training).raise_for_error()


def test_nan_passes_through():
    x = np.full((100,), np.nan)
    assert np.isnan(Dropout(0.5)(x, Tape())).all(), "also where it is silenced: 0 · NaN"
    assert np.isnan(Dropout(0.5)(x)).all()


@pytest.mark.parametrize("rate", [1.0, -0.1, 1.5, math.nan])
def test_wrong_rate(rate):
    with pytest.raises(InputError) as caught:
        Dropout(rate)
    assert str(caught.value) == f"Dropout: rate is {rate}, expected a probability in [0, 1)"


@pytest.mark.parametrize("tape", [None, Tape(training=True)])
def test_wrong_input(tape):
    with pytest.raises(InputError, match="Dropout: x has dtype int64, expected a floating one"):
        Dropout(0.5)(np.zeros((2, 3), np.int64), tape)
    with pytest.raises(InputError, match=r"Dropout: x is empty, shape \(0, 3\)"):
        Dropout(0.5)(np.zeros((0, 3)), tape)
    with pytest.raises(InputError, match="Dropout: x is a list, expected an array"):
        Dropout(0.5)([1.0], tape)


def test_wrong_input_of_the_function():
    with pytest.raises(InputError, match="Dropout: x has dtype complex128"):
        dropout_forward(np.zeros(3, np.complex128), np.ones(3))
    with pytest.raises(InputError, match="Dropout: dy has dtype int64"):
        dropout_backward(np.zeros(3, np.int64), np.ones(3))
    with pytest.raises(InputError, match=r"Dropout: dy has shape \(1, 3\), expected \(2, 3\)"):
        dropout_backward(np.zeros((1, 3)), np.ones((2, 3)))
    with pytest.raises(InputError, match=r"Dropout: x has shape \(2, 3\), expected \(4, any\)"):
        dropout_forward(np.zeros((2, 3)), np.ones((4, 1)))
    with pytest.raises(InputError, match="Dropout: dy has dtype float32, expected float64, that of the forward"):
        dropout_backward(np.zeros(3, np.float32), np.ones(3))


def test_host_and_device_do_not_mix(strict_cupy):
    device, mask = from_numpy(np.ones(3)), np.ones(3)
    for function in (dropout_forward, dropout_backward):
        with pytest.raises(BackendError, match="a NumPy array met a CuPy array"):
            function(device, mask)


def test_a_draw_at_the_rate_is_kept():
    """The draws are the multiples of 2⁻²⁴ from 0 to below 1: as many are below the rate as it says, which itself is not."""

    class Draws:
        def random(self, shape, dtype):
            return np.array([0.0, 0.25 - 2**-24, 0.25, 0.75], dtype)

    np.testing.assert_array_equal(draw_mask(Draws(), (4,), 0.25, np.ones(1)), np.array([0, 0, 1, 1]) / 0.75)
