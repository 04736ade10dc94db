"""The eleven released variants, as one table.

Sources: arXiv:2407.08083, tables 1, S.2 and S.5, and the official release's model list.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase as fnmatch
from typing import Any

from ..errors import InputError, check_choice, nearest, shown
from .mambavision import MambaVision


@dataclass(frozen=True)
class Variant:
    """One released model: its arguments, how its images were prepared, and its number of
    parameters (1000 classes)."""

    name: str
    dim: int
    in_dim: int
    depths: tuple[int, int, int, int]
    num_heads: tuple[int, int, int, int]
    window_size: tuple[int, int, int, int]
    drop_path_rate: float
    layer_scale: float | None
    input_size: int
    crop_pct: float
    crop_mode: str
    parameters: int

    def arguments(self) -> dict[str, Any]:
        """What MambaVision is called with."""
        names = (
            "dim",
            "in_dim",
            "depths",
            "num_heads",
            "window_size",
            "drop_path_rate",
            "layer_scale",
        )
        return {name: getattr(self, name) for name in names}


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


def _variant(name: str, *arguments: Any) -> Variant:
    fields = (f"mamba_vision_{name}", *arguments[:4], WINDOWS[arguments[6]], *arguments[4:])
    return Variant(*fields)


VARIANTS = {variant.name: variant for variant in (_variant(*row) for row in _ROWS)}


# What other libraries call it, or have it for.
ELSEWHERE = {
    "img_size": "images may have any size, so leave it out; window_size says how maps are cut",
    "pretrained": "load_pretrained(name) gives the released weights",
    "checkpoint_path": "load_pretrained(path) gives the weights of a file",
    "features_only": "Backbone(name) gives maps",
    "out_indices": "Backbone(name, out_indices=…) gives maps",
    "device": "use_backend and MVNP_BACKEND say where arrays are",
}


def list_models(pattern: str = "*") -> list[str]:
    """The names of the released variants that fit a pattern, such as "*21k*"; `*` and `?` stand for
    letters, whose case does not matter."""
    if not isinstance(pattern, str):
        raise InputError(
            f"list_models: the pattern is {shown(pattern)}, expected text such as '*21k*'"
        )
    return [name for name in VARIANTS if fnmatch(name.lower(), pattern.lower())]


def create_model(name: str, **overrides: Any) -> MambaVision:
    """A MambaVision of the named variant, with freshly drawn parameters; `overrides` are any
    arguments of MambaVision.

    Raises InputError for an unknown name or argument, with the nearest known one.
    """
    check_choice("model", name, VARIANTS)
    check_options(name, overrides)
    return MambaVision(**{**VARIANTS[name].arguments(), **overrides})


def check_options(whose: str, options: Iterable[str]) -> None:
    """Raise InputError for one that is no argument of MambaVision, with the nearest that is."""
    known = list(inspect.signature(MambaVision).parameters)
    for option in options:
        if option not in known:
            hint = f" ({ELSEWHERE[option]})" if option in ELSEWHERE else nearest(option, known)
            raise InputError(
                f"unknown option {option!r} of {whose}{hint}; options are {', '.join(known)}"
            )
