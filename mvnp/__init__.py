"""MambaVision in NumPy and CuPy, by hand: every layer with its backward, as explicit array code."""

from .backend import backend_name, from_numpy, to_numpy, use_backend
from .checkpoint import load_checkpoint, load_pretrained
from .export import export_onnx
from .gradcheck import gradcheck, gradcheck_layer
from .layer import Layer, Param, Tape
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
from .models.variants import create_model, list_models

__version__ = "0.1.0"

__all__ = [
    "Backbone",
    "Layer",
    "MambaVision",
    "Param",
    "Tape",
    "backend_name",
    "base_config",
    "build",
    "build_backbone",
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
