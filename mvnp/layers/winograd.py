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

(1) is what conv2d.py computes, rounded otherwise. With the points 0, ±3/4, ±3/2, ∞ float32 errs by
about 2e-6 of the largest output, by im2col 4e-7, with the paper's points 0, ±1, ±2, ∞ by 1e-5.

Winograd: Arithmetic Complexity of Computations (1980). Lavin, Gray: Fast Algorithms for
Convolutional Neural Networks, arXiv:1509.09308, eqs 8 and 13. Points: Barabasz et al.,
arXiv:1803.10986."""

from functools import cache
from types import ModuleType

import numpy as np

from ..backend import Array, array_module
from ..core import Pair, output_size, sum_rows
from ..errors import InputError, check_array, check_arrays
from ..kernels import twin
from .conv2d import col2im, im2col

TILE, TAPS, PATCH = 4, 3, 6
POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)  # and ∞


@twin
def winograd_forward(x: Array, weight: Array, bias: Array | None = None,
                     padding: Pair = (1, 1)) -> tuple[Array, tuple]:  # fmt: skip
    """y of (1), and the cache for `winograd_backward`. Raises InputError unless x is (B, H, W, I),
    the kernel 3x3, the padding at most 2 and the padded image at least 3x3."""
    kernel = (weight, ("O", "I", TAPS, TAPS))
    check_arrays("winograd", "bias", weight=kernel, x=(x, "BHWI"), bias=(bias, "O"))
    if not all(0 <= p < TAPS for p in padding):
        raise InputError(f"winograd: padding is {padding}, expected 0 to 2 on either axis")
    xp = array_module(x, weight, bias)
    size = output_size("winograd", x.shape, weight.shape, (1, 1), padding)
    A, G, T = _transforms(xp, x.dtype)
    w = weight.transpose(2, 3, 1, 0).reshape(TAPS**2, *weight.shape[1::-1])
    U = xp.tensordot(G, w, 1)  # (2)
    V = xp.tensordot(T, _tiles(x, size, PATCH, padding), 1)
    y = _map_of_tiles(xp.tensordot(A.T, V @ U, 1), size)
    return y if bias is None else y + bias, (x, weight, bias is not None, padding)  # (1)


@twin
def winograd_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """dx, dweight, dbias of (3) and (4); dbias is None where there was no bias."""
    x, weight, has_bias, padding = cache
    size = output_size("winograd", x.shape, weight.shape, (1, 1), padding)
    check_array("winograd", "dy", dy, size, x)
    xp, (O, I, _, _) = array_module(x), weight.shape
    A, G, T = _transforms(xp, x.dtype)
    # (2) is a chain of products with matrices: backwards each is one with the transpose.
    dY = xp.tensordot(A, _tiles(dy, size, TILE), 1)  # (3)
    V = xp.tensordot(T, _tiles(x, size, PATCH, padding), 1)
    dU = V.swapaxes(1, 2) @ dY
    dw = G.T @ dU.reshape(PATCH**2, -1)
    dweight = dw.reshape(TAPS, TAPS, I, O).transpose(3, 2, 0, 1)
    # (4): y_h = Σ_i w_i x_(h + i − p) gives dx_s = Σ_i w_i dy_(s − i + p): taps in reverse order.
    turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
    around = (TAPS - 1 - padding[0], TAPS - 1 - padding[1])
    dx = winograd_forward(dy, turned, None, around)[0]
    return dx, dweight, sum_rows(dy) if has_bias else None


def matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A (6, 4), G (6, 3), T (6, 6): in one dimension y = Aᵀ [(G g) (T d)] of six d, a kernel g.

    Polynomials of degrees 2 and 3 are multiplied by evaluating both at six points (G and A),
    multiplying the values, and interpolating (Tᵀ). A correlation is the transpose of such a product
    in one factor: A and T change places, transposed. At ∞ the value is the leading coefficient. Row
    i of T are the coefficients of Π_(j≠i) (z − p_j), Lagrange's polynomial but for its factor
    Π_(j≠i) 1/(p_i − p_j), which stands in G; for ∞, Π_j (z − p_j)."""
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
def _transforms(xp: ModuleType, dtype: np.dtype) -> tuple[Array, ...]:
    """A⊗A (36, 16), G⊗G (36, 9) and T⊗T (36, 36)."""
    return tuple(xp.asarray(np.kron(matrix, matrix).astype(dtype)) for matrix in matrices())


def _tiles(x: Array, size: tuple[int, ...], edge: int, padding: Pair = (0, 0)) -> Array:
    """(edge², tiles, C): the square of x for each tile of y. Those of 6x6 overlap, of 4x4 abut."""
    (ph, pw), (_, H, W, _) = padding, size
    x_padded = array_module(x).pad(x, ((0, 0), (ph, ph + -H % TILE), (pw, pw + -W % TILE), (0, 0)))
    X = im2col(x_padded, (edge, edge), (TILE, TILE), (0, 0))
    return X.reshape(-1, edge**2, x.shape[3]).swapaxes(0, 1)


def _map_of_tiles(tiles: Array, size: tuple[int, ...]) -> Array:
    """The adjoint for 4x4: tiles (16, tiles, O) side by side; what hangs over is cut off."""
    B, H, W, O = size
    X, whole = tiles.swapaxes(0, 1).reshape(-1, TILE**2 * O), (B, H + -H % TILE, W + -W % TILE, O)
    return col2im(X, whole, (TILE, TILE), (TILE, TILE), (0, 0))[:, :H, :W]
