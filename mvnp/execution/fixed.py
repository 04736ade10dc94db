"""What is made of weights alone, made once, for as long as they are promised to stay as they are.

    with fixed_weights():
        for batch in batches: model(batch)

A layer asks for such a thing by `once`. Outside of the context it is made at each call, so that nothing has to be kept in step
with weights that somebody may change in place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

_made: dict[tuple[int, ...], tuple[Any, Any]] | None = None


@contextlib.contextmanager
def fixed_weights() -> Iterator[None]:
    """While this context lasts no weight of any model changes, neither by training nor by loading: what is made of them is
    kept.

    Contexts may lie within each other; what was kept goes with the outermost."""
    global _made
    outermost = _made is None
    _made = {} if outermost else _made
    try:
        yield
    finally:
        if outermost:
            _made = None


def once(owners: tuple[object, ...], make: Callable[[], T]) -> T:
    """make(), of the weights of these layers; the same again while weights are fixed."""
    kept = _made
    if kept is None:
        return make()
    key = tuple(map(id, owners))
    if key not in kept:
        kept[key] = owners, make()  # the owners too, or another layer could come to lie where one was
    return kept[key][1]
