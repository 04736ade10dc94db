"""Padding and windows as ONNX nodes: mvnp/export/windows.py."""

import numpy as np
import pytest

from mvnp.core import Layer
from mvnp.layers.window import window_mask, window_partition
from support.onnx_files import run  # skips without onnx

from mvnp.export.windows import Windows, size_of  # isort: skip

P = 3  # not 2, for which −H mod P is H mod P
SIZES = [(3, 6), (4, 8), (1, 1), (2, 9), (6, 5)]


def cut(H, W, known):
    """Windows of P of a map that is (2, 3, H, W), which the graph is told, or has to find out."""
    return lambda graph, x: Windows(graph, "level", *((H, W) if known else size_of(graph, "level", x)), P)


@pytest.mark.parametrize("known", [True, False], ids=["known", "any size"])
@pytest.mark.parametrize(("H", "W"), SIZES)
def test_windows_there_and_back(H, W, known):
    x = np.random.default_rng(0).standard_normal((2, 3, H, W)).astype(np.float32)
    tokens = run(Layer(), lambda graph, x: cut(H, W, known)(graph, x).partition(x, 3), x)
    np.testing.assert_array_equal(tokens, window_partition(x.transpose(0, 2, 3, 1), P).reshape(-1, 3))

    def there_and_back(graph, x):
        windows = cut(H, W, known)(graph, x)
        return windows.reverse(windows.partition(x, 3), 3)

    np.testing.assert_array_equal(run(Layer(), there_and_back, x), x)


@pytest.mark.parametrize("known", [True, False], ids=["known", "any size"])
@pytest.mark.parametrize(("H", "W"), SIZES)
def test_real_tokens(H, W, known):
    x = np.zeros((2, 3, H, W), np.float32)
    expected = window_mask(x, 2, H, W, P)
    if known and expected is None:
        assert cut(H, W, known)(None, "x").mask("x") is None
        return
    given = run(Layer(), lambda graph, x: cut(H, W, known)(graph, x).mask(x), x)
    np.testing.assert_array_equal(given, 1 if expected is None else expected.reshape(-1, 1))


def test_only_what_needs_padding_is_padded():
    operators = []

    class Recorder:
        def node(self, at, operator, *inputs, **attributes):
            operators.append(operator)
            return operator

        def sizes(self, at, *sizes):
            assert all(isinstance(size, int) for size in sizes)  # nothing is left to be found out
            return "sizes"

        def integers(self, *values):
            return "integers"

    for (H, W), padded in (((3, 6), False), ((3, 5), True)):
        operators.clear()
        windows = Windows(Recorder(), "level", H, W, P)
        windows.reverse(windows.partition("x", 3), 3)
        assert ("Pad" in operators, "Slice" in operators) == (padded, padded)
