"""LAMB: Adam's direction, and for each parameter a step as long as the parameter asks for.

    g gradient    m, v its running first and second moment    t the step, from 1    η learning rate    λ weight decay

    c = max(1, ‖all gradients‖ / G)          g ← g / c                           (1)
    m ← β₁ m + (1 − β₁) g                    v ← β₂ v + (1 − β₂) g²              (2)
    u = (m / (1 − β₁ᵗ)) / (√v / √(1 − β₂ᵗ) + ε) + λ θ                            (3)
    r = ‖θ‖ / ‖u‖, or 1 where either norm is 0                                   (4)
    θ ← θ − η r u                                                                (5)

Norms are of a whole parameter. u is about as large in every entry, so ‖u‖ says how many entries there are, and r how large
they are: (5) moves each parameter by the share η of its own length, whatever its scale, which is what lets batches of
thousands take large rates. (1) clips by the global norm, by itself, at G = 1. A parameter that is not decayed (see
`is_decayed`) is not adapted either, r = 1: it takes Adam's step at the whole rate.

    trust_clip       r is at most 1 (LAMBC)
    always_adapt     (4) for parameters without decay too
    bias_correction  False: (3) without the two denominators 1 − βᵗ
    grad_averaging   False: m ← β₁ m + g in (2)
    decoupled        θ ← θ − η λ θ comes before (4), and u is without λ θ, as in AdamW

With λ = 0 for all, nothing is adapted, and this is Adam with a clip. A parameter whose gradient is always 0 has u = λ θ and
r = 1/λ: it shrinks by the whole rate, θ ← (1 − η) θ.

You et al.: Large batch optimization for deep learning: training BERT in 76 minutes, arXiv:1904.00962, algorithm 2, with φ the
identity. (1), the exclusions and the options as in timm's LAMB, which MambaVision is trained with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ..backend import Array, array_module
from ..core import Layer, Param
from ..errors import check_flags, is_number, refusing
from .clipping import global_norm
from .optimizer import Optimizer


class LAMB(Optimizer):
    """(1) to (5), in place.

    parameters, weight_decay, lr_scales    see Optimizer
    betas, eps       β₁, β₂ and ε
    max_grad_norm    G; None: (1) is left out
    trust_clip, always_adapt, bias_correction, grad_averaging, decoupled    see above
    """

    moments = "m", "v"
    fused = "lamb"  # its kernels in mvnp/kernels/cuda/updates.py
    m: dict[str, Array]
    v: dict[str, Array]

    @refusing
    def __init__(
        self,
        parameters: Layer | Iterable[tuple[str, Param]],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.05,
        max_grad_norm: float | None = 1.0,
        trust_clip: bool = False,
        always_adapt: bool = False,
        lr_scales: Mapping[str, float] | None = None,
        *,
        bias_correction: bool = True,
        grad_averaging: bool = True,
        decoupled: bool = False,
    ) -> None:
        super().__init__(parameters, weight_decay, lr_scales)
        check_flags("LAMB", trust_clip=trust_clip, always_adapt=always_adapt, bias_correction=bias_correction)
        check_flags("LAMB", grad_averaging=grad_averaging, decoupled=decoupled)
        self.check_adaptive(betas, eps)
        limited = max_grad_norm is None or (is_number(max_grad_norm) and max_grad_norm > 0.0)
        self.check(limited, "max_grad_norm", max_grad_norm, "a number above 0, or None")
        self.betas, self.eps, self.max_grad_norm = betas, eps, max_grad_norm
        self.trust_clip, self.always_adapt = trust_clip, always_adapt
        self.bias_correction, self.grad_averaging, self.decoupled = bias_correction, grad_averaging, decoupled

    def update(self, gradients: dict[str, Array], lr: float) -> None:
        c = self._clip(gradients)
        for name, g in gradients.items():
            p, scaled = self.parameters[name].data, lr * self.lr_scales.get(name, 1.0)
            decay = self.decay_of(name)
            u = self._adam(name, g if c is None else g / c.astype(g.dtype))
            if self.decoupled:
                p[...] = p - scaled * decay * p
            else:
                u = u + decay * p  # (3)
            r = self._trust(p, u) if decay or self.always_adapt else 1.0
            p[...] = p - scaled * r * u  # (5)

    def _clip(self, gradients: dict[str, Array]) -> Array | None:
        """c of (1), on the device, so that nothing waits for it."""
        if self.max_grad_norm is None or not gradients:
            return None
        norm = global_norm(gradients)
        return array_module(norm).maximum(1.0, norm / self.max_grad_norm)

    def _adam(self, name: str, g: Array) -> Array:
        """(2), and u of (3) without its decay."""
        m, v, (beta1, beta2) = self.m[name], self.v[name], self.betas
        m[...] = beta1 * m + (1 - beta1 if self.grad_averaging else 1.0) * g
        v[...] = beta2 * v + (1 - beta2) * g * g
        root = array_module(v).sqrt(v)
        if not self.bias_correction:
            return m / (root + self.eps)
        return m / (1 - beta1**self.steps) / (root / math.sqrt(1 - beta2**self.steps) + self.eps)

    def _trust(self, p: Array, u: Array) -> Array:
        """r of (4), 0-d and of the parameter's dtype."""
        xp = array_module(p)
        norm_p, norm_u = (xp.sqrt((array * array).sum()) for array in (p, u))
        r = xp.where((norm_p > 0) & (norm_u > 0), norm_p / xp.where(norm_u > 0, norm_u, 1), 1).astype(p.dtype)
        return xp.minimum(r, 1) if self.trust_clip else r
