"""What a hint is, and what hints are judged from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from ..backend import to_numpy
from .exercise import Ingredients, Part, Setting
from .theirs import Theirs, Tried

TOLERANCE = 1e-9  # of comparisons between two ways to compute the same number in float64


@dataclass(frozen=True)
class Hint:
    """A mistake that was recognised: its `kind` in a word or two, whose gradient it is in, and what to tell the reader."""

    kind: str
    where: str  # "dx", or "dx, dB", or "" for the whole backward
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


@dataclass
class Trial:
    """One cotangent: the right gradients, and what the terms of these are made of."""

    dy: np.ndarray
    right: dict[str, np.ndarray]
    have: Ingredients


@dataclass
class Evidence:
    """One gradient of the reader's, of the right shape, in every trial, beside the right one."""

    name: str
    got: list[np.ndarray]
    probe: Probe

    @property
    def right(self) -> list[np.ndarray]:
        """What it should have been."""
        return [trial.right[self.name] for trial in self.probe.trials]

    def fits(self, candidates: Iterable[Any]) -> bool:
        """Whether the reader's gradient is one of these, a candidate for each trial."""
        return all(same(got, candidate) for got, candidate in zip(self.got, candidates, strict=True))

    def fits_where_wrong(self, candidates: Iterable[Any]) -> bool:
        """Whether every entry that is wrong is that of a candidate: a mistake made at some entries only, the borders say."""
        for got, right, candidate in zip(self.got, self.right, candidates, strict=True):
            candidate = np.asarray(candidate)
            if candidate.shape != got.shape or not np.isfinite(got).all():
                return False
            scale = TOLERANCE * max(float(np.abs(right).max(initial=0.0)), 1e-12)
            wrong = np.abs(got - right) > scale
            if not wrong.any() or not (np.abs(got - candidate) <= scale)[wrong].all():
                return False
        return True


@dataclass
class Probe:
    """A backward of the reader's at one setting, with the layer's own beside it.

    square      with all sizes equal
    in_steps    whether a gradient may be None, for it is still to come
    seed        of the inputs and of the cotangents
    """

    part: Part
    setting: Setting
    theirs: Theirs
    real: ModuleType
    square: bool = False
    in_steps: bool = False
    seed: int = 29
    trials: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        setting = self.setting.square() if self.square else self.setting
        self.inputs = setting.inputs(self.seed)
        self.options = setting.options(self.inputs)
        self.forward, self._backward = self.part.functions(self.real, self.options)
        self.y = to_numpy(self.forward(*self._copies())[0])
        generator = np.random.default_rng(self.seed + 2)
        self.trials = [self._trial(np.asarray(generator.standard_normal(self.y.shape))) for _ in range(2)]

    def present(self) -> list[str]:
        """The inputs whose gradients are asked for: without the bias, where there is none."""
        return [name for name in self.part.returns if name in self.inputs]

    def _copies(self) -> list[np.ndarray]:
        return [x.copy() for x in self.inputs.values()]

    def _trial(self, dy: np.ndarray) -> Trial:
        return Trial(dy, self.right(dy), self.part.ingredients(self.inputs, self.options, dy))

    def right(self, dy: np.ndarray) -> dict[str, np.ndarray]:
        """The gradients by the layer's own backward, which the tests hold to differences."""
        result = as_tuple(self._backward(dy.copy(), self.forward(*self._copies())[1]))
        return {name: to_numpy(g).copy() for name, g in zip(self.part.returns, result, strict=True) if g is not None}

    def got(self, dy: np.ndarray | None, quiet: bool = False) -> Tried:
        """What the reader's forward and backward give. `quiet`: without what they print. Raises Raised."""
        return self.theirs.run(self.part, self.setting, self.square, self.inputs, dy, quiet or self.square)


def as_tuple(result: Any) -> tuple[Any, ...]:
    """A backward of one input gives the array itself."""
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def same(a: Any, b: Any) -> bool:
    """Equal shapes, and values equal but for rounding."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or not np.isfinite(a).all() or not np.isfinite(b).all():
        return False
    return bool(np.abs(a - b).max(initial=0.0) <= TOLERANCE * max(np.abs(b).max(initial=0.0), 1e-12))


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
