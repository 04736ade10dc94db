"""The arguments of MambaVision as a type, for checkers of types: a name that is none of them, or a
value of another type, is found before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class ModelOptions(TypedDict, total=False):
    """Those of `MambaVision`, each of which may be left out where a variant has it."""

    dim: int
    in_dim: int
    depths: Sequence[int]
    num_heads: Sequence[int]
    window_size: Sequence[int]
    mlp_ratio: float
    drop_path_rate: float
    in_chans: int
    num_classes: int
    qkv_bias: bool
    qk_scale: float | bool | None
    drop_rate: float
    attn_drop_rate: float
    layer_scale: float | None
    layer_scale_conv: float | None
    d_state: int
    d_conv: int
    mixer: str
    pattern: str | Sequence[str]
    pattern_seed: int
    quirks: str
    dt_bias: str | None
    dt_init: str | None
    head_norm: str | None
    padding: str | None
    dtype: str
    seed: int
    allocate: bool
