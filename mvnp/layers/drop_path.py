"""Drop path (stochastic depth): leave out a whole residual branch for random samples.

    x, y, dx, dy (B, ...)    mask m (B, 1, ..., 1)

It is dropout (see dropout.py, eqs 1 and 2) with one draw for each sample: in x + drop_path(f(x))
it passes through f, scaled by 1/(1 − p), or around it. In the hybrid stages of MambaVision the
leading axis counts windows: each *window* is dropped on its own, as in the official model.

Huang et al.: Deep Networks with Stochastic Depth, arXiv:1603.09382."""

from ..backend import Array
from .dropout import Dropout, dropout_backward, dropout_forward

drop_path_forward = dropout_forward
drop_path_backward = dropout_backward


class DropPath(Dropout):
    """Drop whole samples with probability `rate` in training; else the identity."""

    def mask_shape(self, x: Array) -> tuple[int, ...]:
        """One draw for each index of the leading axis."""
        return x.shape[:1] + (1,) * (x.ndim - 1)
