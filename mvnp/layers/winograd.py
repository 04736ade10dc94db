"""3x3 convolution in fewer products: Winograd's F(4x4, 3x3), with transforms that are matrix products themselves.

    x, dx (B, H, W, I)    y, dy (B, H', W', O)    weight w (O, I, 3, 3)    bias b (O,) or None    stride 1, padding p

y is cut into tiles of 4x4, each made from a tile d of 6x6 of the padded x. With the matrices A (6, 4), G (6, 3), T (6, 6) below

    forward     y = Aᵀ [ (G w Gᵀ) ⊙ (T d Tᵀ) ] A + b                                             (1)

for each tile, input and output channel, summed over the input channels. ⊙ is a product entry by entry: 36 products make 16
outputs, where the definition takes 144. A tile flattened to a vector is transformed by one matrix, vec(T d Tᵀ) = (T⊗T) vec d,
and the sum over channels is a matrix product for each of the 36 entries:

    U = (G⊗G) w  (36, I, O)    V = (T⊗T) d  (36, tiles, I)    Y_k = V_k U_k    y = (A⊗A)ᵀ Y      (2)
    backward    dY = (A⊗A) dy          dU_k = V_kᵀ dY_k        dw = (G⊗G)ᵀ dU                    (3)
                dx = the convolution of dy with w turned by 180°, inputs and outputs exchanged   (4)

(1) computes what conv2d.py does but rounds otherwise. With the points 0, ±3/4, ±3/2, ∞ the largest error in float32 is about
2e-6 of the largest output, where the patches of conv2d.py have 4e-7; the points 0, ±1, ±2, ∞ of the paper give 1e-5.

Winograd: Arithmetic Complexity of Computations (1980). Lavin, Gray: Fast Algorithms for Convolutional Neural Networks,
arXiv:1509.09308, eqs 8 and 13. Points: Barabasz et al., arXiv:1803.10986.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import ModuleType

import numpy as np

from ..backend import Array, array_module
from ..errors import InputError, check_array
from ..execution.blockwise import sum_rows
from ..execution.padding import padded_rows
from ..execution.workspace import workspace

TILE, TAPS = 4, 3
PATCH = TILE + TAPS - 1
POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)  # and ∞
PART_BYTES = 2 << 20  # how much of V is in memory at once

Slices = tuple[slice, slice]  # samples, and rows of tiles


def winograd_forward(
    x: Array, weight: Array, bias: Array | None = None, padding: tuple[int, int] = (1, 1)
) -> tuple[Array, tuple]:
    """y of (1), and the cache for `winograd_backward`.

    Raises InputError unless x is (B, H, W, I), the kernel 3x3, the padding at most 2 and the padded image at least 3x3.
    """
    check_array("winograd", "weight", weight, ("O", "I", TAPS, TAPS))
    check_array("winograd", "x", x, ("B", "H", "W", weight.shape[1]))
    xp = array_module(x, weight, bias)
    H, W = (size + 2 * p - TAPS + 1 for size, p in zip(x.shape[1:3], padding, strict=True))
    if min(H, W) < 1 or not all(0 <= p < TAPS for p in padding):
        raise InputError(
            f"winograd: an image of {x.shape[1]}x{x.shape[2]} with padding {padding[0]}x{padding[1]};"
            " expected at least 3x3 with the padding, and a padding of 0 to 2"
        )
    A, G, _ = _transforms(xp, x.dtype)
    O, I = weight.shape[:2]
    U = workspace(xp, "winograd.U", (PATCH**2, I * O), x.dtype)
    U = xp.matmul(G, weight.transpose(2, 3, 1, 0).reshape(TAPS**2, I * O), out=U).reshape(PATCH**2, I, O)
    y = xp.empty((len(x), H, W, O), x.dtype)
    for samples, rows in _parts(y, max(I, O)):
        V = _transformed_patches(x[samples], y.shape, rows, padding)
        Y = xp.matmul(V, U, out=workspace(xp, "winograd.Y", (*V.shape[:2], O), x.dtype))
        tiles = xp.matmul(A.T, Y.reshape(PATCH**2, -1), out=workspace(xp, "winograd.y", (TILE**2, Y[0].size), x.dtype))
        if bias is not None:
            tiles.reshape(-1, O)[...] += bias
        _lay_out(tiles, y[samples], rows)
    return y, (x, weight, bias is not None, padding)


def winograd_backward(dy: Array, cache: tuple, inputs: bool = True) -> tuple[Array | None, Array, Array | None]:
    """dx, dweight, dbias of (3) and (4); dbias is None where there was no bias, and dx with `inputs=False`."""
    x, weight, has_bias, padding = cache
    xp = array_module(x)
    A, G, _ = _transforms(xp, x.dtype)
    O, I = weight.shape[:2]
    dU = xp.zeros((PATCH**2, I, O), x.dtype)
    # (2) is linear in V, U and Y, each step a product with a matrix: backwards each is a product with its transpose.
    for samples, rows in _parts(dy, max(I, O)):
        V = _transformed_patches(x[samples], dy.shape, rows, padding)
        tiles = _tiles(dy[samples], rows).reshape(TILE**2, -1)
        dY = xp.matmul(A, tiles, out=workspace(xp, "winograd.Y", (PATCH**2, V.shape[1] * O), x.dtype))
        dU += xp.matmul(V.swapaxes(1, 2), dY.reshape(*V.shape[:2], O), out=workspace(xp, "winograd.dU", dU.shape, x.dtype))
    dweight = (G.T @ dU.reshape(PATCH**2, -1)).reshape(TAPS, TAPS, I, O).transpose(3, 2, 0, 1)
    # (4): y_h = Σ_i w_i x_(h + i − p) gives dx_s = Σ_i w_i dy_(s − i + p): a convolution with the taps in reverse order.
    turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
    around = (TAPS - 1 - padding[0], TAPS - 1 - padding[1])
    dx = winograd_forward(dy, turned, None, around)[0] if inputs else None
    return dx, dweight, sum_rows(lambda rows: rows, dy) if has_bias else None


def matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A (6, 4), G (6, 3) and T (6, 6): of one dimension, four outputs y = Aᵀ [(G g) (T d)] of six inputs d and a kernel g.

    Two polynomials, of degrees 2 and 3, are multiplied by evaluating both at six points (G and A), multiplying the values, and
    interpolating (Tᵀ). A correlation is the transpose of such a product in one factor: A and T change places, transposed.
    Evaluation at ∞ takes the leading coefficient. Row i of T are the coefficients of Π_(j≠i) (z − p_j), Lagrange's polynomial
    but for its factor Π_(j≠i) 1/(p_i − p_j), which stands in G; for ∞, Π_j (z − p_j).
    """
    A, G, T = np.zeros((PATCH, TILE)), np.zeros((PATCH, TAPS)), np.zeros((PATCH, PATCH))
    for i, point in enumerate(POINTS):
        others = [other for other in POINTS if other != point]
        A[i] = point ** np.arange(TILE)
        G[i] = point ** np.arange(TAPS) / np.prod([point - other for other in others])
        T[i, :-1] = np.poly(others)[::-1]
    A[-1, -1] = G[-1, -1] = 1.0
    T[-1] = np.poly(POINTS)[::-1]
    return A, G, T


@cache
def _transforms(xp: ModuleType, dtype: np.dtype) -> tuple[Array, Array, Array]:
    """A⊗A (36, 16), G⊗G (36, 9) and T⊗T (36, 36): of two dimensions."""
    A, G, T = (xp.asarray(np.kron(matrix, matrix).astype(dtype)) for matrix in matrices())
    return A, G, T


def _parts(y: Array, channels: int) -> Iterator[Slices]:
    """Cuts (B, H, W, ...) so that V stays within PART_BYTES: several samples at a time, or some rows of tiles of one."""
    B, H, W = y.shape[:3]
    rows, columns = -(-H // TILE), -(-W // TILE)
    row_bytes = PATCH**2 * columns * channels * y.dtype.itemsize
    samples, at_once = max(1, PART_BYTES // (rows * row_bytes)), max(1, min(rows, PART_BYTES // row_bytes))
    for start in range(0, B, samples):
        for row in range(0, rows, at_once):
            yield slice(start, min(start + samples, B)), slice(row, min(row + at_once, rows))


def _transformed_patches(x: Array, shape: tuple[int, ...], rows: slice, padding: tuple[int, int]) -> Array:
    """V of (2), for some rows of tiles: (36, tiles, I)."""
    xp = array_module(x)
    _, _, T = _transforms(xp, x.dtype)
    n, I, count, columns = len(x), x.shape[3], rows.stop - rows.start, -(-shape[2] // TILE)
    height, width = count * TILE + TAPS - 1, columns * TILE + TAPS - 1
    padded = padded_rows("winograd.padded", x, rows.start * TILE - padding[0], padding[1], height, width)
    s = padded.strides
    patches = xp.lib.stride_tricks.as_strided(
        padded, (PATCH, PATCH, n, count, columns, I), (s[1], s[2], s[0], TILE * s[1], TILE * s[2], s[3])
    )
    d = workspace(xp, "winograd.d", patches.shape, x.dtype)
    d[...] = patches
    V = workspace(xp, "winograd.V", (PATCH**2, n * count * columns * I), x.dtype)
    return xp.matmul(T, d.reshape(V.shape), out=V).reshape(PATCH**2, -1, I)


def _lay_out(tiles: Array, y: Array, rows: slice) -> None:
    """Write tiles (16, tiles·O) into the rows of y that they cover; what hangs over its edge is cut off."""
    n, _, W, O = y.shape
    count, columns = rows.stop - rows.start, -(-W // TILE)
    grid = tiles.reshape(TILE, TILE, n, count, columns, O).transpose(2, 3, 0, 4, 1, 5)
    target = y[:, rows.start * TILE : rows.stop * TILE]
    if target.shape[1:3] == (count * TILE, columns * TILE):
        target.reshape(grid.shape)[...] = grid
    else:
        target[...] = grid.reshape(n, count * TILE, columns * TILE, O)[:, : target.shape[1], :W]


def _tiles(dy: Array, rows: slice) -> Array:
    """The transpose of `_lay_out`: (4, 4, n, rows, columns, O), with zeros where tiles hang over."""
    xp = array_module(dy)
    n, _, W, O = dy.shape
    count, columns = rows.stop - rows.start, -(-W // TILE)
    tiles = workspace(xp, "winograd.y", (TILE, TILE, n, count, columns, O), dy.dtype)
    source = dy[:, rows.start * TILE : rows.stop * TILE]
    if source.shape[1:3] != (count * TILE, columns * TILE):
        whole = workspace(xp, "winograd.whole", (n, count * TILE, columns * TILE, O), dy.dtype)
        whole[...] = 0
        whole[:, : source.shape[1], :W] = source
        source = whole
    tiles[...] = source.reshape(n, count, TILE, columns, TILE, O).transpose(2, 4, 0, 1, 3, 5)
    return tiles
