"""VMamba: which routes its scans take, and the functions between its layers, leave no trace in a state dict; they are as in the
released models, unless somebody says otherwise.

Three kinds of files are there with other names or shapes for the same arrays, and are given those of the official release:
the release of January 2024; a newer one in a single file, in which the projections of the four routes stand one below the
other; and either with its linear layers kept as convolutions of 1x1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from functools import partial
from typing import Any

import numpy as np

from ...errors import CheckpointError
from .mambavision import ratio_of
from .reader import Reader, Shape, Shapes, count_of, shape_at

_shape = partial(shape_at, "VMamba")
_FIRST = "layers.0.blocks.0."
_STEM = "patch_embed.0.weight"
K = 4  # routes

# (in the release of January 2024, today)
_OLD_NAMES = [
    (r"^patch_embed\.proj\.", "patch_embed.0."),
    (r"^patch_embed\.norm\.", "patch_embed.2."),
    (r"^norm\.", "classifier.norm."),
    (r"^head\.", "classifier.head."),
    (r"\.ln_1\.", ".norm."),
    (r"\.self_attention\.", ".op."),
]
# Patch merging as the steps of a row: 1 is the norm, 2 the linear layer. Of a convolution's steps, 1 and 3, none is called so.
_MERGING_IN_A_ROW = [(r"\.downsample\.1\.", ".downsample.norm."), (r"\.downsample\.2\.", ".downsample.reduction.")]
_ONE_BELOW_THE_OTHER = {".op.x_proj.weight": ".op.x_proj_weight", ".op.dt_projs.weight": ".op.dt_projs_weight"}
_LINEAR = re.compile(r"(in_proj|out_proj|fc1|fc2|reduction|head)\.weight$")


def belongs(keys: Collection[str]) -> bool:
    return any(key.startswith("layers.") and (".op." in key or ".self_attention." in key) for key in keys)


def translate(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by the names and shapes of the official release."""
    names = _OLD_NAMES
    if any(".downsample.2." in key for key in weights):
        names = [*names, *_MERGING_IN_A_ROW]
    renamed = {_renamed(key, names): array for key, array in weights.items()}
    for key, array in renamed.items():
        if array.ndim == 4 and array.shape[2:] == (1, 1) and _LINEAR.search(key):
            renamed[key] = array[:, :, 0, 0]
    for key in list(renamed):
        for ending, official in _ONE_BELOW_THE_OTHER.items():
            if key.endswith(ending) and renamed[key].ndim == 2 and len(renamed[key]) % K == 0:
                array = renamed.pop(key)
                renamed[key.removesuffix(ending) + official] = array.reshape(K, -1, array.shape[1])
    return renamed


def _renamed(key: str, names: list[tuple[str, str]]) -> str:
    for pattern, name in names:
        key = re.sub(pattern, name, key)
    return key


def arguments_of(shapes: Shapes) -> dict[str, Any]:
    """All but what this file's docstring says, and what only acts in training."""
    two = "patch_embed.5.weight" in shapes
    _, in_chans, patch, _ = _shape(shapes, _STEM, 4)
    stages = count_of("VMamba", shapes, "layers.", "")
    depths = [count_of("VMamba", shapes, f"layers.{i}.blocks.", f" in stage {i}") for i in range(stages)]
    if 0 in depths:
        raise CheckpointError(f"is no state dict of a VMamba: it has no block in stage {depths.index(0)}")
    dims = [_shape(shapes, f"layers.{i}.blocks.0.norm.weight", 1)[0] for i in range(stages)]
    E, N, rank, gated = _scans(shapes, dims)
    hidden, gmlp = _mlp(shapes)
    conv = f"{_FIRST}op.conv2d.weight"
    downsample = _downsample(shapes)
    norm = "" if f"{_FIRST}op.out_norm.weight" in shapes else "_onnone"
    norm = "_ondwconv3" if f"{_FIRST}op.out_norm.1.weight" in shapes else norm
    v0 = gated and not norm and not hidden and not two and downsample in ("v1", None)
    told = {
        "dims": dims,
        "depths": depths,
        "in_chans": in_chans,
        "num_classes": _shape(shapes, "classifier.head.weight", 2)[0] if "classifier.head.weight" in shapes else 0,
        "d_state": N,
        "ssm_ratio": ratio_of(E, dims[0]),
        "mlp_ratio": ratio_of(hidden, dims[0]),
        "version": "v0" if v0 else "v2",
        "patch_size": 4 if two else patch,
        "forward_type": "v0" if v0 else f"v05{norm}{'' if gated else '_noz'}",
        "ssm_dt_rank": rank,
        "ssm_conv": _shape(shapes, conv, 4)[2] if conv in shapes else -1,
        "ssm_conv_bias": f"{_FIRST}op.conv2d.bias" in shapes,
        "gmlp": gmlp,
        "patchembed_version": "v2" if two else "v1",
        "patch_norm": "patch_embed.2.weight" in shapes,
        "posembed": "pos_embed" in shapes,
    }
    if downsample is not None:
        told["downsample_version"] = downsample
    if told["posembed"]:
        told["img"] = _shape(shapes, "pos_embed", 4)[2] * (4 if two else patch)
    return told


def _scans(shapes: Shapes, dims: list[int]) -> tuple[int, int, int | str, bool]:
    """E, N, the rank of dt, and whether there is a gate, in the first block."""
    E = _shape(shapes, f"{_FIRST}op.out_proj.weight", 2)[1]
    N = _shape(shapes, f"{_FIRST}op.A_logs", 2)[1]
    ranks = [_shape(shapes, f"layers.{i}.blocks.0.op.dt_projs_weight", 3)[2] for i in range(len(dims))]
    rank = "auto" if ranks == [math.ceil(dim / 16) for dim in dims] else ranks[0]
    return E, N, rank, _shape(shapes, f"{_FIRST}op.in_proj.weight", 2)[0] == 2 * E


def _mlp(shapes: Shapes) -> tuple[int, bool]:
    """The hidden width, 0: no MLP; and whether it is gated."""
    if f"{_FIRST}mlp.fc1.weight" not in shapes:
        return 0, False
    hidden = _shape(shapes, f"{_FIRST}mlp.fc2.weight", 2)[1]
    return hidden, _shape(shapes, f"{_FIRST}mlp.fc1.weight", 2)[0] == 2 * hidden


def _downsample(shapes: Shapes) -> str | None:
    """Its version; None where there is one stage alone."""
    if "layers.0.downsample.reduction.weight" in shapes:
        return "v1"
    kernel: Shape | None = shapes.get("layers.0.downsample.1.weight")
    return None if kernel is None or len(kernel) != 4 else "v3" if kernel[2] == 3 else "v2"


READER = Reader(
    "VMamba",
    belongs,
    arguments_of,
    core=("dims", "depths", "ssm_ratio", "version"),
    told=("dims", "depths", "ssm_ratio", "in_chans", "num_classes"),
    first=_STEM,
    head="classifier.head.",
    free=(
        "version",
        "forward_type",
        "ssm_ratio",
        "mlp_ratio",
        "ssm_dt_rank",
        "ssm_conv",
        "ssm_conv_bias",
        "downsample_version",
    ),
    translate=translate,
)
