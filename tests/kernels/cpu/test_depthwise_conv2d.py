"""The CPU twins of the depthwise 2-d convolution: mvnp/kernels/cpu/depthwise_conv2d.py."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.execution import parallel
from mvnp.layers.depthwise_conv2d import depthwise_conv2d_backward, depthwise_conv2d_forward
from support.checks import normal
from support.twins import check_edges, check_layouts, check_twins, needs_numba, refused, twin_function

pytestmark = needs_numba

PAIR = depthwise_conv2d_forward, depthwise_conv2d_backward


def inputs(B, H, W, D, Kh, Kw, bias=True):
    return [normal((B, H, W, D), 1), normal((D, 1, Kh, Kw), 2), normal((D,), 3) if bias else None]


@settings(max_examples=40)
@given(
    B=st.integers(1, 3),
    H=st.integers(1, 11),
    W=st.integers(1, 11),
    D=st.integers(2, 20),
    Kh=st.integers(1, 5),
    Kw=st.integers(1, 5),
    bias=st.booleans(),
)
def test_numbers(B, H, W, D, Kh, Kw, bias):
    check_twins(*PAIR, inputs(B, H, W, D, Kh, Kw, bias))


def test_more_pixels_than_are_summed_in_one_go():
    check_twins(*PAIR, inputs(2, 3, 150, 5, 3, 3))


def test_on_several_cores(monkeypatch):
    """The rows of one map go to several cores, and the sums are the same."""
    monkeypatch.setattr("mvnp.kernels.cpu.team.LEAST", 0.0)
    monkeypatch.setattr(parallel, "_chosen", 3)
    check_twins(*PAIR, inputs(2, 37, 5, 6, 3, 3))


def test_layouts():
    check_layouts(*PAIR, inputs(3, 5, 4, 6, 3, 3))


def test_edges():
    x, weight, bias = inputs(2, 5, 4, 4, 3, 3)
    x[0, 3, 1, 1], x[1, 4, 2, 0], x[1, 0, 0, 2] = np.nan, np.inf, -np.inf
    check_edges(*PAIR, x, weight, bias)


def test_which_taps_are_added_at_once():
    from mvnp.kernels.cpu.depthwise_conv2d import three_at_once

    assert [three_at_once(3, left, 5) for left in range(-1, 4)] == [False, True, True, True, False]
    assert [three_at_once(Kw, 1, 9) for Kw in (1, 2, 3, 4, 5)] == [False, False, True, False, False]


def test_sums_of_many_numbers_keep_their_digits():
    x, weight = np.full((1, 400, 300, 1), 0.1, np.float32), np.ones((1, 1, 1, 1), np.float32)
    dy = np.full(x.shape, 0.1, np.float32)
    _, cache = twin_function(depthwise_conv2d_forward)(x, weight, np.zeros(1, np.float32))
    _, *got = twin_function(depthwise_conv2d_backward)(dy, cache)
    want = np.sum(dy.astype("float64") * x), np.sum(dy.astype("float64"))
    for ours, exact in zip(got, want, strict=True):
        np.testing.assert_allclose(ours.ravel(), exact, rtol=2e-6)


def test_what_it_does_not_take():
    x, weight = np.zeros((2, 5, 4, 3), np.float32), np.zeros((3, 1, 3, 3), np.float32)
    for wrong in (
        (x.astype("float16"), weight.astype("float16")),
        (x, weight.astype("float64")),
        (x[0], weight),
        (x[..., :2], weight),
        (x[:, :0], weight),
        (x, weight[:, 0]),
        (x, weight[:, :, 0]),
        (x, np.zeros((3, 2, 3, 3), np.float32)),
        (x, weight, np.zeros(2, np.float32)),
        (x, weight, np.zeros(3)),
    ):
        refused(depthwise_conv2d_forward, *wrong)
    y, cache = twin_function(depthwise_conv2d_forward)(x, weight)
    for dy in (y.astype("float64"), y[:, 1:]):
        refused(depthwise_conv2d_backward, dy, cache)
    refused(depthwise_conv2d_backward, y, (x, weight.astype("float64"), False))
