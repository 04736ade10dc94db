"""The faults that tests/sabotage.py plants: what a tired person might write, in every layer."""

from __future__ import annotations

from sabotage import Fault

FAULTS = [
    Fault(
        "layernorm forgets the mean of g",
        "layers/layernorm.py",
        "g - g.mean(axis=trailing, keepdims=True) - normalised",
        "g - normalised",
        "layers/test_layernorm.py",
    ),
]
