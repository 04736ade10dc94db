"""What a model costs: the output shape, parameters and arithmetic of every layer, worked out from shapes alone.

    map (H, W, C)    windows (nW, L, C) of L = P² tokens    for one image

    convolution    H' W' O · I Kh Kw        multiply-accumulates (MACs)        (1)
    conv1d         nW L D · K               MACs                               (2)
    linear         rows · I O               MACs                               (3)
    attention      2 · nW L² C              MACs: q kᵀ, and the weights with v (4)
    scan           9 · nW L D N             FLOPs                              (5)

One MAC is two FLOPs. Windows are counted as they are computed, padding included. Left out is what takes a few operations for
each number it touches: biases, norms, activations, softmax, gains, residual sums, pooling.

What papers call GFLOPs is, in this field, 10⁹ MACs. An image of 224x224 costs mamba_vision_T 4.56 GMACs by (1) to (4), and its
scans add half of their 0.01 GFLOPs; the paper says 4.4. Without (4), the variants come to 4.46, 5.11, 7.48, 14.96, 34.84 and
37.50 where the paper has 4.4, 5.1, 7.5, 15.0, 34.9 and 37.5: it seems to come from a counter that looks at modules, and so sees
neither the products inside attention nor the scan.

(5) is how scans are counted since VMamba, arXiv:2401.10166, whose authors' code it comes from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..core import Layer, Param, padded_size
from ..errors import InputError
from ..layers.conv1d import Conv1d
from ..layers.conv2d import Conv2d
from ..layers.linear import Linear
from ..layers.pool import AveragePool
from ..models.attention import MultiHeadAttention
from ..models.blocks import Block, ConvBlock
from ..models.mambavision import MambaVision
from ..models.mixer import MambaVisionMixer
from ..models.mlp import Mlp
from ..models.stages import ConvLevel, Downsample, HybridLevel, PatchEmbed

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerCost:
    """One row: where the layer stands, its class, the shape of its output for one image, and what it costs.

    The two operations that are no layer of their own, "scan" and "attention", and the cutting into windows and back have rows
    too, under the path of the layer that does them.
    """

    path: str
    kind: str
    shape: Shape
    parameters: int
    macs: int = 0
    scan_flops: int = 0


@dataclass(frozen=True)
class ModelCost:
    """The rows of a model in the order of its forward, and their sums."""

    rows: tuple[LayerCost, ...]

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of (1) to (4), for one image."""
        return sum(row.macs for row in self.rows)

    @property
    def scan_flops(self) -> int:
        """FLOPs of (5), for one image."""
        return sum(row.scan_flops for row in self.rows)

    @property
    def flops(self) -> int:
        """All FLOPs for one image: two for each MAC, and the scans'."""
        return 2 * self.macs + self.scan_flops


def model_cost(model: MambaVision, height: int, width: int | None = None) -> ModelCost:
    """The cost of one forward of one image, (height, width) or square.

    No array is made and no weight is read, so that a model with `allocate=False` will do. Raises InputError for a size that is
    not a positive integer.
    """
    size = (height, height if width is None else width)
    if not all(isinstance(side, int | np.integer) and side >= 1 for side in size):
        raise InputError(f"model_cost: the image size is {size[0]!r}x{size[1]!r}, expected two integers of at least 1")
    walk = _Walk()
    shape = walk.through(model.patch_embed, (int(size[0]), int(size[1]), model.in_chans))
    for level in model.levels:
        shape = walk.through(level, shape)
        if level.downsample is not None:
            shape = walk.through(level.downsample, shape)
    walk.in_turn(shape, model.norm, model.avgpool, model.head)
    return ModelCost(tuple(walk.rows))


class _Walk:
    """Goes through the layers in the order of their forwards, with a shape in place of an array."""

    def __init__(self) -> None:
        self.rows: list[LayerCost] = []

    def through(self, layer: Layer, shape: Shape) -> Shape:
        """The shape that `layer` makes of `shape`; its rows are noted."""
        match layer:
            case PatchEmbed():
                return self.in_turn(shape, *layer.conv_down)
            case Downsample():
                return self.in_turn(shape, *layer.reduction)
            case ConvLevel():
                return self.in_turn(shape, *layer.blocks)
            case HybridLevel():
                return self._hybrid_level(layer, shape)
            case ConvBlock():
                return self.in_turn(shape, layer.conv1, layer.norm1, layer.act, layer.conv2, layer.norm2, layer.gamma)
            case Block():
                shape = self.in_turn(shape, layer.norm1, layer.mixer, layer.gamma_1)
                return self.in_turn(shape, layer.norm2, layer.mlp, layer.gamma_2)
            case Mlp():
                return self.in_turn(shape, layer.fc1, layer.act, layer.fc2)
            case MambaVisionMixer():
                return self._mixer(layer, shape)
            case MultiHeadAttention():
                return self._attention(layer, shape)
        return self._single(layer, shape)

    def in_turn(self, shape: Shape, *layers: Layer | None) -> Shape:
        """`through` one layer after another; None is an option that is off."""
        for layer in layers:
            if layer is not None:
                shape = self.through(layer, shape)
        return shape

    def _single(self, layer: Layer, shape: Shape) -> Shape:
        macs = 0
        match layer:
            case Conv2d():
                O, I, *kernel = layer.weight.shape
                sides = zip(shape, layer.padding, kernel, layer.stride, strict=False)
                shape = (*((side + 2 * p - k) // s + 1 for side, p, k, s in sides), O)
                macs = math.prod(shape) * I * math.prod(kernel)
            case Conv1d():
                macs = math.prod(shape) * layer.weight.shape[2]
            case Linear():
                shape = (*shape[:-1], layer.weight.shape[0])
                macs = math.prod(shape) * layer.weight.shape[1]
            case AveragePool():
                shape = shape[-1:]
        return self._note(layer, type(layer).__name__, shape, macs)

    def _hybrid_level(self, level: HybridLevel, shape: Shape) -> Shape:
        H, W, C = shape
        P = level.window
        Hp, Wp = padded_size(H, W, P)
        tokens = self._note(level, "windows", (Hp // P * (Wp // P), P * P, C))
        self.in_turn(tokens, *level.blocks)
        return self._note(level, "windows", shape)

    def _mixer(self, mixer: MambaVisionMixer, shape: Shape) -> Shape:
        self.through(mixer.in_proj, shape)
        nW, L, C = shape
        half = (nW, L, C // 2)
        for branch in (mixer.conv1d_x, mixer.conv1d_z):
            self.through(branch, half)
        self.through(mixer.x_proj, half)
        self.through(mixer.dt_proj, (nW, L, mixer.rank))
        self._note(mixer, "scan", half, scan_flops=9 * math.prod(half) * mixer.d_state)
        return self.through(mixer.out_proj, shape)

    def _attention(self, layer: MultiHeadAttention, shape: Shape) -> Shape:
        nW, L, C = shape
        self.through(layer.qkv, shape)
        self.in_turn((nW, layer.heads, L, C // layer.heads), layer.q_norm, layer.k_norm)
        self._note(layer, "attention", shape, macs=2 * nW * L * L * C)
        return self.through(layer.proj, shape)

    def _note(self, layer: Layer, kind: str, shape: Shape, macs: int = 0, scan_flops: int = 0) -> Shape:
        own = sum(param.size for param in vars(layer).values() if isinstance(param, Param) and param.trainable)
        self.rows.append(LayerCost(layer.path, kind, shape, own, macs, scan_flops))
        return shape
