"""Cross-entropy: how surprised the predicted distribution is by the target, in nats.

    logits z, dlogits (B, C)    target: labels (B,) or distributions (B, C)    loss: a 0-d array

    forward     q = softmax(z)          p = (1 − s) target + s/C                 (1)
                loss = −1/B Σ_b Σ_c p_bc log q_bc                                (2)
    backward    dz_bc = dloss/B (q_bc Σ_k p_bk − p_bc)                           (3)

s is the label smoothing; a label stands for the distribution that is 1 at its class. log q is
z − m − log Σ e^(z − m), m = max z, never the logarithm of a softmax that may have come out 0. Where
p is 0, p log q is 0, also where q is.

Label smoothing: Szegedy et al., arXiv:1512.00567, section 7."""

import numpy as np

from ..backend import Array, array_module, moved_to
from ..errors import check_array, check_rate, check_scalar, check_target
from ..kernels import twin


@twin
def cross_entropy_forward(logits: Array, target: Array,
                          smoothing: float = 0.0) -> tuple[Array, tuple]:  # fmt: skip
    """The loss of (2) and the cache for `cross_entropy_backward`.

    target      (B,) integer labels in 0..C−1, or (B, C) floating, rows that sum to one; may lie on
                the host while the logits are on a GPU
    smoothing   s of (1), in [0, 1)

    Raises InputError for what does not fit, and, on the host, for labels out of range."""
    check_array("CrossEntropy", "logits", logits, ("B", "C"))
    check_rate("CrossEntropy", "smoothing", smoothing)
    C = logits.shape[1]
    p = (1 - smoothing) * distribution("CrossEntropy", logits, target) + smoothing / C  # (1)
    log_q = log_softmax(logits)
    loss = -(p * array_module(p).where(p == 0, 0, log_q)).sum() / len(logits)  # (2)
    return loss, (log_q, p)


@twin
def cross_entropy_backward(dloss: Array | float, cache: tuple) -> Array:
    """dlogits of (3)."""
    log_q, p = cache
    check_scalar("CrossEntropy", "dloss", dloss)
    # ∂ log q_c / ∂z_k = δ_ck − q_k. Weighted by −p_c, summed over c, q_k Σ p − p_k; Σ p is 1.
    q = array_module(log_q).exp(log_q)
    return dloss / len(p) * (q * p.sum(axis=1, keepdims=True) - p)  # (3)


def log_softmax(x: Array) -> Array:
    """log q of the docstring, over the last axis."""
    z = x - x.max(axis=-1, keepdims=True)
    return z - array_module(x).log(array_module(x).exp(z).sum(axis=-1, keepdims=True))


def distribution(owner: str, logits: Array, target: Array) -> Array:
    """The target as rows of probabilities, in the logits' dtype and on their device."""
    check_target(owner, target, logits.shape)
    if target.dtype.kind != "f":  # labels
        target = target[:, None] == array_module(target).arange(logits.shape[1])
    target = target.astype(logits.dtype)
    return moved_to(logits, target) if isinstance(target, np.ndarray) else target
