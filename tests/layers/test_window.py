"""Windows: mvnp/layers/window.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.core import padded_size
from mvnp.errors import InputError
from mvnp.layers.window import window_mask, window_partition, window_reverse
from support.checks import assert_float32_follows, assert_gradients, assert_oracle, normal
from support.tolerance import assert_close

# B, H, W, P
CASES = [(1, 1, 1, 1), (2, 4, 4, 2), (1, 4, 6, 2), (2, 5, 3, 2), (1, 3, 5, 4), (2, 1, 7, 3), (1, 2, 2, 5), (3, 6, 6, 6)]


def partition(P):
    return lambda x: (window_partition(x, P), x.shape)


def partition_backward(P):
    return lambda dtokens, shape: window_reverse(dtokens, P, shape[1], shape[2])


def test_by_hand():
    # 0  1 |  2  3      Two windows of 2x2 in each row of windows, from top left to bottom right, each read row by row.
    # 4  5 |  6  7
    # -----+------
    # 8  9 | 10 11
    # 12 13| 14 15
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    tokens = window_partition(x, 2)
    np.testing.assert_array_equal(tokens[..., 0], [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]])
    np.testing.assert_array_equal(window_reverse(tokens, 2, 4, 4), x)


def test_padding_by_hand():
    # 1 2 3      padded at the right and at the bottom:   1 2 | 3 0
    # 4 5 6                                               4 5 | 6 0
    # 7 8 9                                               7 8 | 9 0   and below it 0 0 | 0 0
    x = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    tokens = window_partition(x, 2)
    np.testing.assert_array_equal(tokens[..., 0], [[1, 2, 4, 5], [3, 0, 6, 0], [7, 8, 0, 0], [9, 0, 0, 0]])
    np.testing.assert_array_equal(window_reverse(tokens, 2, 3, 3), x)
    # The crop throws away what stands in the padding.
    np.testing.assert_array_equal(window_reverse(tokens + (tokens == 0) * 99, 2, 3, 3), x)


@pytest.mark.parametrize(("B", "H", "W", "P"), CASES)
def test_gradients(B, H, W, P):
    """Each is the other's backward."""
    assert_gradients(partition(P), partition_backward(P), {"x": normal((B, H, W, 2), seed=1)}, knows_shape=False)
    Hp, Wp = padded_size(H, W, P)
    tokens = {"tokens": normal((B * Hp * Wp // P**2, P * P, 2), seed=2)}
    assert_gradients(
        lambda tokens: (window_reverse(tokens, P, H, W), None), lambda dx, _: window_partition(dx, P), tokens, knows_shape=False
    )


@settings(max_examples=60)
@given(B=st.integers(1, 3), H=st.integers(1, 9), W=st.integers(1, 9), C=st.integers(1, 3), P=st.integers(1, 6))
def test_adjoint(B, H, W, C, P):
    """⟨partition(x), t⟩ = ⟨x, reverse(t)⟩, and reversing undoes partitioning."""
    x = normal((B, H, W, C), seed=1)
    tokens = window_partition(x, P)
    other = normal(tokens.shape, seed=2)
    back = window_reverse(other, P, H, W)
    assert back.shape == x.shape
    assert_close(np.sum(tokens * other), np.sum(x * back))
    np.testing.assert_array_equal(window_reverse(tokens, P, H, W), x)


@pytest.mark.parametrize(("B", "H", "W", "P"), CASES)
def test_oracle(B, H, W, P):
    import autograd.numpy as anp

    def independent(x):
        Hp, Wp = padded_size(H, W, P)
        padded = anp.pad(x, ((0, 0), (0, Hp - H), (0, Wp - W), (0, 0)), mode="constant")
        windows = [
            anp.stack([padded[b, top + i, left + j] for i in range(P) for j in range(P)])
            for b in range(B)
            for top in range(0, Hp, P)
            for left in range(0, Wp, P)
        ]
        return anp.stack(windows)

    assert_oracle(partition(P), partition_backward(P), independent, {"x": normal((B, H, W, 3), seed=4)})


def test_float32():
    assert_float32_follows(partition(3), partition_backward(3), {"x": normal((2, 5, 7, 3), seed=1)})


def test_padded_size():
    assert padded_size(14, 14, 7) == (14, 14)
    assert padded_size(15, 1, 7) == (21, 7)


def test_window_mask():
    assert window_mask(np.zeros(1), 2, 4, 6, 2) is None, "nothing is padded, so nothing needs a mask"
    mask = window_mask(np.zeros(1), 2, 3, 3, 2)
    assert mask.dtype == bool
    one_image = [[1, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    np.testing.assert_array_equal(mask, np.array(one_image * 2, bool))


@settings(max_examples=30)
@given(B=st.integers(1, 2), H=st.integers(1, 9), W=st.integers(1, 9), P=st.integers(1, 6))
def test_window_mask_are_those_of_the_image(B, H, W, P):
    mask = window_mask(np.zeros(1), B, H, W, P)
    marked = window_partition(np.ones((B, H, W, 1)), P)[..., 0]
    if mask is None:
        assert marked.all()
    else:
        np.testing.assert_array_equal(mask, marked == 1)
        assert mask.any(axis=1).all(), "every window has a token that attention may look at"


def test_wrong_count():
    with pytest.raises(InputError, match=r"window_reverse: 5 windows of 2x2, expected 4 an image of 4x4"):
        window_reverse(np.zeros((5, 4, 3)), 2, 4, 4)
    with pytest.raises(InputError, match=r"tokens has shape \(4, 9, 3\), expected \(B·nW, 4, C\)"):
        window_reverse(np.zeros((4, 9, 3)), 2, 4, 4)


def test_wrong_shape():
    with pytest.raises(InputError, match=r"window_partition: x has shape \(4, 4, 3\), expected \(B, H, W, C\)"):
        window_partition(np.zeros((4, 4, 3)), 2)
    with pytest.raises(InputError, match=r"window_partition: x is empty"):
        window_partition(np.zeros((0, 4, 4, 3)), 2)
    with pytest.raises(InputError, match="the window size is 0, expected at least 1"):
        window_partition(np.zeros((1, 4, 4, 3)), 0)
    with pytest.raises(InputError, match="the window size is -2, expected at least 1"):
        window_reverse(np.zeros((1, 4, 3)), -2, 4, 4)


@pytest.mark.parametrize("dtype", ["int64", "complex64"])
def test_wrong_dtype(dtype):
    with pytest.raises(InputError, match=rf"window_partition: x has dtype {dtype}"):
        window_partition(np.zeros((1, 4, 4, 3), dtype), 2)
    with pytest.raises(InputError, match=rf"window_reverse: tokens has dtype {dtype}"):
        window_reverse(np.zeros((4, 4, 3), dtype), 2, 4, 4)
