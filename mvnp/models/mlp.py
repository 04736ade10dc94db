"""The MLP of a hybrid block: widen, exact GELU, narrow.

    x, y (..., C)    hidden (..., int(C · ratio))

    y = W₂ GELU(W₁ x + b₁) + b₂

Vaswani et al.: Attention Is All You Need, arXiv:1706.03762, section 3.3, with GELU in place of
ReLU.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array
from ..core import Initializer, Layer, Tape
from ..kernels import twin
from ..layers.dropout import Dropout
from ..layers.gelu import GELU
from ..layers.linear import Linear


@twin
def activated(x: Array, linear: Linear, act: Layer, tape: Tape | None) -> Array:
    """act(linear(x))."""
    return act(linear(x, tape), tape)


class Mlp(Layer):
    """Two linear layers with an exact GELU, or `act`, between them, and dropout after each."""

    def __init__(
        self,
        channels: int,
        hidden: int,
        drop: float = 0.0,
        init: Initializer | None = None,
        act: Layer | None = None,
    ) -> None:
        self.fc1 = Linear(channels, hidden, init=init)
        self.act: Any = GELU() if act is None else act
        self.drop1 = Dropout(drop)
        self.fc2 = Linear(hidden, channels, init=init)
        self.drop2 = Dropout(drop)

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        x = activated(x, self.fc1, self.act, tape)
        x = self.fc2(self.drop1(x, tape), tape)
        return self.drop2(x, tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        dx = self.drop2.backward(dy, tape)
        dx = self.drop1.backward(self.fc2.backward(dx, tape), tape)
        return self.fc1.backward(self.act.backward(dx, tape), tape)
