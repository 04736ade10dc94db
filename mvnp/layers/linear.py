"""Linear: an affine map of each vector.

    x, dx (..., I)    y, dy (..., O)    weight W (O, I)    bias b (O,) or None

    forward     y = x Wᵀ + b                                      (1)
    backward    dx = dy W      dW = Σ dyᵀ x      db = Σ dy        (2)

The sums run over all leading axes: every row of x met the same W, so each adds its share."""

from ..backend import Array, array_module
from ..core import Function, Initializer, Param, sum_rows
from ..errors import check_array, check_arrays
from ..kernels import twin


@twin
def linear_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
    """y of (1), and the cache for `linear_backward`. Raises InputError unless x ends in I."""
    check_arrays("Linear", "bias", weight=(weight, "OI"), x=(x, (..., "I")), bias=(bias, "O"))
    array_module(x, weight, bias)
    y = x @ weight.T if bias is None else x @ weight.T + bias  # (1)
    return y, (x, weight, bias is not None)


@twin
def linear_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """dx, dweight, dbias of (2); dbias is None where there was no bias."""
    x, weight, has_bias = cache
    check_array("Linear", "dy", dy, (*x.shape[:-1], weight.shape[0]), x)
    # L = Σ_r dy_r · y_r over the rows r, and y_ro = Σ_i W_oi x_ri + b_o. So
    #   ∂L/∂x_ri = Σ_o dy_ro W_oi,   ∂L/∂W_oi = Σ_r dy_ro x_ri,   ∂L/∂b_o = Σ_r dy_ro.
    dx = dy @ weight  # (2)
    dweight = dy.reshape(-1, dy.shape[-1]).T @ x.reshape(-1, x.shape[-1])
    return dx, dweight, sum_rows(dy) if has_bias else None


class Linear(Function):
    """(1), from `inputs` to `outputs` channels. W starts truncated normal, σ = 0.02, and b at 0."""

    pair, params = (linear_forward, linear_backward), ("weight", "bias")

    def __init__(self, inputs: int, outputs: int, bias: bool = True,
                 init: Initializer | None = None) -> None:  # fmt: skip
        init = init or Initializer()
        self.weight = Param(init.truncated_normal((outputs, inputs)))
        self.bias = Param(init.full((outputs,), 0.0)) if bias else None
