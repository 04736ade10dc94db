"""Linear recurrence: mvnp/layers/linear_recurrence.py."""

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.errors import InputError
from mvnp.layers.linear_recurrence import (
    CUMULATIVE_BLOCK,
    METHODS,
    linear_recurrence_backward,
    linear_recurrence_forward,
)
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal, relative
from support.tolerance import assert_close

EVERY = pytest.mark.parametrize("method", METHODS)
SHAPES = [(1,), (6,), (1, 2), (2, 3), (5, 2), (9, 2, 3), (CUMULATIVE_BLOCK + 3, 1)]


def inputs_of(*shape, start=True):
    """Decays between 0.14 and 1, as those of a scan."""
    inputs = {"decay": np.exp(-2 * np.random.default_rng(1).random(shape)), "inputs": normal(shape, seed=2)}
    return {**inputs, "start": normal(shape[1:], seed=3)} if start else inputs


def forward_by(method):
    return lambda *inputs: linear_recurrence_forward(*inputs, method=method)


def backward_without_start(dstates, cache):
    *gradients, dstart = linear_recurrence_backward(dstates, cache)
    assert dstart is None
    return tuple(gradients)


def recurrence(decay, inputs, start=0.0):
    """The definition."""
    states = [start]
    for a, u in zip(decay, inputs, strict=True):
        states.append(a * states[-1] + u)
    return anp.stack(states[1:])


@EVERY
def test_by_hand(method):
    # h_0 = 1/2·4 + 1 = 3, h_1 = 1/4·3 + 2 = 2.75.
    decay, inputs, start = np.array([[0.5], [0.25]]), np.array([[1.0], [2.0]]), np.array([4.0])
    states, cache = linear_recurrence_forward(decay, inputs, start, method)
    assert_close(states.ravel(), [3.0, 2.75])
    # dh = (1, 2): g_1 = 2, g_0 = 1 + 1/4·2 = 1.5.  da = (g_0·4, g_1·3), dh_(−1) = 1/2·g_0.
    ddecay, dinputs, dstart = linear_recurrence_backward(np.array([[1.0], [2.0]]), cache)
    assert_close(dinputs.ravel(), [1.5, 2.0])
    assert_close(ddecay.ravel(), [6.0, 6.0])
    assert_close(dstart, [0.75])


@EVERY
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape, method):
    assert_gradients(forward_by(method), linear_recurrence_backward, inputs_of(*shape))
    assert_gradients(forward_by(method), backward_without_start, inputs_of(*shape, start=False))


@EVERY
@pytest.mark.parametrize("shape", [(7, 2), (40, 3), (1, 2)])
def test_oracle(shape, method):
    assert_oracle(forward_by(method), linear_recurrence_backward, recurrence, inputs_of(*shape))
    assert_oracle(forward_by(method), backward_without_start, recurrence, inputs_of(*shape, start=False))


@settings(max_examples=60)
@given(
    k=st.integers(1, 70) | st.sampled_from([97, 127, 128, 129, 251]),
    method=st.sampled_from(list(METHODS)),
    seed=st.integers(0, 99),
)
def test_every_way_is_the_sequential_one(k, method, seed):
    rng = np.random.default_rng(seed)
    decay, inputs, dstates = np.exp(-3 * rng.random((k, 2))), *rng.standard_normal((2, k, 2))
    start = rng.standard_normal(2)

    def results(method):
        states, cache = linear_recurrence_forward(decay, inputs, start, method)
        return [states, *linear_recurrence_backward(dstates, cache)]

    for got, want in zip(results(method), results("sequential"), strict=True):
        assert_close(got, want)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "cumulative"])
def test_decays_of_either_sign_and_zero(method):
    inputs = inputs_of(11, 2)
    inputs["decay"] = normal((11, 2), seed=4)
    inputs["decay"][4] = 0.0
    assert_oracle(forward_by(method), linear_recurrence_backward, recurrence, inputs)


@EVERY
def test_arguments_are_left_alone(method):
    inputs = inputs_of(21, 2)
    before = {name: value.copy() for name, value in inputs.items()}
    states, cache = linear_recurrence_forward(*inputs.values(), method=method)
    dstates = np.ones_like(states)
    linear_recurrence_backward(dstates, cache)
    for name, value in before.items():
        np.testing.assert_array_equal(inputs[name], value)
    assert (dstates == 1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_where_the_cumulative_way_holds_and_where_it_fails(dtype):
    """16 decays that multiply up to e^−160 in float32, e^−1360 in float64, are still right; e^−200 and e^−1600 are not."""
    holds, fails = (-10.0, -12.5) if dtype == "float32" else (-85.0, -100.0)
    shape = (3 * CUMULATIVE_BLOCK, 2)
    inputs, start = normal(shape, seed=2).astype(dtype), np.ones(2, dtype)

    def both(log_decay):
        decay = np.full(shape, np.exp(log_decay), dtype)
        return (linear_recurrence_forward(decay, inputs, start, method)[0] for method in ("cumulative", "sequential"))

    got, want = both(holds)
    assert relative(got, want) <= 16 * abs(holds) * np.finfo(dtype).eps  # |S| ε
    got, want = both(fails)
    assert np.isfinite(want).all()
    assert not np.isfinite(got).all()


def test_the_cumulative_way_loses_digits_where_states_fade_fast():
    """S is rounded, and e^S makes of its absolute error a relative one: about |S| ε."""
    inputs = inputs_of(4096, 8)
    inputs["decay"] = inputs["decay"] ** 4  # a mean fall of e^−4 a token, e^−64 a block
    exact = recurrence(*inputs.values())
    small = [value.astype(np.float32) for value in inputs.values()]
    error = {method: relative(linear_recurrence_forward(*small, method=method)[0], exact) for method in METHODS}
    assert max(error["sequential"], error["chunked"], error["associative"]) < 1e-7
    assert 3 * error["sequential"] < error["cumulative"] < 1e-5


def test_a_decay_of_zero_forgets_everything():
    """Once in a block, the cumulative way takes it too: as the smallest number that is not 0."""
    inputs = inputs_of(CUMULATIVE_BLOCK, 2)
    inputs["decay"][5] = 0.0
    for method in METHODS:
        states, _ = linear_recurrence_forward(*inputs.values(), method=method)
        assert_close(states, recurrence(*inputs.values()))


@EVERY
def test_float32(method):
    terms = 200 if method == "cumulative" else 1  # which divides by products of decays, and multiplies by others
    assert_float32_follows(forward_by(method), linear_recurrence_backward, inputs_of(200, 3), terms=terms)


def test_wrong_method():
    with pytest.raises(InputError, match=r"'asociative' \(did you mean 'associative'\?\); choose one of sequential, chunked"):
        linear_recurrence_forward(*inputs_of(3, 2).values(), method="asociative")


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("decay", (), r"decay has shape \(\), expected \(k,\)"),
        ("inputs", (3, 4), r"inputs has shape \(3, 4\), expected \(3, 2\)"),
        ("start", (3, 2), r"start has shape \(3, 2\), expected \(2,\)"),
        ("decay", (0, 2), r"decay is empty"),
    ],
)
def test_wrong_shape(name, shape, message):
    inputs = {**inputs_of(3, 2), name: np.zeros(shape)}
    with pytest.raises(InputError, match="linear_recurrence: " + message):
        linear_recurrence_forward(*inputs.values())


@pytest.mark.parametrize("name", ["decay", "inputs", "start"])
@pytest.mark.parametrize("dtype", ["int64", "complex64"])
def test_wrong_dtype(name, dtype):
    inputs = inputs_of(3, 2)
    inputs[name] = inputs[name].astype(dtype)
    with pytest.raises(InputError, match=rf"linear_recurrence: {name} has dtype {dtype}, expected a floating one"):
        linear_recurrence_forward(*inputs.values())


def test_mixed_dtypes():
    inputs = inputs_of(3, 2)
    inputs["start"] = inputs["start"].astype(np.float32)
    with pytest.raises(InputError, match="linear_recurrence: dtypes are mixed, decay and inputs of float64, start of float32"):
        linear_recurrence_forward(*inputs.values())


@EVERY
@pytest.mark.parametrize("dh", [np.zeros((3, 3)), np.zeros((2, 2)), np.zeros(3), np.zeros((3, 2), int)])
def test_wrong_dh(method, dh):
    _, cache = linear_recurrence_forward(*inputs_of(3, 2).values(), method=method)
    with pytest.raises(InputError, match=r"linear_recurrence: dh has (shape .*, expected \(3, 2\)|dtype int64)"):
        linear_recurrence_backward(dh, cache)
