"""What the real CuPy has and which arguments it takes, read from cupy_names.json; make_cupy_names.py writes that file."""

from __future__ import annotations

import inspect
import json
from functools import cache
from pathlib import Path
from typing import Any

NAMES: dict[str, Any] = json.loads(Path(__file__).with_name("cupy_names.json").read_text(encoding="utf-8"))
VERSION: str = NAMES["version"]
MODULES: dict[str, dict[str, str]] = NAMES["modules"]
NDARRAY: dict[str, str] = NAMES["ndarray"]


def exists(path: str) -> bool:
    """Whether CuPy has `path`, dotted from the top: `lib.stride_tricks.as_strided`."""
    module, _, name = f"cupy.{path}".rpartition(".")
    return name in MODULES.get(module, ()) or f"{module}.{name}" in MODULES


@cache
def signature(words: str) -> inspect.Signature:
    """The signature that an entry such as `a axis= * dtype=` stands for."""
    kind, parameters = inspect.Parameter.POSITIONAL_OR_KEYWORD, []
    for word in words.split():
        name = word.strip("*=")
        if word.startswith("**"):
            parameters.append(inspect.Parameter(name, inspect.Parameter.VAR_KEYWORD))
            continue
        if word.startswith("*"):
            kind = inspect.Parameter.KEYWORD_ONLY  # what follows a star can only be given by name
            if name:
                parameters.append(inspect.Parameter(name, inspect.Parameter.VAR_POSITIONAL))
            continue
        default = None if word.endswith("=") else inspect.Parameter.empty
        parameters.append(inspect.Parameter(name, kind, default=default))
    return inspect.Signature(parameters)
