"""The reference cases of the training recipe: what timm and PyTorch gave for given numbers and draws."""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[1] / "reference" / "training"


def recipe_case(name):
    """(settings and scalars, {key: array}) of a case; the arrays are {} where there is no .npz."""
    settings = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    arrays = FOLDER / f"{name}.npz"
    return settings, dict(np.load(arrays)) if arrays.exists() else {}


def under(prefix, arrays):
    """The arrays whose key begins with `prefix` and a dot, without both."""
    return {key.removeprefix(f"{prefix}."): array for key, array in arrays.items() if key.startswith(f"{prefix}.")}
