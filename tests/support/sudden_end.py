"""A run of training that ends suddenly, as if the power went."""

from typing import Any

import pytest

from mvnp.training import trainer as trainer_module


class Stop(Exception):
    """A sudden end."""


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, function: str = "train_step") -> None:
    """Let the run end when it comes to a step; or to another call of a function of the trainer's module."""
    original, calls = getattr(trainer_module, function), 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > step:
            raise Stop
        return original(*arguments, **options)

    monkeypatch.setattr(trainer_module, function, counted)
