"""Drop path: mvnp/layers/drop_path.py."""

import math

import numpy as np
import pytest

from mvnp import Tape, gradcheck_layer
from mvnp.errors import InputError
from mvnp.layers.drop_path import DropPath, drop_path_backward, drop_path_forward
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close

SHAPES = [(4, 2, 3, 2), (3, 5, 2), (6, 2), (5,), (1, 1), (1,)]


def mask_of(shape, seed=2):
    """A mask as for p = 1/4, with a sample that is dropped if there are two."""
    B = shape[0]
    kept = np.arange(B) != 1
    return (kept / 0.75).reshape(B, *(1,) * (len(shape) - 1))


def apart(shape):
    """Drop path with a given mask, as a function of x alone."""
    mask = mask_of(shape)
    return lambda x: drop_path_forward(x, mask.astype(x.dtype)), mask


def test_by_hand():
    # p = 1/2, the first sample kept (scaled by 2), the second dropped: y = ((2, 4), (0, 0)), and dx likewise.
    y, cache = drop_path_forward(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0], [0.0]]))
    np.testing.assert_array_equal(y, [[2.0, 4.0], [0.0, 0.0]])
    np.testing.assert_array_equal(drop_path_backward(np.array([[5.0, 6.0], [7.0, 8.0]]), cache), [[10.0, 12.0], [0.0, 0.0]])


def test_a_gradient_of_one_sample_is_not_spread_over_all():
    with pytest.raises(InputError, match=r"Dropout: dy has shape \(1, 2\), expected \(2, any\)"):
        drop_path_backward(np.zeros((1, 2)), np.ones((2, 1)))


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape):
    forward, _ = apart(shape)
    assert_gradients(forward, drop_path_backward, {"x": normal(shape, seed=1)}, knows_shape=False)


def test_oracle():
    import autograd.numpy as anp

    forward, mask = apart((4, 3, 2))

    def independent(x):
        return anp.stack([x[b] / 0.75 if mask[b, 0, 0] else 0 * x[b] for b in range(4)])

    assert_oracle(forward, drop_path_backward, independent, {"x": normal((4, 3, 2), seed=1)})


def test_float32():
    forward, _ = apart((8, 16))
    assert_float32_follows(forward, drop_path_backward, {"x": normal((8, 16), seed=3)})


@pytest.mark.parametrize("shape", SHAPES)
def test_one_draw_for_each_sample(shape):
    assert DropPath(0.5).mask_shape(np.zeros(shape)) == (shape[0],) + (1,) * (len(shape) - 1)
    many = (200, *shape[1:])
    y = DropPath(0.5)(np.ones(many), Tape(seed=1)).reshape(200, -1)
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert 60 < (y[:, 0] == 0).sum() < 140


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_statistics(rate):
    samples = 40_000
    y = DropPath(rate)(np.ones((samples, 2, 1)), Tape(seed=5))[:, 0, 0]
    assert_close(np.unique(y), [0.0, 1.0 / (1.0 - rate)])
    dropped, sigma = y == 0, math.sqrt(rate * (1 - rate) / samples)
    assert abs(dropped.mean() - rate) < 4 * sigma
    # Samples know nothing of each other: for the variance of the pairs see test_dropout.py.
    sigma_of_pairs = rate * math.sqrt((1 - rate**2 + 2 * rate * (1 - rate)) / samples)
    assert abs((dropped[1:] & dropped[:-1]).mean() - rate**2) < 4 * sigma_of_pairs
    assert abs(y.mean() - 1) < 4 * math.sqrt(rate / (1 - rate) / samples)


def test_the_seed_of_the_tape_decides():
    layer, x = DropPath(0.5), np.ones((64, 2), np.float32)
    first = layer(x, Tape(seed=1))
    assert first.dtype == np.float32
    np.testing.assert_array_equal(layer(x, Tape(seed=1)), first)
    assert (layer(x, Tape(seed=2)) != first).any()
    tape = Tape(seed=1)
    np.testing.assert_array_equal(layer(x, tape), first)
    assert (layer(x, tape) != first).any(), "a second use on the same tape draws anew"


def test_gradient_is_the_mask():
    layer, x, tape = DropPath(0.5), normal((64, 3, 2), seed=1), Tape(seed=3)
    y = layer(x, tape)
    dx = layer.backward(np.ones_like(x), tape)
    assert set(np.unique(dx)) == {0.0, 2.0}
    np.testing.assert_array_equal(dx * x, y)


@pytest.mark.parametrize(
    ("layer", "tape"), [(DropPath(0.9), None), (DropPath(0.9), Tape(training=False)), (DropPath(0.0), Tape(training=True))]
)
def test_identity_in_evaluation_and_for_rate_zero(layer, tape):
    x, dy = normal((40, 5), seed=1), normal((40, 5), seed=2)
    np.testing.assert_array_equal(layer(x, tape), x)
    if tape is not None:
        np.testing.assert_array_equal(layer.backward(dy, tape), dy)


@pytest.mark.parametrize("training", [True, False])
def test_layer_has_the_gradients_of_the_functions(training):
    gradcheck_layer(DropPath(0.4), normal((6, 2, 2), seed=1), training=training).raise_for_error()


def test_nan_passes_through_its_sample():
    x = np.ones((2, 3))
    x[0, 1] = np.nan
    np.testing.assert_array_equal(np.isnan(DropPath(0.5)(x, Tape())), np.isnan(x))


@pytest.mark.parametrize("rate", [1.0, -0.1, math.nan])
def test_wrong_rate(rate):
    with pytest.raises(InputError) as caught:
        DropPath(rate)
    assert str(caught.value) == f"DropPath: rate is {rate}, expected a probability in [0, 1)"


@pytest.mark.parametrize("tape", [None, Tape(training=True)])
def test_wrong_input(tape):
    with pytest.raises(InputError, match="DropPath: x has dtype int64, expected a floating one"):
        DropPath(0.5)(np.zeros((2, 3), np.int64), tape)
    with pytest.raises(InputError, match=r"DropPath: x is empty, shape \(0, 3\)"):
        DropPath(0.5)(np.zeros((0, 3)), tape)
    with pytest.raises(InputError, match="DropPath: x is a list, expected an array"):
        DropPath(0.5)([1.0], tape)
