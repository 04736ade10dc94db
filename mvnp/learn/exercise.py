"""What an exercise is: the backward to write, the inputs it is tried on, and its formula, taken apart into terms.

The formula is written a second time here, slowly and in NumPy, as a sum of *terms*, each a function of named *ingredients*.
It is no answer key (the verdict is gradcheck's) but a map of the ways to go wrong: leave a term out, forget an ingredient,
take another in its place. mvnp/learn/neighbours.py walks these ways and finds the one that gives the reader's numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

PACKAGE = Path(__file__).parents[1]

Inputs = Mapping[str, np.ndarray]
Ingredients = dict[str, Any]
Terms = Mapping[str, Callable[..., np.ndarray]]  # {the term as it is written: a function of some ingredients}
Pair = tuple[Callable[..., Any], Callable[..., Any]]


@dataclass(frozen=True)
class Mistake:
    """A way to go wrong that the general ones do not cover: what it is called, and the ingredients that it changes.

    gradients    whole gradients, where no change of an ingredient leads to them
    """

    text: str
    instead: Mapping[str, Any] = field(default_factory=dict)
    gradients: Mapping[str, np.ndarray] = field(default_factory=dict)


def _in_checkout(path: str) -> str | None:
    """The path, where the package lies in a checkout."""
    return path if (PACKAGE.parent / "docs" / "layers").is_dir() else None


def _nothing(inputs: Inputs) -> dict[str, Any]:
    return {}


def _no_mistakes(ingredients: Ingredients) -> list[Mistake]:
    return []


@dataclass(frozen=True)
class Setting:
    """Inputs of a forward. `axes` names the axes of each, with the letters of docs/notation.md or digits: "B L C", "O I 3 3".

    options    what else the forward takes, made from the inputs: a mask, a target, a stride
    prepare    for some inputs, what is done to the normally distributed numbers: a decay is to lie between 0 and 1
    """

    axes: Mapping[str, str]
    sizes: Mapping[str, int]
    what: str = ""
    options: Callable[[Inputs], dict[str, Any]] = _nothing
    prepare: Mapping[str, Callable[[np.ndarray], np.ndarray]] = field(default_factory=dict)

    def inputs(self, seed: int = 29) -> dict[str, np.ndarray]:
        """Arrays in float64, the same ones each time for a seed."""
        generator = np.random.default_rng(seed)
        drawn = {name: generator.standard_normal(self.shape(axes)) for name, axes in self.axes.items()}
        return {name: self.prepare.get(name, lambda x: x)(x) for name, x in drawn.items()}

    def shape(self, axes: str) -> tuple[int, ...]:
        """Of "B L C": (2, 3, 4)."""
        return tuple(int(axis) if axis.isdigit() else self.sizes[axis] for axis in axes.split())

    def square(self) -> Setting:
        """The same with all sizes equal: matrices that were multiplied the wrong way round can be multiplied there."""
        return replace(self, sizes=dict.fromkeys(self.sizes, 3), what="all sizes equal")


@dataclass(frozen=True)
class Part:
    """One backward that the reader writes.

    forward, backward    names in mvnp/layers/<stem>.py
    output               axes of y, and so of dy
    returns              the inputs whose gradients the backward returns, in order
    ingredients          from the inputs, the options and dy, everything that the terms are made of
    terms                for each input, its gradient as a sum of named terms
    mistakes             those peculiar to this layer
    written              how an ingredient is written, where its name in Python will not do
    apart                whether a mistake at some entries can be told from others: not where a mask has two values only
    call                 makes (forward, backward) of a module, where they are not just called with the inputs and options
    help                 a function that the next part is easier with: who writes that without it has left nothing out
    """

    forward: str
    backward: str
    output: str
    returns: tuple[str, ...]
    settings: tuple[Setting, ...]
    ingredients: Callable[[Inputs, dict[str, Any], np.ndarray], Ingredients]
    terms: Mapping[str, Terms]
    mistakes: Callable[[Ingredients], list[Mistake]] = _no_mistakes
    written: Mapping[str, str] = field(default_factory=dict)
    apart: bool = True
    call: Callable[[ModuleType, dict[str, Any]], Pair] | None = None
    help: bool = False

    def functions(self, module: ModuleType, options: dict[str, Any]) -> Pair:
        """`forward(*inputs)` and `backward(dy, cache)` of a module, the reader's or the real one."""
        if self.call is not None:
            return self.call(module, options)
        forward = getattr(module, self.forward)
        return (lambda *inputs: forward(*inputs, **options)), getattr(module, self.backward)


@dataclass(frozen=True)
class Step:
    """Some of the gradients of a long exercise, and what there is to think of."""

    gradients: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Exercise:
    """A layer whose backward is to be written.

    also     names functions of the layer that are given as well
    steps    of a long one: the gradients in the order in which they are best written. What is None is still to come
    """

    stem: str
    about: str
    parts: tuple[Part, ...]
    also: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def source(self) -> str:
        """Where the layer's code lies: as it is called in a checkout, or the file in an installed package."""
        return _in_checkout(f"mvnp/layers/{self.stem}.py") or str(PACKAGE / "layers" / f"{self.stem}.py")

    @property
    def page(self) -> str:
        """Where the page with the derivation lies: in a checkout, or the copy that an installed package has."""
        return _in_checkout(f"docs/layers/{self.stem}.md") or str(PACKAGE / "learn" / "pages" / f"{self.stem}.md")

    def steps_of(self, part: Part) -> tuple[tuple[int, Step], ...]:
        """The steps of a part, each with its number."""
        numbered = enumerate(self.steps, start=1)
        return tuple((number, step) for number, step in numbered if set(step.gradients) <= set(part.returns))

    @property
    def backwards(self) -> tuple[str, ...]:
        """The names of the functions to write."""
        return tuple(part.backward for part in self.parts)


def flat(x: np.ndarray) -> np.ndarray:
    """(..., C) as (rows, C)."""
    return x.reshape(-1, x.shape[-1])


def off_zero(x: np.ndarray) -> np.ndarray:
    """At least 0.1 from a kink at zero."""
    return x + 0.1 * np.sign(x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˣ), for the small x of the exercises."""
    return 1.0 / (1.0 + np.exp(-x))
