"""The families of networks, and the released variants of each, a table a family.

Sources: for MambaVision arXiv:2407.08083, tables 1, S.2 and S.5, and the official release's model
list; for Vim arXiv:2401.09417, table 1, and its release; for VMamba arXiv:2401.10166, table 1 and
appendix, and its release, whose names these are: s2l15 is ssm_ratio 2 and 15 blocks in stage 3.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase as fnmatch
from typing import Any

from ..errors import InputError, check_choice, nearest, refusing, shown
from .mambavision import MambaVision
from .vim import Vim
from .vmamba import VMamba

FAMILIES: dict[str, Any] = {"MambaVision": MambaVision, "Vim": Vim, "VMamba": VMamba}


@dataclass(frozen=True)
class Variant:
    """One released model: its family and arguments, how its images were prepared, and its number of
    parameters (1000 classes)."""

    name: str
    family: str
    options: dict[str, Any]
    input_size: int
    crop_pct: float
    crop_mode: str
    parameters: int

    def arguments(self) -> dict[str, Any]:
        """What its family's class is called with."""
        return dict(self.options)


# Means and standard deviations of ImageNet's channels, by which the official MambaVision and most
# others standardise photos.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

HEADS, WIDE = (2, 4, 8, 16), (4, 8, 16, 32)
WINDOWS = {224: (8, 8, 14, 7), 256: (8, 8, 16, 8), 512: (8, 8, 32, 16)}  # of images of this size

_ROWS = [
    # name, dim, in_dim, depths, heads, drop path, layer scale, size, crop, mode, parameters
    ("T", 80, 32, (1, 3, 8, 4), HEADS, 0.2, None, 224, 1.0, "center", 31_794_248),
    ("T2", 80, 32, (1, 3, 11, 4), HEADS, 0.2, None, 224, 0.98, "center", 35_104_008),
    ("S", 96, 64, (3, 3, 7, 5), HEADS, 0.2, None, 224, 0.93, "center", 50_140_584),
    ("B", 128, 64, (3, 3, 10, 5), HEADS, 0.3, 1e-5, 224, 1.0, "center", 97_685_288),
    ("B_21k", 128, 64, (3, 3, 10, 5), HEADS, 0.3, 1e-5, 224, 1.0, "center", 97_685_288),
    ("L", 196, 64, (3, 3, 10, 5), WIDE, 0.3, 1e-5, 224, 1.0, "center", 227_961_048),
    ("L_21k", 196, 64, (3, 3, 10, 5), WIDE, 0.3, 1e-5, 224, 1.0, "center", 227_961_048),
    ("L2", 196, 64, (3, 3, 12, 5), WIDE, 0.3, 1e-5, 224, 1.0, "center", 241_554_824),
    ("L2_512_21k", 196, 64, (3, 3, 12, 5), WIDE, 0.3, 1e-5, 512, 0.93, "squash", 241_554_824),
    ("L3_256_21k", 256, 64, (3, 3, 20, 10), WIDE, 0.5, 1e-5, 256, 1.0, "center", 739_570_472),
    ("L3_512_21k", 256, 64, (3, 3, 20, 10), WIDE, 0.5, 1e-5, 512, 0.93, "squash", 739_570_472),
]


def _mambavision(
    name: str, dim: int, in_dim: int, depths: Any, heads: Any, rate: float, scale: float | None,
    size: int, crop_pct: float, crop_mode: str, parameters: int,
) -> Variant:  # fmt: skip
    options = {
        "dim": dim,
        "in_dim": in_dim,
        "depths": depths,
        "num_heads": heads,
        "window_size": WINDOWS[size],
        "drop_path_rate": rate,
        "layer_scale": scale,
    }
    return Variant(
        f"mamba_vision_{name}", "MambaVision", options, size, crop_pct, crop_mode, parameters
    )


_VIM_ROWS = [
    # name, embed_dim, stride, drop path, parameters; all: depth 24, 16 states, patches of 16
    ("tiny", 192, 16, 0.0, 7_148_008),
    ("tiny_stride8", 192, 8, 0.0, 7_250_344),
    ("small", 384, 16, 0.05, 25_796_584),
    ("small_stride8", 384, 8, 0.0, 26_001_256),
    ("base", 768, 16, 0.0, 97_598_440),
]


def _vim(name: str, embed_dim: int, stride: int, rate: float, parameters: int) -> Variant:
    options = {
        "img_size": 224,
        "patch_size": 16,
        "stride": stride,
        "embed_dim": embed_dim,
        "depth": 24,
        "drop_path_rate": rate,
    }
    return Variant(f"vim_{name}", "Vim", options, 224, 0.875, "center", parameters)


_VMAMBA_ROWS = [
    # name, dims[0], blocks of stage 3, ssm_ratio, drop path, parameters; all: patches of 4
    ("vmamba_tiny_s1l8", 96, 8, 1.0, 0.2, 30_249_064),
    ("vmamba_small_s2l15", 96, 15, 2.0, 0.3, 50_147_752),
    ("vmamba_base_s2l15", 128, 15, 2.0, 0.6, 88_557_800),
    ("vmamba_tiny_s2l5", 96, 5, 2.0, 0.2, 30_705_832),
    ("vmamba_small_s1l20", 96, 20, 1.0, 0.3, 49_012_840),
    ("vmamba_base_s1l20", 128, 20, 1.0, 0.5, 86_614_504),
    ("vanilla_vmamba_tiny", 96, 9, 2.0, 0.2, 22_893_448),
    ("vanilla_vmamba_small", 96, 27, 2.0, 0.3, 44_417_416),
    ("vanilla_vmamba_base", 128, 27, 2.0, 0.6, 76_254_056),
]


def _vmamba(name: str, dim: int, third: int, ratio: float, rate: float, parameters: int) -> Variant:
    options = {
        "dims": (dim, 2 * dim, 4 * dim, 8 * dim),
        "depths": (2, 2, third, 2),
        "ssm_ratio": ratio,
        "version": "v0" if name.startswith("vanilla") else "v2",
        "drop_path_rate": rate,
    }
    return Variant(name, "VMamba", options, 224, 0.875, "center", parameters)


VARIANTS = {
    variant.name: variant
    for variant in [
        *(_mambavision(*row) for row in _ROWS),
        *(_vim(*row) for row in _VIM_ROWS),
        *(_vmamba(*row) for row in _VMAMBA_ROWS),
    ]
}


# What other libraries call it, or have it for.
ELSEWHERE = {
    "img_size": "images may have any size, so leave it out; window_size says how maps are cut",
    "pretrained": "load_pretrained(name) gives the released weights",
    "checkpoint_path": "load_pretrained(path) gives the weights of a file",
    "features_only": "Backbone(name) gives maps",
    "out_indices": "Backbone(name, out_indices=…) gives maps",
    "device": "use_backend and MVNP_BACKEND say where arrays are",
}


@refusing
def list_models(pattern: str = "*") -> list[str]:
    """The names of the released variants that fit a pattern, such as "*21k*"; `*` and `?` stand for
    letters, whose case does not matter."""
    if not isinstance(pattern, str):
        raise InputError(
            f"list_models: the pattern is {shown(pattern)}, expected text such as '*21k*'"
        )
    return [name for name in VARIANTS if fnmatch(name.lower(), pattern.lower())]


@refusing
def create_model(name: str, **overrides: Any) -> Any:
    """A network of the named variant, with freshly drawn parameters; `overrides` are any arguments
    of its family's class.

    Raises InputError for an unknown name or argument, with the nearest known one.
    """
    check_choice("model", name, VARIANTS)
    variant = VARIANTS[name]
    check_options(variant.family, overrides, f" of {name}")
    return FAMILIES[variant.family](**{**variant.arguments(), **overrides})


def check_name(name: Any, known: Iterable[str]) -> None:
    """Raise InputError unless it is the name of a model, and say what reads a file of weights."""
    if isinstance(name, str) and ("." in name or "/" in name) and name not in known:
        raise InputError(
            f"{shown(name)} is no name of a model; of a file or a repository, load_pretrained gives"
            " the model with its weights, and with out_indices=… a Backbone of it"
        )
    check_choice("model", name, known)


def options_of(family: str) -> list[str]:
    """The names of a family's arguments, without `allocate`."""
    return [name for name in inspect.signature(FAMILIES[family]).parameters if name != "allocate"]


def defaults_of(family: str) -> dict[str, Any]:
    """{name: default} of a family's arguments that have one."""
    parameters = inspect.signature(FAMILIES[family]).parameters
    return {name: p.default for name, p in parameters.items() if p.default is not p.empty}


def check_options(family: str, options: Iterable[str], whose: str = "") -> None:
    """Raise InputError for an argument that this family does not have, with the nearest that it
    has; `whose` stands behind its name in the message."""
    known = options_of(family)
    for option in options:
        if option not in known and option != "allocate":
            hint = f" ({ELSEWHERE[option]})" if option in ELSEWHERE else nearest(option, known)
            raise InputError(
                f"unknown option {option!r}{whose}{hint}; options are {', '.join(known)}"
            )
