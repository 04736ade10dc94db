"""MambaVision: stem, four levels, head.

    image (B, in_chans, H, W)
      → stem           (H/4, W/4)    dim
      → level 0, 1     (H/4, H/8)    dim, 2·dim      convolution blocks
      → level 2, 3     (H/16, H/32)  4·dim, 8·dim    scan and attention in windows
      → norm, global average pool, linear

Images and feature maps are NCHW at this class's face, as everywhere in the field, and channel-last inside.

Hatamizadeh, Kautz: MambaVision, arXiv:2407.08083, figure 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from ..backend import Array, array_module
from ..core import Initializer, Layer, Tape
from ..errors import InputError, Pattern, check_array
from ..execution.pieces import a_few_at_a_time, backward_in_pieces, forward_in_pieces
from ..execution.recompute import backward_to_recompute, forward_to_recompute
from ..layers.attention import MultiHeadAttention
from ..layers.batchnorm import BatchNorm
from ..layers.layernorm import LayerNorm
from ..layers.linear import Linear
from ..layers.pool import AveragePool
from .arguments import check_arguments, check_integer, plain
from .blocks import Block, ConvBlock
from .mixer import MambaVisionMixer
from .mlp import Mlp
from .quirks import Quirks, resolve
from .stages import ConvLevel, Downsample, HybridLevel, PatchEmbed

AnyTrunk = TypeVar("AnyTrunk", bound="Trunk")


class Trunk(Layer):
    """Stem and levels: what the classifier and mvnp/models/backbone.py share. A subclass sets `config` and builds the trunk."""

    config: dict[str, Any]  # everything that it takes to build this model again, ready for JSON

    def _build_trunk(self, switches: Quirks, init: Initializer, levels: int = 4) -> None:
        """The stem and the first `levels` levels; after the last of them nothing is downsampled."""
        config = self.config
        self.in_chans: int = config["in_chans"]
        self.patch_embed = PatchEmbed(config["in_chans"], config["in_dim"], config["dim"], init)
        self.levels = [_make_level(level, config, switches, init, last=level == levels - 1) for level in range(levels)]

    def astype(self: AnyTrunk, dtype: str) -> AnyTrunk:
        """A copy with parameters and buffers in another dtype; its `config` says so."""
        twin = super().astype(dtype)
        twin.config["dtype"] = str(np.dtype(dtype))
        return twin

    def _own_precision(self, name: str, array: Array, pattern: Pattern) -> Array:
        """The array in the model's dtype, whichever floating one it came in. Raises InputError unless it fits `pattern`."""
        check_array(type(self).__name__, name, array, pattern)
        return array.astype(self.patch_embed.conv_down[0].weight.dtype, copy=False)

    def _checked(self, x: Array) -> Array:
        return self._own_precision("x", x, ("B", self.in_chans, "H", "W"))

    # For the whole batch or a piece of it.

    def _stages(self, x: Array, tape: Tape | None = None) -> list[Array]:
        x = array_module(x).ascontiguousarray(x.transpose(0, 2, 3, 1))  # channel-last from here on
        begin = self._convolutional_stages
        found = a_few_at_a_time(begin, x) if tape is None else begin(x, tape)
        if len(self.levels) <= 2:
            return found
        *stages, x = found
        return stages + forward_to_recompute(self, self._window_stages, x, tape, together=False)

    def _convolutional_stages(self, x: Array, tape: Tape | None = None) -> list[Array]:
        """The first two stages and, where there is a third, what it begins with."""
        x = forward_to_recompute(self, self.patch_embed, x, tape)
        return self._run_levels(x, self.levels[:2], tape)

    def _window_stages(self, x: Array, tape: Tape | None = None) -> list[Array]:
        """The other stages."""
        return self._run_levels(x, self.levels[2:], tape)

    def _run_levels(self, x: Array, levels: Sequence[ConvLevel | HybridLevel], tape: Tape | None) -> list[Array]:
        """The stages of some levels and, unless they end the network, what follows the last downsampling."""
        stages = []
        for level in levels:
            stages.append(level(x, tape))
            if level.downsample is not None:
                x = level.downsample(stages[-1], tape)
        return stages if level.downsample is None else [*stages, x]

    def _stages_backward(self, dstages: Sequence[Array | None], tape: Tape) -> Array | None:
        dx = None
        if len(self.levels) > 2:
            dx = backward_to_recompute(self, self._window_stages, self._window_stages_backward, dstages[2:], tape)
        dx = self._levels_backward(self.levels[:2], dstages[:2], dx, tape)
        dx = backward_to_recompute(self, self.patch_embed, self.patch_embed.backward, dx, tape)
        return None if dx is None else dx.transpose(0, 3, 1, 2)

    def _window_stages_backward(self, dstages: Sequence[Array | None], tape: Tape) -> Array:
        return self._levels_backward(self.levels[2:], dstages, None, tape)

    def _levels_backward(
        self, levels: Sequence[ConvLevel | HybridLevel], dstages: Sequence[Array | None], dx: Array | None, tape: Tape
    ) -> Array:
        """From the gradients of these levels' stages, and dx of what follows the last downsampling, if anything does."""
        for level, dstage in zip(reversed(levels), reversed(dstages), strict=True):
            if level.downsample is not None:
                # A stage has two readers: the next level and, for a backbone, whoever asked for features.
                through = level.downsample.backward(dx, tape)
                dstage = through if dstage is None else through + dstage
            dx = level.backward(dstage, tape)
        return dx


class MambaVision(Trunk):
    """The whole network. `model(x)` gives logits, `model.pooled(x)` vectors, `model.features(x)` the four stages.

    dim, in_dim         width of level 0 and of the stem's first convolution
    depths              blocks of each of the four levels
    num_heads           attention heads of each level; those of levels 2 and 3 must divide 4·dim and 8·dim
    window_size         window of each level; used in levels 2 and 3, where maps are padded to multiples of it
    mlp_ratio           hidden width of the MLPs over their width
    drop_path_rate      drop path of the last block; it rises linearly from 0 at the first
    in_chans            image channels
    num_classes         0: no head, `model(x)` is `model.pooled(x)`
    qkv_bias            a bias in attention's q, k, v
    qk_scale            true: LayerNorm on q and k (the official signature's name for it)
    drop_rate, attn_drop_rate    dropout in the MLPs and after attention; of the attention weights. In training only.
    layer_scale, layer_scale_conv    initial gain on the branches of hybrid and of convolution blocks; None: no gain
    d_state, d_conv     states for each channel and kernel size of the mixers
    quirks              "official", "paper" or "corrected"; `dt_bias`, `dt_init`, `head_norm`, `padding` set single switches
                        (see mvnp/models/quirks.py)
    dtype, seed         of the parameters, and of their initial values
    allocate            False: no values and no memory until `load_state_dict`

    Raises InputError for arguments that do not fit together, or images that do not fit the model.
    """

    def __init__(
        self,
        dim: int,
        in_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_size: Sequence[int],
        mlp_ratio: float = 4.0,
        drop_path_rate: float = 0.0,
        in_chans: int = 3,
        num_classes: int = 1000,
        qkv_bias: bool = True,
        qk_scale: float | bool | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        layer_scale: float | None = None,
        layer_scale_conv: float | None = None,
        d_state: int = 8,
        d_conv: int = 3,
        quirks: str = "official",
        dt_bias: str | None = None,
        dt_init: str | None = None,
        head_norm: str | None = None,
        padding: str | None = None,
        dtype: str = "float32",
        seed: int = 0,
        allocate: bool = True,
    ) -> None:
        arguments = {name: value for name, value in locals().items() if name not in ("self", "allocate", "__class__")}
        self.config = plain(arguments)
        check_arguments(self.config)
        switches = resolve(quirks, dt_bias=dt_bias, dt_init=dt_init, head_norm=head_norm, padding=padding)
        init = Initializer(seed, self.config["dtype"], allocate)
        self.num_classes = num_classes
        self._build_trunk(switches, init)
        width = 8 * dim
        self.norm = BatchNorm(width, init=init) if switches.head_norm == "batch" else LayerNorm(width, init=init)
        self.avgpool = AveragePool()
        self.head = Linear(width, num_classes, init=init) if num_classes else None
        self.name_paths()

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        """Logits (B, num_classes) of images (B, in_chans, H, W) of any size."""
        return forward_in_pieces(self, self._pooled if self.head is None else self._logits, self._checked(x), tape)

    def backward(self, dy: Array, tape: Tape) -> Array | None:
        """dx (B, in_chans, H, W), from the gradient of the logits; None where `tape.inputs` is False."""
        if self.head is None:
            return self.pooled_backward(dy, tape)
        return backward_in_pieces(
            self, self._logits_backward, self._own_precision("dlogits", dy, ("B", self.num_classes)), tape
        )

    def pooled(self, x: Array, tape: Tape | None = None) -> Array:
        """The normalised and pooled last stage (B, 8·dim): what the head sees."""
        return forward_in_pieces(self, self._pooled, self._checked(x), tape)

    def pooled_backward(self, dpooled: Array, tape: Tape) -> Array:
        """dx, from the gradient of `pooled`."""
        dpooled = self._own_precision("dpooled", dpooled, ("B", self.norm.weight.shape[0]))
        return backward_in_pieces(self, self._pooled_backward, dpooled, tape)

    def reset_head(self, num_classes: int, seed: int = 0) -> None:
        """Put a freshly drawn head for `num_classes` classes, 0: none, in place of the present one; all else stays."""
        check_integer("reset_head", "num_classes", num_classes, least=0)
        init = Initializer(seed, self.config["dtype"])
        self.head = Linear(8 * self.config["dim"], num_classes, init=init) if num_classes else None
        self.num_classes = self.config["num_classes"] = num_classes
        if self.head is not None:
            self.head.path = "head"

    def features(self, x: Array, tape: Tape | None = None) -> list[Array]:
        """The four stages (B, C, H, W), each before its downsampling."""
        stages = forward_in_pieces(self, self._stages, self._checked(x), tape)
        return [stage.transpose(0, 3, 1, 2) for stage in stages]

    def features_backward(self, dfeatures: Sequence[Array | None], tape: Tape) -> Array:
        """dx, from the gradients of `features`; None stands for a stage that nothing depends on."""
        if len(dfeatures) != 4 or dfeatures[3] is None:
            raise InputError("features_backward: expected four gradients, the last of them an array (zeros where it is unused)")
        dstages: list[Array | None] = []
        for level, d in enumerate(dfeatures):
            pattern = ("B", self.config["dim"] * 2**level, "H", "W")
            name = f"dfeatures[{level}]"
            dstages.append(None if d is None else self._own_precision(name, d, pattern).transpose(0, 2, 3, 1))
        return backward_in_pieces(self, self._stages_backward, dstages, tape)

    # What follows is for the whole batch or a piece of it.

    def _logits(self, x: Array, tape: Tape | None = None) -> Array:
        assert self.head is not None
        return self.head(self._pooled(x, tape), tape)

    def _logits_backward(self, dy: Array, tape: Tape) -> Array | None:
        assert self.head is not None
        return self._pooled_backward(self.head.backward(dy, tape), tape)

    def _pooled(self, x: Array, tape: Tape | None = None) -> Array:
        return self.avgpool(self.norm(self._stages(x, tape)[-1], tape), tape)

    def _pooled_backward(self, dpooled: Array, tape: Tape) -> Array | None:
        dlast = self.norm.backward(self.avgpool.backward(dpooled, tape), tape)
        return self._stages_backward([None, None, None, dlast], tape)


def _make_level(level: int, config: dict[str, Any], switches: Quirks, init: Initializer, last: bool) -> ConvLevel | HybridLevel:
    depths, channels = config["depths"], config["dim"] * 2**level
    before, depth = sum(depths[:level]), depths[level]
    # Drop path rises over all blocks of the network.
    rates = [float(rate) for rate in np.linspace(0.0, config["drop_path_rate"], sum(depths))[before : before + depth]]
    if level < 2:
        scale = config["layer_scale_conv"]
        convolutions = [ConvBlock(channels, rate, scale, init) for rate in rates]
        return ConvLevel(convolutions, None if last else Downsample(channels, init))
    blocks = []
    for index, rate in enumerate(rates):
        mixer: MambaVisionMixer | MultiHeadAttention
        if index < math.ceil(depth / 2):
            mixer = MambaVisionMixer(channels, config["d_state"], config["d_conv"], switches, init)
        else:
            mixer = MultiHeadAttention(
                channels,
                config["num_heads"][level],
                qkv_bias=config["qkv_bias"],
                qk_norm=bool(config["qk_scale"]),
                attn_drop=config["attn_drop_rate"],
                proj_drop=config["drop_rate"],
                init=init,
            )
        mlp = Mlp(channels, int(channels * config["mlp_ratio"]), config["drop_rate"], init)
        blocks.append(Block(channels, mixer, mlp, rate, config["layer_scale"], init))
    downsample = None if last else Downsample(channels, init)
    return HybridLevel(blocks, config["window_size"][level], switches.padding == "masked", downsample)
