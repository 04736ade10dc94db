"""Vim: tokens of an image, read there and back by a stack of Mamba blocks.

    image (B, in_chans, H, W)
      → patches     p x p, stride s     (B, M, d)        M = h w, h = ⌊(H − p)/s⌋ + 1, row by row
      → class token in the middle, + position embedding   (B, L, d)        L = M + 1
      → r ← r + m,  m = mixer(norm(r))     depth times, from r = the tokens, m = 0
      → norm(r + m), class token, linear

A block hands on two streams: the residual sum r, and m, which is not added yet. All stays at one
resolution; there is no MLP and no attention. The position embedding has a row for each token, so
that a network takes one size of image.

The stages are the mixer's outputs m as maps, after a quarter, half, three quarters and all of the
blocks, as the official detection models take them: without the residual sum, and no class token.

Zhu et al.: Vision Mamba, arXiv:2401.09417, section 3 and table 1; the middle of the sequence as the
place of the class token: its table 5.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array, array_module
from ..core import Initializer, Layer, Param, Tape, sum_rows
from ..errors import MOST_SIDE, InputError, check_choice, check_flags, check_rate
from ..execution.checkpointing import checkpointed
from ..execution.shares import in_shares
from ..layers.conv2d import Conv2d
from ..layers.drop_path import DropPath
from ..layers.layernorm import LayerNorm
from ..layers.linear import Linear
from ..layers.rmsnorm import RMSNorm
from .arguments import MOST, MOST_SEED, check_count, check_integer, check_number, plain
from .classifier import Classifier, channel_last
from .vim_mixer import VimMixer, turn

CLASS_TOKENS = ("middle", "head", "double")
POOLS = ("mean", "max", "last")
DIRECTIONS = ("both", "one", "shared", "paired")
NORMS: dict[str, type[RMSNorm | LayerNorm]] = {"rms": RMSNorm, "layer": LayerNorm}


class Patches(Layer):
    """An image (B, H, W, in_chans) to (B, h, w, d): a convolution whose patches are the tokens."""

    def __init__(self, in_chans: int, dim: int, patch: int, stride: int, init: Initializer) -> None:
        self.proj = Conv2d(in_chans, dim, patch, stride, init=Initializer(allocate=False))
        shape = self.proj.weight.shape
        # σ² = 1/fan_in of a normal distribution that is cut at ±2σ, which leaves .8796 of σ. The
        # release divides by that, and then cuts at ±2.
        std = math.sqrt(1 / math.prod(shape[1:])) / 0.87962566103423978
        self.proj.weight = Param(init.truncated_normal(shape, std))
        self.proj.bias = Param(init.full((dim,), 0.0))

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        return self.proj(x, tape)

    def backward(self, dy: Array, tape: Tape) -> Array | None:
        """dx; None where the tape says that the gradient of the images is not wanted."""
        return self.proj.backward(dy, tape, tape.inputs)


@checkpointed(by_sample=True)
class VimBlock(Layer):
    """m = mixer(norm(r)). `drop_path` acts on the m of the block before."""

    def __init__(self, mixer: VimMixer, norm: RMSNorm | LayerNorm, drop_path: float) -> None:
        self.mixer = mixer
        self.norm = norm
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        return self.mixer(self.norm(x, tape), tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        return self.norm.backward(self.mixer.backward(dy, tape), tape)


class Vim(Classifier):
    """The whole network. `model(x)` gives logits, `model.pooled(x)` vectors, `model.features(x)`
    maps of the stages.

    img_size        height and width of the images, or one number
    patch_size      p; stride: s, None: p
    embed_dim       d
    depth           blocks
    in_chans        image channels
    num_classes     0: no head, `model(x)` is `model.pooled(x)`
    d_state         states for each channel
    class_token     "middle": before patch M//2; "head": before all; "double": at both ends, and
                    their mean is the feature; None: `pool` makes the feature
    pool            "mean" of the tokens; "last" token; "max": the head at each token, and the
                    largest of each logit. Without effect where there is a class token
    directions      "both" (v2), "one", "shared" (v1): see vim_mixer.py; "paired": blocks in pairs
                    of one direction each, the second on the turned tokens, and both added
    halve           the mean of both directions, and not their sum; for "both"
    norm            "rms" or "layer"
    layer_scale     initial layer scale on the mixers; None: no layer scale
    drop_path_rate  drop path of the last mixer; it rises linearly from 0 at the first
    dtype, seed     of the parameters, and of their initial values
    allocate        False: no values and no memory until `load_state_dict`

    Raises InputError for arguments that do not fit together, or images that do not fit the model.
    """

    HEAD_ARGUMENTS = ("num_classes", "pool")

    def __init__(
        self,
        img_size: int | Sequence[int] = 224,
        patch_size: int = 16,
        stride: int | None = None,
        embed_dim: int = 192,
        depth: int = 24,
        in_chans: int = 3,
        num_classes: int = 1000,
        d_state: int = 16,
        class_token: str | None = "middle",
        pool: str = "mean",
        directions: str = "both",
        halve: bool = True,
        norm: str = "rms",
        layer_scale: float | None = None,
        drop_path_rate: float = 0.0,
        dtype: str = "float32",
        seed: int = 0,
        allocate: bool = True,
    ) -> None:
        arguments = {**locals()}
        for name in ("self", "allocate", "__class__"):
            arguments.pop(name, None)
        arguments["stride"] = patch_size if stride is None else stride
        self.config = plain("Vim", arguments)
        _check_arguments(self.config)
        init = Initializer(seed, self.config["dtype"], allocate)
        self.in_chans, self.num_classes = in_chans, num_classes
        M = math.prod(self.grid)
        if class_token == "double":
            self.cls_token_head = Param(init.truncated_normal((1, 1, embed_dim)))
            self.cls_token_tail = Param(init.truncated_normal((1, 1, embed_dim)))
        elif class_token is not None:
            self.cls_token = Param(init.truncated_normal((1, 1, embed_dim)))
        L = M + len(self.class_places)
        self.pos_embed = Param(init.truncated_normal((1, L, embed_dim)))
        self.patch_embed = Patches(in_chans, embed_dim, patch_size, self.config["stride"], init)
        self.head = Linear(embed_dim, num_classes, init=init) if num_classes else None
        # Drop path rises over the mixers; block i drops what block i − 1 gave.
        rates = [0.0, *np.linspace(0.0, drop_path_rate, depth).tolist()]
        each = "one" if directions == "paired" else directions
        self.layers = [
            VimBlock(
                VimMixer(embed_dim, d_state, each, halve, layer_scale, depth, init),
                NORMS[norm](embed_dim, init=init),
                rate,
            )
            for rate in rates[:depth]
        ]
        self.drop_path = DropPath(drop_path_rate)
        self.norm_f = NORMS[norm](embed_dim, init=init)
        self.name_paths()

    # Sizes and places

    @property
    def width(self) -> int:
        """embed_dim."""
        return self.config["embed_dim"]

    @property
    def image_size(self) -> tuple[int, int]:
        """Of the images that the position embedding was made for."""
        height, width = _pair(self.config["img_size"])
        return height, width

    @property
    def grid(self) -> tuple[int, int]:
        """h, w of the patches."""
        patch, stride = self.config["patch_size"], self.config["stride"]
        h, w = ((side - patch) // stride + 1 for side in self.image_size)
        return h, w

    @property
    def class_places(self) -> list[int]:
        """Where the class tokens stand among the L tokens."""
        M = math.prod(self.grid)
        places = {"middle": [M // 2], "head": [0], "double": [0, M + 1], None: []}
        return places[self.config["class_token"]]

    @property
    def patch_runs(self) -> list[slice]:
        """Where the patches stand among the L tokens."""
        places = self.class_places
        L = math.prod(self.grid) + len(places)
        return [slice(a + 1, b) for a, b in itertools.pairwise([-1, *places, L]) if a + 1 < b]

    @property
    def class_tokens(self) -> list[Param]:
        """The class tokens, in the order of their places."""
        if self.config["class_token"] == "double":
            return [self.cls_token_head, self.cls_token_tail]
        return [] if self.config["class_token"] is None else [self.cls_token]

    @property
    def feature_runs(self) -> list[slice]:
        """The tokens whose mean is the feature."""
        L = self.pos_embed.shape[1]
        if self.config["class_token"] is not None:
            return [slice(at, at + 1) for at in self.class_places]
        return [slice(0, L)] if self.config["pool"] == "mean" else [slice(L - 1, L)]

    @property
    def steps(self) -> list[list[VimBlock]]:
        """The blocks one after another, or in pairs."""
        size = 2 if self.config["directions"] == "paired" else 1
        return [self.layers[at : at + size] for at in range(0, len(self.layers), size)]

    @property
    def stage_ends(self) -> list[int]:
        """How many steps of the blocks come before the end of each stage: a quarter of them, half,
        three quarters, all; a pair is one step."""
        steps = self.config["depth"] // (2 if self.config["directions"] == "paired" else 1)
        return sorted({math.ceil(steps * quarter / 4) for quarter in (1, 2, 3, 4)})

    @property
    def channels(self) -> tuple[int, ...]:
        """embed_dim for each stage; of fewer than four blocks each is one."""
        return (self.width,) * len(self.stage_ends)

    @property
    def strides(self) -> tuple[int, ...]:
        """`stride` for each stage."""
        return (self.config["stride"],) * len(self.stage_ends)

    @property
    def head_takes_pooled(self) -> bool:
        """Not where it looks at each token by itself."""
        return not self.takes_largest

    @property
    def takes_largest(self) -> bool:
        """Whether the logits are the largest of all tokens' logits."""
        return self.config["class_token"] is None and self.config["pool"] == "max"

    def check_image_size(self, height: int, width: int) -> None:
        """Raise InputError unless images are of the size that the position embedding is for."""
        if (height, width) != self.image_size:
            known = "x".join(map(str, self.image_size))
            raise InputError(
                f"Vim: images of {height}x{width}, expected {known}, which the position embedding"
                f" was made for; resize them, or make the model with img_size=({height}, {width}):"
                " load_pretrained then interpolates the embedding"
            )

    @classmethod
    def fitting(cls, image_size: int, channels: int, classes: int, seed: int) -> dict[str, Any]:
        """The arguments that follow from a data set where nobody says otherwise."""
        return {**super().fitting(image_size, channels, classes, seed), "img_size": image_size}

    # Forward and backward

    @in_shares(Classifier.images)
    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        """Logits (B, num_classes) of images (B, in_chans, H, W) of `image_size`."""
        n = self._encode(x, tape)
        if self.takes_largest:
            return self._largest(n if self.head is None else self.head(n, tape), tape)
        feature = self._feature(n, tape)
        return feature if self.head is None else self.head(feature, tape)

    @in_shares(Classifier.dlogits)
    def backward(self, dy: Array, tape: Tape) -> Array | None:
        """dx (B, in_chans, H, W), from the gradient of the logits; None without `tape.inputs`."""
        if self.takes_largest:
            dn = self._largest_backward(dy, tape)
            return self._encode_backward(
                dn if self.head is None else self.head.backward(dn, tape), tape
            )
        dy = dy if self.head is None else self.head.backward(dy, tape)
        return self._encode_backward(self._feature_backward(dy, tape), tape)

    @in_shares(Classifier.images)
    def pooled(self, x: Array, tape: Tape | None = None) -> Array:
        """The feature (B, embed_dim): the class token, the mean of two, or what `pool` says, behind
        the last norm."""
        n = self._encode(x, tape)
        return self._largest(n, tape) if self.takes_largest else self._feature(n, tape)

    @in_shares(Classifier.dpooled)
    def pooled_backward(self, dpooled: Array, tape: Tape) -> Array | None:
        """dx, from the gradient of `pooled`."""
        back = self._largest_backward if self.takes_largest else self._feature_backward
        return self._encode_backward(back(dpooled, tape), tape)

    def _encode(self, x: Array, tape: Tape | None) -> Array:
        """All tokens (B, L, d), behind the last norm."""
        r, m, _ = self._blocks(self._tokens(x, tape), tape)
        return self.norm_f(r + self.drop_path(m, tape), tape)

    def _encode_backward(self, dn: Array, tape: Tape) -> Array | None:
        dr = self.norm_f.backward(dn, tape)
        dm = self.drop_path.backward(dr, tape)
        return self._tokens_backward(self._blocks_backward(dr, dm, [], tape), tape)

    def _blocks(self, r: Array, tape: Tape | None) -> tuple[Array, Array, list[Array]]:
        """r and m behind the last block, and m at the end of each stage."""
        m, ends = None, []
        for number, step in enumerate(self.steps, 1):
            if len(step) == 1:
                block = step[0]
                r = r if m is None else r + block.drop_path(m, tape)
                m = block(r, tape)
            else:
                there, back = step
                r_there = r if m is None else r + there.drop_path(m, tape)
                r_back = r if m is None else r + back.drop_path(m, tape)
                m = there(r_there, tape) + turn(back(turn(r_back), tape))
                r = r_there + r_back
            if number in self.stage_ends:
                ends.append(m)
        assert m is not None
        return r, m, ends

    def _blocks_backward(
        self, dr: Array | None, dm: Array | None, dends: list[Array | None], tape: Tape
    ) -> Array:
        """The gradient of the tokens, from those of what `_blocks` gives; None: nothing depends on
        it. `dends` are those of as many of the last stages."""
        steps = self.steps
        waiting = list(dends)
        for number, step in reversed(list(enumerate(steps, 1))):
            if waiting and number in self.stage_ends:
                dm = _sum(dm, waiting.pop())
            # r is what the block was given, and is handed on; m is given to its drop path.
            if len(step) == 1:
                block = step[0]
                dr = _sum(dr, None if dm is None else block.backward(dm, tape))
                dm = None if number == 1 else block.drop_path.backward(dr, tape)
            else:
                there, back = step
                d_back = turn(back.backward(turn(dm), tape))
                d_there = _sum(dr, there.backward(dm, tape))
                d_back = _sum(dr, d_back)
                dr = d_there + d_back
                if number > 1:
                    dm = back.drop_path.backward(d_back, tape)
                    dm = dm + there.drop_path.backward(d_there, tape)
        assert dr is not None
        return dr

    # The ends

    def _tokens(self, x: Array, tape: Tape | None) -> Array:
        """(B, L, d): patches and class tokens, with their positions."""
        patches = self.patch_embed(channel_last(x), tape)
        B, _, _, d = patches.shape
        x = patches.reshape(B, -1, d)
        xp = array_module(x)
        for token, at in zip(self.class_tokens, self.class_places, strict=True):
            token = xp.broadcast_to(token.data, (B, 1, d))
            x = xp.concatenate([x[:, :at], token, x[:, at:]], axis=1)
        return x + self.pos_embed.data

    def _tokens_backward(self, dx: Array, tape: Tape) -> Array | None:
        """The gradient of the images (B, in_chans, H, W)."""
        # Every image met the same embedding and class tokens: their gradients are sums.
        total = sum_rows(dx, axes=2)[None]
        tape.accumulate(self.pos_embed, total)
        for token, at in zip(self.class_tokens, self.class_places, strict=True):
            tape.accumulate(token, total[:, at : at + 1])
        dx = self.patch_embed.backward(self._map(dx), tape)
        return None if dx is None else dx.transpose(0, 3, 1, 2)

    def _feature(self, n: Array, tape: Tape | None) -> Array:
        """(B, d) of all tokens (B, L, d)."""
        feature = sum(n[:, run].sum(axis=1, dtype="float64") for run in self.feature_runs)
        mean = feature / sum(run.stop - run.start for run in self.feature_runs)
        return self.record(tape, (mean.astype(n.dtype), n.shape))

    def _feature_backward(self, dy: Array, tape: Tape) -> Array:
        dn = array_module(dy).zeros(tape.pop(self), dy.dtype)
        for run in self.feature_runs:
            dn[:, run] = dy[:, None] / sum(run.stop - run.start for run in self.feature_runs)
        return dn

    def _largest(self, n: Array, tape: Tape | None) -> Array:
        """The largest over the tokens, (B, L, ...) to (B, ...)."""
        largest = n.argmax(axis=1)[:, None]
        y = array_module(n).take_along_axis(n, largest, axis=1)[:, 0]
        return self.record(tape, (y, (largest, n.shape[1])))

    def _largest_backward(self, dy: Array, tape: Tape) -> Array:
        largest, L = tape.pop(self)
        xp = array_module(dy)
        chosen = xp.arange(L)[None, :, None] == largest
        return chosen * dy[:, None]

    # Stages

    def stages(self, x: Array, tape: Tape | None = None) -> list[Array]:
        """The maps (B, h, w, embed_dim) of m, of images (B, in_chans, H, W)."""
        _, _, ends = self._blocks(self._tokens(x, tape), tape)
        return [self._map(m) for m in ends]

    def stages_backward(self, dstages: Sequence[Array | None], tape: Tape) -> Array | None:
        """dx (B, in_chans, H, W), from the gradients of the stages; None: nothing depends on it."""
        dends = [None if d is None else self._map_backward(d) for d in dstages]
        return self._tokens_backward(self._blocks_backward(None, None, dends, tape), tape)

    def _map(self, x: Array) -> Array:
        """The patches of all tokens (B, L, d), as a map (B, h, w, d)."""
        patches = array_module(x).concatenate([x[:, run] for run in self.patch_runs], axis=1)
        return patches.reshape(len(x), *self.grid, -1)

    def _map_backward(self, dmap: Array) -> Array:
        """Of all tokens: 0 at the class tokens."""
        xp, B, L, d = array_module(dmap), len(dmap), self.pos_embed.shape[1], dmap.shape[3]
        places = xp.concatenate([xp.arange(L)[run] for run in self.patch_runs])
        dx = xp.zeros((B, L, d), dmap.dtype)
        dx[:, places] = dmap.reshape(B, -1, d)
        return dx

    def cut_after(self, stage: int) -> None:
        """Leave off head and last norm, and the blocks behind this stage."""
        size = 2 if self.config["directions"] == "paired" else 1
        del self.layers[self.stage_ends[stage] * size :]
        self.head = None
        del self.norm_f, self.drop_path

    def depth_of(self, key: str) -> int:
        """The block, counted from 1; patches, class tokens and positions have 0."""
        parts = key.split(".")
        if parts[0] == "layers":
            return int(parts[1]) + 1
        return self.config["depth"] + 1 if parts[0] in ("norm_f", "head") else 0


def _sum(*gradients: Array | None) -> Any:
    """Of those that there are; None where there is none."""
    there = [gradient for gradient in gradients if gradient is not None]
    return sum(there[1:], there[0]) if there else None


def _pair(size: Any) -> list[Any]:
    return list(size) if isinstance(size, list | tuple) else [size, size]


def _check_arguments(config: dict[str, Any]) -> None:
    """Raise InputError, naming the argument, unless a Vim can be built from these."""
    leasts = {
        "patch_size": 1,
        "stride": 1,
        "embed_dim": 1,
        "depth": 1,
        "in_chans": 1,
        "num_classes": 0,
        "d_state": 1,
        "seed": 0,
    }
    for name, least in leasts.items():
        check_integer("Vim", name, config[name], least, MOST_SEED if name == "seed" else MOST)
    sides = _pair(config["img_size"])
    if len(sides) != 2:
        raise InputError(
            f"Vim: img_size is {config['img_size']!r}, expected one number, or (height, width)"
        )
    for side in sides:
        check_integer("Vim", "a side of img_size", side, config["patch_size"], MOST_SIDE)
    width, depth = config["embed_dim"], config["depth"]
    tokens = math.prod((side - config["patch_size"]) // config["stride"] + 1 for side in sides)
    ends = config["in_chans"] * config["patch_size"] ** 2 + tokens + config["num_classes"]
    each = width * (6.5 * width + 12 * config["d_state"])  # of a block, roughly
    check_count("Vim", f"embed_dim {width}, depth {depth}", depth, width * ends + depth * each)
    if config["class_token"] is not None:
        check_choice("class_token", config["class_token"], CLASS_TOKENS)
    choices = {"pool": POOLS, "directions": DIRECTIONS, "norm": NORMS}
    for name, known in choices.items():
        check_choice(name, config[name], known)
    check_flags("Vim", halve=config["halve"])
    if config["directions"] == "paired" and config["depth"] % 2:
        raise InputError(
            f"Vim: depth is {config['depth']}, and directions='paired' takes blocks two by two;"
            " choose an even depth"
        )
    check_number("Vim", "drop_path_rate", config["drop_path_rate"])
    check_rate("Vim", "drop_path_rate", config["drop_path_rate"])
    if config["layer_scale"] is not None:
        check_number("Vim", "layer_scale", config["layer_scale"], ", or None for no layer scale")
