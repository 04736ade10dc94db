"""A layer as text: the tree of its parts, with shapes and numbers of parameters.

    Mlp(                                      # 27 parameters
      (fc1): Linear(weight (4, 2), bias (4))  # 12
      (act): GELU()
      (fc2): Linear(weight (3, 4), bias (3))  # 15
    )

Neighbours in a list that look the same share one entry, as in `(blocks.1-2): 2 x ConvBlock(`. Buffers are left out: they are
not trained.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from .param import Param

if TYPE_CHECKING:
    from .layer import Layer

INDENT = "  "


def tree(layer: Layer) -> str:
    """The tree below `layer`, a line for each part."""
    first, *others = _lines(layer)
    if first[1]:
        first = (first[0], f"{first[1]} parameters")
    rows = [first, *others]
    width = max((len(text) for text, count in rows if count), default=0)
    return "\n".join(f"{text:<{width}}  # {count}" if count else text for text, count in rows)


def _lines(layer: Layer) -> list[tuple[str, str]]:
    """Each line, and the number of parameters behind it; none for a closing bracket, or where there are no parameters."""
    own = ((layer.key_of.get(name, name) or name, value) for name, value in vars(layer).items())
    shapes = ", ".join(f"{name} {value.shape}" for name, value in own if isinstance(value, Param) and value.trainable)
    count = f"{layer.parameter_count:,}" if layer.parameter_count else ""
    children = [(name, _lines(child)) for name, child in layer.children()]
    if not children:
        return [(f"{type(layer).__name__}({shapes})", count)]
    lines = [(f"{type(layer).__name__}({shapes}", count)]
    for _, group in groupby(children, key=lambda child: (_list_of(child[0]), child[1])):
        alike = list(group)
        label, ((first, number), *others) = alike[0]
        if len(alike) > 1:
            label, first = f"{label}-{alike[-1][0].rpartition('.')[2]}", f"{len(alike)} x {first}"
        lines.append((f"{INDENT}({label}): {first}", number))
        lines += [(INDENT + text, number) for text, number in others]
    return [*lines, (")", "")]


def _list_of(name: str) -> str:
    """The name of the list that `name` is an entry of, as `blocks` for `blocks.3`; any other name is returned as it is."""
    head, _, last = name.rpartition(".")
    return head if last.isdigit() else name
