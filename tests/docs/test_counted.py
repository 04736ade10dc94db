"""Counting operations and bytes by running the code: against counts by hand, and against mvnp.costs.cost."""

from __future__ import annotations

import numpy as np
import pytest


def counts(count):
    return count.products, count.others, count.bytes


@pytest.mark.parametrize(
    ("call", "products", "others", "size"),
    [
        (lambda x: x + x, 0, 12, 36),
        (lambda x: np.exp(x), 0, 12, 24),
        (lambda x: x.sum(axis=0), 0, 12, 16),
        (lambda x: x @ x.T, 2 * 9 * 4, 0, 12 + 12 + 9),
        (lambda x: np.einsum("ij,ij->i", x, x), 2 * 12, 0, 12 + 12 + 3),
        (lambda x: np.tensordot(x, x.T, 1), 2 * 9 * 4, 0, 12 + 12 + 9),
        (lambda x: x.copy(), 0, 0, 24),
        (lambda x: x.T.reshape(2, 6), 0, 0, 24),
        (lambda x: x.reshape(2, 6).T, 0, 0, 0),
        (lambda x: np.zeros(12).__setitem__(slice(None), x.reshape(12)), 0, 0, 12 + 24),
        (lambda x: x[0].__iadd__(1.0), 0, 4, 8),
        (lambda x: np.where(x > 0, x, x), 0, 24, None),
    ],
)
def test_by_hand(call, products, others, size):
    from counted import counting

    with counting() as count:
        x = count.array(np.arange(12.0, dtype=np.float32).reshape(3, 4))
        call(x)
    assert counts(count)[:2] == (products, others)
    if size is not None:
        assert count.bytes == 4 * size


def test_results_are_those_without_counting():
    from counted import counting

    x = np.random.default_rng(0).standard_normal((3, 4))
    with counting() as count:
        y = np.exp(count.array(x)) @ np.ones((4, 2))
    np.testing.assert_array_equal(np.asarray(y), np.exp(x) @ np.ones((4, 2)))
    assert type(np.empty(3)) is np.ndarray  # NumPy is as it was


def test_products_of_layers():
    """Twice the multiply-accumulates of the benchmark's table, forward; and twice that, or a little more, backward."""
    from layer_cost import cost_of
    from layers import ROWS

    rows = [row for row in ROWS if row.macs]
    assert len(rows) >= 8
    for row in rows:
        cost = cost_of(row.name, row.kind, row.arguments)
        assert 2 * row.macs <= cost.forward.products <= 2.03 * row.macs, row.name
        assert 4 * row.macs * row.whole <= cost.backward.products <= 4.1 * row.macs * row.whole, row.name


def test_winograd_multiplies_less():
    from layer_cost import cost_of
    from layers import ROWS

    row = next(row for row in ROWS if row.name.startswith("Conv2d, 160"))
    assert 0.25 * 2 * row.macs < cost_of(row.name, "winograd", row.arguments).forward.products < 0.5 * 2 * row.macs


def test_layernorm_keeps_two_numbers_a_vector():
    from layer_cost import cost_of

    assert cost_of("", "layernorm", (196, 320)).kept == 2 * 196 * 4
