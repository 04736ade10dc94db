"""MambaVision: nearly all of its arguments leave a trace in its state dict. Two leave none, the number of heads and the
windows, since attention's matrices are the same however they are cut: those come from the variant. Whether a mixer of one
convolution is causal leaves none either: it is taken for the one that is not, unless the caller or the file says "mamba"."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...errors import CheckpointError, InputError
from ...models.mixer import MIXERS, Kind
from ...models.pattern import PATTERNS, kinds
from .reader import Reader, Shapes, count_of, shape_at

_shape = partial(shape_at, "MambaVision")
_FIRST = "patch_embed.conv_down.0.weight"


def belongs(keys: Collection[str]) -> bool:
    return _FIRST in keys and any(key.startswith("levels.") for key in keys)


def arguments_of(shapes: Shapes) -> dict[str, Any]:
    """All but num_heads and window_size, and what only acts in training."""
    in_dim, in_chans, *_ = _shape(shapes, _FIRST, 4)
    dim = _shape(shapes, "patch_embed.conv_down.3.weight", 4)[0]
    depths = [_depth(shapes, level) for level in range(4)]
    attention = next((key.removesuffix("weight") for key in shapes if key.endswith(".mixer.qkv.weight")), None)
    scan = next((key.removesuffix("A_log") for key in shapes if key.endswith(".mixer.A_log")), None)
    d_state, d_conv = 8, 3
    if scan or not attention:
        scan = scan or "levels.2.blocks.0.mixer."
        _, d_state = _shape(shapes, f"{scan}A_log", 2)
        d_conv = _shape(shapes, f"{scan}conv1d_x.weight", 3)[2]
    hidden, width = _shape(shapes, "levels.3.blocks.0.mlp.fc1.weight", 2)
    return {
        "dim": dim,
        "in_dim": in_dim,
        "in_chans": in_chans,
        "depths": depths,
        "mlp_ratio": ratio_of(hidden, width),
        "d_state": d_state,
        "d_conv": d_conv,
        "mixer": _mixer(shapes, scan),
        "pattern": _pattern(shapes, depths),
        "num_classes": _shape(shapes, "head.weight", 2)[0] if "head.weight" in shapes else 0,
        "head_norm": "batch" if "norm.running_mean" in shapes else "layer",
        "qkv_bias": attention is None or f"{attention}bias" in shapes,
        "qk_scale": True if any(key.endswith(".mixer.q_norm.weight") for key in shapes) else None,
        "layer_scale": 1e-5 if "levels.2.blocks.0.gamma_1" in shapes else None,
        "layer_scale_conv": 1e-5 if "levels.0.blocks.0.gamma" in shapes else None,
    }


def _depth(shapes: Shapes, level: int) -> int:
    depth = count_of("MambaVision", shapes, f"levels.{level}.blocks.", f" in level {level}")
    if not depth:
        raise CheckpointError(f"is no state dict of a MambaVision: it has no block in level {level}")
    return depth


def _mixer(shapes: Shapes, scan: str | None) -> str:
    """The mixer of the blocks with a scan, of which `scan` begins the keys; where keys are missing, the released one."""
    width, channels = (shapes.get(f"{scan}{name}", (0, 0)) for name in ("A_log", "in_proj.weight"))
    joined = shapes.get(f"{scan}out_proj.weight", (0, 0))
    kind = Kind(
        conv_z=f"{scan}conv1d_z.weight" in shapes,
        gated=len(joined) == 2 and joined[1] == width[0],
        wide=len(channels) == 2 and width[0] == channels[1],
    )
    return next((name for name, known in MIXERS.items() if known == kind), "concat") if scan else "concat"


def _pattern(shapes: Shapes, depths: list[int]) -> str | list[str]:
    """By name where one fits; a block of which there is nothing, in a file that is not whole, fits either kind."""
    words = [
        "".join(_kind(shapes, f"levels.{level}.blocks.{block}.mixer.") for block in range(depths[level])) for level in (2, 3)
    ]
    for name in PATTERNS[:-1]:
        pairs = zip("".join(words), "".join(kinds(name, depths)), strict=True)
        if all(seen in ("?", kind) for seen, kind in pairs):
            return name
    return [word.replace("?", "M") for word in words]


def _kind(shapes: Shapes, mixer: str) -> str:
    own = {key.removeprefix(mixer).partition(".")[0] for key in shapes if key.startswith(mixer)}
    return "S" if own & {"qkv", "proj"} else "M" if own else "?"


def alike(name: str, asked: Any, seen: Mapping[str, Any]) -> bool:
    """Whether an argument that was asked for is what the shapes tell, where == does not decide."""
    if name in ("qk_scale", "qkv_bias"):
        return bool(asked) == bool(seen[name])
    if name == "head_norm" and asked is None:
        return True  # the quirks decide
    if name == "mixer" and isinstance(asked, str) and asked in MIXERS:
        return replace(MIXERS[asked], causal=False) == MIXERS[seen[name]]
    if name == "pattern":
        with contextlib.suppress(InputError):  # then it is no pattern at all
            # Of a random one the keys decide, when it is filled.
            return asked == "random" or kinds(asked, seen["depths"]) == kinds(seen[name], seen["depths"])
        return False
    return asked == seen[name]


def ratio_of(hidden: int, width: int) -> float:
    """The ratio with which int(width · ratio) is `hidden`."""
    ratio = hidden / width
    if int(width * ratio) != hidden:
        ratio = float(np.nextafter(ratio, np.inf))
    return int(ratio) if ratio == int(ratio) else ratio


READER = Reader(
    "MambaVision",
    belongs,
    arguments_of,
    core=("dim", "in_dim", "depths"),
    told=("dim", "in_dim", "depths", "in_chans", "num_classes"),
    first=_FIRST,
    unseen=("num_heads", "window_size"),
    starts=("layer_scale", "layer_scale_conv"),
    alike=alike,
)
