"""The twins of softmax, by itself and within attention: mvnp/kernels/cuda/softmax.py and softmax.cu."""

import numpy as np
import pytest

from mvnp.layers.attention import attention_backward, attention_forward
from mvnp.layers.softmax import softmax_backward, softmax_forward
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check, check_pair

# Windows of 7x7 and 14x14 tokens, of 16x16 and 32x32, and what does not fill a warp or a block.
SHAPES = [(1, 2, 49, 49), (3, 196), (5, 256), (1, 1024), (1,), (9, 1), (31, 31), (33, 33), (2, 3, 67)]
HEADS = [(2, 3, 6, 4), (1, 2, 49, 32), (1, 1, 1, 1), (1, 2, 33, 5)]
TOLERANCE = {"float64": 1e-13, "float32": 1e-5, "float16": 5e-3}  # products of matrices round as well


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers(shape, dtype, way):
    check_pair(softmax_forward, softmax_backward, [3 * normal(shape, 1)], dtype, way)


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", HEADS, ids=str)
def test_attention(shape, dtype, way):
    heads = [normal(shape, seed) for seed in (1, 2, 3)]
    mask = 1.25 * (normal((*shape[:3], shape[2]), 4) > -0.8)
    for arguments in (heads, [*heads, None, mask]):
        check_pair(attention_forward, attention_backward, arguments, dtype, way, TOLERANCE[dtype])


@pytest.mark.parametrize("way", EVERY_WAY)
def test_masked_keys(way):
    x = normal((7, 40), 1)
    x[:, 33:] = -np.inf
    x[2, 1:] = -np.inf  # one left
    check_pair(softmax_forward, softmax_backward, [x], "float64", way)
    heads = [normal((2, 3, 6, 4), seed) for seed in (1, 2, 3)]
    check_pair(attention_forward, attention_backward, [*heads, np.arange(6) < np.array([[4], [6]])], "float64", way)


def test_nothing_but_masked_keys_is_nan_there_too():
    x = normal((3, 5), 1)
    x[1] = -np.inf
    with np.errstate(invalid="ignore"):
        check(softmax_forward, [x], "float64", "in order")


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_scores_do_not_overflow(dtype):
    check_pair(softmax_forward, softmax_backward, [1e4 * normal((3, 50), 1)], dtype, "in order")


FAULTS = {
    "a missing term": ("A(y[c]) * (A(dy[c]) - sum)", "A(y[c]) * A(dy[c])"),
    "no largest subtracted": ("A largest = A(x[0]);", "return 0;\n    A largest = A(x[0]);"),
    "a lane's largest, not the warp's": ("return warp_max(largest);", "return largest;"),
    "a lane's sum, not the warp's": (
        "sum += exp(A(x[c]) - largest);\n    sum = warp_sum(sum);",
        "sum += exp(A(x[c]) - largest);",
    ),
    "numbers left out": ("sum += A(dy[c]) * A(y[c]);\n    sum", "if (c < C - 1) sum += A(dy[c]) * A(y[c]);\n    sum"),
    "a warp that parts": (
        "sum += A(dy[c]) * A(y[c]);\n    sum = warp_sum(sum);",
        "sum += A(dy[c]) * A(y[c]);\n    if (lane < C % WARP) sum = warp_sum(sum);",
    ),
    "a row too many": ("if (row >= rows) return;  // a whole", "if (row > rows) return;  // a whole"),
    "a write behind the end": ("c += WARP) y[c] = T(exp", "c += WARP) y[c + 1] = T(exp"),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        check_pair(softmax_forward, softmax_backward, [1e3 * normal((3, 2), 1)], "float64", way)
        check_pair(softmax_forward, softmax_backward, [3 * normal((9, 33), 1)], "float64", way)

    said = assert_caught("softmax", *FAULTS[fault], checks)
    assert "behind" not in fault or "AddressSanitizer" in said
