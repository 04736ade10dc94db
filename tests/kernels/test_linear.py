"""The twin of Linear: mvnp/kernels/cuda/linear.py, and its bias in columns.cu."""

import pytest

from mvnp.kernels.cuda import columns
from mvnp.layers.linear import linear_backward, linear_forward
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check_pair

# The leading axes of x, I and O: fours and not, more columns than a block has, rows that fill none.
CASES = [((3,), 4, 8), ((2, 5), 7, 3), ((1, 1), 1, 1), ((2, 3, 4), 8, 132), ((33,), 5, 130), ((), 4, 5)]


def inputs(leading, I, O, bias=True):
    return [normal((*leading, I), 1), normal((O, I), 2), normal((O,), 3) if bias else None]


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers(case, bias, dtype, way):
    check_pair(linear_forward, linear_backward, inputs(*case, bias), dtype, way, 2 * DTYPES[dtype])


@pytest.mark.parametrize("way", EVERY_WAY)
def test_more_rows_than_blocks(way, monkeypatch):
    monkeypatch.setattr(columns, "MOST_DOWN", 2)
    check_pair(linear_forward, linear_backward, inputs((37,), 4, 12), "float64", way)


FAULTS = {
    "a number of four left out": ("for (int i = 0; i < 4; i++) four", "for (int i = 0; i < 3; i++) four"),
    "a bias of another column": ("bias[o + i]", "bias[o]"),
    "a column too many": ("i < 4 && o + i < O; i++) at", "i < 4; i++) at"),
    "rows left out": ("row < rows", "row < rows - 1"),
    "the bias alone": ("T(A(at[i]) + b[i])", "T(b[i])"),
}


@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    def checks(way):
        for case in (CASES[1], CASES[3]):
            check_pair(linear_forward, linear_backward, inputs(*case), "float64", way)

    assert_caught("columns", *FAULTS[fault], checks)
