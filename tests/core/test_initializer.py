"""Initial values: mvnp/core/initializer.py."""

import math

import numpy as np
import pytest

from mvnp import Layer, Param
from mvnp.core import Initializer
from mvnp.errors import InputError
from mvnp.layers.conv2d import Conv2d
from mvnp.layers.linear import Linear
from support.tolerance import chance

N = 200_000


def test_truncated_normal():
    """Standard deviation, mean and quartiles of the normal distribution; the quartile of a standard normal is 0.674490, and
    of one draw uncertain by √(3/16) / φ(0.674490) = 1.363."""
    drawn = Initializer(dtype="float64").truncated_normal((N,), std=0.02)
    assert abs(drawn.mean()) < chance(0.02, N)
    assert abs(drawn.std() / 0.02 - 1) < chance(1, 2 * N)
    quartiles = np.quantile(drawn, [0.25, 0.75])
    assert np.abs(quartiles - [-0.0134898, 0.0134898]).max() < chance(1.363 * 0.02, N)
    np.testing.assert_array_equal(Initializer(dtype="float64").truncated_normal((N,)), drawn), "0.02 is the default"


def test_truncated_normal_is_cut_at_two_not_at_two_sigma():
    assert np.abs(Initializer().truncated_normal((N,), std=0.02)).max() > 3 * 0.02
    assert np.abs(Initializer().truncated_normal((N,), std=2.0)).max() == 2.0


@pytest.mark.parametrize("fan_in", [1, 27, 400])
def test_uniform(fan_in):
    """In ±1/√fan_in, all of it, with the moments of a uniform distribution: mean 0, variance bound²/3."""
    drawn, bound = Initializer(dtype="float64").uniform((N,), fan_in), 1 / math.sqrt(fan_in)
    assert 0.999 * bound < np.abs(drawn).max() <= bound
    assert abs(drawn.mean()) < 4 * bound / math.sqrt(3 * N)
    assert abs(drawn.var() / (bound**2 / 3) - 1) < 4 * math.sqrt(0.8 / N)
    assert abs((drawn > bound / 2).mean() - 0.25) < 4 * math.sqrt(3 / 16 / N)


def test_full():
    np.testing.assert_array_equal(Initializer().full((2, 3), 1.5), np.full((2, 3), 1.5, np.float32))


def test_array_is_a_copy_in_the_dtype():
    host = np.arange(3.0)
    array = Initializer(dtype="float64").array(host)
    array += 1
    np.testing.assert_array_equal(host, [0.0, 1.0, 2.0])
    assert Initializer().array(host).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float32, np.dtype("float64")])
def test_dtype_of_everything(dtype):
    init = Initializer(dtype=dtype)
    made = [init.truncated_normal((3,)), init.uniform((3,), 4), init.full((3,), 1.0), init.array(np.arange(3))]
    assert {array.dtype for array in made} == {np.dtype(dtype)}


def test_dtype_does_not_change_the_draws():
    single, double = (Initializer(seed=5, dtype=dtype).truncated_normal((50,)) for dtype in ("float32", "float64"))
    np.testing.assert_array_equal(single, double.astype(np.float32))


def test_seed_decides():
    def draws(seed):
        init = Initializer(seed=seed)
        return np.concatenate([init.truncated_normal((20,)), init.uniform((20,), 1)])

    np.testing.assert_array_equal(draws(1), draws(1))
    assert (draws(1) != draws(2)).all()
    init = Initializer(seed=1)
    assert (init.uniform((20,), 1) != init.uniform((20,), 1)).all(), "each draw goes on where the last one ended"


def test_layers_share_the_generator_in_the_order_in_which_they_are_built():
    def build(seed):
        init = Initializer(seed=seed)
        return Linear(4, 4, init=init), Linear(4, 4, init=init)

    (a, b), (c, d) = build(7), build(7)
    np.testing.assert_array_equal(a.weight, c.weight)
    np.testing.assert_array_equal(b.weight, d.weight)
    assert (np.asarray(a.weight) != np.asarray(b.weight)).all()


def test_without_allocation():
    """Right shapes and dtypes, no memory and no draw, until weights are loaded."""

    class Pair(Layer):
        def __init__(self, init):
            self.conv, self.linear = Conv2d(3, 8, 3, init=init), Linear(1 << 20, 1 << 14, init=init)
            self.given = Param(init.array(np.arange(6.0).reshape(2, 3)))

    init = Initializer(dtype="float64", allocate=False)
    before = init.rng.bit_generator.state
    pair = Pair(init)
    assert init.rng.bit_generator.state == before
    assert pair.linear.weight.shape == (1 << 14, 1 << 20)
    assert pair.parameter_count == sum(param.size for _, param in pair.named_parameters()) > 1 << 34
    for _, param in pair.named_parameters():
        assert param.dtype == np.float64
        assert param.data.strides == (0,) * param.ndim, "a view of a single zero"
        assert not param.data.flags.writeable


def test_loading_fills_what_was_not_allocated():
    full, hollow = Linear(3, 2, init=Initializer(seed=1)), Linear(3, 2, init=Initializer(allocate=False))
    hollow.load_state_dict(full.state_dict())
    np.testing.assert_array_equal(hollow.weight, full.weight)
    hollow.weight.data += 1  # its own memory now, and writeable
    assert hollow.weight.data[0, 0] != full.weight.data[0, 0]


@pytest.mark.parametrize("dtype", ["float16", "int32", "complex64", "flaot32", ""])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=r"Initializer: dtype is .*, expected one of float32, float64"):
        Initializer(dtype=dtype)
