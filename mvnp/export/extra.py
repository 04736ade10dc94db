"""The optional packages: imported where they are used, missed with a plain message."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import MissingPackageError


def needed(package: str, purpose: str) -> Any:
    """The module of that name. Raises MissingPackageError that says how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        distribution = package.partition(".")[0]
        raise MissingPackageError(
            f"{purpose} needs {distribution}, which is not there ({error}); pip install {distribution}"
        ) from error
