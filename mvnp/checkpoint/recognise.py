"""Which MambaVision a state dict belongs to: read from the names and shapes of its arrays.

Nearly all of MambaVision's arguments leave a trace in its state dict. Two leave none: the number of heads and the windows,
since attention's matrices are the same however they are cut. Those come from the variant, which is known by its width and
depths. Variants that differ in nothing but windows are told apart by the file's name, or by whoever asks.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..models.variants import VARIANTS, Variant

# What tells variants of the same shapes apart in the names of files and repositories: the release's own way of naming.
_MARKS = ("512", "256", "21k")

Shape = tuple[int, ...]

MOST_BLOCKS = 256  # in a level; the largest released model has 20

_FIRST = "patch_embed.conv_down.0.weight"


def shapes_of(weights: Mapping[str, Any]) -> dict[str, Shape]:
    """The shape of each array."""
    return {key: tuple(array.shape) for key, array in weights.items()}


def owns(keys: Collection[str]) -> bool:
    """Whether a state dict with these keys is that of a MambaVision, with or without its head."""
    return _FIRST in keys and any(key.startswith("levels.") for key in keys)


def arguments_of(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """The arguments of MambaVision that the shapes tell: all but num_heads and window_size, and what only acts in training.

    Of layer scales the shapes tell that there is one; the value is where training begins, and is given as 1e-5.
    Raises CheckpointError, saying what is there, for a state dict of something else.
    """
    in_dim, in_chans, *_ = _shape(shapes, _FIRST, 4)
    dim = _shape(shapes, "patch_embed.conv_down.3.weight", 4)[0]
    _, d_state = _shape(shapes, "levels.2.blocks.0.mixer.A_log", 2)
    d_conv = _shape(shapes, "levels.2.blocks.0.mixer.conv1d_x.weight", 3)[2]
    hidden, width = _shape(shapes, "levels.3.blocks.0.mlp.fc1.weight", 2)
    attention = next((key.removesuffix("weight") for key in shapes if key.endswith(".mixer.qkv.weight")), None)
    return {
        "dim": dim,
        "in_dim": in_dim,
        "in_chans": in_chans,
        "depths": [_depth(shapes, level) for level in range(4)],
        "mlp_ratio": _ratio(hidden, width),
        "d_state": d_state,
        "d_conv": d_conv,
        "num_classes": _shape(shapes, "head.weight", 2)[0] if "head.weight" in shapes else 0,
        "head_norm": "batch" if "norm.running_mean" in shapes else "layer",
        "qkv_bias": attention is None or f"{attention}bias" in shapes,
        "qk_scale": True if any(key.endswith(".mixer.q_norm.weight") for key in shapes) else None,
        "layer_scale": 1e-5 if "levels.2.blocks.0.gamma_1" in shapes else None,
        "layer_scale_conv": 1e-5 if "levels.0.blocks.0.gamma" in shapes else None,
    }


def variants_like(arguments: Mapping[str, Any]) -> list[Variant]:
    """The released variants of this width, stem and depth, in the order of their table."""
    core = (arguments["dim"], arguments["in_dim"], tuple(arguments["depths"]))
    return [variant for variant in VARIANTS.values() if (variant.dim, variant.in_dim, variant.depths) == core]


def chosen_variant(candidates: list[Variant], names: list[str], window_size: Any = None) -> Variant | None:
    """The one of `candidates` that is meant, or None where there are none.

    names          of the file, its folder and its repository; the first that carries a mark (512, 256, 21k, 1k) decides
    window_size    where it is known, variants with these windows go before others, and no decision is needed

    Candidates that are the same network under two names (B and B_21k) need no decision: the first is taken. Raises
    CheckpointError where the networks differ and nothing decides.
    """
    if window_size is not None:
        candidates = [v for v in candidates if list(v.window_size) == list(window_size)] or candidates
    for name in names:
        marked = _marked(candidates, name)
        if marked:
            candidates = marked
            break
    if window_size is None and len({variant.window_size for variant in candidates}) > 1:
        listed = " or ".join(variant.name for variant in candidates)
        raise CheckpointError(
            f"has the shapes of {listed}, which differ only in their windows, and neither its name nor a config beside it says"
            f" which; give variant={candidates[0].name!r}, or another of them"
        )
    return candidates[0] if candidates else None


def described(arguments: Mapping[str, Any]) -> str:
    """Arguments in a few words, for messages."""
    return ", ".join(f"{name} {arguments[name]}" for name in ("dim", "in_dim", "depths", "in_chans", "num_classes"))


def _marked(candidates: list[Variant], name: str) -> list[Variant]:
    """The candidates that carry the same marks as `name`, if it carries any."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    marks = {mark for mark in _MARKS if mark in words}
    if not marks and "1k" not in words:
        return []
    known = {variant.name: set(re.split("_", variant.name.lower())) & set(_MARKS) for variant in candidates}
    exact = [variant for variant in candidates if marks == known[variant.name]]
    return exact or [variant for variant in candidates if marks and marks <= known[variant.name]]


def _shape(shapes: Mapping[str, Shape], key: str, rank: int) -> Shape:
    """The shape under `key`, if it is one that a MambaVision can have."""
    shape = shapes.get(key)
    if shape is None or len(shape) != rank or 0 in shape:
        found = "no" if shape is None else f"shape {shape} of"
        some = "; ".join(f"{repr(other[:60])[1:-1]} {shapes[other]}" for other in list(shapes)[:4])
        raise CheckpointError(
            f"is no state dict of a MambaVision: it has {found} {key}, expected one of {rank} axes."
            f" It holds {len(shapes)} arrays, such as {some}"
        )
    return shape


def _depth(shapes: Mapping[str, Shape], level: int) -> int:
    """How many blocks a level has. Counted, not the highest number: a number can be anything."""
    begin = f"levels.{level}.blocks."
    depth = len({key.removeprefix(begin).partition(".")[0] for key in shapes if key.startswith(begin)})
    if not depth:
        raise CheckpointError(f"is no state dict of a MambaVision: it has no block in level {level}")
    if depth > MOST_BLOCKS:
        raise CheckpointError(
            f"is no state dict of a MambaVision: it has {depth} blocks in level {level}, more than any can have"
        )
    return depth


def _ratio(hidden: int, width: int) -> float:
    """The mlp_ratio with which int(width · ratio) is `hidden`."""
    ratio = hidden / width
    if int(width * ratio) != hidden:
        ratio = float(np.nextafter(ratio, np.inf))
    return int(ratio) if ratio == int(ratio) else ratio
