"""Gradient checks of the parts of a model, and of a whole small one, for `mvnp check`.

Parameters are moved off their initial values first: a bias of 0 or a gain of 1 hides what is multiplied by it, and a branch
with a gain of 1e-5 hides everything.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..backend import Array, array_module, from_numpy
from ..core import Layer, Tape
from ..layers.relu import ReLU
from ..models.attention import MultiHeadAttention
from ..models.blocks import Block, ConvBlock
from ..models.mambavision import MambaVision
from ..models.mixer import MIXERS, MambaVisionMixer
from ..models.mlp import Mlp
from ..models.quirks import Quirks
from ..models.ss2d import SS2D, Cascade
from ..models.stages import Downsample, HybridLevel, PatchEmbed
from ..models.vim import Vim
from ..models.vim_mixer import DIRECTIONS, VimMixer
from ..models.vmamba import VMamba
from ..models.vss_stages import PatchMerging, VSSBlock
from .gradcheck import Report, gradcheck_layer

KINK_MARGIN = 1e-3  # what every ReLU's inputs keep from 0; a check moves them by less
TRIES = 500

Row = tuple[str, str, Callable[..., Report]]


def check_part(
    make: Callable[[], Layer], shape: tuple[int, ...], *, training: bool = True, directions: int = 3, **options: Any
) -> Report:
    """`gradcheck_layer`, along random directions, of what `make` gives, with an input (shape) that is off all kinks."""
    layer = make().astype("float64")
    generator = np.random.default_rng(23)
    for _, param in layer.named_parameters():
        param.data = param.data + from_numpy(0.5 * generator.standard_normal(param.shape))
    x = off_kinks(layer, shape, training)
    return gradcheck_layer(layer, x, training=training, jacobian=False, directions=directions, **options)


def off_kinks(layer: Layer, shape: tuple[int, ...], training: bool, margin: float = KINK_MARGIN) -> np.ndarray:
    """A standard normal input, of the first seed for which no ReLU inside comes nearer than `margin` to its kink."""
    for seed in range(TRIES):
        x = np.random.default_rng(seed).standard_normal(shape)
        if nearest_kink(layer, x, training) > margin:
            return x
    raise AssertionError(f"none of {TRIES} inputs of shape {shape} keeps {layer.label} off its kinks")


def nearest_kink(layer: Layer, x: np.ndarray, training: bool) -> float:
    """The smallest absolute value that any ReLU inside sees in a forward of x; infinity where there is no ReLU."""
    relus = [part for _, part in layer.named_layers() if isinstance(part, ReLU)]
    seen = [np.inf]

    def watched(relu: ReLU, x: Array, tape: Tape | None = None) -> Array:
        seen.append(float(array_module(x).abs(x).min()))
        return ReLU.forward(relu, x, tape)

    try:
        for relu in relus:
            vars(relu)["forward"] = partial(watched, relu)
        layer(from_numpy(x), Tape(training=training))
    finally:
        for relu in relus:
            vars(relu).pop("forward", None)
    return min(seen)


def _mixer(**quirks: str) -> MambaVisionMixer:
    return MambaVisionMixer(8, d_state=3, quirks=Quirks(**quirks))


def _attention(**options: Any) -> MultiHeadAttention:
    return MultiHeadAttention(8, 2, **options)


def _block(mixer: Callable[[], MambaVisionMixer | MultiHeadAttention], **options: Any) -> Block:
    return Block(8, mixer(), Mlp(8, 12, drop=0.1), **options)


def _hybrid_level(mask: bool) -> HybridLevel:
    return HybridLevel([_block(_mixer), _block(_attention)], window=3, mask_padding=mask, downsample=None)


def _model(**options: Any) -> MambaVision:
    """Blocks of every kind, windows that do not fit the map, and drop path."""
    shape = {"dim": 2, "in_dim": 2, "depths": (1, 1, 2, 2), "num_heads": (1, 1, 2, 2), "window_size": (8, 8, 2, 2)}
    return MambaVision(**{**shape, "in_chans": 1, "num_classes": 3, "d_state": 2, "drop_path_rate": 0.1, **options})


def _case(layer: str, what: str, make: Callable[..., Layer], shape: tuple[int, ...], **options: Any) -> Row:
    return layer, what, partial(check_part, make, shape, **options)


def _model_case(what: str, training: bool = True, **options: Any) -> Row:
    # Three images of 40x34, of which levels 2 and 3 see 3x3 and 2x2 tokens.
    return _case("model", what, partial(_model, **options), (3, 1, 40, 34), training=training, directions=1)


def _vim(**options: Any) -> Vim:
    """Overlapping patches, with pixels left over, and drop path."""
    shape = {"img_size": (12, 10), "patch_size": 4, "stride": 3, "embed_dim": 4, "depth": 2, "in_chans": 1, "num_classes": 3}
    return Vim(**{**shape, "d_state": 2, "drop_path_rate": 0.1, **options})


def _vim_case(what: str, **options: Any) -> Row:
    return _case("vim", what, partial(_vim, **options), (3, 1, 12, 10), directions=1)


_ALL_OPTIONS: dict[str, Any] = {
    "quirks": "corrected",
    "head_norm": "layer",
    "qk_scale": True,
    "layer_scale": 0.5,
    "layer_scale_conv": 0.5,
}


def _vmamba(**options: Any) -> VMamba:
    """Three images of 18x13, of which the stages see 5x4, 3x2 and 2x1 tokens."""
    shape = {"dims": (8, 4, 6), "depths": (1, 1, 1), "in_chans": 1, "num_classes": 3, "drop_path_rate": 0.1, "mlp_ratio": 2.0}
    return VMamba(**{**shape, **options})


# layer, what is special about the case, check
MODEL_CASES: list[Row] = [
    _case("attention", "multi-head", _attention, (2, 5, 8)),
    _case("attention", "multi-head, qk-norm, no qkv bias", partial(_attention, qkv_bias=False, qk_norm=True), (2, 5, 8)),
    _case("attention", "multi-head, dropout", partial(_attention, attn_drop=0.2, proj_drop=0.2), (2, 5, 8)),
    _case("mixer", "dt bias twice", partial(_mixer, dt_bias="twice"), (2, 5, 8)),
    _case("mixer", "dt bias once", partial(_mixer, dt_bias="once", dt_init="published"), (2, 5, 8)),
    *(_case("mixer", name, partial(MambaVisionMixer, 8, 3, mixer=name), (2, 5, 8)) for name in MIXERS if name != "concat"),
    _case("mlp", "dropout", partial(Mlp, 6, 9, drop=0.2), (2, 4, 6)),
    _case("conv_block", "", partial(ConvBlock, 4), (2, 4, 3, 4)),
    _case("conv_block", "layer scale, drop path", partial(ConvBlock, 4, 0.3, 0.5), (4, 3, 3, 4)),
    _case("block", "mixer", partial(_block, _mixer), (2, 4, 8)),
    _case("block", "attention, layer scale, drop path", partial(_block, _attention, drop_path=0.3, layer_scale=0.5), (4, 4, 8)),
    _case("patch_embed", "training", partial(PatchEmbed, 2, 3, 4), (2, 7, 8, 2)),
    _case("patch_embed", "evaluation", partial(PatchEmbed, 2, 3, 4), (2, 7, 8, 2), training=False),
    _case("downsample", "", partial(Downsample, 3), (2, 4, 5, 3)),
    _case("hybrid_level", "no padding", partial(_hybrid_level, False), (1, 3, 6, 8)),
    _case("hybrid_level", "padded", partial(_hybrid_level, False), (2, 4, 2, 8)),
    _case("hybrid_level", "padding masked", partial(_hybrid_level, True), (2, 4, 2, 8)),
    _case("ss2d", "", partial(SS2D, 6, d_state=2), (2, 3, 2, 6)),
    _case("ss2d", "gate, two directions", partial(SS2D, 6, gate="activated", routes=(0, 0, 2, 2)), (2, 3, 2, 6)),
    _case("ss2d", "cascade", partial(Cascade, 6), (2, 3, 2, 6)),
    _case("patch_merging", "padded", partial(PatchMerging, 3, 5), (2, 3, 5, 3)),
    _case("vss_block", "drop path", lambda: VSSBlock(6, SS2D(6), Mlp(6, 9), 0.3), (4, 2, 3, 6)),
    _model_case("training"),
    _model_case("evaluation", training=False),
    _model_case("corrected, with every option", **_ALL_OPTIONS),
    _model_case("gates, attention first", mixer="gated", pattern="first_half"),
    _case("vmamba", "v2", _vmamba, (3, 1, 18, 13), directions=1),
    _case("vmamba", "v0", partial(_vmamba, version="v0", d_state=2), (3, 1, 18, 13), directions=1),
    *(_case("vim_mixer", directions, partial(VimMixer, 4, 3, directions), (2, 5, 4)) for directions in DIRECTIONS),
    _vim_case("as released"),
    _vim_case("mean of tokens, layer norm, layer scale", class_token=None, norm="layer", layer_scale=0.5, halve=False),
    _vim_case("blocks in pairs, two class tokens", class_token="double", directions="paired"),
]
