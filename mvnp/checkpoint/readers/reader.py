"""What is known of how a family's state dicts look."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import CheckpointError

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

MOST_BLOCKS = 256  # in a row; the largest released model has 27


@dataclass(frozen=True)
class Reader:
    """How the arguments of a family's class are read from the shapes of a state dict.

    belongs         whether these keys of a state dict are this family's
    arguments_of    the arguments that the shapes tell, "num_classes" among them. Raises CheckpointError, saying what is there,
                    for a state dict of something else
    core            those by which a released variant is known
    unseen          arguments that leave no trace in the shapes, and have no default
    starts          arguments of which the shapes tell only that there is something: where its training begins. `arguments_of`
                    gives any value
    free            arguments that may be asked for otherwise than the shapes tell: `adapt` fits the arrays to them
    alike           alike(name, asked, seen): whether an argument that was asked for is the same as the shapes tell
    told            those that a message names
    first           key of the weight (out, in_chans, …) that sees the images' channels
    head            what the keys of the classifier begin with
    translate       translate(weights) gives arrays that came by other names, or in other shapes, those of the official release
    adapt           adapt(weights, arguments) changes the arrays in their dict, where a model with these arguments has others
    """

    family: str
    belongs: Callable[[Collection[str]], bool]
    arguments_of: Callable[[Shapes], dict[str, Any]]
    core: tuple[str, ...]
    told: tuple[str, ...]
    first: str
    head: str = "head."
    unseen: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    alike: Callable[[str, Any, Mapping[str, Any]], bool] = lambda name, asked, seen: asked == seen[name]
    translate: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] | None = None
    adapt: Callable[[dict[str, np.ndarray], Mapping[str, Any]], None] | None = None


def shapes_of(weights: Mapping[str, Any]) -> dict[str, Shape]:
    """The shape of each array."""
    return {key: tuple(array.shape) for key, array in weights.items()}


def shape_at(family: str, shapes: Shapes, key: str, rank: int) -> Shape:
    """The shape under `key`, if it is one that a network of this family can have."""
    shape = shapes.get(key)
    if shape is None or len(shape) != rank or 0 in shape:
        found = "no" if shape is None else f"shape {shape} of"
        raise CheckpointError(
            f"is no state dict of a {family}: it has {found} {key}, expected one of {rank} axes. {holds(shapes)}"
        )
    return shape


def count_of(family: str, shapes: Shapes, begin: str, where: str) -> int:
    """How many numbers follow on `begin` in the keys. Counted, not the highest of them: a number can be anything."""
    count = len({key.removeprefix(begin).partition(".")[0] for key in shapes if key.startswith(begin)})
    if count > MOST_BLOCKS:
        raise CheckpointError(f"is no state dict of a {family}: it has {count} blocks{where}, more than any can have")
    return count


def holds(shapes: Shapes) -> str:
    """What there is, in a few words."""
    some = "; ".join(f"{repr(other[:60])[1:-1]} {shapes[other]}" for other in list(shapes)[:4])
    return f"It holds {len(shapes)} arrays, such as {some}"
