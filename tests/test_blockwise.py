"""Formulas block by block: mvnp/execution/blockwise.py. Where the cuts are must not show."""

import numpy as np
import pytest
from test_runs_on_cupy import CASES, PAIRS

from mvnp.backend import from_numpy, to_numpy
from mvnp.execution import blockwise as module
from mvnp.execution.blockwise import blockwise, in_blocks, row_blocks, sample_blocks, sum_rows
from mvnp.layers import attention
from support.checks import normal
from support.tolerance import assert_close


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 20)


def test_one_result():
    x, y = normal((3, 5, 4), seed=1), normal((3, 5, 4), seed=2)
    calls = []
    result = blockwise(lambda x, y: (calls.append(x.shape), x * y + x)[1], x, y)
    np.testing.assert_array_equal(result, x * y + x)
    assert calls == [(5, 4), (5, 4), (5, 4)]


def test_several_results_of_other_widths():
    x, column = normal((7, 6), seed=1), normal((7, 1), seed=2)
    double, mean = blockwise(lambda x, c: (2 * x + c, x.mean(axis=-1, keepdims=True)), x, column)
    np.testing.assert_array_equal(double, 2 * x + column)
    assert_close(mean, x.mean(axis=-1, keepdims=True), terms=16)


def test_strided_arrays():
    x = normal((6, 9, 8), seed=1)[:, ::2, :4]
    np.testing.assert_array_equal(blockwise(np.square, x), x**2)


@pytest.mark.parametrize("shape", [(20,), (100,), (2, 10), ()])
def test_small_and_flat_arrays_are_left_whole(shape):
    x, calls = np.asarray(normal(shape, seed=1)), []
    np.testing.assert_array_equal(blockwise(lambda x: (calls.append(x.shape), x + 1)[1], x), x + 1)
    assert calls == [shape]


def test_rows_wider_than_a_block():
    x = normal((3, 50), seed=1)
    np.testing.assert_array_equal(blockwise(np.sqrt, x * x), np.abs(x))


def test_sums():
    x, y = normal((5, 3, 4), seed=1), normal((5, 3, 4), seed=2)
    both, one = sum_rows(lambda x, y: (x * y, x), x, y)
    assert_close(both, (x * y).sum(axis=(0, 1)), terms=16)
    assert_close(one, x.sum(axis=(0, 1)), terms=16)
    assert_close(sum_rows(lambda y: y, y), y.sum(axis=(0, 1)), terms=16)


@pytest.mark.parametrize("count", [1, 4, 5, 6, 11])
def test_blocks_cover_everything_once(count):
    x = np.zeros((count, 2, 2))
    for cuts, length in ((row_blocks(x), 2 * count), (sample_blocks(x), count)):
        covered = np.concatenate([np.arange(length)[part] for part in cuts])
        np.testing.assert_array_equal(covered, np.arange(length))


def test_on_cupy_nothing_is_cut(strict_cupy):
    x, calls = normal((10, 4), seed=1), []
    device = from_numpy(x)
    assert not in_blocks(device)
    result = blockwise(lambda x: (calls.append(x.shape), x * 2)[1], device)
    assert calls == [(10, 4)]
    np.testing.assert_array_equal(to_numpy(result), 2 * x)
    assert_close(to_numpy(sum_rows(lambda x: x, device)), x.sum(axis=0), terms=16)


@pytest.mark.parametrize(("stem", "index"), [(stem, index) for stem in PAIRS for index in range(len(CASES[stem]))])
def test_every_layer_is_the_same_in_blocks(monkeypatch, stem, index):
    """Outputs and gradients of every pair of functions, with blocks of a few numbers and with one block for all."""
    forward, backward = PAIRS[stem]

    def results(block):
        monkeypatch.setattr(module, "BLOCK", block)
        monkeypatch.setattr(attention, "SCORES", block)
        y, cache = forward(*CASES[stem][index])
        gradients = backward(np.random.default_rng(9).standard_normal(y.shape), cache)
        return [y, *(gradients if isinstance(gradients, tuple) else (gradients,))]

    for got, want in zip(results(7), results(1 << 20), strict=True):
        assert (got is None) == (want is None)
        if want is not None:
            assert_close(got, want)
