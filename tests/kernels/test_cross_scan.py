"""The twins of cross-scan and cross-merge: mvnp/kernels/cuda/cross_scan.py and cross_scan.cu."""

import pytest

from mvnp.kernels.cuda import cross_scan as twins
from mvnp.layers.cross_scan import ROUTES, cross_merge, cross_scan
from support.checks import normal
from support.kernel_checks import DTYPES, EVERY_WAY, assert_caught, check, device, needs_compiler

# B, H, W, C: the model's last map, then what fills no warp or block.
SHAPES = [(2, 7, 7, 64), (1, 4, 9, 33), (3, 1, 5, 1), (2, 5, 1, 31), (1, 1, 1, 1), (2, 3, 2, 5)]


def sequences(B, H, W, C):
    return normal((4, B, H * W, C), 2)


@needs_compiler
@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers(shape, dtype, way):
    check(cross_scan, [normal(shape, 1)], dtype, way, 0.0)
    # In float32 and float64 the sum is the book's, to the bit; in float16 it is that of its numbers in float32.
    check(cross_merge, [sequences(*shape), *shape[1:3]], dtype, way, DTYPES["float16"] if dtype == "float16" else 0.0)


@needs_compiler
@pytest.mark.parametrize("way", EVERY_WAY)
def test_views(way):
    check(lambda x: cross_scan(x[..., 1:4]), [normal((2, 3, 4, 5), 1)], "float64", way, 0.0)
    check(lambda y: cross_merge(y[..., ::2], 3, 4), [normal((4, 2, 12, 6), 1)], "float64", way, 0.0)


@needs_compiler
def test_other_routes_are_left_to_the_book():
    assert twins.ROUTES == ROUTES
    with device("in order"):
        import cupy

        x, y = cupy.asarray(normal((1, 2, 3, 4), 1)), cupy.asarray(normal((2, 1, 6, 4), 2))
        assert twins.cross_scan(x, (0, 2)) is NotImplemented
        assert twins.cross_scan(x[0]) is NotImplemented
        assert twins.cross_merge(y, 2, 3, (0, 2)) is NotImplemented
        assert twins.cross_merge(y, 2, 3) is NotImplemented
        assert twins.cross_merge(y[0], 2, 3) is NotImplemented
        assert twins.cross_merge(cupy.asarray(sequences(1, 2, 3, 4)), 2, 4) is NotImplemented
    check(lambda x: cross_scan(x, (0, 0, 2, 2)), [normal((2, 3, 4, 5), 1)], "float64", "in order", 0.0)


FAULTS = {
    "a transposed fold": ("h = pixel / W % H", "h = pixel / H % W"),
    "columns read as rows": ("column = w * H + h", "column = h * W + w"),
    "a way back that begins with the second": ("L - 1 - column", "L - 2 - column"),
    "a route twice": ("{row, column, L - 1 - row, L - 1 - column}", "{row, column, row, L - 1 - column}"),
    "a route forgotten": ("for (int k = 1; k < 4; k++) sum", "for (int k = 1; k < 3; k++) sum"),
    "another sample": ("((size_t)k * B + b) * L", "((size_t)k * B) * L"),
    "a write behind the end": ("x[i] = T(sum);", "x[i + 1] = T(sum);"),
}


@needs_compiler
@pytest.mark.slow(reason="a kernel is compiled again for each fault, and twice where the first way does not notice")
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault):
    shape = (2, 3, 5, 4)

    def checks(way):
        check(cross_scan, [normal(shape, 1)], "float64", way, 0.0)
        check(cross_merge, [sequences(*shape), *shape[1:3]], "float64", way, 0.0)

    said = assert_caught("cross_scan", *FAULTS[fault], checks)
    assert "behind" not in fault or "AddressSanitizer" in said
