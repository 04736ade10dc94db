"""Binary cross-entropy: each class is a question of its own, yes or no, and answers for itself.

    logits z, dlogits (B, C)    target: labels (B,) or shares (B, C) in 0..1    loss: a 0-d array

    forward     p = (1 − s) target + s/C        q = σ(z)                         (1)
                loss = −1/n Σ_b Σ_c (p_bc log q_bc + (1 − p_bc) log (1 − q_bc))   (2)
    backward    dz_bc = dloss/n (q_bc − p_bc)                                     (3)

n is B C, or B where the questions of a picture are summed. log q is −softplus(−z), log (1 − q) is
−softplus(z); where their factor is 0 the product is 0, also for an infinite logit. s is the label
smoothing. With a threshold, p is 1 where it was above it, else 0: a mixture of two pictures then
shows both.

Beyer et al.: Are we done with ImageNet?, arXiv:2006.07159, section 6; Wightman et al.: ResNet
strikes back, arXiv:2110.00476, section 3, which adds the threshold.
"""

from ..backend import Array, array_module
from ..errors import check_array, check_rate, check_scalar
from ..kernels import twin
from .cross_entropy import distribution
from .silu import sigmoid
from .softplus import softplus_forward


@twin
def binary_cross_entropy_forward(
    logits: Array,
    target: Array,
    smoothing: float = 0.0,
    threshold: float | None = None,
    summed: bool = False,
) -> tuple[Array, tuple]:
    """The loss of (2) and the cache for `binary_cross_entropy_backward`.

    target      (B,) integer labels in 0..C−1, or (B, C) floating; may lie on the host while the
                logits are on a GPU
    smoothing   s of (1), in [0, 1)
    threshold   in [0, 1); None: p stays as it is
    summed      n = B, not B C

    Raises InputError for what does not fit, and, on the host, for labels out of range.
    """
    check_array("BinaryCrossEntropy", "logits", logits, ("B", "C"))
    check_rate("BinaryCrossEntropy", "smoothing", smoothing)
    p = (1 - smoothing) * distribution(
        "BinaryCrossEntropy", logits, target
    ) + smoothing / logits.shape[1]  # (1)
    if threshold is not None:
        check_rate("BinaryCrossEntropy", "threshold", threshold)
        p = (p > threshold).astype(p.dtype)
    n = len(logits) if summed else logits.size
    (yes, _), (no, _) = softplus_forward(-logits), softplus_forward(logits)  # −log q, −log (1 − q)
    where = array_module(logits).where
    loss = (p * where(p == 0, 0, yes) + (1 - p) * where(p == 1, 0, no)).sum() / n  # (2)
    return loss, (logits, p, n)


@twin
def binary_cross_entropy_backward(dloss: Array | float, cache: tuple) -> Array:
    """dlogits of (3)."""
    logits, p, n = cache
    check_scalar("BinaryCrossEntropy", "dloss", dloss)
    # ∂ log q / ∂z = 1 − q and ∂ log (1 − q) / ∂z = −q, so p (1 − q) − (1 − p) q = p − q remains.
    return dloss / n * (sigmoid(logits) - p)  # (3)
