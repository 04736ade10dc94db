"""The twins of the depthwise convolution and of its SiLU: mvnp/kernels/cuda/conv1d.py and conv1d.cu."""

from functools import partial

import pytest

from mvnp.backend import array_module
from mvnp.layers.conv1d import conv1d_backward, conv1d_forward
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check_pair
from support.tolerance import rounding

PAIRS = {"plain": (conv1d_forward, conv1d_backward), "with SiLU": (partial(conv1d_forward, silu=True), conv1d_backward),
         "causal": (partial(conv1d_forward, silu=True, causal=True), conv1d_backward)}  # fmt: skip

# B, L, D, K: stages 3 and 4 of the model, then what fills no walk, warp or block, and kernels that are even, or longer than x.
SHAPES = [(1, 196, 160, 3), (2, 49, 320, 3), (2, 16, 32, 3), (3, 1, 33, 3), (2, 2, 1, 3), (1, 31, 31, 4), (2, 33, 5, 2),
          (1, 65, 3, 1), (3, 37, 33, 5), (2, 3, 2, 7)]  # fmt: skip

LIMITS = {"float64": 1e-13, "float32": 1e-5, "float16": 2e-3}


def inputs(B, L, D, K, bias=True):
    return [normal((B, L, D), 1), normal((D, 1, K), 2), normal((D,), 3) if bias else None]


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers(shape, pair, dtype, way):
    check_pair(*PAIRS[pair], inputs(*shape), dtype, way, LIMITS[dtype])


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("pair", PAIRS)
def test_without_bias(pair, way):
    check_pair(*PAIRS[pair], inputs(2, 37, 5, 3, bias=False), "float64", way)


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("pair", PAIRS)
def test_views(pair, way):
    """As the mixer has them: x and dy are columns of a wider array."""
    forward, backward = PAIRS[pair]

    def of_columns(x, weight):
        return forward(x[..., 3:8], weight)

    def to_columns(dy, cache):
        return backward(array_module(dy).concatenate([dy, dy], axis=-1)[..., 5:], cache)[:2]

    check_pair(of_columns, to_columns, [normal((2, 37, 9), 1), normal((5, 1, 3), 2)], "float64", way, rounding("float64"))


FAULTS = {
    "a sign": ("gate * (1 + v * (1 - gate))", "gate * (1 - v * (1 - gate))"),
    "a missing term": ("T(silu ? v * sigmoid(v) : v)", "T(silu ? v * sigmoid(v - offset) : v)"),
    "a missing bias in the backward": ("if (silu) {\n            A v = offset;", "if (silu) {\n            A v = 0;"),
    "the kernel not turned around": ("w[k] * dv_window[TAPS - 1 - k]", "w[k] * dv_window[k]"),
    "a token counted twice": ("if (t >= walk.begin && t < walk.end) {", "if (t < walk.end) {"),
    "a token too many": ("t >= 0 && t < L ?", "t >= 0 && t <= L ?"),
    "a token too few": ("t >= 0 && t < L ?", "t > 0 && t < L ?"),
    "an even kernel's zero on the left": ("#define BEHIND ((TAPS - 1) / 2)", "#define BEHIND (TAPS / 2)"),
    "a late start": ("int start = walk.begin + BEHIND - (TAPS - 1);", "int start = walk.begin + BEHIND - (TAPS - 1) + 1;"),
    "a write behind the end": ("t < walk.end + BEHIND; t++", "t < walk.end + BEHIND + 1; t++"),
    "a channel behind the end": ("|| channel >= D", ""),
}  # fmt: skip


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        for shape in ((2, 37, 33, 3), (1, 33, 3, 4)):
            check_pair(*PAIRS["with SiLU"], inputs(*shape), "float64", way)
            check_pair(*PAIRS["causal"], inputs(*shape), "float64", way)

    said = assert_caught("conv1d", *FAULTS[fault], checks)
    assert "behind" not in fault or "AddressSanitizer" in said
