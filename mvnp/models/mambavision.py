"""MambaVision: stem, four levels, head.

    image (B, in_chans, H, W)
      → stem           (H/4, W/4)    dim
      → level 0, 1     (H/4, H/8)    dim, 2·dim      convolution blocks
      → level 2, 3     (H/16, H/32)  4·dim, 8·dim    scan and attention in windows
      → norm, global average pool, linear

A *stage* is the map of a level before its downsampling.

Hatamizadeh, Kautz: MambaVision, arXiv:2407.08083, figure 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array
from ..core import Initializer, Tape
from ..execution.shares import in_shares
from ..layers.batchnorm import BatchNorm
from ..layers.layernorm import LayerNorm
from ..layers.linear import Linear
from ..layers.pool import AveragePool
from .arguments import check_arguments, plain
from .attention import MultiHeadAttention
from .blocks import Block, ConvBlock
from .classifier import Classifier, channel_first, channel_last
from .mixer import MambaVisionMixer
from .mlp import Mlp
from .pattern import kinds
from .pyramid import Pyramid
from .quirks import Quirks, resolve
from .stages import ConvLevel, Downsample, HybridLevel, PatchEmbed


class MambaVision(Pyramid):
    """The whole network. `model(x)` gives logits, `model.pooled(x)` vectors, `model.features(x)`
    the four stages.

    dim, in_dim         width of level 0 and of the stem's first convolution
    depths              blocks of each of the four levels
    num_heads           attention heads of each level; those of levels 2 and 3 must divide 4·dim
                        and 8·dim
    window_size         window of each level; used in levels 2 and 3, where maps are padded to
                        multiples of it
    mlp_ratio           hidden width of the MLPs over their width
    drop_path_rate      drop path of the last block; it rises linearly from 0 at the first
    in_chans            image channels
    num_classes         0: no head, `model(x)` is `model.pooled(x)`
    qkv_bias            a bias in attention's q, k, v
    qk_scale            true: LayerNorm on q and k (the official signature's name for it)
    drop_rate           dropout in the MLPs and after attention, in training only
    attn_drop_rate      dropout of the attention weights, in training only
    layer_scale         initial layer scale on the branches of hybrid blocks; None: no layer scale
    layer_scale_conv    the same of convolution blocks
    d_state, d_conv     states for each channel and kernel size of the mixers
    mixer               "concat", the released one; from Mamba's block to it: "mamba",
                        "gated_one_conv", "gated", each with D = C/2, or D = C and "_wide" behind it
                        (mvnp/models/mixer.py has the rows of the paper's table 4)
    pattern             where attention stands in levels 2 and 3: "last_half" as released,
                        "last_quarter", "first_half", "interleaved_sm", "interleaved_ms", "random",
                        of the paper's table 5; "none", "all"; or two words such as ("MMMS", "MS")
                        (mvnp/models/pattern.py)
    pattern_seed        draws the "random" one
    quirks              "official", "paper" or "corrected"; `dt_bias`, `dt_init`, `head_norm`,
                        `padding` set single switches (see mvnp/models/quirks.py)
    dtype, seed         of the parameters, and of their initial values
    allocate            False: no values and no memory until `load_state_dict`

    Raises InputError for arguments that do not fit together, or images that do not fit the model.
    """

    HEAD_ARGUMENTS = ("num_classes", "head_norm")

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
        mixer: str = "concat",
        pattern: str | Sequence[str] = "last_half",
        pattern_seed: int = 0,
        quirks: str = "official",
        dt_bias: str | None = None,
        dt_init: str | None = None,
        head_norm: str | None = None,
        padding: str | None = None,
        dtype: str = "float32",
        seed: int = 0,
        allocate: bool = True,
    ) -> None:
        arguments = {**locals()}
        for name in ("self", "allocate", "__class__"):
            arguments.pop(name, None)
        self.config = plain("MambaVision", arguments)
        check_arguments(self.config)
        switches = resolve(
            quirks, dt_bias=dt_bias, dt_init=dt_init, head_norm=head_norm, padding=padding
        )
        init = Initializer(seed, self.config["dtype"], allocate)
        self.in_chans = in_chans
        self.patch_embed = PatchEmbed(in_chans, in_dim, dim, init)
        self.levels = [_make_level(level, self.config, switches, init) for level in range(4)]
        norm = BatchNorm if switches.head_norm == "batch" else LayerNorm
        self.norm = norm(8 * dim, init=init)
        self.avgpool = AveragePool()
        self.head = Linear(8 * dim, num_classes, init=init) if num_classes else None
        self.num_classes = num_classes
        self.name_paths()

    @property
    def channels(self) -> tuple[int, ...]:
        """dim, 2·dim, 4·dim, 8·dim."""
        return tuple(self.config["dim"] * 2**level for level in range(4))

    @property
    def strides(self) -> tuple[int, ...]:
        """4, 8, 16, 32."""
        return tuple(4 * 2**level for level in range(4))

    @in_shares(Classifier.images)
    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        """Logits (B, num_classes) of images (B, in_chans, H, W) of any size."""
        x = self.stem(x, tape)
        for level in self.levels:
            x = level(x, tape)
            if level.downsample is not None:
                x = level.downsample(x, tape)
        x = self.norm(x, tape)
        x = self.avgpool(x, tape)
        return x if self.head is None else self.head(x, tape)

    @in_shares(Classifier.dlogits)
    def backward(self, dy: Array, tape: Tape) -> Array | None:
        """dx (B, in_chans, H, W), from the gradient of the logits; None without `tape.inputs`."""
        dx = dy if self.head is None else self.head.backward(dy, tape)
        dx = self.avgpool.backward(dx, tape)
        dx = self.norm.backward(dx, tape)
        for level in reversed(self.levels):
            if level.downsample is not None:
                dx = level.downsample.backward(dx, tape)
            dx = level.backward(dx, tape)
        return self.stem_backward(dx, tape)

    def stem(self, x: Array, tape: Tape | None) -> Array:
        """(B, H/4, W/4, dim), of images (B, in_chans, H, W)."""
        return self.patch_embed(channel_last(x), tape)

    def stem_backward(self, dx: Array, tape: Tape) -> Array | None:
        """dx (B, in_chans, H, W), from the gradient of `stem`; None without `tape.inputs`."""
        dimage = self.patch_embed.backward(dx, tape)
        return None if dimage is None else channel_first(dimage)


def _make_level(
    level: int, config: dict[str, Any], switches: Quirks, init: Initializer
) -> ConvLevel | HybridLevel:
    depths, channels = config["depths"], config["dim"] * 2**level
    # Drop path rises over all blocks of the network.
    rates = np.linspace(0.0, config["drop_path_rate"], sum(depths)).tolist()
    rates = rates[sum(depths[:level]) :][: depths[level]]
    hybrid = kinds(config["pattern"], depths, config["pattern_seed"])
    words = ["C" * depths[0], "C" * depths[1], *hybrid]
    blocks: list[Any] = []
    for kind, rate in zip(words[level], rates, strict=True):
        if kind == "C":
            blocks.append(ConvBlock(channels, rate, config["layer_scale_conv"], init))
            continue
        mixer: MambaVisionMixer | MultiHeadAttention
        if kind == "M":
            mixer = MambaVisionMixer(
                channels, config["d_state"], config["d_conv"], switches, init, config["mixer"]
            )
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
    downsample = None if level == 3 else Downsample(channels, init)
    if level < 2:
        return ConvLevel(blocks, downsample)
    return HybridLevel(
        blocks, config["window_size"][level], switches.padding == "masked", downsample
    )
