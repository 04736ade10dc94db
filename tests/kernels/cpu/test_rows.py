"""One call of a kernel on several cores: mvnp/kernels/cpu/rows.py."""

import threading

import numpy as np
import pytest

from mvnp.execution import parallel
from support.twins import needs_numba

pytestmark = needs_numba


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    monkeypatch.setattr(parallel, "_chosen", 3)


@pytest.mark.parametrize("count", [1, 2, 3, 64, 65, 128, 1000])
def test_each_row_once_and_a_block_in_one_go(count):
    from mvnp.kernels.cpu.rows import blocks_of, over_rows

    calls = []

    def kernel(x, y, sums, factor):
        y[:] = factor * x
        assert len(sums) == -(-len(x) // 8)
        for number in range(len(sums)):
            sums[number] += x[8 * number : 8 * number + 8].sum()
        calls.append((len(x), threading.get_ident()))

    x, y = np.arange(1.0, count + 1), np.zeros(count)
    sums = np.zeros(blocks_of(count, 8))
    over_rows(kernel, (x, y), 2.0, cost=1e9, sums=(sums,), block=8)
    np.testing.assert_array_equal(y, 2 * x)
    np.testing.assert_array_equal(sums, [x[i : i + 8].sum() for i in range(0, count, 8)])
    assert len(calls) == min(3, len(sums))
    assert sum(size for size, _ in calls) == count


def test_what_is_over_soon_stays_whole():
    from mvnp.kernels.cpu.rows import over_rows

    calls = []
    over_rows(lambda x: calls.append(len(x)), (np.zeros(100),), cost=1.0)
    assert calls == [100]
    over_rows(lambda x: calls.append(len(x)), (np.zeros(100),), cost=1e6)
    assert sorted(calls[1:]) == [33, 33, 34]


def test_a_share_of_a_batch_is_not_cut_again():
    from mvnp.kernels.cpu.rows import over_rows

    def share():
        calls = []
        over_rows(lambda x: calls.append((len(x), threading.get_ident())), (np.zeros(100),), cost=1e6)
        return calls == [(100, threading.get_ident())]

    assert parallel.run([share, share]) == [True, True]
