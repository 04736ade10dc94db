"""The CPU twins of the depthwise convolution and of its SiLU: mvnp/kernels/cpu/conv1d.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.layers.conv1d import conv1d_backward, conv1d_forward
from support.checks import normal
from support.tolerance import assert_close
from support.twins import check_twins, needs_numba, twin_function

pytestmark = needs_numba

both = pytest.mark.parametrize("silu", [False, True], ids=["plain", "with SiLU"])


def inputs(B, L, D, K, bias=True):
    return [normal((B, L, D), 1), normal((D, 1, K), 2), normal((D,), 3) if bias else None]


@both
@settings(max_examples=40)
@given(B=st.integers(1, 3), L=st.integers(1, 70), D=st.integers(4, 40), K=st.integers(1, 7), bias=st.booleans())
def test_numbers(silu, B, L, D, K, bias):
    check_twins(conv1d_forward, conv1d_backward, inputs(B, L, D, K, bias), silu=silu)


@both
@settings(max_examples=20)
@given(B=st.integers(1, 3), L=st.integers(1, 70), D=st.integers(4, 40), K=st.integers(1, 7), bias=st.booleans())
def test_causal(silu, B, L, D, K, bias):
    check_twins(conv1d_forward, conv1d_backward, inputs(B, L, D, K, bias), silu=silu, causal=True)


@both
def test_more_tokens_than_are_summed_in_one_go(silu):
    check_twins(conv1d_forward, conv1d_backward, inputs(2, 200, 5, 3), silu=silu)


@both
@pytest.mark.parametrize(
    "view",
    [
        lambda array: array[..., :5],
        lambda array: array[..., 4:],
        lambda array: array[:, ::-1, :5],
        lambda array: array[:, :, ::-2][..., :5],
        lambda array: np.broadcast_to(array[:1, :, :5], (3, 37, 5)),
        lambda array: np.asfortranarray(array[..., :5]),
    ],
    ids=["columns", "last columns", "backwards", "channels apart", "one sample three times", "column-major"],
)
def test_views(silu, view):
    """As in the mixer, x and dy are columns of a wider array."""
    x, dy, weight = view(normal((3, 37, 9), 1)), view(normal((3, 37, 9), 2)), normal((5, 1, 3), 3)
    want, cache = conv1d_forward.book(x, weight, None, silu)
    got, cache_of_twin = twin_function(conv1d_forward)(x, weight, None, silu)
    assert_close(got, want)
    gradients = twin_function(conv1d_backward)(dy, cache_of_twin), conv1d_backward.book(dy, cache)
    for ours, theirs in zip(*(results[:2] for results in gradients), strict=True):
        assert_close(ours, theirs)


@both
def test_nan_and_infinity_go_where_they_go_in_the_book(silu):
    x, weight, bias = inputs(2, 9, 4, 3)
    x[0, 3, 1], x[1, 8, 2], x[1, 0, 0] = np.nan, np.inf, -np.inf
    dy = normal(x.shape, 4)
    with np.errstate(invalid="ignore"):
        want, cache = conv1d_forward.book(x, weight, bias, silu)
        expected = conv1d_backward.book(dy, cache)
    got, _ = twin_function(conv1d_forward)(x, weight, bias, silu)
    assert_close(got, want)
    for ours, theirs in zip(twin_function(conv1d_backward)(dy, cache), expected, strict=True):
        assert_close(ours, theirs)


@both
def test_sums_of_many_numbers_keep_their_digits(silu):
    x, weight, bias = (value.astype("float32") for value in (np.full((1, 100_000, 1), 0.1), np.ones((1, 1, 1)), np.zeros(1)))
    dy = np.full(x.shape, 0.1, np.float32)
    _, cache = conv1d_forward(x, weight, bias, silu)
    _, *got = twin_function(conv1d_backward)(dy, cache)
    _, cache = conv1d_forward(*(value.astype("float64") for value in (x, weight, bias)), silu)
    _, *want = conv1d_backward(dy.astype("float64"), cache)
    for ours, exact in zip(got, want, strict=True):
        assert_close(ours, exact, terms=1)


@both
def test_what_it_does_not_take(silu):
    forward, backward = twin_function(conv1d_forward), twin_function(conv1d_backward)
    x, weight = np.zeros((2, 5, 3), np.float32), np.zeros((3, 1, 3), np.float32)
    y, cache = forward(x, weight, None, silu)
    for wrong in (
        (x.astype("float16"), weight.astype("float16")),
        (x, weight.astype("float64")),
        (x[0], weight),
        (x[..., :2], weight),
        (x[:, :0], weight),
        (x, weight[:, 0]),
        (x, weight[..., 0]),
        (x, weight, np.zeros(2, np.float32)),
        (x, weight, np.zeros(3)),
    ):
        assert forward(*wrong) is NotImplemented
    for dy in (y.astype("float64"), y[:, 1:]):
        assert backward(dy, cache) is NotImplemented
    assert backward(y, (x, weight.astype("float64"), *cache[2:])) is NotImplemented


def test_tokens_that_are_no_whole_number_of_numbers_apart():
    """As parts of records."""
    x = np.zeros((2, 9), [("values", "f8", 4), ("label", "f4")])["values"]
    x[:] = normal(x.shape, 1)
    check_twins(conv1d_forward, conv1d_backward, [x, normal((4, 1, 3), 2), None])


def test_one_sample_three_times_is_read_where_it_stands():
    from mvnp.kernels.cpu.conv1d import _memory

    x = np.broadcast_to(normal((1, 6, 5), 1), (3, 6, 5))
    memory, samples, tokens = _memory(x)
    assert np.shares_memory(memory, x)
    assert (memory.size, samples, tokens) == (30, 0, 5)


@pytest.mark.parametrize("view", [np.s_[:], np.s_[1:, 2:], np.s_[:, ::2, 1:], np.s_[..., ::2]])
def test_a_view_ends_with_its_last_number(view):
    from mvnp.kernels.cpu.conv1d import _memory

    x = normal((3, 6, 5), 1)[view]
    memory, samples, tokens = _memory(x)
    B, L, D = x.shape
    assert memory.size == (B - 1) * samples + (L - 1) * tokens + D
    np.testing.assert_array_equal(memory[[0, (B - 1) * samples, -1]], [x[0, 0, 0], x[-1, 0, 0], x[-1, -1, -1]])
