"""The CPU twin of Winograd's convolution: mvnp/kernels/cpu/winograd.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvnp.execution import parallel
from mvnp.layers.conv2d import conv2d_backward, conv2d_forward
from mvnp.layers.winograd import winograd_backward, winograd_forward
from support.checks import normal
from support.tolerance import assert_close
from support.twins import check_twins, needs_numba, twin_function

pytestmark = needs_numba

TERMS = 36  # the transforms add numbers of different sizes, and 36 sums of them are rounded

# x (B, H, W, I), outputs, padding
CASES = [
    ((1, 1, 1, 1), 1, (1, 1)),  # a single pixel in a single tile
    ((2, 4, 8, 3), 2, (1, 1)),  # whole tiles
    ((2, 5, 7, 2), 3, (1, 1)),  # tiles that hang over
    ((1, 6, 5, 2), 2, (0, 2)),
    ((1, 3, 4, 1), 2, (2, 0)),
    ((1, 3, 3, 2), 1, (0, 0)),  # a single output
    ((1, 9, 10, 100), 97, (1, 1)),  # more channels than are transformed at a time
    ((1, 7, 14, 97), 193, (1, 1)),
]


def inputs(shape, outputs, padding, bias=True):
    I = shape[3]
    return [normal(shape, 1), normal((outputs, I, 3, 3), 2), normal((outputs,), 3) if bias else None, padding]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers(case):
    check_twins(winograd_forward, winograd_backward, inputs(*case), TERMS)
    check_twins(winograd_forward, winograd_backward, inputs(*case, bias=False), TERMS)


@settings(max_examples=60)
@given(
    B=st.integers(2, 3), H=st.integers(1, 13), W=st.integers(1, 13), I=st.integers(4, 20), O=st.integers(4, 20),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)), bias=st.booleans(),
)  # fmt: skip
def test_any_size(B, H, W, I, O, padding, bias):
    """With several numbers in each result: an error in float32 is of the largest, and a single one may be next to nothing."""
    H, W = max(H, 3 - 2 * padding[0]), max(W, 3 - 2 * padding[1])
    check_twins(winograd_forward, winograd_backward, inputs((B, H, W, I), O, padding, bias), TERMS)


@pytest.mark.parametrize("tiles", [1, 2, 7])
def test_in_blocks(monkeypatch, tiles):
    """Tiles are transformed and multiplied some at a time; how many must not matter. A block may begin in one sample and end in
    the next."""
    twin = twin_function(winograd_forward).__globals__
    monkeypatch.setattr(parallel, "_chosen", 1)  # for each thread as many tiles more
    monkeypatch.setitem(twin, "BLOCK_BYTES", tiles * 36 * 3 * 8)
    case = inputs((3, 9, 6, 3), 2, (1, 1))
    assert len(twin["_blocks"](case[0], normal((3, 9, 6, 2), 1))) == -(-18 // tiles)
    check_twins(winograd_forward, winograd_backward, case, TERMS)


def test_any_layout():
    x, weight, bias = normal((2, 5, 9, 8), 1).transpose(0, 3, 2, 1), normal((6, 5, 3, 3), 2)[:, :, ::-1, ::-1], normal((12,), 3)
    check_twins(winograd_forward, winograd_backward, [x, weight, bias[::2], (1, 1)], TERMS)
    y, cache = winograd_forward.book(x, weight, bias[::2])
    dy = normal((*y.shape[:3], 12), 4)[..., ::2]
    for got, want in zip(twin_function(winograd_backward)(dy, cache), winograd_backward.book(dy, cache), strict=True):
        assert_close(got, want)


def test_memory_that_is_used_again_does_not_show():
    for case in (((2, 20, 20, 30), 20, (1, 1)), ((1, 5, 6, 20), 30, (1, 1))):
        check_twins(winograd_forward, winograd_backward, inputs(*case), TERMS)


@pytest.mark.parametrize("channels", [80, 160])
def test_float32_error_is_as_documented(channels):
    """Largest error over largest output, at the sizes of the model's blocks: about 2e-6, also of dx."""
    size = 4480 // channels
    x, weight = normal((1, size, size, channels), 1), normal((channels, channels, 3, 3), 2) / (3 * channels**0.5)
    dy = normal(x.shape, 3)
    y, cache = conv2d_forward.book(x, weight, None, (1, 1), (1, 1))
    want = [y, *conv2d_backward.book(dy, cache)[:2]]
    y, cache = twin_function(winograd_forward)(x.astype("float32"), weight.astype("float32"))
    got = [y, *twin_function(winograd_backward)(dy.astype("float32"), cache)[:2]]
    for ours, exact in zip(got, want, strict=True):
        assert np.abs(ours - exact).max() / np.abs(exact).max() < 4e-6


def test_nan_spoils_the_tiles_that_it_is_in():
    """As in the book: every output that sees it is NaN, and so are others of its tiles."""
    x, weight, bias, padding = inputs((2, 12, 12, 3), 2, (1, 1))
    x[0, 5, 6, 1] = np.nan
    want, cache = winograd_forward.book(x, weight, bias, padding)
    got, _ = twin_function(winograd_forward)(x, weight, bias, padding)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    assert np.isnan(got[0, 4:7, 5:8]).all()
    assert not np.isnan(got[1]).any()
    dy = normal(want.shape, 4)
    for ours, theirs in zip(twin_function(winograd_backward)(dy, cache), winograd_backward.book(dy, cache), strict=True):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))


def test_the_sum_of_many_gradients_keeps_its_digits():
    x, weight = np.ones((1, 400, 300, 1), np.float32), np.ones((1, 1, 3, 3), np.float32)
    _, cache = winograd_forward(x, weight, np.zeros(1, np.float32))
    _, _, dbias = twin_function(winograd_backward)(np.full((1, 400, 300, 1), 0.1, np.float32), cache)
    assert_close(dbias[0], 120_000 * np.float64(np.float32(0.1)), terms=1)


def test_what_it_does_not_take():
    forward, backward = twin_function(winograd_forward), twin_function(winograd_backward)
    x, weight = np.zeros((1, 5, 5, 2), np.float32), np.zeros((3, 2, 3, 3), np.float32)
    y, cache = forward(x, weight)
    for wrong in (
        (x.astype("float16"), weight.astype("float16")),
        (x, weight.astype("float64")),
        (x[0], weight),
        (x[..., :1], weight),
        (x[:0], weight),
        (x, weight[..., :2]),
        (x, weight, np.zeros(2, np.float32)),
        (x, weight, np.zeros(3)),
        *((x, weight, None, padding) for padding in ((3, 1), (1, 3), (-1, 1), (1, -1))),
    ):
        assert forward(*wrong) is NotImplemented
    for dy in (y.astype("float64"), y[:, 1:]):
        assert backward(dy, cache) is NotImplemented
    assert backward(y, (x, weight.astype("float64"), *cache[2:])) is NotImplemented


def test_how_tiles_are_cut(monkeypatch):
    """Blocks whose patches stay within so many bytes for each core; of many tiles in whole tiles of the products."""
    from mvnp.kernels.cpu import winograd

    few, many = np.empty((3, 9, 21, 5), np.float32), np.empty((3, 9, 21, 7), np.float32)
    grid = -(-9 // winograd.TILE), -(-21 // winograd.TILE)
    assert winograd._grid(few) == grid
    tiles, of_tile = 3 * grid[0] * grid[1], winograd.PATCH**2 * 7 * 4
    for cores, most in ((1, 5), (2, 5), (1, winograd.FEW), (1, tiles), (1, 0)):
        monkeypatch.setattr(winograd, "threads", lambda cores=cores: cores)
        monkeypatch.setattr(winograd, "BLOCK_BYTES", most * of_tile)
        blocks = winograd._blocks(few, many)
        step = max(1, cores * most)
        step = step if step < winograd.FEW else step // winograd.FEW * winograd.FEW
        assert blocks == [(first, min(step, tiles - first)) for first in range(0, tiles, step)]
        assert blocks == winograd._blocks(many, few)
    assert winograd._memory("patches", 5, 7, few.dtype).shape == (36, 5, 7)
    assert winograd.SCRATCH == 36 * 96


def test_a_block_is_one_megabyte(monkeypatch):
    """Of patches for each core, but for less than what the products take at a time."""
    from mvnp.kernels.cpu import winograd

    y = np.empty((1, 200, 200, 8), np.float32)
    for cores in (1, 2):
        monkeypatch.setattr(winograd, "threads", lambda cores=cores: cores)
        tile, most = 36 * 8 * 4, cores * 1024 * 1024
        count = winograd._blocks(y, y)[0][1]
        assert count * tile <= most < (count + winograd.FEW) * tile


def test_a_tile_writes_its_own_pixels():
    """Those of another may be there already."""
    from mvnp.kernels.cpu.winograd import _transform_products

    y, Y = np.full((1, 12, 12, 2), 7.0), normal((36, 9, 2), 1)
    _transform_products(np.array([4]), Y, np.zeros(2), y, 0)
    written = np.zeros(y.shape, bool)
    written[:, 4:8, 4:8] = True
    np.testing.assert_array_equal(y != 7, written)


def test_which_rows_of_a_patch_are_in_the_image():
    from mvnp.kernels.cpu.winograd import in_image

    inside = {(h, left) for h in range(-2, 6) for left in range(-2, 10) if in_image(h, left, 4, 9)}
    assert inside == {(h, left) for h in range(4) for left in range(4)}
