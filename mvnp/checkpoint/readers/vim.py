"""Vim: the position embedding tells how many patches there are, and not how they lie.

Of as many as a released variant of this width has, they are taken to be its own; of others, to be a square of patches that do
not overlap. A class token "head" has the shapes of one in the middle, blocks in pairs those of blocks in one direction, and
`pool` and `halve` none: they are as in the released models, unless somebody says otherwise.

For other images than a network was trained on, or another stride, the position embedding is interpolated, as the release does
it for its fine-tuning: the first row is taken for the class token's, and the other rows for the map's, row by row, also where
the class token stands in the middle. So the map is one place off in its first half, and training has to mend it. Interpolation
is bicubic, a = −3/4, half-pixel centres, edges repeated.

Keys, Convolution Interpolation for Digital Image Processing (1981), with a = −3/4 as in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import numpy as np

from ...errors import CheckpointError
from ...models.variants import VARIANTS
from ...models.vim import Vim
from .reader import Reader, Shapes, count_of, shape_at

_shape = partial(shape_at, "Vim")
_FIRST = "layers.0.mixer."
_STEM = "patch_embed.proj.weight"
CUBIC = -0.75


def belongs(keys: Collection[str]) -> bool:
    return any(key.startswith("layers.") and ".mixer." in key for key in keys)


def arguments_of(shapes: Shapes) -> dict[str, Any]:
    """All but what only acts in training, and what this file's docstring says."""
    embed_dim, in_chans, patch, _ = _shape(shapes, _STEM, 4)
    _, d_state = _shape(shapes, f"{_FIRST}A_log", 2)
    _shape(shapes, "norm_f.weight", 1)
    class_token = "double" if "cls_token_head" in shapes else "middle" if "cls_token" in shapes else None
    tokens = _shape(shapes, "pos_embed", 3)[1]
    patches = tokens - {"double": 2, "middle": 1, None: 0}[class_token]
    img_size, stride = _grid(embed_dim, patch, patches)
    both = f"{_FIRST}conv1d_b.weight" in shapes
    return {
        "img_size": img_size,
        "patch_size": patch,
        "stride": stride,
        "embed_dim": embed_dim,
        "depth": count_of("Vim", shapes, "layers.", ""),
        "in_chans": in_chans,
        "num_classes": _shape(shapes, "head.weight", 2)[0] if "head.weight" in shapes else 0,
        "d_state": d_state,
        "class_token": class_token,
        "directions": "both" if both else "shared" if f"{_FIRST}A_b_log" in shapes else "one",
        "norm": "layer" if "norm_f.bias" in shapes else "rms",
        "layer_scale": 1e-5 if f"{_FIRST}gamma" in shapes else None,
    }


def _grid(embed_dim: int, patch: int, patches: int) -> tuple[int, int]:
    """img_size and stride with so many patches."""
    for variant in VARIANTS.values():
        if variant.family == "Vim" and (variant.options["embed_dim"], variant.options["patch_size"]) == (embed_dim, patch):
            size, stride = variant.options["img_size"], variant.options["stride"]
            if ((size - patch) // stride + 1) ** 2 == patches:
                return size, stride
    return max(1, math.isqrt(max(0, patches))) * patch, patch


def adapt(weights: dict[str, np.ndarray], arguments: Mapping[str, Any]) -> None:
    """Interpolate the position embedding, where the model's grid is not the one that it was trained on."""
    model = Vim(**{**arguments, "num_classes": 0, "allocate": False})
    wanted, old = model.pos_embed.shape, weights["pos_embed"]
    if old.shape == wanted or old.ndim != 3 or old.shape[2] != wanted[2]:
        return
    extra = len(model.class_places)
    side = math.isqrt(old.shape[1] - extra)
    if side * side != old.shape[1] - extra:
        raise CheckpointError(
            f"has a position embedding for {old.shape[1] - extra} patches, which make no square, and the model has"
            f" {model.grid[0]}x{model.grid[1]}; give the img_size and stride that it was trained with"
        )
    old = old.astype(np.float64)
    tokens, patches = old[:, :extra], old[:, extra:].reshape(side, side, -1)
    resized = _resized(_resized(patches, model.grid[0]).swapaxes(0, 1), model.grid[1]).swapaxes(0, 1)
    new = np.concatenate([tokens, resized.reshape(1, -1, resized.shape[2])], axis=1)
    weights["pos_embed"] = new.astype(weights["pos_embed"].dtype)


def _resized(x: np.ndarray, length: int) -> np.ndarray:
    """x (n, …) bicubic to (length, …)."""
    at = (np.arange(length) + 0.5) * (len(x) / length) - 0.5
    first = np.floor(at).astype(int)
    total = np.zeros((length, *x.shape[1:]))
    for k in range(-1, 3):
        weight = _cubic(np.abs(at - first - k)).reshape(-1, *[1] * (x.ndim - 1))
        total += weight * x[np.clip(first + k, 0, len(x) - 1)]
    return total


def _cubic(d: np.ndarray) -> np.ndarray:
    """The weight of a sample at distance d ≤ 2."""
    near = ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1
    far = CUBIC * (((d - 5) * d + 8) * d - 4)
    return np.where(d <= 1, near, far)


READER = Reader(
    "Vim",
    belongs,
    arguments_of,
    core=("embed_dim", "depth", "patch_size", "stride", "img_size", "class_token", "directions", "norm"),
    told=("embed_dim", "depth", "patch_size", "in_chans", "num_classes"),
    first=_STEM,
    starts=("layer_scale",),
    free=("img_size", "stride", "class_token", "directions"),
    adapt=adapt,
)
