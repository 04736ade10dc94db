"""Export to ONNX, for every program that runs such files: written from the model's structure, not traced.

    graph.py      nodes, initialisers and their names
    layers.py     one function for each kind of layer
    windows.py    padding and windows, for sizes known or not
    model.py      what any model gives
    mambavision.py, vim.py    the walk through a family's networks
    write.py      one file, or two where there are more than 2 GB of weights
    verify.py     the file in ONNX Runtime beside the model in NumPy

The packages onnx, and onnxruntime for verify.py, are an extra: `pip install 'mvnp[onnx]'`.
"""

from .export import export_onnx
from .verify import Agreement, verify_onnx

__all__ = ["Agreement", "export_onnx", "verify_onnx"]
