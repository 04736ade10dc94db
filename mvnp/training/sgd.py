"""SGD with momentum: the gradient, and what is left of those before it.

    g gradient    v velocity    η learning rate    λ weight decay    μ momentum

    g ← g + λ θ                                                                  (1)
    v ← μ v + g                                                                  (2)
    θ ← θ − η v                 Nesterov: θ ← θ − η (g + μ v)                    (3)

v starts at 0. Where g stays the same, v grows to g / (1 − μ): steps are ten times as long with μ = 0.9, along what many
gradients agree on, and what they disagree on cancels. Nesterov's form takes the gradient as if the velocity's step were made
already, and so brakes earlier. The decay is a part of g, and so of v.

Polyak: Some methods of speeding up the convergence of iteration methods (1964). Sutskever et al.: On the importance of
initialization and momentum in deep learning (2013), eqs. 1 to 4, with η outside of v as PyTorch does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..backend import Array
from ..core import Layer, Param
from ..errors import check_flags, refusing
from .optimizer import Optimizer


class SGD(Optimizer):
    """(1) to (3), in place.

    parameters, weight_decay, lr_scales    see Optimizer
    momentum, nesterov    μ, and which of the two forms of (3)
    """

    moments = ("velocity",)
    velocity: dict[str, Array]

    @refusing
    def __init__(
        self,
        parameters: Layer | Iterable[tuple[str, Param]],
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        lr_scales: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(parameters, weight_decay, lr_scales)
        check_flags("SGD", nesterov=nesterov)
        self.check(0.0 <= momentum < 1.0, "momentum", momentum, "a number in [0, 1)")
        self.check(not nesterov or momentum > 0.0, "nesterov", nesterov, "a momentum above 0 with it")
        self.momentum, self.nesterov = momentum, nesterov

    def update(self, gradients: dict[str, Array], lr: float) -> None:
        for name, gradient in gradients.items():
            p, v, mu = self.parameters[name].data, self.velocity[name], self.momentum
            g = gradient + self.decay_of(name) * p  # (1)
            v[...] = mu * v + g  # (2)
            p[...] = p - lr * self.lr_scales.get(name, 1.0) * (g + mu * v if self.nesterov else v)  # (3)
