"""MambaVision in NumPy and CuPy, by hand: every layer with its backward, as explicit array code."""

import importlib
from typing import Any

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
from .version import __version__ as __version__

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
    if name in ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *ROOMS, "__version__"])
