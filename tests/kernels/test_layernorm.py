"""The twin of LayerNorm: mvnp/kernels/cuda/layernorm.py and layernorm.cu."""

import pytest

from mvnp.layers.layernorm import layernorm_backward, layernorm_forward
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check_pair

# Channels of the released variants (80 to 640 for T, 1568 at most), and what does not fill a warp or a block.
SHAPES = [(3, 80), (2, 5, 160), (1, 640), (1, 1568), (1, 1), (33, 1), (31, 31), (9, 33), (131, 7), (2, 3, 2, 64), (5,)]
LONG = (530, 3)  # more rows than one round of all parts


def inputs(shape):
    parameters = [normal(shape[-1:], seed) for seed in (2, 3)]
    return [3 + normal(shape, 1), *parameters]


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers(shape, dtype, way):
    check_pair(layernorm_forward, layernorm_backward, inputs(shape), dtype, way)


@pytest.mark.parametrize("way", EVERY_WAY)
def test_many_rows(way):
    check_pair(layernorm_forward, layernorm_backward, inputs(LONG), "float64", way)


FAULTS = {
    "a missing mean": ("A centred = A(x[c]) - mu;", "A centred = A(x[c]);"),
    "a missing term": ("- mean_g - normalised * mean_gx", "- normalised * mean_gx"),
    "a factor": ("sum_gx += g * (A(x[c]) - mu) * r;", "sum_gx += g * (A(x[c]) - mu);"),
    "epsilon": (
        "/ C + eps);\n\n    for (int c = lane; c < C; c += WARP) y[c]",
        "/ C);\n\n    for (int c = lane; c < C; c += WARP) y[c]",
    ),
    "a dropped barrier": ("    __syncthreads();\n", ""),
    "a sum that begins late": ("int other = 1; other < GROUP", "int other = 2; other < GROUP"),
    "rows left out": ("row += gridDim.y * GROUP", "row += 2 * gridDim.y * GROUP"),
    "a row too many": ("A mu = mean[row], r = rstd[row];", "A mu = mean[row + 1], r = rstd[row];"),
    "a write behind the end": ("    if (k == 0 && c < C) {", "    if (k == 0) {"),
    "a write behind shared memory": ("weight_sums[k][lane] = of_weight;", "weight_sums[k + 1][lane] = of_weight;"),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        check_pair(layernorm_forward, layernorm_backward, inputs((9, 33)), "float64", way)
        check_pair(layernorm_forward, layernorm_backward, inputs(LONG), "float64", way)

    said = assert_caught("layernorm", *FAULTS[fault], checks)
    assert "behind" not in fault or "AddressSanitizer" in said
