"""The twin of RMSNorm: mvnp/kernels/cuda/rmsnorm.py and rmsnorm.cu."""

import pytest

from mvnp.layers.rmsnorm import rmsnorm_backward, rmsnorm_forward
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check_pair

# Channels of the released variants (192 to 768), and what does not fill a warp or a block. (Of a single one y is a constant.)
SHAPES = [(3, 192), (2, 5, 384), (1, 768), (33, 2), (31, 31), (9, 33), (131, 7), (2, 3, 2, 64), (5,)]
LONG = (530, 3)  # more rows than one round of all parts


def inputs(shape):
    return [3 + normal(shape, 1), normal(shape[-1:], 2)]


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers(shape, dtype, way):
    check_pair(rmsnorm_forward, rmsnorm_backward, inputs(shape), dtype, way)


@pytest.mark.parametrize("way", EVERY_WAY)
def test_many_rows(way):
    check_pair(rmsnorm_forward, rmsnorm_backward, inputs(LONG), "float64", way)


FAULTS = {
    "a missing term": ("- A(x[c]) * r * mean_gx", ""),
    "a factor": ("weight[c] * A(x[c]) * r;", "weight[c] * A(x[c]);"),
    "epsilon": ("/ C + eps)", "/ C)"),
    "a dropped barrier": ("    __syncthreads();\n", ""),
    "a sum that begins late": ("int other = 1; other < GROUP", "int other = 2; other < GROUP"),
    "rows left out": ("row += gridDim.y * GROUP", "row += 2 * gridDim.y * GROUP"),
    "a row too many": ("A r = rstd[row];", "A r = rstd[row + 1];"),
    "a write behind the end": ("    if (k == 0 && c < C) {", "    if (k == 0) {"),
    "a write behind shared memory": ("sums[k][lane] = sum;", "sums[k + 1][lane] = sum;"),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        check_pair(rmsnorm_forward, rmsnorm_backward, inputs((9, 33)), "float64", way)
        check_pair(rmsnorm_forward, rmsnorm_backward, inputs(LONG), "float64", way)

    said = assert_caught("rmsnorm", *FAULTS[fault], checks)
    assert "behind" not in fault or "AddressSanitizer" in said
