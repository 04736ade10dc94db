"""MESA: how far the prediction has moved from that of the weights' running average, in nats.

    logits z, teacher_logits z̄, dlogits (B, C)    loss: a 0-d array    temperature T    factor F

    forward     q = softmax(z/T)        p = softmax(z̄/T)                        (1)
                loss = F/B Σ_b Σ_c p_bc (log p_bc − log q_bc)                   (2)
    backward    dz_bc = dloss F/(B T) (q_bc − p_bc)                             (3)

The teacher is the same network with the average of its weights over the steps before (EMA), in
evaluation; nothing flows to it. With the logits of another, trained network for z̄ the same
formula is distillation, where F = T² is usual: it keeps the gradients' size as T grows.

Du et al.: Sharpness-aware training for free, arXiv:2205.14083, eq. 8; there T = 5, F = T². T = 3
and F = 50 as in MambaVision's recipe. Hinton et al.: Distilling the knowledge in a neural
network, arXiv:1503.02531, section 2.
"""

from ..backend import Array, array_module
from ..errors import check_arrays, check_positive, check_scalar
from ..kernels import twin
from .cross_entropy import log_softmax


@twin
def mesa_forward(
    logits: Array, teacher_logits: Array, temperature: float = 3.0, factor: float = 50.0
) -> tuple[Array, tuple]:
    """The loss of (2), before the recipe's weight of it, and the cache for `mesa_backward`.

    Raises InputError unless both logits are (B, C) of one dtype, and T and F are above 0.
    """
    check_arrays("MESA", "", logits=(logits, "BC"), teacher_logits=(teacher_logits, "BC"))
    check_positive("MESA", temperature=temperature, factor=factor)
    xp = array_module(logits, teacher_logits)
    log_q, log_p = log_softmax(logits / temperature), log_softmax(teacher_logits / temperature)
    p = xp.exp(log_p)  # (1)
    apart = xp.where(p == 0, 0, log_p) - xp.where(p == 0, 0, log_q)  # 0 (−∞ + ∞) is 0 here
    loss = factor / len(p) * (p * apart).sum()  # (2)
    return loss, (log_q, p, temperature, factor)


@twin
def mesa_backward(dloss: Array | float, cache: tuple) -> Array:
    """dlogits of (3)."""
    log_q, p, temperature, factor = cache
    check_scalar("MESA", "dloss", dloss)
    # ∂ log q_c / ∂z_k = (δ_ck − q_k)/T. Weighted by −p_c and summed over c this is (q_k − p_k)/T,
    # since Σ p = 1.
    q = array_module(log_q).exp(log_q)
    return dloss * factor / (len(p) * temperature) * (q - p)  # (3)
