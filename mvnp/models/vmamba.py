"""VMamba: stem, stages of SS2D blocks, head.

    image (B, in_chans, H, W)
      → stem       (H/4, W/4)              dims[0]                vss_stages.py
      → stage i    (H/2^(i+2), W/2^(i+2))  dims[i]                ss2d.py
      → norm, global average pool, linear

Every token mixes by four scans over the whole map: there are no windows and no attention. Images
of any size will do; what 2 does not divide is rounded up.

Liu et al.: VMamba, arXiv:2401.10166, figure 3. Version "v2" is the final one; "v0" is that of
January 2024, the paper's "vanilla" VMamba: a gate, no MLP, patch merging, 16 states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..backend import Array
from ..core import Initializer, Tape
from ..errors import InputError, check_choice, check_rate, shown
from ..execution.shares import in_shares
from ..layers.cross_scan import ROUTES
from ..layers.layernorm import LayerNorm
from ..layers.linear import Linear
from ..layers.pool import AveragePool
from .arguments import MOST, MOST_SEED, check_count, check_integer, check_number, plain
from .classifier import Classifier, channel_first, channel_last
from .mlp import Mlp
from .pyramid import Pyramid
from .ss2d import ACTIVATIONS, INITS, SS2D, Cascade
from .vss_stages import (
    GatedMlp,
    PositionalEmbedding,
    VSSBlock,
    VSSStage,
    downsample,
    patch_embed,
)

# What each version has where an option is not given.
VERSIONS: dict[str, dict[str, Any]] = {
    "v2": {
        "d_state": 1,
        "ssm_ratio": 1.0,
        "mlp_ratio": 4.0,
        "forward_type": "v05_noz",
        "ssm_conv_bias": False,
        "downsample_version": "v3",
        "patchembed_version": "v2",
    },
    "v0": {
        "d_state": 16,
        "ssm_ratio": 2.0,
        "mlp_ratio": 0.0,
        "forward_type": "v0",
        "ssm_conv_bias": True,
        "downsample_version": "v1",
        "patchembed_version": "v1",
    },
}

# The first word of a `forward_type`: which routes its four groups of parameters read.
SCANS: dict[str, tuple[int, ...] | None] = {
    "v0": ROUTES,
    "v05": ROUTES,
    "v051d": (0, 0, 0, 0),
    "v052d": (0, 0, 2, 2),
    "v052dc": None,  # the cascade
}
# The words behind it: the argument of SS2D that each sets.
FLAGS = {
    "noz": ("gate", "none"),
    "nozact": ("gate", "plain"),
    "onnone": ("out_norm", "none"),
    "ondwconv3": ("out_norm", "dwconv3"),
}


class ForwardType(NamedTuple):
    """What a `forward_type` of the official release, such as v05_onnone_noz, says."""

    routes: tuple[int, ...] | None
    gate: str
    out_norm: str


class VMamba(Pyramid):
    """The whole network. `model(x)` gives logits, `model.pooled(x)` vectors, `model.features(x)`
    the stages.

    dims                widths of the stages; one number: of the first, and each next is twice as
                        wide
    depths              blocks of each stage
    in_chans            image channels
    num_classes         0: no head, `model(x)` is `model.pooled(x)`
    d_state             states for each channel of a scan; ssm_ratio: its channels over the width
    mlp_ratio           hidden width of the MLPs over their width; 0: no MLP
    version             "v2" or "v0"; it says what stands where an option is None
    patch_size          4: the stem makes a map a quarter as high and wide; the stem of one
                        convolution takes other sizes too
    drop_path_rate      drop path of the last block; it rises linearly from 0 at the first
    dtype, seed         of the parameters, and of their initial values
    allocate            False: no values and no memory until `load_state_dict`

    The options of the official release, by its names; None: what the version has.

    forward_type        "v05": cross-scan with a gate; "v051d": all groups read row by row;
                        "v052d": there and back; "v052dc": along rows, then columns. Behind it, in
                        any order, "_noz": no gate, "_nozact": a gate without SiLU, "_onnone":
                        no norm behind the scans, "_ondwconv3": a depthwise convolution instead
    ssm_dt_rank         "auto": a sixteenth of the width, rounded up
    ssm_act_layer       "silu", "relu" or "gelu"; mlp_act_layer: that of the MLPs
    ssm_conv            size of the depthwise kernel, below 2: none; ssm_conv_bias: with a bias
    ssm_init            "v0": as Mamba; "v1" and "v2": the paper's "rand" and "zero"
    gmlp                gated MLPs
    norm_layer          "ln2d" or "ln": how the release lays out its maps; the numbers are the same
    downsample_version  "v3": convolution 3x3; "v2": 2x2; "v1": patch merging
    patchembed_version  "v2": two convolutions; "v1": one, of the patch's size
    patch_norm          LayerNorm in the stem
    posembed            a positional embedding, for images of `img` x `img` only
    ssm_d_state         d_state

    Raises InputError for arguments that do not fit together, or images that do not fit the model.
    """

    key_of: ClassVar = {"levels": "layers", "norm": "classifier.norm", "head": "classifier.head"}

    def __init__(
        self,
        dims: int | Sequence[int] = (96, 192, 384, 768),
        depths: Sequence[int] = (2, 2, 8, 2),
        in_chans: int = 3,
        num_classes: int = 1000,
        d_state: int | None = None,
        ssm_ratio: float | None = None,
        mlp_ratio: float | None = None,
        version: str = "v2",
        patch_size: int = 4,
        drop_path_rate: float = 0.0,
        forward_type: str | None = None,
        ssm_dt_rank: int | str = "auto",
        ssm_act_layer: str = "silu",
        ssm_conv: int = 3,
        ssm_conv_bias: bool | None = None,
        ssm_init: str = "v0",
        mlp_act_layer: str = "gelu",
        gmlp: bool = False,
        norm_layer: str = "ln2d",
        downsample_version: str | None = None,
        patchembed_version: str | None = None,
        patch_norm: bool = True,
        posembed: bool = False,
        img: int = 224,
        ssm_d_state: int | None = None,
        dtype: str = "float32",
        seed: int = 0,
        allocate: bool = True,
    ) -> None:
        arguments = {**locals()}
        arguments["d_state"] = ssm_d_state if d_state is None else d_state
        for name in ("self", "allocate", "ssm_d_state", "__class__"):
            arguments.pop(name, None)
        check_choice("version of VMamba", version, VERSIONS)
        of_version = VERSIONS[version]  # has what is None
        given = {n: v for n, v in arguments.items() if v is not None or n not in of_version}
        self.config = checked({**of_version, **plain("VMamba", given)})
        init = Initializer(seed, self.config["dtype"], allocate)
        self._build(init)
        self.norm = LayerNorm(self.channels[-1], init=init)
        self.avgpool = AveragePool()
        self.head = Linear(self.channels[-1], num_classes, init=init) if num_classes else None
        self.num_classes = num_classes
        self.name_paths()

    def _build(self, init: Initializer) -> None:
        """Stem and stages."""
        config, dims, depths = self.config, self.config["dims"], self.config["depths"]
        self.in_chans = config["in_chans"]
        side = config["img"] // config["patch_size"]
        self.pos_embed = (
            PositionalEmbedding(dims[0], side, side, init) if config["posembed"] else None
        )
        self.patch_embed = patch_embed(
            config["patchembed_version"],
            config["in_chans"],
            dims[0],
            config["patch_size"],
            config["patch_norm"],
            init,
        )
        # Drop path rises over all blocks of the network.
        rates = iter(np.linspace(0.0, config["drop_path_rate"], sum(depths)).tolist())
        self.levels = []
        for dim, depth, following in zip(dims, depths, [*dims[1:], None], strict=True):
            blocks = [_make_block(dim, config, next(rates), init) for _ in range(depth)]
            between = None
            if following is not None:
                between = downsample(config["downsample_version"], dim, following, init)
            self.levels.append(VSSStage(blocks, between))

    @property
    def channels(self) -> tuple[int, ...]:
        """dims."""
        return tuple(self.config["dims"])

    @property
    def strides(self) -> tuple[int, ...]:
        """patch_size, and twice as many at each further stage."""
        return tuple(self.config["patch_size"] * 2**stage for stage in range(len(self.channels)))

    @property
    def image_size(self) -> tuple[int, int] | None:
        """With a positional embedding, that of `img`; else None: any."""
        return (self.config["img"],) * 2 if self.config["posembed"] else None

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
        """(B, H/4, W/4, dims[0]), of images (B, in_chans, H, W)."""
        x = self.patch_embed(channel_last(x), tape)
        return x if self.pos_embed is None else self.pos_embed(x, tape)

    def stem_backward(self, dx: Array, tape: Tape) -> Array | None:
        """dx (B, in_chans, H, W), from the gradient of `stem`; None without `tape.inputs`."""
        dx = dx if self.pos_embed is None else self.pos_embed.backward(dx, tape)
        dimage = self.patch_embed.backward(dx, tape)
        return None if dimage is None else channel_first(dimage)


def _make_block(dim: int, config: dict[str, Any], rate: float, init: Initializer) -> VSSBlock:
    scans = parsed(config["forward_type"])
    rank = config["ssm_dt_rank"]
    kind, routes = (Cascade, ROUTES) if scans.routes is None else (SS2D, scans.routes)
    op = kind(
        dim,
        d_state=config["d_state"],
        ratio=config["ssm_ratio"],
        rank=None if rank == "auto" else rank,
        routes=routes,
        activation=config["ssm_act_layer"],
        gate=scans.gate,
        conv=config["ssm_conv"] if config["ssm_conv"] > 1 else 0,
        conv_bias=config["ssm_conv_bias"],
        out_norm=scans.out_norm,
        start=config["ssm_init"],
        init=init,
    )
    if config["forward_type"] == "v0":  # in whose keys two parts stand elsewhere
        op.out_norm, op.out_proj = vars(op).pop("out_norm"), vars(op).pop("out_proj")
    hidden, mlp = int(dim * config["mlp_ratio"]), None
    if hidden:
        kind_of_mlp = GatedMlp if config["gmlp"] else Mlp
        mlp = kind_of_mlp(dim, hidden, init=init, act=ACTIVATIONS[config["mlp_act_layer"]]())
    return VSSBlock(dim, op, mlp, rate, init)


def parsed(forward_type: str) -> ForwardType:
    """What a `forward_type` says. Raises InputError for a word that is unknown."""
    scan, *flags = str(forward_type).split("_")
    check_choice("forward_type of VMamba, which begins with", scan, SCANS)
    words = {"gate": "activated", "out_norm": "layer"}
    for flag in flags:
        check_choice(f"part of the forward_type {forward_type!r}", flag, FLAGS)
        name, value = FLAGS[flag]
        words[name] = value
    return ForwardType(SCANS[scan], **words)


def checked(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments with dims as a list. Raises InputError, naming the argument, unless a VMamba
    can be built from these."""
    depths, dims = config["depths"], config["dims"]
    if not _integers(depths):
        raise InputError(
            f"VMamba: depths is {shown(depths)}, expected a list of integers of at least 1, one"
            f" for each stage, at most {MOST}"
        )
    if isinstance(dims, int) and not isinstance(dims, bool):
        config["dims"] = dims = [dims * 2**i for i in range(len(depths))]
    if not _integers(dims) or len(dims) != len(depths):
        raise InputError(
            f"VMamba: dims is {shown(dims)}, expected {len(depths)} integers of at least 1, one"
            f" for each of depths, or the first of them, which doubles; at most {MOST}"
        )
    leasts = {"in_chans": 1, "num_classes": 0, "d_state": 1, "patch_size": 1, "img": 1, "seed": 0}
    for name, least in leasts.items():
        check_integer("VMamba", name, config[name], least, MOST_SEED if name == "seed" else MOST)
    choices = {
        "ssm_act_layer": ACTIVATIONS,
        "mlp_act_layer": ACTIVATIONS,
        "norm_layer": ("ln2d", "ln"),
        "ssm_init": INITS,
        "downsample_version": ("v1", "v2", "v3"),
        "patchembed_version": ("v1", "v2"),
    }
    for name, known in choices.items():
        check_choice(f"{name} of VMamba", config[name], known)
    _check_sizes(config)
    return config


def _check_sizes(config: dict[str, Any]) -> None:
    check_integer("VMamba", "ssm_conv", config["ssm_conv"], least=-1)
    if config["ssm_dt_rank"] != "auto":
        check_integer("VMamba", "ssm_dt_rank", config["ssm_dt_rank"], least=1)
    check_number("VMamba", "drop_path_rate", config["drop_path_rate"])
    check_rate("VMamba", "drop_path_rate", config["drop_path_rate"])
    for name, least in (("ssm_ratio", 1), ("mlp_ratio", 0)):
        check_number("VMamba", name, config[name])
        if config[name] > MOST:
            raise InputError(f"VMamba: {name} is {config[name]}, expected at most {MOST}")
        if config[name] < 0 or int(min(config["dims"]) * config[name]) < least:
            raise InputError(
                f"VMamba: {name} is {config[name]}, expected a number that makes at least {least}"
                f" channels of the {min(config['dims'])} of the narrowest stage"
            )
    wide = 4 * config["ssm_ratio"] + 2 * config["mlp_ratio"]  # of a block's matrices, roughly
    levels = zip(config["depths"], config["dims"], strict=True)
    total = sum(depth * wide * dim**2 for depth, dim in levels)
    total += config["num_classes"] * config["dims"][-1]
    given = f"dims {config['dims']}, depths {config['depths']}"
    check_count("VMamba", given, sum(config["depths"]), total)
    patch, first = config["patch_size"], config["dims"][0]
    if config["patchembed_version"] == "v2" and (patch != 4 or first < 2):
        raise InputError(
            f"VMamba: patch_size is {patch} and dims[0] {first}, expected"
            " 4 and at least 2: the stem halves the map twice, and its first convolution has half"
            ' of the channels; with patchembed_version "v1" any will do'
        )
    if config["posembed"] and config["img"] % config["patch_size"]:
        raise InputError(
            f"VMamba: img is {config['img']}, expected a multiple of patch_size,"
            f" {config['patch_size']}, for a positional embedding"
        )


def _integers(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) > 0
        and all(isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= MOST for v in values)
    )
