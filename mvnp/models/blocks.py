"""The two kinds of block that MambaVision is stacked from, both residual.

    ConvBlock    x (B, H, W, C)    y = x + drop_path(γ BN(conv(GELU(BN(conv x)))))        (1)
    Block        x (B, L, C)       x ← x + drop_path(γ₁ mixer(LN x))
                                   y = x + drop_path(γ₂ mlp(LN x))                        (2)

γ exist only with layer scale. A residual's backward passes dy on as it is and adds what comes back
through the branch: d(x + f(x)) = dy + f'(x)ᵀ dy.

Hatamizadeh, Kautz: MambaVision, arXiv:2407.08083, eqs 4 and 5.
"""

from __future__ import annotations

from ..backend import Array
from ..core import Initializer, Layer, Tape
from ..execution.checkpointing import checkpointed
from ..kernels import twin
from ..layers.batchnorm import BatchNorm
from ..layers.conv2d import Conv2d
from ..layers.drop_path import DropPath
from ..layers.gelu import GELU
from ..layers.layer_scale import LayerScale
from ..layers.layernorm import LayerNorm
from .attention import MultiHeadAttention
from .folding import conv_norm
from .mixer import MambaVisionMixer
from .mlp import Mlp


def _scale(channels: int, value: float | None, init: Initializer | None) -> LayerScale | None:
    return None if value is None else LayerScale(channels, value, init)


@twin
def add_norm(x: Array, branch: Array, norm: LayerNorm, tape: Tape | None) -> tuple[Array, Array]:
    """x + branch, and the norm of it."""
    x = x + branch
    return x, norm(x, tape)


@checkpointed(by_sample=False)
class ConvBlock(Layer):
    """(1): two 3x3 convolutions with batch normalisation and a tanh GELU between them."""

    def __init__(
        self,
        channels: int,
        drop_path: float = 0.0,
        layer_scale: float | None = None,
        init: Initializer | None = None,
    ) -> None:
        self.gamma = _scale(channels, layer_scale, init)
        self.conv1 = Conv2d(channels, channels, 3, padding=1, init=init)
        self.norm1 = BatchNorm(channels, init=init)
        self.act = GELU("tanh")
        self.conv2 = Conv2d(channels, channels, 3, padding=1, init=init)
        self.norm2 = BatchNorm(channels, init=init)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        y = self.act(conv_norm(self.conv1, self.norm1, x, tape), tape)
        y = conv_norm(self.conv2, self.norm2, y, tape)
        y = y if self.gamma is None else self.gamma(y, tape)
        return x + self.drop_path(y, tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        branch = self.drop_path.backward(dy, tape)
        branch = branch if self.gamma is None else self.gamma.backward(branch, tape)
        branch = self.conv2.backward(self.norm2.backward(branch, tape), tape)
        branch = self.norm1.backward(self.act.backward(branch, tape), tape)
        return dy + self.conv1.backward(branch, tape)


class Block(Layer):
    """(2): a token mixer (scan or attention), then an MLP, each behind a LayerNorm."""

    def __init__(
        self,
        channels: int,
        mixer: MambaVisionMixer | MultiHeadAttention,
        mlp: Mlp,
        drop_path: float = 0.0,
        layer_scale: float | None = None,
        init: Initializer | None = None,
    ) -> None:
        self.gamma_1 = _scale(channels, layer_scale, init)
        self.gamma_2 = _scale(channels, layer_scale, init)
        self.norm1 = LayerNorm(channels, init=init)
        self.mixer = mixer
        self.norm2 = LayerNorm(channels, init=init)
        self.mlp = mlp
        self.drop_path1 = DropPath(drop_path)
        self.drop_path2 = DropPath(drop_path)

    def forward(self, x: Array, tape: Tape | None = None, mask: Array | None = None) -> Array:
        """(B, L, C) to (B, L, C); `mask` (B, L) is False at padded tokens, to be left out."""
        y = self.mixer.forward(self.norm1(x, tape), tape, mask)
        y = y if self.gamma_1 is None else self.gamma_1(y, tape)
        x, h = add_norm(x, self.drop_path1(y, tape), self.norm2, tape)
        y = self.mlp(h, tape)
        y = y if self.gamma_2 is None else self.gamma_2(y, tape)
        return x + self.drop_path2(y, tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        branch = self.drop_path2.backward(dy, tape)
        branch = branch if self.gamma_2 is None else self.gamma_2.backward(branch, tape)
        dy = dy + self.norm2.backward(self.mlp.backward(branch, tape), tape)
        branch = self.drop_path1.backward(dy, tape)
        branch = branch if self.gamma_1 is None else self.gamma_1.backward(branch, tape)
        return dy + self.norm1.backward(self.mixer.backward(branch, tape), tape)
