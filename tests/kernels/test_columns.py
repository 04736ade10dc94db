"""Sums over rows: mvnp/kernels/cuda/columns.py and columns.cu."""

import numpy as np
import pytest

from mvnp.kernels.cuda import columns
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, assert_close, run_on_device

SHAPES = [(1, 1), (5, 33), (3, 31, 7), (65, 1), (700, 40), (9, 64, 5)]


def check(shape, dtype, way):
    x = normal(shape, 1).astype(dtype)
    want = x.astype("float64").reshape(-1, shape[-1]).sum(axis=0)
    (got,) = run_on_device(lambda array: [columns.sum_rows(array)], [x], way)
    assert got.dtype == dtype
    assert_close(got, want, DTYPES[dtype] * 4, "sums")


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers(shape, dtype, way):
    check(shape, dtype, way)


@pytest.mark.parametrize("way", EVERY_WAY)
def test_many_chunks(way, monkeypatch):
    monkeypatch.setattr(columns, "CHUNK", 3)
    check((101, 5), "float64", way)


FAULTS = {
    "the last row left out": ("min(int(blockIdx.y + 1) * chunk, rows)", "min(int(blockIdx.y + 1) * chunk, rows - 1)"),
    "a row read twice": ("row < end; row += GROUP) sum", "row <= end; row += GROUP) sum"),
    "a group forgotten": ("other < GROUP", "other < GROUP - 1"),
    "a chunk forgotten": ("j < chunks", "j < chunks - 1"),
    "a merger forgotten": ("other < MERGERS", "other < MERGERS - 1"),
    "the same sum twice": ("sums += (size_t)blockIdx.y * chunks * C;", ""),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        check((701, 5), "float64", way)
        sums = normal((2, 17, 5), 3)
        (got,) = run_on_device(lambda array: [columns.add_chunks(array, "float64")], [sums], way)
        assert_close(got, sums.sum(axis=1), 1e-12, "two sums")

    assert_caught("columns", *FAULTS[fault], checks)


def test_the_order_of_the_sum_is_fixed():
    x = normal((700, 40), 1).astype("float32")
    first, second = (run_on_device(lambda array: [columns.sum_rows(array)], [x], "in order")[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
