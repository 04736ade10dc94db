"""AdamW: steps scaled by running moments of the gradient, and weight decay that keeps out of them.

    g gradient    m, v its running first and second moment    t the step, from 1    η learning rate    λ weight decay

    m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²                          (1)
    m̂ = m / (1 − β₁ᵗ)            v̂ = v / (1 − β₂ᵗ)                               (2)
    θ ← θ − η λ θ − η m̂ / (√v̂ + ε)                                               (3)

m and v start at 0 and so are too small at first; (2) makes up for it. In (3) the decay acts on θ itself: put into g, it
would be divided by √v̂ and spare the very weights that move most.

Kingma, Ba: Adam, arXiv:1412.6980, algorithm 1. Loshchilov, Hutter: Decoupled weight decay regularization,
arXiv:1711.05101, algorithm 2, with λ multiplied by η as PyTorch does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..backend import Array, array_module
from ..core import Layer, Param
from ..errors import refusing
from ..kernels import twin
from .optimizer import Optimizer


@twin
def adamw_update(
    p: Array, g: Array, m: Array, v: Array, t: int, lr: float, decay: float, betas: tuple[float, float], eps: float
) -> None:
    """One step of (1) to (3) of one parameter p = θ, at the learning rate lr = η with the decay λ. Writes p, m and v."""
    beta1, beta2 = betas
    m[...] = beta1 * m + (1 - beta1) * g  # (1)
    v[...] = beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)  # (2)
    p[...] = p - lr * decay * p - lr * m_hat / (array_module(p, g).sqrt(v_hat) + eps)  # (3)


class AdamW(Optimizer):
    """(1) to (3), in place.

    parameters, weight_decay, lr_scales    see Optimizer
    betas, eps      β₁, β₂ and ε
    """

    moments = "m", "v"
    fused = "adamw"  # its kernels in mvnp/kernels/cuda/updates.py
    m: dict[str, Array]
    v: dict[str, Array]

    @refusing
    def __init__(
        self,
        parameters: Layer | Iterable[tuple[str, Param]],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.05,
        lr_scales: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(parameters, weight_decay, lr_scales)
        self.check_adaptive(betas, eps)
        self.betas, self.eps = betas, eps

    def update(self, gradients: dict[str, Array], lr: float) -> None:
        for name, g in gradients.items():
            arrays = self.parameters[name].data, g, self.m[name], self.v[name]
            scaled = lr * self.lr_scales.get(name, 1.0)
            adamw_update(*arrays, self.steps, scaled, self.decay_of(name), self.betas, self.eps)
