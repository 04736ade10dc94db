"""The twins of a convolution's two copies: mvnp/kernels/cuda/conv2d.py and conv2d.cu."""

import numpy as np
import pytest

from mvnp.backend import from_numpy, to_numpy
from mvnp.kernels.cuda import conv2d as cuda
from mvnp.layers.conv2d import col2im, conv2d_backward, conv2d_forward, im2col
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, assert_close, check_pair, device

# (B, H, W, I), (O, Kh, Kw), stride, padding: the stem, a block and a downsampling of the model, and what they are not.
CASES = [
    ((2, 12, 10, 3), (8, 3, 3), (2, 2), (1, 1)),
    ((1, 7, 6, 16), (16, 3, 3), (1, 1), (1, 1)),
    ((2, 8, 8, 5), (7, 3, 3), (2, 2), (1, 1)),
    ((1, 1, 1, 1), (1, 1, 1), (1, 1), (0, 0)),
    ((1, 1, 1, 33), (2, 3, 3), (1, 1), (1, 1)),
    ((3, 5, 7, 2), (3, 2, 4), (1, 2), (0, 3)),
    ((1, 11, 13, 1), (2, 3, 1), (3, 2), (2, 0)),
    ((1, 6, 9, 2), (2, 2, 2), (3, 3), (0, 0)),  # pixels that no patch has
    ((2, 12, 8, 4), (3, 5, 4), (4, 4), (0, 2)),  # more taps than are unrolled
    ((1, 4, 5, 132), (2, 3, 3), (1, 1), (1, 1)),  # more channels than a warp has fours
]


def inputs(image, kernel, stride, padding):
    O, *size = kernel
    return [normal(image, 1), normal((O, image[3], *size), 2), normal((O,), 3), stride, padding]


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers(case, dtype, way):
    check_pair(conv2d_forward, conv2d_backward, inputs(*case), dtype, way)


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("size", [1, 3000])  # a row of one sample, or some rows, or some samples at a time
def test_in_blocks(size, way, monkeypatch):
    monkeypatch.setattr(cuda, "_block_bytes", lambda x: size)
    monkeypatch.setattr(cuda, "WHOLE", 1)
    for case in CASES[:3]:
        check_pair(conv2d_forward, conv2d_backward, inputs(*case), "float64", way)


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_im2col(dtype, way):
    """Some rows of X are those of the whole."""
    x, kernel, stride, padding = normal((2, 12, 9, 3), 1).astype(dtype), (3, 2), (2, 1), (1, 2)
    whole = im2col(x, kernel, stride, padding).reshape(2, 6, 12, -1)
    for rows in (slice(0, 6), slice(2, 5), slice(5, 6)):
        with device(way):
            got = to_numpy(cuda._im2col(from_numpy(x), kernel, stride, padding, rows))
        np.testing.assert_array_equal(got, whole[:, rows].reshape(got.shape))


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
def test_col2im(dtype, way):
    """It adds to what is there, and leaves the rest of the padded image as it is."""
    dX, padded = normal((2, 3, 4, 3, 2, 5), 1).astype(dtype), normal((2, 14, 9, 5), 2).astype(dtype)
    for top, stride in ((0, (2, 2)), (3, (2, 1)), (5, (1, 2)), (2, (4, 2))):
        height, width = 2 * stride[0] + 3, 3 * stride[1] + 2
        want = padded.astype("float32" if dtype == "float16" else dtype)
        want[:, top : top + height, :width] += col2im(
            dX.reshape(24, 30).astype(want.dtype), (2, height, width, 5), (3, 2), stride, (0, 0)
        )
        with device(way):
            got = from_numpy(padded)
            cuda._col2im(from_numpy(dX), got, top, stride)
            assert_close(to_numpy(got), want, DTYPES[dtype], f"{top}, {stride}")
            assert np.array_equal(to_numpy(got)[:, :top], padded[:, :top])


FAULTS = {
    "padding forgotten": ("sh + a - pad_h", "sh + a"),
    "a stride mistaken": ("column = w * sw - pad_w", "column = w * sh - pad_w"),
    "a row of the image left out": ("row >= 0 && row < H", "row > 0 && row < H"),
    "a pixel too many": ("min(Kw, W - column) * I", "min(Kw, W - column + 1) * I"),
    "the left edge read": ("k >= begin && ", ""),
    "rows and columns exchanged": ("((size_t)w * Kh + a) * length", "((size_t)a * Wo + w) * length"),
    "no row but the first": ("(first + h) * sh", "h * sh"),
    "a tap left out": ("b < Kw; b++", "b < Kw - 1; b++"),
    "between the strides": ("h * sh != row - a || ", ""),
    "what was there forgotten": ("T(A(some.value[j]) + sum[j])", "T(sum[j])"),
    "one of four": ("for (int j = 0; j < STEP; j++) sum[j]", "for (int j = 0; j < (STEP + 1) / 2; j++) sum[j]"),
    "a read behind the end": ("|| h >= Ho) continue", ") continue"),
    "a write behind the end": ("store_some(to + k, some", "store_some(to + k + STEP, some"),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault, monkeypatch):
    monkeypatch.setattr(cuda, "_block_bytes", lambda x: 1)
    monkeypatch.setattr(cuda, "WHOLE", 0)

    def checks(way):
        for case in (CASES[0], CASES[5], CASES[8], CASES[1]):
            check_pair(conv2d_forward, conv2d_backward, inputs(*case), "float64", way)

    said = assert_caught("conv2d", *FAULTS[fault], checks)
    assert "behind" not in fault or "AddressSanitizer" in said
