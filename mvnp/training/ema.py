"""EMA: a second set of weights, the running average of those that are trained.

    θ the model's state after an update, θ̄ the average    u the number of the update, from 1    d decay

    θ̄ ← d θ̄ + (1 − d) θ                                                         (1)

The average holds about the last 1 / (1 − d) updates; SGD's steps back and forth cancel in it, which is why it often classifies
better than θ. It begins at the initial weights, whose share is dᵘ: at d = 0.9998 still 0.37 after 5,000 updates. So d has to
follow the length of a run: 1 / (1 − d) at about 5 % of its updates. Or it warms up, from the update `after` on,

    s = max(0, u − after − 1)        d_u = 0 where s = 0, else (1 − (1 + s/γ)^(−p)) within [min_decay, d]      (2)

where d_u = 0 makes the average the weights themselves. Running statistics are averaged like weights, or copied. The average
is a model of its own: evaluate `ema.model`, save it, let it teach (mvnp/layers/mesa.py).

Polyak, Juditsky: Acceleration of stochastic approximation by averaging (1992); (1) as in Tarvainen, Valpola: Mean teachers are
better role models, arXiv:1703.01780, section 2. (2) with γ = 1 and p = 2/3 is timm's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np

from ..backend import Array, to_numpy
from ..core import Layer, Param
from ..errors import CheckpointError, InputError, check_choice, check_flags, check_positive, is_number, refusing, shown

BUFFERS = ("average", "copy", "average all")


class EMA:
    """The average of a model's state: `update(model)` after each step of the optimiser.

    decay        d
    warmup       (2) with γ = `gamma` and p = `power`; False: d from the first update on
    after        with warmup, or given: updates before which the average is just the weights
    min_decay    of (2)
    buffers      "average": floating ones too, integers are copied; "copy": parameters alone are averaged; "average all":
                 integers too, their fractions cut off, as MambaVision's release does

    Raises InputError for a setting out of range, and from `update` for another model than that it was made with.
    """

    @refusing
    def __init__(
        self,
        model: Layer,
        decay: float = 0.9998,
        *,
        warmup: bool = False,
        gamma: float = 1.0,
        power: float = 2 / 3,
        after: int | None = None,
        min_decay: float = 0.0,
        buffers: str = "average",
    ) -> None:
        for name, value in (("decay", decay), ("min_decay", min_decay)):
            if not is_number(value) or not 0.0 <= value <= 1.0:
                raise InputError(f"EMA: {name} is {shown(value)}, expected a number in [0, 1]")
        if not isinstance(model, Layer):
            raise InputError(f"EMA: model is {shown(model)}, expected a model or a layer, whose weights are averaged")
        check_flags("EMA", warmup=warmup)
        check_positive("EMA", gamma=gamma, power=power)
        if after is not None and (not is_number(after) or after < 0):
            raise InputError(f"EMA: after is {shown(after)}, expected at least 0, or None")
        check_choice("treatment of buffers", buffers, BUFFERS)
        self.model = copy.deepcopy(model)
        self.decay, self.warmup, self.gamma, self.power = decay, warmup, gamma, power
        self.after, self.min_decay, self.buffers = 0 if after is None and warmup else after, min_decay, buffers
        self.updates = 0

    def decay_of(self, update: int) -> float:
        """d of an update, the first of which is 1."""
        if self.after is None:
            return self.decay
        s = max(0, update - self.after - 1)
        if s == 0:
            return 0.0
        if not self.warmup:
            return self.decay
        return min(self.decay, max(self.min_decay, 1 - (1 + s / self.gamma) ** -self.power))

    @refusing
    def update(self, model: Layer) -> None:
        """(1) for the whole state of the model, in place."""
        averages, state = dict(self.model.named_state()), dict(model.named_state())
        if {key: param.shape for key, param in averages.items()} != {key: param.shape for key, param in state.items()}:
            raise InputError(f"EMA: this {type(model).__name__} has other parameters than the model that is averaged")
        self.updates += 1
        d = self.decay_of(self.updates)
        for key, average in averages.items():
            self._follow(average, state[key], d)

    def _follow(self, average: Param, param: Param, d: float) -> None:
        averaged = {"copy": param.trainable, "average": param.dtype.kind == "f", "average all": True}[self.buffers]
        new = d * average.data + (1 - d) * param.data if averaged and d else param.data  # (1)
        average.data[...] = new.astype(param.dtype)  # an integer loses its fraction

    def state_dict(self, copy: bool = True) -> dict[str, Array]:
        """The averages with the model's keys, and "updates": all that it takes to go on."""
        return {**self.model.state_dict(copy), "updates": np.array(self.updates, np.int64)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over what `state_dict` gave. Raises CheckpointError that lists all that does not fit, and then takes none."""
        if "updates" not in state:
            raise CheckpointError("this state holds no average of weights: it has no entry 'updates'")
        updates = np.asarray(to_numpy(state["updates"]))
        if updates.shape or updates.dtype.kind not in "iu" or updates < 0:
            raise CheckpointError("this average of weights is damaged: 'updates' is no integer of at least 0")
        self.model.load_state_dict({key: array for key, array in state.items() if key != "updates"})
        self.updates = int(updates)
