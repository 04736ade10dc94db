"""MambaVision: stem, four levels, head.

    image (B, in_chans, H, W)
      → stem, levels   (H/32, W/32)  8·dim    stages.py
      → norm, global average pool, linear

Hatamizadeh, Kautz: MambaVision, arXiv:2407.08083, figure 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..backend import Array
from ..core import Initializer, Tape
from ..errors import InputError
from ..execution.shares import in_shares
from ..layers.batchnorm import BatchNorm
from ..layers.layernorm import LayerNorm
from ..layers.linear import Linear
from ..layers.pool import AveragePool
from .arguments import check_arguments, check_integer, plain
from .quirks import resolve
from .trunk import Trunk, channel_first, channel_last


class MambaVision(Trunk):
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
    quirks              "official", "paper" or "corrected"; `dt_bias`, `dt_init`, `head_norm`,
                        `padding` set single switches (see mvnp/models/quirks.py)
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
        arguments = {**locals()}
        for name in ("self", "allocate", "__class__"):
            arguments.pop(name, None)
        self.config = plain("MambaVision", arguments)
        check_arguments(self.config)
        switches = resolve(
            quirks, dt_bias=dt_bias, dt_init=dt_init, head_norm=head_norm, padding=padding
        )
        init = Initializer(seed, self.config["dtype"], allocate)
        self._build_trunk(switches, init)
        norm = BatchNorm if switches.head_norm == "batch" else LayerNorm
        self.norm: BatchNorm | LayerNorm = norm(8 * dim, init=init)
        self.avgpool = AveragePool()
        self.head = Linear(8 * dim, num_classes, init=init) if num_classes else None
        self.num_classes = num_classes
        self.name_paths()

    def dlogits(self, dy: Array) -> Array:
        """dy in the model's precision. Raises InputError unless it is like the logits."""
        width = self.num_classes or self.norm.weight.shape[0]
        return self.in_precision("dlogits" if self.num_classes else "dpooled", dy, ("B", width))

    def dpooled(self, dpooled: Array) -> Array:
        """dpooled in the model's precision. Raises InputError unless it is (B, 8·dim)."""
        return self.in_precision("dpooled", dpooled, ("B", self.norm.weight.shape[0]))

    def dfeatures(self, dfeatures: Sequence[Array | None]) -> list[Array | None]:
        """All in the model's precision. Raises InputError unless they are like the features."""
        if len(dfeatures) != 4 or dfeatures[3] is None:
            raise InputError(
                "features_backward: expected four gradients, the last of them an array (zeros where"
                " it is unused)"
            )
        widths = [self.config["dim"] * 2**i for i in range(4)]
        return [
            d if d is None else self.in_precision(f"dfeatures[{i}]", d, ("B", width, "H", "W"))
            for i, (d, width) in enumerate(zip(dfeatures, widths, strict=True))
        ]

    @in_shares(Trunk.images)
    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        """Logits (B, num_classes) of images (B, in_chans, H, W) of any size."""
        x = self.patch_embed(channel_last(x), tape)
        for level in self.levels:
            x = level(x, tape)
            if level.downsample is not None:
                x = level.downsample(x, tape)
        x = self.norm(x, tape)
        x = self.avgpool(x, tape)
        return x if self.head is None else self.head(x, tape)

    @in_shares(dlogits)
    def backward(self, dy: Array, tape: Tape) -> Array | None:
        """dx (B, in_chans, H, W), from the gradient of the logits; None without `tape.inputs`."""
        dx = dy if self.head is None else self.head.backward(dy, tape)
        dx = self.avgpool.backward(dx, tape)
        dx = self.norm.backward(dx, tape)
        for level in reversed(self.levels):
            if level.downsample is not None:
                dx = level.downsample.backward(dx, tape)
            dx = level.backward(dx, tape)
        dx = self.patch_embed.backward(dx, tape)
        return None if dx is None else channel_first(dx)

    @in_shares(Trunk.images)
    def pooled(self, x: Array, tape: Tape | None = None) -> Array:
        """The last stage, behind its norm and pooled (B, 8·dim): what the head sees."""
        *_, x = self.stages(x, tape)
        x = self.norm(x, tape)
        return self.avgpool(x, tape)

    @in_shares(dpooled)
    def pooled_backward(self, dpooled: Array, tape: Tape) -> Array | None:
        """dx, from the gradient of `pooled`."""
        dx = self.avgpool.backward(dpooled, tape)
        dx = self.norm.backward(dx, tape)
        return self.stages_backward([None, None, None, dx], tape)

    @in_shares(Trunk.images)
    def features(self, x: Array, tape: Tape | None = None) -> list[Array]:
        """The four stages (B, C, H, W), each before its downsampling."""
        return [channel_first(stage) for stage in self.stages(x, tape)]

    @in_shares(dfeatures)
    def features_backward(self, dfeatures: Sequence[Array | None], tape: Tape) -> Array | None:
        """dx, from the gradients of `features`; None: nothing depends on that stage."""
        return self.stages_backward(
            [None if d is None else channel_last(d) for d in dfeatures], tape
        )

    def reset_head(self, num_classes: int, seed: int = 0) -> None:
        """Put a freshly drawn head for `num_classes` classes, 0: none, in place of the present
        one; all else stays."""
        check_integer("reset_head", "num_classes", num_classes, least=0)
        init = Initializer(seed, self.config["dtype"])
        width = 8 * self.config["dim"]
        self.head = Linear(width, num_classes, init=init) if num_classes else None
        self.num_classes = self.config["num_classes"] = num_classes
        self.name_paths()
