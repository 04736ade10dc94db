"""Counting operations and bytes by running the code: against counts by hand, and against mvnp.costs.cost."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sphinx", reason="needs Sphinx: pip install -e '.[docs]'")


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


def test_formula_of_winograd():
    """docs/layers/winograd.md: products of a tile, transforms of it, and once of the kernel; here all are counted."""
    from layer_cost import costs_of

    for name, I, side in (("80 to 80", 80, 56), ("160 to 160", 160, 28)):
        cost = next(cost for cost in costs_of("winograd") if cost.name.startswith(f"Winograd, {name}"))
        macs = (side // 4) ** 2 * (36 * I * I + 36 * 36 * I + 16 * 36 * I) + 36 * 9 * I * I
        assert cost.forward.products == 2 * macs


def test_kernels_of_winograd_transform_in_a_tenth_of_the_multiplications():
    """docs/layers/winograd.md: by rows and columns, six numbers at a time, against a matrix of 36x36."""
    import ast
    from pathlib import Path

    import mvnp

    source = (Path(mvnp.__file__).parent / "kernels" / "cpu" / "winograd.py").read_text(encoding="utf-8")
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    once = sum(isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) for node in ast.walk(functions["_times_T"]))
    assert 0.08 < (6 + 6) * once / 36**2 < 0.1


def test_rows_say_what_they_are_of():
    """Dropout's are of dropout, Winograd's are told from those of im2col, and the x of Softmax is no sign of multiplication."""
    from cost_table import table_of
    from layer_cost import costs_of

    assert [cost.name for cost in costs_of("dropout")] == ["Dropout, 196x320"]
    assert {cost.name.partition(",")[0] for cost in costs_of("winograd")} == {"Winograd", "im2col"}
    assert [cost.name.partition(",")[0] for cost in costs_of("linear_recurrence")] == [
        "sequential", "chunked", "associative", "cumulative"
    ]  # fmt: skip
    assert "| Softmax, 8×196×196 |" in "\n".join(table_of(costs_of("softmax")))


def test_a_convolution_keeps_its_input_alone():
    from layer_cost import costs_of

    assert {cost.kept for cost in costs_of("conv2d")} == {0}


@pytest.mark.parametrize(
    ("stem", "text"),
    [
        ("attention", "mamba_vision_T does this 6 times for an image of 224×224, with 4,925,440 of its 31,794,248 parameters"),
        ("linear", "mamba_vision_T does this 61 times"),
        ("selective_scan", "mamba_vision_T does this 6 times for an image of 224×224, with 11,520 of"),
        ("pool", "mamba_vision_T does this once"),
        ("silu", "mamba_vision_T does this 12 times for an image of 224×224, in the convolutions of its mixers."),
        ("softmax", "mamba_vision_T does this 6 times for an image of 224×224, in attention."),
        ("layer_scale", "mamba_vision_B does this 30 times"),
        ("rmsnorm", "vim_tiny does this 25 times"),
        ("depthwise_conv2d", "vmamba_tiny_s1l8 does this 14 times"),
        ("mesa", ""),
    ],
)
def test_in_the_model(stem, text):
    """Of attention: 4 C² + 4 C parameters, four times with C = 320 and twice with 640."""
    from cost_table import in_the_model

    assert in_the_model(stem).startswith(text)
    assert bool(in_the_model(stem)) == bool(text)
    assert 4 * (4 * 320**2 + 4 * 320) + 2 * (4 * 640**2 + 4 * 640) == 4_925_440


def test_no_layer_is_counted_for_another():
    """A file that imports a class of another does not have it: over all layers, each row of the model has one owner."""
    from cost_table import OTHERWISE, _whole, rows_of

    whole = _whole("mamba_vision_T")
    stems = ("linear", "conv2d", "conv1d", "batchnorm", "layernorm", "relu", "gelu", "pool", *OTHERWISE)
    owned = [row for stem in stems for rows, inside in [rows_of(whole, stem)] if not inside for row in rows]
    assert len(owned) == len(set(map(id, owned))) == len(whole.rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("each linear_recurrence sequential forward", "2"),
        ("each linear_recurrence chunked forward", "5"),
        ("each linear_recurrence associative forward", "5"),
        ("each linear_recurrence sequential backward", "3"),
        ("each batchnorm evaluation forward", "4"),
        ("kept attention 8", "1.2 MB"),
        ("states", "1.0 MB"),
        ("states 14", "72 kB"),
        ("Same_shapes", "Four"),
        ("mixer_biases", "2,560"),
        ("qk_norms", "960"),
    ],
)
def test_numbers_in_sentences(text, expected):
    """By hand: x̂ is a difference and a product, y a product and a sum; 8·196² weights, 196·160·8 states of 4 bytes;
    a qk-norm is two gains and two shifts of 40 channels, in 6 blocks."""
    from pathlib import Path

    from measured import number

    assert number(Path(__file__).parents[2] / "docs", text, "counted") == expected


def test_pairs_of_variants():
    """docs/weights.md names them."""
    from counted_numbers import pairs_of_variants

    short = {tuple(name.removeprefix("mamba_vision_") for name in pair) for pair in pairs_of_variants()}
    assert short == {("B", "B_21k"), ("L", "L_21k"), ("L2", "L2_512_21k"), ("L3_256_21k", "L3_512_21k")}
