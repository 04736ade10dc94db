"""The trunk: stem and four levels, which the classifier and the backbone share.

    image (B, in_chans, H, W)
      → stem           (H/4, W/4)    dim
      → level 0, 1     (H/4, H/8)    dim, 2·dim      convolution blocks
      → level 2, 3     (H/16, H/32)  4·dim, 8·dim    scan and attention in windows

A *stage* is the map of a level before its downsampling. Images and feature maps are NCHW at a
model's face, as everywhere in the field, and channel-last inside.

Hatamizadeh, Kautz: MambaVision, arXiv:2407.08083, figure 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from ..backend import Array, array_module
from ..core import Initializer, Layer, Tape
from ..errors import Pattern, check_array
from .attention import MultiHeadAttention
from .blocks import Block, ConvBlock
from .mixer import MambaVisionMixer
from .mlp import Mlp
from .quirks import Quirks
from .stages import ConvLevel, Downsample, HybridLevel, PatchEmbed

AnyTrunk = TypeVar("AnyTrunk", bound="Trunk")


def channel_last(x: Array) -> Array:
    """(B, C, H, W) to (B, H, W, C), row by row in memory."""
    return array_module(x).ascontiguousarray(x.transpose(0, 2, 3, 1))


def channel_first(x: Array) -> Array:
    """(B, H, W, C) to (B, C, H, W), a view."""
    return x.transpose(0, 3, 1, 2)


class Trunk(Layer):
    """Stem and levels. A subclass sets `config` and builds them with `_build_trunk`."""

    config: dict[str, Any]  # all that it takes to build this model again, ready for JSON

    def stages(self, x: Array, tape: Tape | None = None) -> list[Array]:
        """Channel-last maps, one for each level, of images (B, in_chans, H, W)."""
        x = self.patch_embed(channel_last(x), tape)
        stages = []
        for level in self.levels:
            stages.append(level(x, tape))
            if level.downsample is not None:
                x = level.downsample(stages[-1], tape)
        return stages

    def stages_backward(self, dstages: Sequence[Array | None], tape: Tape) -> Array | None:
        """dx (B, in_chans, H, W); a stage that only the next level depends on has None."""
        dx = None
        for level, dstage in zip(reversed(self.levels), reversed(dstages), strict=True):
            if level.downsample is not None:
                dx = level.downsample.backward(dx, tape)
                dstage = dx if dstage is None else dx + dstage  # it has two readers
            dx = level.backward(dstage, tape)
        dx = self.patch_embed.backward(dx, tape)
        return None if dx is None else channel_first(dx)

    def images(self, x: Array) -> Array:
        """x in the model's precision. Raises InputError unless it is (B, in_chans, H, W)."""
        return self.in_precision("x", x, ("B", self.in_chans, "H", "W"))

    def in_precision(self, name: str, array: Array, pattern: Pattern) -> Array:
        """The array in the model's dtype, whichever floating one it came in. Raises InputError
        unless it fits `pattern`."""
        check_array(type(self).__name__, name, array, pattern)
        return array.astype(self.patch_embed.conv_down[0].weight.dtype, copy=False)

    def astype(self: AnyTrunk, dtype: str) -> AnyTrunk:
        """A copy with parameters and buffers in another dtype; its `config` says so."""
        other = super().astype(dtype)
        other.config["dtype"] = str(np.dtype(dtype))
        return other

    def _build_trunk(self, switches: Quirks, init: Initializer, levels: int = 4) -> None:
        """The stem and the first `levels` levels; after the last of them nothing is downsampled."""
        config = self.config
        self.in_chans: int = config["in_chans"]
        self.patch_embed = PatchEmbed(config["in_chans"], config["in_dim"], config["dim"], init)
        self.levels = [
            _make_level(level, config, switches, init, last=level == levels - 1)
            for level in range(levels)
        ]


def _make_level(
    level: int, config: dict[str, Any], switches: Quirks, init: Initializer, last: bool
) -> ConvLevel | HybridLevel:
    depths, channels = config["depths"], config["dim"] * 2**level
    # Drop path rises over all blocks of the network.
    rates = np.linspace(0.0, config["drop_path_rate"], sum(depths)).tolist()
    rates = rates[sum(depths[:level]) :][: depths[level]]
    blocks: list[Any] = []
    for index, rate in enumerate(rates):
        if level < 2:
            blocks.append(ConvBlock(channels, rate, config["layer_scale_conv"], init))
            continue
        mixer: MambaVisionMixer | MultiHeadAttention
        if index < math.ceil(len(rates) / 2):
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
    if level < 2:
        return ConvLevel(blocks, downsample)
    return HybridLevel(
        blocks, config["window_size"][level], switches.padding == "masked", downsample
    )
