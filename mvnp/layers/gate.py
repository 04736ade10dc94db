"""Gate: one branch of a block opens and closes another, entry by entry.

    x, z, y, and their gradients, any shape

    forward     y = x z σ(z)                     σ as in silu.py                        (1)
    backward    dx = dy z σ(z)                                                          (2)
                dz = dy x σ(z) (1 + z (1 − σ(z)))                                       (3)

z σ(z) is SiLU. Where z is very negative nothing of x passes, where it is large all of it, times z.
Mamba, Vim and the first VMamba end their scan with it; MambaVision concatenates the branches.

Gu, Dao: Mamba, arXiv:2312.00752, section 3.4 and figure 3."""

from ..backend import Array, array_module
from ..errors import check_array
from ..kernels import twin
from .silu import silu_backward, silu_forward


@twin
def gate_forward(x: Array, z: Array) -> tuple[Array, tuple]:
    """y of (1), and the cache for `gate_backward`. Raises InputError unless x and z are alike."""
    check_array("gate", "x", x, (...,))
    check_array("gate", "z", z, x.shape, x)
    array_module(x, z)
    return x * silu_forward(z)[0], (x, z)  # (1)


@twin
def gate_backward(dy: Array, cache: tuple) -> tuple[Array, Array]:
    """dx, dz of (2) and (3)."""
    x, z = cache
    check_array("gate", "dy", dy, x.shape, x)
    array_module(dy, x, z)
    # y is a product: each factor's gradient has the other; and behind z there is the SiLU.
    dx = dy * silu_forward(z)[0]  # (2)
    return dx, silu_backward(dy * x, z)  # (3)
