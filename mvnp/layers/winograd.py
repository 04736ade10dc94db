"""3x3 convolution in fewer products: Winograd's F(4x4, 3x3).

    x, dx (B, H, W, I)    y, dy (B, H', W', O)    weight w (O, I, 3, 3)    bias b (O,) or None
    stride 1, padding p

y is cut into tiles of 4x4, each made from a tile d of 6x6 of the padded x. With the matrices
A (6, 4), G (6, 3), T (6, 6) below

    forward     y = Aᵀ [ (G w Gᵀ) ⊙ (T d Tᵀ) ] A + b                                             (1)

for each tile, input and output channel, summed over the input channels. ⊙ is a product entry by
entry: 36 products make 16 outputs, where the definition takes 144. A tile flattened to a vector is
transformed by one matrix, vec(T d Tᵀ) = (T⊗T) vec d, and the sum over channels is a matrix product
for each of the 36 entries:

    U = (G⊗G) w  (36, I, O)    V = (T⊗T) d  (36, tiles, I)    Y_k = V_k U_k    y = (A⊗A)ᵀ Y      (2)
    backward    dY = (A⊗A) dy          dU_k = V_kᵀ dY_k        dw = (G⊗G)ᵀ dU                    (3)
                dx = the convolution of dy with w turned by 180°, inputs and outputs exchanged   (4)

(1) computes what conv2d.py does but rounds otherwise. With the points 0, ±3/4, ±3/2, ∞ the largest
error in float32 is about 2e-6 of the largest output, where im2col has 4e-7; the points 0, ±1, ±2, ∞
of the paper give 1e-5.

Winograd: Arithmetic Complexity of Computations (1980). Lavin, Gray: Fast Algorithms for
Convolutional Neural Networks, arXiv:1509.09308, eqs 8 and 13. Points: Barabasz et al.,
arXiv:1803.10986.
"""

from __future__ import annotations

import os
from functools import cache
from types import ModuleType

import numpy as np

from ..backend import Array, array_module
from ..core.sums import sum_rows
from ..errors import InputError, check_array, check_choice
from ..kernels import twin

TILE, TAPS = 4, 3
PATCH = TILE + TAPS - 1
POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)  # and ∞

Pair = tuple[int, int]


@twin
def winograd_forward(
    x: Array, weight: Array, bias: Array | None = None, padding: Pair = (1, 1)
) -> tuple[Array, tuple]:
    """y of (1), and the cache for `winograd_backward`.

    Raises InputError unless x is (B, H, W, I), the kernel 3x3, the padding at most 2 and the padded
    image at least 3x3.
    """
    check_array("winograd", "weight", weight, ("O", "I", TAPS, TAPS))
    check_array("winograd", "x", x, ("B", "H", "W", weight.shape[1]))
    xp = array_module(x, weight, bias)
    size = winograd_size(x.shape, weight.shape, padding)
    O, I = weight.shape[:2]
    A, G, T = _transforms(xp, x.dtype)
    w = weight.transpose(2, 3, 1, 0).reshape(TAPS**2, I * O)
    U = (G @ w).reshape(PATCH**2, I, O)  # (2)
    V = (T @ _patches(x, size, padding)).reshape(PATCH**2, -1, I)
    Y = (V @ U).reshape(PATCH**2, -1)
    y = _map_of_tiles(A.T @ Y, size)
    return y if bias is None else y + bias, (x, weight, bias is not None, padding)


@twin
def winograd_backward(
    dy: Array, cache: tuple, inputs: bool = True
) -> tuple[Array | None, Array, Array | None]:
    """dx, dweight, dbias of (3) and (4); dbias is None where there was no bias, and dx with
    `inputs=False`."""
    x, weight, has_bias, padding = cache
    size = winograd_size(x.shape, weight.shape, padding)
    check_array("winograd", "dy", dy, size)
    O, I = weight.shape[:2]
    A, G, T = _transforms(array_module(x), x.dtype)
    # (2) is linear in V, U and Y, each step a product with a matrix: backwards each is a product
    # with its transpose.
    dY = (A @ _tiles_of_map(dy)).reshape(PATCH**2, -1, O)  # (3)
    V = (T @ _patches(x, size, padding)).reshape(PATCH**2, -1, I)
    dU = V.swapaxes(1, 2) @ dY
    dw = G.T @ dU.reshape(PATCH**2, -1)
    dweight = dw.reshape(TAPS, TAPS, I, O).transpose(3, 2, 0, 1)
    # (4): y_h = Σ_i w_i x_(h + i − p) gives dx_s = Σ_i w_i dy_(s − i + p): a convolution with the
    # taps in reverse order.
    turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
    around = (TAPS - 1 - padding[0], TAPS - 1 - padding[1])
    dx = winograd_forward(dy, turned, None, around)[0] if inputs else None
    return dx, dweight, sum_rows(dy) if has_bias else None


def matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A (6, 4), G (6, 3) and T (6, 6): of one dimension, four outputs y = Aᵀ [(G g) (T d)] of six
    inputs d and a kernel g.

    Two polynomials, of degrees 2 and 3, are multiplied by evaluating both at six points (G and A),
    multiplying the values, and interpolating (Tᵀ). A correlation is the transpose of such a product
    in one factor: A and T change places, transposed. Evaluation at ∞ takes the leading coefficient.
    Row i of T are the coefficients of Π_(j≠i) (z − p_j), Lagrange's polynomial but for its factor
    Π_(j≠i) 1/(p_i − p_j), which stands in G; for ∞, Π_j (z − p_j).
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
    """A⊗A (36, 16), G⊗G (36, 9) and T⊗T (36, 36)."""
    A, G, T = (xp.asarray(np.kron(matrix, matrix).astype(dtype)) for matrix in matrices())
    return A, G, T


def _patches(x: Array, size: tuple[int, ...], padding: Pair) -> Array:
    """d of (2), (36, tiles·I): the 6x6 numbers that each tile of y is made from. They overlap."""
    xp, (_, H, W, _) = array_module(x), size
    rows, columns = -(-H // TILE), -(-W // TILE)
    far = [n * TILE + TAPS - 1 - x.shape[a] - padding[a - 1] for a, n in ((1, rows), (2, columns))]
    padded = xp.pad(x, ((0, 0), (padding[0], far[0]), (padding[1], far[1]), (0, 0)))
    d = [
        padded[:, i : i + rows * TILE : TILE, j : j + columns * TILE : TILE]
        for i, j in np.ndindex(PATCH, PATCH)
    ]
    return xp.stack(d).reshape(PATCH**2, -1)


def _map_of_tiles(tiles: Array, size: tuple[int, ...]) -> Array:
    """Tiles (16, tiles·O) laid side by side, (B, H', W', O); what hangs over is cut off."""
    B, H, W, O = size
    rows, columns = -(-H // TILE), -(-W // TILE)
    grid = tiles.reshape(TILE, TILE, B, rows, columns, O).transpose(2, 3, 0, 4, 1, 5)
    return grid.reshape(B, rows * TILE, columns * TILE, O)[:, :H, :W]


def _tiles_of_map(dy: Array) -> Array:
    """The adjoint of `_map_of_tiles`: (16, tiles·O), with zeros where tiles hang over."""
    B, H, W, O = dy.shape
    dy = array_module(dy).pad(dy, ((0, 0), (0, -H % TILE), (0, -W % TILE), (0, 0)))
    grid = dy.reshape(B, dy.shape[1] // TILE, TILE, dy.shape[2] // TILE, TILE, O)
    return grid.transpose(2, 4, 0, 1, 3, 5).reshape(TILE**2, -1)


def winograd_size(
    x: tuple[int, ...], weight: tuple[int, ...], padding: Pair
) -> tuple[int, int, int, int]:
    """The shape of y, (B, H', W', O). Raises InputError for a padding that is not 0 to 2, and where
    the padded image is smaller than the kernel."""
    H, W = (x[axis + 1] + 2 * padding[axis] - TAPS + 1 for axis in (0, 1))
    if min(H, W) < 1 or not all(0 <= p < TAPS for p in padding):
        raise InputError(
            f"winograd: an image of {x[1]}x{x[2]} with padding {padding[0]}x{padding[1]};"
            " expected at least 3x3 with the padding, and a padding of 0 to 2"
        )
    return x[0], H, W, weight[0]


# Which convolutions go this way, and which by im2col.

METHODS = ("auto", "im2col", "winograd")
LEAST_CHANNELS = 32  # with fewer, the transforms cost more than the products save

_chosen: str | None = None


def use_convolution(method: str) -> None:
    """Choose how convolutions are computed: "im2col" as in conv2d.py, "winograd" wherever a kernel
    is 3x3 with stride 1, or "auto", the default: Winograd there in float32 on NumPy, where it is
    faster by measurement, and im2col else; see docs/kernels.md for GPUs. MVNP_CONVOLUTION sets the
    same.

    Raises InputError for another name.
    """
    global _chosen
    method = "im2col" if method == "patches" else method  # its name in earlier versions
    check_choice("convolution", method, METHODS)
    _chosen = method


def by_winograd(x: Array, weight: Array, stride: Pair, padding: Pair) -> bool:
    """Whether x is convolved by Winograd's method rather than by im2col."""
    if _chosen is None:
        use_convolution(os.environ.get("MVNP_CONVOLUTION") or "auto")
    if weight.shape[2:] != (TAPS, TAPS) or stride != (1, 1) or max(padding) >= TAPS:
        return False
    pays = x.dtype == np.float32 and min(weight.shape[:2]) >= LEAST_CHANNELS
    return _chosen == "winograd" or (_chosen == "auto" and pays and array_module(x) is np)
