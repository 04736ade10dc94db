"""One call of a kernel on several cores: mvnp/kernels/cpu/rows.py."""

import numpy as np
import pytest

from mvnp.execution import parallel
from support.twins import needs_numba

pytestmark = needs_numba


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 3)


def counting_kernel():
    from mvnp.kernels.cpu.jit import kernel

    @kernel
    def count(x, y, sizes, sums, factor):
        """Once more for each time that a row is met. A part is as long as `sizes` says at its rows."""
        for i in range(len(x)):
            y[i] += factor * x[i]
            sizes[i] += len(x)
            sums[i // 8] += x[i]

    return count


@pytest.mark.parametrize("count", [1, 2, 3, 64, 65, 128, 1000])
def test_each_row_once_and_a_block_in_one_go(count):
    from mvnp.kernels.cpu.rows import blocks_of, over_rows

    x, y, sizes = np.arange(1.0, count + 1), np.zeros(count), np.zeros(count, int)
    sums = np.zeros(blocks_of(count, 8))
    over_rows(counting_kernel(), (x, y, sizes), 2.0, cost=1e9, sums=(sums,), block=8)
    np.testing.assert_array_equal(y, 2 * x)
    np.testing.assert_array_equal(sums, [x[i : i + 8].sum() for i in range(0, count, 8)])
    begin = 0
    while begin < count:  # a part of several blocks, or with the end
        assert sizes[begin] % 8 == 0 or begin + sizes[begin] == count
        begin += sizes[begin]
    assert begin == count
    assert (sizes[0] < count) == (len(sums) > 1)


def test_how_many_blocks_rows_make():
    from mvnp.kernels.cpu.rows import blocks_of

    assert [blocks_of(rows) for rows in (1, 64, 65, 128, 129)] == [1, 1, 2, 2, 3]
    assert [blocks_of(rows, 8) for rows in (1, 8, 9)] == [1, 1, 2]


def test_what_is_cut_and_what_it_costs(monkeypatch):
    from mvnp.kernels.cpu import rows

    asked = []
    monkeypatch.setattr(rows, "in_parts", lambda *given: asked.append(given))
    x, sums = np.zeros(20), np.zeros((3, 2))
    rows.over_rows("kernel", (x,), "whole", cost=2.5)
    rows.over_rows("kernel", (x, x), "whole", cost=2.5, sums=(sums,), block=8)
    assert asked == [("kernel", (1,), 20, 50.0, x, "whole"), ("kernel", (8, 8, 1), 3, 50.0, x, x, sums, "whole")]


def sizes_of_parts(cost: float) -> set[int]:
    from mvnp.kernels.cpu.rows import over_rows

    x, sizes = np.zeros((100, 2)), np.zeros((100, 3), int)
    over_rows(measuring_kernel(), (x, sizes), cost=cost)
    return set(sizes.ravel().tolist())


def measuring_kernel():
    from mvnp.kernels.cpu.jit import kernel

    @kernel
    def measure(x, sizes):
        sizes[:] = sizes.size // 3 if x.size == 2 * len(x) else -1

    return measure


def test_what_is_over_soon_stays_whole():
    assert sizes_of_parts(1.0) == {100}
    assert sizes_of_parts(1e6) == {16, 17}


def test_a_share_of_a_batch_is_not_cut_again():
    assert parallel.run([lambda: sizes_of_parts(1e6)] * 2) == [{100}, {100}]
