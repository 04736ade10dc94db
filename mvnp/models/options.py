"""The arguments of the families as a type, for checkers of types: a name that is none of them, or a
value of another type, is found before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class ModelOptions(TypedDict, total=False):
    """Those of all families, each of which may be left out where a variant has it. Which a family
    takes shows when it is made."""

    dim: int
    in_dim: int
    depths: Sequence[int]
    num_heads: Sequence[int]
    window_size: Sequence[int]
    mlp_ratio: float | None
    drop_path_rate: float
    in_chans: int
    num_classes: int
    qkv_bias: bool
    qk_scale: float | bool | None
    drop_rate: float
    attn_drop_rate: float
    layer_scale: float | None
    layer_scale_conv: float | None
    d_state: int | None
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
    img_size: int | Sequence[int]
    patch_size: int
    stride: int | None
    embed_dim: int
    depth: int
    class_token: str | None
    pool: str
    directions: str
    halve: bool
    norm: str
    dims: int | Sequence[int]
    ssm_ratio: float | None
    version: str
    forward_type: str | None
    ssm_dt_rank: int | str
    ssm_act_layer: str
    ssm_conv: int
    ssm_conv_bias: bool | None
    ssm_init: str
    mlp_act_layer: str
    gmlp: bool
    norm_layer: str
    downsample_version: str | None
    patchembed_version: str | None
    patch_norm: bool
    posembed: bool
    img: int
    ssm_d_state: int | None
    allocate: bool


class PretrainedOptions(ModelOptions, total=False):
    """Those of `load_pretrained`, and what makes a `Backbone` of a classifier's weights."""

    out_indices: Sequence[int] | str
    out_norm: str
