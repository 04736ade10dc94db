"""Windows: cut a feature map into squares of tokens, and put it together again.

    x (B, H, W, C)    tokens (B·nW, P·P, C)
    P window size, nW windows an image, from top left to bottom right

    window_partition    pad with zeros at the right and bottom to multiples of P, cut, read each
                        window row by row                                                      (1)
    window_reverse      lay the windows back, and crop the padding                             (2)

Each is the adjoint of the other, and so its backward. Cutting only moves numbers: its matrix S is a
permutation, Sᵀ = S⁻¹. Zero padding is a matrix Z of ones and zero rows, and Zᵀ is the crop. So (1)
is S Z, and its backward Zᵀ Sᵀ is (2); the other way round, what was cropped has gradient zero."""

from ..backend import Array, array_module
from ..core import padded_size
from ..errors import InputError, check_array
from ..kernels import twin


@twin
def window_partition(x: Array, P: int) -> Array:
    """(1): (B, H, W, C) to (B·nW, P·P, C). Its backward is `window_reverse(dtokens, P, H, W)`."""
    check_array("window_partition", "x", x, ("B", "H", "W", "C"))
    B, H, W, C = x.shape
    Hp, Wp = padded_size(H, W, P)
    x_padded = array_module(x).pad(x, ((0, 0), (0, Hp - H), (0, Wp - W), (0, 0)))
    windows = x_padded.reshape(B, Hp // P, P, Wp // P, P, C).transpose(0, 1, 3, 2, 4, 5)
    return windows.reshape(-1, P * P, C)  # (1)


@twin
def window_reverse(tokens: Array, P: int, H: int, W: int) -> Array:
    """(2): (B·nW, P·P, C) to (B, H, W, C). Its backward is `window_partition(dx, P)`. Raises
    InputError unless the windows make whole images."""
    check_array("window_reverse", "tokens", tokens, ("B·nW", P * P, "C"))
    Hp, Wp = padded_size(H, W, P)
    nW = Hp // P * (Wp // P)
    if len(tokens) % nW:
        raise InputError(
            f"window_reverse: {len(tokens)} windows of {P}x{P}, expected {nW} an image of {H}x{W}"
        )
    windows = tokens.reshape(-1, Hp // P, Wp // P, P, P, tokens.shape[2])
    x_padded = windows.transpose(0, 1, 3, 2, 4, 5).reshape(-1, Hp, Wp, tokens.shape[2])
    return x_padded[:, :H, :W]  # (2)


def window_mask(like: Array, B: int, H: int, W: int, P: int) -> Array | None:
    """(B·nW, P·P) booleans, False at tokens that are padding; None where nothing is padded."""
    if padded_size(H, W, P) == (H, W):
        return None
    return window_partition(array_module(like).ones((B, H, W, 1)), P)[..., 0] > 0
