"""MambaVision in NumPy and CuPy, by hand: every layer with its backward, as explicit array code."""

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .backend import backend_name, from_numpy, to_numpy, use_backend
    from .check import gradcheck, gradcheck_layer
    from .checkpoint import load_checkpoint, load_pretrained
    from .core import Layer, Param, Tape
    from .export import export_onnx
    from .models.backbone import Backbone
    from .models.edifice import (
        base_config,
        build,
        build_backbone,
        feature_size,
        input_shape,
        output_size,
        small_config,
        tiny_config,
    )
    from .models.mambavision import MambaVision
    from .models.variants import list_models
    from .models.vim import Vim
    from .models.vmamba import VMamba
    from .named import Answer, classify, create_model

# Where each public name comes from. All are imported when they are first asked for: `mvnp --help` needs none of them, and
# Ctrl-C while they are imported finds somebody who can tell of it.
_HOMES = {
    "backend": "backend_name from_numpy to_numpy use_backend",
    "check": "gradcheck gradcheck_layer",
    "checkpoint": "load_checkpoint load_pretrained",
    "core": "Layer Param Tape",
    "export": "export_onnx",
    "models.backbone": "Backbone",
    "models.edifice": "base_config build build_backbone feature_size input_shape output_size small_config tiny_config",
    "models.mambavision": "MambaVision",
    "models.variants": "list_models",
    "models.vim": "Vim",
    "models.vmamba": "VMamba",
    "named": "Answer classify create_model",
}

# Rooms that are imported when they are first asked for: `mvnp.visualize` brings matplotlib, which few need.
ROOMS = (
    "check",
    "checkpoint",
    "core",
    "costs",
    "data",
    "execution",
    "export",
    "inference",
    "kernels",
    "layers",
    "learn",
    "models",
    "training",
    "visualize",
)

__all__ = [
    "Answer",
    "Backbone",
    "Layer",
    "MambaVision",
    "Param",
    "Tape",
    "VMamba",
    "Vim",
    "backend_name",
    "base_config",
    "build",
    "build_backbone",
    "classify",
    "create_model",
    "export_onnx",
    "feature_size",
    "from_numpy",
    "gradcheck",
    "gradcheck_layer",
    "input_shape",
    "list_models",
    "load_checkpoint",
    "load_pretrained",
    "output_size",
    "small_config",
    "tiny_config",
    "to_numpy",
    "use_backend",
]


def __getattr__(name: str) -> Any:
    if name in (*ROOMS, "atomic", "backend", "errors"):
        return importlib.import_module(f"{__name__}.{name}")
    home = next((module for module, names in _HOMES.items() if name in names.split()), None)
    if home is not None:
        globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *ROOMS, "__version__"])
