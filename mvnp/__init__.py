"""MambaVision in NumPy and CuPy, by hand: every layer with its backward, as explicit array code."""

from .backend import backend_name, from_numpy, to_numpy, use_backend
from .gradcheck import gradcheck, gradcheck_layer
from .layer import Layer, Param, Tape

__version__ = "0.1.0"

__all__ = [
    "Layer",
    "Param",
    "Tape",
    "backend_name",
    "from_numpy",
    "gradcheck",
    "gradcheck_layer",
    "to_numpy",
    "use_backend",
]
