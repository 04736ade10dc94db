"""Which model a state dict belongs to: read from the names and shapes of its arrays.

The family is known by the keys; mvnp/checkpoint/readers says what the shapes tell of its arguments. What leaves no trace comes
from the variant, which is known by its width and depth. Variants that differ in nothing but windows are told apart by the
file's name, or by whoever asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import CheckpointError
from ..models.variants import VARIANTS, Variant, defaults_of
from .readers import READERS, Shape, reader_of
from .readers.reader import holds

# What tells variants of the same shapes apart in the names of files and repositories: the release's own way of naming.
_MARKS = ("512", "256", "21k")


def arguments_of(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """The "family", and the arguments of its class that the shapes tell.

    Raises CheckpointError, saying what is there, for a state dict of something else.
    """
    reader = reader_of(shapes)
    if reader is None:
        raise CheckpointError(f"is no state dict of {a_family()}. {holds(shapes)}")
    return {"family": reader.family, **reader.arguments_of(shapes)}


def a_family() -> str:
    """ "a MambaVision or a Vim or …", for messages."""
    return " or ".join(f"a {family}" for family in READERS)


def variants_like(arguments: Mapping[str, Any]) -> list[Variant]:
    """The released variants with the same core, width and depth above all, in the order of their table."""
    family = arguments["family"]
    known = defaults_of(family)
    return [
        variant
        for variant in VARIANTS.values()
        if variant.family == family
        and all(_plain({**known, **variant.options}[name]) == _plain(arguments[name]) for name in READERS[family].core)
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def chosen_variant(candidates: list[Variant], names: list[str], window_size: Any = None) -> Variant | None:
    """The one of `candidates` that is meant, or None where there are none.

    names          of the file, its folder and its repository; the first that carries a mark (512, 256, 21k, 1k) decides
    window_size    where it is known, variants with these windows go before others, and no decision is needed

    Candidates that are the same network under two names (B and B_21k) need no decision: the first is taken. Raises
    CheckpointError where the networks differ and nothing decides.
    """
    if window_size is not None:
        candidates = [v for v in candidates if list(v.options.get("window_size", ())) == list(window_size)] or candidates
    for name in names:
        marked = _marked(candidates, name)
        if marked:
            candidates = marked
            break
    if window_size is None and len({variant.options.get("window_size") for variant in candidates}) > 1:
        listed = " or ".join(variant.name for variant in candidates)
        raise CheckpointError(
            f"has the shapes of {listed}, which differ only in their windows, and neither its name nor a config beside it says"
            f" which; give variant={candidates[0].name!r}, or another of them"
        )
    return candidates[0] if candidates else None


def described(arguments: Mapping[str, Any]) -> str:
    """Arguments in a few words, for messages."""
    return ", ".join(f"{name} {arguments[name]}" for name in READERS[arguments["family"]].told)


def _marked(candidates: list[Variant], name: str) -> list[Variant]:
    """The candidates that carry the same marks as `name`, if it carries any."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    marks = {mark for mark in _MARKS if mark in words}
    if not marks and "1k" not in words:
        return []
    known = {variant.name: set(re.split("_", variant.name.lower())) & set(_MARKS) for variant in candidates}
    exact = [variant for variant in candidates if marks == known[variant.name]]
    return exact or [variant for variant in candidates if marks and marks <= known[variant.name]]
