"""The twin of BatchNorm folded into a convolution: mvnp/kernels/cuda/folding.py and folding.cu."""

import numpy as np
import pytest

from mvnp.models.folding import folded
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check

CASES = [(8, 3, 3, 3), (5, 7, 3, 2), (1, 1, 1, 1), (33, 2, 3, 3)]


def inputs(shape, bias=True):
    O = shape[0]
    vectors = [normal((O,), seed) for seed in (2, 3, 4)]
    return [normal(shape, 1), normal((O,), 6) if bias else None, *vectors, 0.5 + normal((O,), 5) ** 2, 1e-4]


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", CASES, ids=str)
def test_numbers(shape, bias, dtype, way):
    check(folded, inputs(shape, bias), dtype, way)


def test_the_kernel_lies_as_the_matrix_that_is_multiplied_by():
    from mvnp.backend import from_numpy
    from support.kernel_checks import device

    with device("in order"):
        arrays = [from_numpy(each) if isinstance(each, np.ndarray) else each for each in inputs((8, 3, 3, 3))]
        kernel, _ = folded(*arrays)
        assert kernel.transpose(2, 3, 1, 0).flags.c_contiguous


FAULTS = {
    "the scale forgotten": ("+ tap]) * scale", "+ tap])"),
    "another tap": ("tap = row / I", "tap = row % I"),
    "no eps": ("variance[o]) + eps", "variance[o])"),
    "the mean kept": (" - A(mean[o]) * scale", ""),
    "a bias that is not scaled": ("A(b[o]) * scale", "A(b[o])"),
    "a bias that is not there": ("has_b ? A(b[o]) * scale : A(0)", "A(b[o]) * scale"),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        for bias in (True, False):
            check(folded, inputs((5, 7, 3, 2), bias), "float64", way)

    assert_caught("folding", *FAULTS[fault], checks)
