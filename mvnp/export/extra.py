"""The optional packages: imported where they are used, missed with a plain message."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import ExportError


def needed(package: str, purpose: str) -> Any:
    """The package. Raises ExportError that says how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ExportError(
            f"{purpose} needs the package {package}, which cannot be imported ({error});"
            " pip install 'mvnp[onnx]', or pip install onnx onnxruntime"
        ) from error
