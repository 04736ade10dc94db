"""The parts of VMamba: its stem, its block, and what halves the map between two stages.

    patch_embed      (B, H, W, in_chans) to (B, H/4, W/4, d):
                     v2  conv 3x3 s2, LN, GELU, conv 3x3 s2, LN
                     v1  conv 4x4 s4, LN       pixels that are left over are dropped
    VSSBlock         x ← x + drop_path(ss2d(LN x))
                     y = x + drop_path(mlp(LN x))                                       (1)
    downsample       (B, H, W, C) to (B, H/2, W/2, C'):
                     v3  conv 3x3 s2, LN       v2  conv 2x2 s2, LN
                     v1  linear(LN(the four pixels of a 2x2 square side by side))       (2)

LN is over the channels of each pixel. Sizes that 2 does not divide are rounded up, but by a 2x2
convolution, which drops what is left over. Of the pixels in (2) the row runs first:
(0, 0), (1, 0), (0, 1), (1, 1); at the bottom and on the right they are completed with zeros.

Liu et al.: VMamba, arXiv:2401.10166, figure 3; (2) is from Liu et al.: Swin Transformer,
arXiv:2103.14030, section 3.1.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..backend import Array, array_module
from ..core import Initializer, Layer, Param, Tape, padded_size, sum_rows
from ..errors import InputError
from ..execution.checkpointing import checkpointed
from ..layers.conv2d import Conv2d
from ..layers.drop_path import DropPath
from ..layers.gelu import GELU
from ..layers.layernorm import LayerNorm
from ..layers.linear import Linear
from .mlp import Mlp
from .pyramid import Level
from .ss2d import SS2D


class Sequence(Layer):
    """Layers in a row. A place may be empty, None: there the official release has a step without
    parameters, which counts in the keys."""

    key_of: ClassVar = {"steps": ""}

    def __init__(self, *steps: Layer | None) -> None:
        self.steps = list(steps)

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        for step in self.steps:
            x = x if step is None else step(x, tape)
        return x

    def backward(self, dy: Array, tape: Tape) -> Any:
        for step in reversed(self.steps):
            dy = dy if step is None else step.backward(dy, tape)
        return dy


class FirstConv2d(Conv2d):
    """The convolution that reads the image, whose gradient is made only where it is wanted."""

    def backward(self, dy: Array, tape: Tape, inputs: bool = True) -> Any:
        return super().backward(dy, tape, tape.inputs)


def patch_embed(
    version: str, in_chans: int, dim: int, patch_size: int, norm: bool, init: Initializer
) -> Sequence:
    """The stem: "v2", patches of 4, or "v1", of any size; with `norm` LN behind its
    convolutions."""

    def ln(channels: int) -> LayerNorm | None:
        return LayerNorm(channels, init=init) if norm else None

    if version == "v1":
        conv = FirstConv2d(in_chans, dim, patch_size, stride=patch_size, init=init)
        return Sequence(conv, None, ln(dim))
    conv1 = FirstConv2d(in_chans, dim // 2, 3, stride=2, padding=1, init=init)
    norm1 = ln(dim // 2)
    conv2 = Conv2d(dim // 2, dim, 3, stride=2, padding=1, init=init)
    return Sequence(conv1, None, norm1, None, GELU(), conv2, None, ln(dim))


def downsample(version: str, channels: int, outputs: int, init: Initializer) -> Layer:
    """What stands between two stages: "v3" conv 3x3, "v2" conv 2x2, "v1" patch merging."""
    if version == "v1":
        return PatchMerging(channels, outputs, init)
    kernel, padding = (3, 1) if version == "v3" else (2, 0)
    conv = Conv2d(channels, outputs, kernel, stride=2, padding=padding, init=init)
    return Sequence(None, conv, None, LayerNorm(outputs, init=init))


class PatchMerging(Layer):
    """(2)."""

    def __init__(self, channels: int, outputs: int, init: Initializer | None = None) -> None:
        self.reduction = Linear(4 * channels, outputs, bias=False, init=init)
        self.norm = LayerNorm(4 * channels, init=init)

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        if tape is not None:
            tape.push(self, x.shape)
        return self.reduction(self.norm(merge(x), tape), tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        dmerged = self.norm.backward(self.reduction.backward(dy, tape), tape)
        return unmerge(dmerged, *tape.pop(self)[1:3])


def merge(x: Array) -> Array:
    """(B, H, W, C) to (B, ⌈H/2⌉, ⌈W/2⌉, 4C); its adjoint is `unmerge`."""
    B, H, W, C = x.shape
    Hp, Wp = padded_size(H, W, 2)
    x_padded = array_module(x).pad(x, ((0, 0), (0, Hp - H), (0, Wp - W), (0, 0)))
    squares = x_padded.reshape(B, Hp // 2, 2, Wp // 2, 2, C).transpose(0, 1, 3, 4, 2, 5)
    return squares.reshape(B, Hp // 2, Wp // 2, 4 * C)


def unmerge(merged: Array, H: int, W: int) -> Array:
    """(B, ⌈H/2⌉, ⌈W/2⌉, 4C) to (B, H, W, C)."""
    B, h, w, C = merged.shape
    x_padded = merged.reshape(B, h, w, 2, 2, C // 4).transpose(0, 1, 4, 2, 3, 5)
    return x_padded.reshape(B, 2 * h, 2 * w, C // 4)[:, :H, :W]


class GatedMlp(Layer):
    """An MLP whose widened half gates the other: W₂ (a GELU(b)) + b₂, a, b = split(W₁ x + b₁);
    with `act` another function in place of GELU."""

    def __init__(
        self, channels: int, hidden: int, init: Initializer | None = None, act: Layer | None = None
    ) -> None:
        self.fc1 = Linear(channels, 2 * hidden, init=init)
        self.act = GELU() if act is None else act
        self.fc2 = Linear(hidden, channels, init=init)

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        a, b = array_module(x).split(self.fc1(x, tape), 2, axis=-1)
        gate = self.act(b, tape)
        if tape is not None:
            tape.push(self, (a, gate))
        return self.fc2(a * gate, tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        dproduct = self.fc2.backward(dy, tape)
        a, gate = tape.pop(self)
        da, db = dproduct * gate, self.act.backward(dproduct * a, tape)
        return self.fc1.backward(array_module(dy).concatenate([da, db], axis=-1), tape)


class VSSBlock(Layer):
    """(1): scans over the map, then an MLP, each behind a LayerNorm; v0 has no MLP."""

    def __init__(
        self,
        channels: int,
        op: SS2D,
        mlp: Mlp | GatedMlp | None,
        drop_path: float = 0.0,
        init: Initializer | None = None,
    ) -> None:
        self.norm = LayerNorm(channels, init=init)
        self.op = op
        self.drop_path = DropPath(drop_path)
        self.norm2 = None if mlp is None else LayerNorm(channels, init=init)
        self.mlp = mlp

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        x = x + self.drop_path(self.op(self.norm(x, tape), tape), tape)
        if self.mlp is None or self.norm2 is None:
            return x
        return x + self.drop_path(self.mlp(self.norm2(x, tape), tape), tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        if self.mlp is not None and self.norm2 is not None:
            branch = self.mlp.backward(self.drop_path.backward(dy, tape), tape)
            dy = dy + self.norm2.backward(branch, tape)
        branch = self.op.backward(self.drop_path.backward(dy, tape), tape)
        return dy + self.norm.backward(branch, tape)


@checkpointed(by_sample=True)
class VSSStage(Level):
    """Blocks on the whole map, (B, H, W, C) to the same."""


class PositionalEmbedding(Layer):
    """A learnt number for each channel of each pixel of the map, which is added to it."""

    key_of: ClassVar = {"values": ""}

    def __init__(self, channels: int, height: int, width: int, init: Initializer) -> None:
        self.values = Param(init.truncated_normal((1, channels, height, width)))

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        height, width = self.values.shape[2:]
        if x.shape[1:3] != (height, width):
            raise InputError(
                f"VMamba: the stem makes a map of {x.shape[1]}x{x.shape[2]}, and pos_embed is for"
                f" {height}x{width}: it fits images of one size only, that of the option img; a"
                " model without posembed takes any"
            )
        return x + self.values.data.transpose(0, 2, 3, 1)

    def backward(self, dy: Array, tape: Tape) -> Array:
        tape.accumulate(self.values, sum_rows(dy, axes=3).transpose(2, 0, 1)[None])
        return dy
