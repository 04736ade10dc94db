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

import math
from collections.abc import Iterable, Mapping

import numpy as np

from ..backend import Array, array_module, from_numpy, to_numpy
from ..core import Param, mismatches
from ..errors import CheckpointError, InputError
from ..kernels import twin


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


class AdamW:
    """Updates parameters in place.

    parameters      (name, Param) pairs, as `model.named_parameters()` gives them; leave out what is to stay as it is
    betas, eps      β₁, β₂ and ε
    weight_decay    λ, for parameters of two dimensions and more. Biases and the gains of norms, which have fewer, are
                    never decayed: their size says nothing about how complex a function the network is.
    lr_scales       factors of the learning rate, by name; 1 for those that are not named (see layer_decay.py)

    Raises InputError for a setting out of range, and for a parameter that has no memory of its own (a model made with
    `allocate=False`).
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, Param]],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.05,
        lr_scales: Mapping[str, float] | None = None,
    ) -> None:
        if not all(0.0 <= beta < 1.0 for beta in betas) or not eps > 0.0 or not 0.0 <= weight_decay < math.inf:
            raise InputError(
                f"AdamW: betas={betas}, eps={eps}, weight_decay={weight_decay}; expected betas in [0, 1), eps above 0 and"
                " a weight_decay of at least 0"
            )
        self.parameters = dict(parameters)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.lr_scales = dict(lr_scales or {})
        strangers = [name for name in self.lr_scales if name not in self.parameters]
        if strangers:
            raise InputError(f"AdamW: lr_scales names {', '.join(strangers[:3])}, which is no parameter of this optimiser")
        for name, param in self.parameters.items():
            if not getattr(param.data.flags, "writeable", True):  # CuPy's arrays have no such flag
                raise InputError(
                    f"AdamW: {name} is a placeholder without memory; load weights first, or make the model with allocate=True"
                )
        self.steps = 0
        self.m = {name: array_module(param.data).zeros_like(param.data) for name, param in self.parameters.items()}
        self.v = {name: array_module(param.data).zeros_like(param.data) for name, param in self.parameters.items()}

    def step(self, gradients: Mapping[str, Array], lr: float) -> None:
        """One step of (1) to (3) at learning rate `lr`. `gradients` has one for each parameter; others are passed over.

        Raises InputError, before anything is changed, where a gradient is missing or misshapen.
        """
        self._check(gradients)
        self.steps += 1
        for name, param in self.parameters.items():
            decay = self.weight_decay if param.ndim >= 2 else 0.0
            scaled = lr * self.lr_scales.get(name, 1.0)
            arrays = param.data, gradients[name], self.m[name], self.v[name]
            adamw_update(*arrays, self.steps, scaled, decay, self.betas, self.eps)

    def _check(self, gradients: Mapping[str, Array]) -> None:
        for name, param in self.parameters.items():
            if name not in gradients:
                raise InputError(f"AdamW: no gradient for {name}; run the backward of the whole model before the step")
            if tuple(gradients[name].shape) != param.shape:
                raise InputError(
                    f"AdamW: the gradient of {name} has shape {tuple(gradients[name].shape)}, expected {param.shape}"
                )

    def state_dict(self, copy: bool = True) -> dict[str, Array]:
        """{"step", "m.<name>", "v.<name>"}: all that a later AdamW needs to go on; `copy=False` shares the memory."""
        moments = {f"{kind}.{name}": a for kind, by_name in (("m", self.m), ("v", self.v)) for name, a in by_name.items()}
        return {
            "step": np.array(self.steps, np.int64),
            **{key: array.copy() if copy else array for key, array in moments.items()},
        }

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over what `state_dict` gave. Raises CheckpointError that lists all that does not fit, and then takes none."""
        problems = mismatches(self.state_dict(copy=False), state)
        if problems:
            raise CheckpointError("this optimiser state does not fit the model:\n  " + "\n  ".join(problems))
        self.steps = int(to_numpy(state["step"]))
        for kind, by_name in (("m", self.m), ("v", self.v)):
            for name, old in by_name.items():
                by_name[name] = from_numpy(np.array(to_numpy(state[f"{kind}.{name}"]), dtype=old.dtype))
