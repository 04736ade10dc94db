"""The twin of the depthwise 2-d convolution: mvnp/kernels/cuda/depthwise_conv2d.py and depthwise_conv2d.cu."""

import pytest

from mvnp.backend import array_module
from mvnp.kernels.cuda import depthwise_conv2d as twins
from mvnp.layers.depthwise_conv2d import depthwise_conv2d_backward, depthwise_conv2d_forward
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check_pair, device, needs_compiler
from support.tolerance import rounding

PAIR = depthwise_conv2d_forward, depthwise_conv2d_backward

# B, H, W, D, Kh, Kw: the model's, then what fills no warp or block, kernels that are even, longer than the map, or of one tap.
SHAPES = [(2, 7, 7, 64, 3, 3), (1, 14, 9, 33, 3, 3), (3, 1, 5, 1, 3, 3), (2, 5, 1, 31, 2, 4), (1, 3, 2, 5, 5, 7),
          (2, 6, 4, 3, 1, 1), (1, 4, 6, 2, 1, 3)]  # fmt: skip

LIMITS = {"float64": 1e-13, "float32": 1e-5, "float16": 2e-3}


def inputs(B, H, W, D, Kh, Kw, bias=True):
    return [normal((B, H, W, D), 1), normal((D, 1, Kh, Kw), 2), normal((D,), 3) if bias else None]


@needs_compiler
@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers(shape, dtype, way):
    check_pair(*PAIR, inputs(*shape), dtype, way, LIMITS[dtype])


@needs_compiler
@pytest.mark.parametrize("way", EVERY_WAY)
def test_without_bias(way):
    check_pair(*PAIR, inputs(2, 5, 4, 6, 3, 3, bias=False), "float64", way)


@needs_compiler
@pytest.mark.parametrize("way", EVERY_WAY)
def test_views(way):
    """x and dy as columns of a wider array."""

    def of_columns(x, weight):
        return depthwise_conv2d_forward(x[..., 3:8], weight)

    def to_columns(dy, cache):
        wide = array_module(dy).concatenate([dy, dy], axis=-1)
        return depthwise_conv2d_backward(wide[..., 5:], cache)[:2]

    check_pair(of_columns, to_columns, [normal((2, 4, 5, 9), 1), normal((5, 1, 3, 3), 2)], "float64", way, rounding("float64"))


@needs_compiler
def test_many_taps_are_left_to_the_book():
    """Their sums would not be in registers; the forward has none."""
    with device("in order"):
        import cupy

        x, weight, bias = (cupy.asarray(array) for array in inputs(1, 4, 5, 2, 8, 7))
        y, cache = twins.depthwise_conv2d_forward(x, weight, bias)
        assert twins.depthwise_conv2d_backward(y, cache) is NotImplemented
    check_pair(*PAIR, inputs(1, 4, 5, 2, 8, 7), "float64", "in order", LIMITS["float64"])


FAULTS = {
    "a row too many": ("if (up < 0 || up >= H) continue;", "if (up < 0 || up > H) continue;"),
    "a row too few": ("if (up < 0 || up >= H) continue;", "if (up <= 0 || up >= H) continue;"),
    "a column too many": ("if (left < 0 || left >= W) continue;", "if (left < -1 || left >= W) continue;"),
    "a column too few": ("if (left < 0 || left >= W) continue;", "if (left < 0 || left >= W - 1) continue;"),
    "a missing bias": ("A v = bias[d];", "A v = 0;"),
    "another channel's weight": ("weight[(k * WIDE + j) * D + d]", "weight[(k * WIDE + j) * D]"),
    "taps by column": ("weight[(k * WIDE + j) * D + d]", "weight[(j * HIGH + k) * D + d]"),
    "the next map's rows": ("up >= 0 && up < H && left", "up >= 0 && up <= H && left"),
    "the first row left out": ("inside = up >= 0 &&", "inside = up > 0 &&"),
    "a column left out of the sum": ("for (int w = 0; w < W; w++)", "for (int w = 0; w < W - 1; w++)"),
    "a channel behind the end": ("|| d >= D", ""),
    "a row behind the end": ("row >= rows || ", ""),
}


@needs_compiler
@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        for shape in ((3, 5, 4, 33, 3, 3), (1, 5, 3, 3, 2, 4)):
            check_pair(*PAIR, inputs(*shape), "float64", way)

    said = assert_caught("depthwise_conv2d", *FAULTS[fault], checks)
    assert "behind" not in fault or "AddressSanitizer" in said
