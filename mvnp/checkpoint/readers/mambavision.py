"""MambaVision: nearly all of its arguments leave a trace in its state dict. Two leave none, the number of heads and the
windows, since attention's matrices are the same however they are cut: those come from the variant."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import numpy as np

from ...errors import CheckpointError
from .reader import Reader, Shapes, count_of, shape_at

_shape = partial(shape_at, "MambaVision")
_FIRST = "patch_embed.conv_down.0.weight"


def belongs(keys: Collection[str]) -> bool:
    return _FIRST in keys and any(key.startswith("levels.") for key in keys)


def arguments_of(shapes: Shapes) -> dict[str, Any]:
    """All but num_heads and window_size, and what only acts in training."""
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
        "mlp_ratio": ratio_of(hidden, width),
        "d_state": d_state,
        "d_conv": d_conv,
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
)
