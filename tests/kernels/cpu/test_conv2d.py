"""The CPU twin of the convolution over patches: mvnp/kernels/cpu/conv2d.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.kernels import convolution
from mvnp.layers.conv2d import conv2d_backward, conv2d_forward
from support.checks import normal
from support.tolerance import assert_close
from support.twins import DTYPES, assert_near, cast, check_twins, computed, needs_numba, twin_function

pytestmark = needs_numba


@pytest.fixture(autouse=True)
def im2col(monkeypatch):
    """No Winograd, which rounds otherwise: tests/kernels/test_convolution.py has both ways."""
    monkeypatch.setattr(convolution, "_chosen", "im2col")


# x (B, H, W, I), (O, Kh, Kw), stride, padding: the stem, a block and two downsamplings in small, and what they are not.
CASES = [
    ((2, 12, 10, 3), (8, 3, 3), (2, 2), (1, 1)),
    ((1, 7, 6, 16), (16, 3, 3), (1, 1), (1, 1)),
    ((2, 8, 8, 20), (40, 3, 3), (2, 2), (1, 1)),
    ((2, 3, 3, 20), (40, 3, 3), (2, 2), (1, 1)),  # fewer patches than outputs
    ((1, 1, 1, 1), (1, 1, 1), (1, 1), (0, 0)),
    ((1, 1, 1, 33), (2, 3, 3), (1, 1), (1, 1)),  # patches of one pixel and padding
    ((3, 5, 7, 2), (3, 2, 4), (1, 2), (0, 3)),
    ((1, 11, 13, 1), (2, 3, 1), (3, 2), (2, 0)),
    ((1, 6, 9, 2), (2, 2, 2), (3, 3), (0, 0)),  # pixels that no patch has
    ((1, 3, 3, 2), (19, 3, 3), (1, 1), (3, 3)),  # patches of nothing but padding
]


def inputs(image, kernel, stride, padding, bias=True):
    O, *size = kernel
    return [normal(image, 1), normal((O, image[3], *size), 2), normal((O,), 3) if bias else None, stride, padding]


def without_none(dy, cache):
    dx, dweight, dbias = conv2d_backward(dy, cache)
    assert dbias is None
    return dx, dweight


@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers(case):
    check_twins(conv2d_forward, conv2d_backward, inputs(*case))
    check_twins(conv2d_forward, conv2d_backward, inputs(*case, bias=False))


@pytest.mark.parametrize(
    "case",
    [
        *CASES,
        ((2, 12, 10, 3), (32, 3, 3), (2, 2), (1, 1)),  # 27 numbers of a patch, in whole and in part of a tile
        ((3, 35, 9, 3), (16, 3, 3), (2, 2), (1, 1)),  # more lines than are added up in one go
        ((1, 9, 8, 1), (64, 3, 3), (1, 1), (0, 0)),
        ((2, 6, 7, 3), (48, 4, 4), (4, 4), (0, 0)),  # the longest
        ((2, 6, 7, 5), (32, 4, 4), (4, 4), (0, 0)),  # longer than those
    ],
    ids=str,
)
@pytest.mark.parametrize("bias", [True, False])
def test_without_the_gradient_of_the_image(case, bias):
    values = inputs(*case, bias=bias)
    y, cache = conv2d_forward.book(*values)
    dy = normal(y.shape, 4)
    want = conv2d_backward.book(dy, cache, inputs=False)
    for dtype in DTYPES:
        _, cache = conv2d_forward.book(*(cast(value, dtype) for value in values))
        got = computed(twin_function(conv2d_backward)(cast(dy, dtype), cache, inputs=False), conv2d_backward)
        for name, one, other in zip(("dx", "dweight", "dbias"), got, want, strict=True):
            assert_near(one, other, dtype, f"{dtype}: {name}")


@pytest.mark.parametrize("wanted", [True, False])
def test_the_gradient_of_the_image_by_winograd(wanted, monkeypatch):
    values = inputs((2, 6, 5, 3), (4, 3, 3), (1, 1), (1, 1))
    y, cache = conv2d_forward.book(*values)
    dy = normal(y.shape, 4)
    want = conv2d_backward.book(dy, cache, inputs=wanted)
    monkeypatch.setattr(convolution, "_chosen", "winograd")
    dx, dweight, dbias = computed(twin_function(conv2d_backward)(dy, cache, inputs=wanted), conv2d_backward)
    assert (dx is not None) == wanted
    for name, one, other in zip(("dx", "dweight", "dbias"), (dx, dweight, dbias), want, strict=True):
        if other is not None:
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12, err_msg=name)


@settings(max_examples=60)
@given(data=st.data())
def test_any_geometry(data):
    def number(low, high):
        return data.draw(st.integers(low, high))

    kernel, stride, padding = ((number(1, 4), number(1, 4)), (number(1, 3), number(1, 3)), (number(0, 2), number(0, 2)))
    height, width = (number(max(1, kernel[axis] - 2 * padding[axis]), 9) for axis in (0, 1))
    # Several numbers in each result: an error in float32 is of the largest, and a single one may be next to nothing.
    image = (number(2, 3), height, width, number(4, 35))
    check_twins(
        conv2d_forward, conv2d_backward, inputs(image, (number(4, 40), *kernel), stride, padding, bias=data.draw(st.booleans()))
    )


@pytest.mark.parametrize("lines", [1, 2, 5])
def test_in_blocks(monkeypatch, lines):
    """X is made for some rows of outputs at a time; how many must not matter."""
    twin = twin_function(conv2d_forward).__globals__
    for image, kernel, stride, padding in CASES[:3]:
        case = inputs(image, kernel, stride, padding)
        y, _ = conv2d_forward.book(*case)
        monkeypatch.setitem(twin, "_block_bytes", lambda M, y=y: lines * y.shape[2] * len(M) * M.itemsize)
        check_twins(conv2d_forward, conv2d_backward, case)


def test_any_layout():
    """Every array may lie otherwise in memory: as maps that are NCHW, kernels turned round, columns of a wider array."""
    x, weight, bias = normal((2, 5, 9, 8), 1).transpose(0, 3, 2, 1), normal((6, 5, 3, 3), 2)[:, :, ::-1, ::-1], normal((12,), 3)
    check_twins(conv2d_forward, conv2d_backward, [x, weight, bias[::2], (2, 1), (1, 1)])
    y, cache = conv2d_forward.book(x, weight, bias[::2], (2, 1), (1, 1))
    dy = normal((*y.shape[:3], 12), 4)[..., ::2]
    for got, want in zip(twin_function(conv2d_backward)(dy, cache), conv2d_backward.book(dy, cache), strict=True):
        assert_close(got, want)


def test_memory_that_is_used_again_does_not_show():
    large, small = inputs((2, 20, 20, 30), (30, 3, 3), (1, 1), (1, 1)), inputs((1, 5, 6, 30), (30, 3, 3), (2, 2), (1, 1))
    y, cache = conv2d_forward(*large)
    conv2d_backward(y, cache)
    check_twins(conv2d_forward, conv2d_backward, small)


@pytest.mark.parametrize("case", CASES[:4], ids=str)
def test_nan_and_infinity_go_where_they_go_in_the_book(case):
    x, weight, bias, stride, padding = inputs(*case)
    x[0, 1, 1, 0], x[-1, -1, -1, -1] = np.nan, np.inf
    want, cache = conv2d_forward.book(x, weight, bias, stride, padding)
    got, _ = twin_function(conv2d_forward)(x, weight, bias, stride, padding)
    assert_close(got, want)
    assert np.isnan(got).any()
    dy = normal(want.shape, 4)
    dy[0, 0, 0, 0] = np.nan
    for got, want in zip(twin_function(conv2d_backward)(dy, cache), conv2d_backward.book(dy, cache), strict=True):
        assert_close(got, want)


def test_the_sum_of_many_gradients_keeps_its_digits():
    x, weight = np.ones((1, 400, 300, 1), np.float32), np.ones((1, 1, 1, 1), np.float32)
    _, cache = conv2d_forward(x, weight, np.zeros(1, np.float32))
    dy = np.full((1, 400, 300, 1), 0.1, np.float32)
    _, _, dbias = twin_function(conv2d_backward)(dy, cache)
    assert_close(dbias[0], 120_000 * np.float64(np.float32(0.1)), terms=1)


def test_what_it_does_not_take():
    forward, backward = twin_function(conv2d_forward), twin_function(conv2d_backward)
    x, weight = np.zeros((1, 5, 5, 2), np.float32), np.zeros((3, 2, 3, 3), np.float32)
    y, cache = forward(x, weight)
    for wrong in (
        (x.astype("float16"), weight.astype("float16")),
        (x, weight.astype("float64")),
        (x[0], weight),
        (x[..., :1], weight),
        (x[:0], weight),
        (x, weight[0]),
        (x, weight[:, :, 0]),
        (x, weight, np.zeros(2, np.float32)),
        (x, weight, np.zeros(3)),
    ):
        assert forward(*wrong) is NotImplemented
    for dy in (y.astype("float64"), y[:, 1:]):
        assert backward(dy, cache) is NotImplemented
    assert backward(y, (x, weight.astype("float64"), *cache[2:])) is NotImplemented


def test_how_lines_are_cut():
    from mvnp.kernels.cpu import conv2d

    def geometry(B, H, W, I, O, kernel=(3, 3)):
        return conv2d._Geometry(np.empty((B, H, W, I), np.float32), (B, H, W, O), kernel, (1, 1), (1, 1))

    found = geometry(3, 7, 5, 4, 8)
    assert (found.taps, found.patch, len(found)) == (9, 36, 21)
    line = 5 * 36 * 4  # bytes of the patches of a line
    assert found.blocks(line) == [slice(n, n + 1) for n in range(21)]
    assert found.blocks(line // 2) == found.blocks(line), "a line stays whole"
    assert found.blocks(10 * line) == [slice(0, 7), slice(7, 14), slice(14, 21)], "as much for each"
    assert found.blocks(21 * line) == [slice(0, 21)]
    assert [geometry(1, 2, 5, 4, O).few for O in (19, 20, 21)] == [False, True, True]
    assert [geometry(2, 5, 1, 4, O).few for O in (19, 20)] == [False, True]
    kilobytes = {size: conv2d._block_bytes(np.empty(size * 1024, np.uint8)) >> 10 for size in (1, 63, 64, 65, 1024, 2000)}
    assert kilobytes == {1: 32, 63: 32 * 63, 64: 2048, 65: 2048, 1024: 2048, 2000: 4000}


@pytest.mark.parametrize(("Kh", "Kw", "I"), [(1, 1, 16), (1, 3, 7), (3, 2, 8), (3, 3, 3), (2, 5, 7)])
def test_patches_are_copied_in_lanes_where_the_last_copy_stays_within(Kh, Kw, I):
    from mvnp.kernels.cpu.conv2d import LANES, in_lanes

    W, enough = Kw + 2, 10**6
    sizes = (9, W, I, 5, 5, Kh, Kw, 2, 2, 1, 1)
    for at in range(400):
        of_x, of_X = (
            max(at + i * apart + c + int(LANES) for i in range(Kh) for c in range(0, Kw * I, int(LANES)))
            for apart in (W * I, Kw * I)
        )
        assert in_lanes(at, 0, 400, enough, sizes) == (of_x <= 400)
        assert in_lanes(0, at, enough, 400, sizes) == (of_X <= 400)


def test_which_patches_are_in_the_image():
    from mvnp.kernels.cpu.conv2d import in_image

    H, W, Kh, Kw = 6, 8, 2, 3
    inside = {
        (top, left)
        for top in range(-2, 8)
        for left in range(-2, 10)
        if in_image(top, left, (H, W, 1, 1, 1, Kh, Kw, 1, 1, 1, 1))
    }
    assert inside == {(top, left) for top in range(5) for left in range(6)}


@pytest.mark.parametrize("I", [1, 5, 8])
def test_patches_stay_within_their_memory(I):
    """What follows may be another core's."""
    from mvnp.kernels.cpu.conv2d import LANES, _im2col

    x, lines = normal((2, 6, 7, I), 1).astype(np.float32), np.arange(1, 7)
    patches = np.lib.stride_tricks.sliding_window_view(x, (3, 4), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)  # (2, 4, 4, 3, 4, I)
    memory = np.full(len(lines) * 4 * 12 * I + int(LANES), 7, np.float32)
    X = memory[: -int(LANES)].reshape(len(lines), -1)
    _im2col(lines, X, x.reshape(-1), (6, 7, I, 4, 4, 3, 4, 1, 1, 0, 0))
    np.testing.assert_array_equal(X, patches.reshape(8, -1)[1:7])
    np.testing.assert_array_equal(memory[X.size :], 7)


def test_a_line_is_read_beyond_its_end():
    """Where rows of the sums are more than a patch has numbers."""
    from mvnp.kernels.cpu.conv2d import numbers_read

    assert numbers_read(5, 27, 28) == 4 * 27 + 28


@pytest.mark.parametrize(
    ("O", "I", "K", "short"), [(16, 1, 3, True), (32, 3, 3, True), (16, 3, 4, True), (17, 1, 3, False), (16, 1, 7, False)]
)
def test_patches_that_are_short(O, I, K, short, monkeypatch):
    """Of an image's few channels, where no gradient of the image is asked for, and channels fill vectors."""
    from mvnp.kernels.cpu import conv2d

    calls, gradient = [], conv2d._gradient_of_short_patches
    monkeypatch.setattr(conv2d, "_gradient_of_short_patches", lambda *given: calls.append(1) or gradient(*given))
    x, weight = normal((2, 9, 9, I), 1).astype(np.float32), normal((O, I, K, K), 2).astype(np.float32)
    y, cache = twin_function(conv2d_forward)(x, weight, None, (2, 2), (1, 1))
    for inputs in (True, False):
        twin_function(conv2d_backward)(y, cache, inputs)
    assert len(calls) == short
