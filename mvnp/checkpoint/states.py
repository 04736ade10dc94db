"""Which of the dicts in a file holds the weights, and what their keys are without what was wrapped around the model.

Training scripts keep weights at the top of the file or under any name, beside options, optimisers and averages; wrappers
(data parallelism, torch.compile, a Lightning module) put prefixes before the keys, in any order. What tells the weights is what
is left when the prefixes are off: the keys of a family of models that we know (readers).
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import CheckpointError, nearest
from .readers import reader_of

WRAPPERS = ("module", "model", "_orig_mod")  # taken off also where no family is known
# No model of ours has a part of this name: taken out wherever it stands.
_INNER = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# What profilers and averages count, beside the weights.
_COUNTERS = ("total_ops", "total_params", "n_averaged")
# Entries under which scripts keep weights, for models of which we know nothing.
PLACES = ("state_dict", "model_state_dict", "model", "net", "weights", "params")

_AVERAGES = {"ema", "swa", "averaged", "average"}

# How much of what a file nests is looked through: more than any script writes, and little enough for a file that means harm.
_MOST_DICTS, _DEEPEST, _LONGEST_NAME, _MOST_PARTS, _IN_A_LIST = 10_000, 8, 200, 16, 100


@dataclass(frozen=True)
class Unreadable:
    """A tensor that is there and cannot be read. `reason` goes on behind its key: "is of a dtype that …"."""

    reason: str


@dataclass(frozen=True)
class State:
    """A state dict in a file: where it stands, "" at the top, and its tensors, whatever kind of reference they are."""

    entry: str
    tensors: dict[str, Any]
    unreadable: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def average(self) -> bool:
        """By its name it is one that a script averaged over its steps."""
        return not _AVERAGES.isdisjoint(re.split(r"[^a-z]+", self.entry.lower()))


def chosen_state(
    content: Any, is_tensor: Callable[[Any], bool], entry: str | None = None, ema: bool = False, bare: bool = True
) -> State:
    """The state dict that is meant, its keys without prefixes.

    entry    names the dict, "checkpoint.model", or what all its keys begin with, "backbone"; None: the one that is there
    ema      that of a moving average
    bare     False: the keys as they are

    Raises CheckpointError where there is none, or several and nothing decides; the message lists them.
    """
    states = list(_states(content, is_tensor))
    if not any(reader_of(bare_keys({**state.tensors, **state.unreadable})) for state in states):
        in_lists = list(_states(content, is_tensor, lists=True))  # as [model, optimiser] is saved
        if not states or any(reader_of(bare_keys(state.tensors)) for state in in_lists):
            states = in_lists
    if not states:
        raise CheckpointError(f"holds no state dict: nothing in it is a tensor with a name. It is {kind_of(content)}")
    if entry is not None:
        return _bare(_named(states, entry))
    if not bare:
        return states[0]
    known = [state for state in states if reader_of(bare_keys(state.tensors))]
    pool = known or states
    averages = [state for state in pool if state.average]
    if ema and not averages:
        raise CheckpointError(
            f"has no moving average of the weights by its name; it has {_listed(states)}. Leave out ema, or name one with"
            " entry= (--entry on the command line)"
        )
    pool = averages if ema else [state for state in pool if not state.average] or averages
    pool = _different(pool)
    if len(pool) > 1 and not known:
        usual = [state for name in (*PLACES, "") for state in pool if state.entry.removesuffix("_ema" * ema) == name]
        pool = usual[:1] or pool
    if len(pool) > 1:
        raise CheckpointError(
            f"has several state dicts, {_listed(pool)}; choose with entry= (--entry on the command line), for example"
            f" entry={pool[0].entry or pool[1].entry!r}"
        )
    return _bare(pool[0])


def bare_keys(keys: Mapping[str, Any]) -> dict[str, str]:
    """{key without prefixes: key}. Counters are left out; a prefix goes where all keys share it and what is left is known."""
    inner = {".".join(part for part in key.split(".") if part not in _INNER): key for key in keys if not is_counter(key)}
    if len(inner) < sum(not is_counter(key) for key in keys):
        inner = {key: key for key in keys if not is_counter(key)}
    shared = _shared_parts(list(inner))
    for count in range(min(len(shared), _MOST_PARTS) + 1):
        stripped = _without(inner, count)
        if reader_of(stripped):
            return stripped
    count = next((count for count, part in enumerate(shared) if part not in WRAPPERS), len(shared))
    return _without(inner, count)


def is_counter(key: str) -> bool:
    """Whether it is one that a tool has left beside the weights."""
    return key.rpartition(".")[2] in _COUNTERS


def known_prefixes(keys: Mapping[str, Any]) -> list[str]:
    """Prefixes that some of the keys share, and that leave the keys of a known model."""
    parts = [key[:_LONGEST_NAME].split(".") for key in keys]
    counts = Counter(".".join(each[:count]) for each in parts for count in range(1, min(len(each), 5)))
    return [
        prefix
        for prefix, _ in counts.most_common(20)
        if reader_of({key.removeprefix(prefix + "."): key for key in keys if key.startswith(prefix + ".")})
    ]


def shown(key: str) -> str:
    """A key from outside as a message has it: short, and with no control characters."""
    return repr(key if len(key) <= 80 else key[:77] + "…")[1:-1]


def _bare(state: State) -> State:
    keys = bare_keys({**state.tensors, **state.unreadable})
    counters = [key for key in state.tensors if is_counter(key)]
    tensors = {bare: state.tensors[key] for bare, key in keys.items() if key in state.tensors}
    unreadable = {bare: state.unreadable[key] for bare, key in keys.items() if key in state.unreadable}
    notes: tuple[str, ...] = ()
    if counters:
        names = ", ".join(sorted({key.rpartition(".")[2] for key in counters}))
        count = "a counter" if len(counters) == 1 else f"{len(counters)} counters"
        notes = (f"passed over {count} that another tool left beside the weights ({names})",)
    return State(state.entry, tensors, unreadable, notes)


def _states(content: Any, is_tensor: Callable[[Any], bool], lists: bool = False) -> Iterator[State]:
    """The dicts with tensors, from the top down; found by way of dicts with names, with `lists` also by way of those, and never
    by way of numbers."""
    kinds = (dict, list, tuple) if lists else (dict,)
    waiting: deque[tuple[str, Any, int]] = deque([("", content, 0)])
    seen: set[int] = set()
    kept = []  # what was seen, so that nothing else gets its id
    while waiting and len(seen) < _MOST_DICTS:
        entry, value, depth = waiting.popleft()
        listed = lists and isinstance(value, list | tuple)
        inside = {str(place): each for place, each in enumerate(value[:_IN_A_LIST])} if listed else content_of(value)
        owner = value if listed else inside
        if inside is None or id(owner) in seen:
            continue
        seen.add(id(owner))
        kept.append(owner)
        if depth < _DEEPEST:
            waiting.extend(
                (f"{entry}.{name}" if entry else name, below, depth + 1)
                for name, below in inside.items()
                if len(name) <= _LONGEST_NAME and (isinstance(below, kinds) or hasattr(below, "as_dict"))
            )
        if listed:
            continue  # what stands in it has no name
        tensors = {key: each for key, each in inside.items() if is_tensor(each)}
        reasons = {key: each.reason for key, each in inside.items() if isinstance(each, Unreadable)}
        if tensors or reasons:
            yield State(entry, tensors, reasons)


def content_of(value: Any) -> dict[str, Any] | None:
    """The entries of a dict, or of an object that was one; None: it is none."""
    if isinstance(value, dict):
        return value
    as_dict = getattr(value, "as_dict", None)
    return as_dict() if callable(as_dict) else None


def _named(states: list[State], entry: str) -> State:
    exact = [state for state in states if state.entry == entry]
    if exact:
        return exact[0]
    within = []
    for state in states:
        prefix = entry.removeprefix(f"{state.entry}.") if state.entry else entry
        tensors = {key: each for key, each in state.tensors.items() if key.startswith(prefix + ".")}
        if tensors:
            reasons = {key: reason for key, reason in state.unreadable.items() if key.startswith(prefix + ".")}
            chop = len(prefix) + 1
            within.append(State(entry, {k[chop:]: v for k, v in tensors.items()}, {k[chop:]: v for k, v in reasons.items()}))
    if not within:
        names = [state.entry for state in states if state.entry]
        raise CheckpointError(f"has no entry {entry!r}{nearest(entry, names)}; it has {_listed(states)}")
    if len(within) > 1:
        raise CheckpointError(f"has keys that begin with {entry!r} in several entries: {_listed(states)}; name one of them")
    return within[0]


def _different(states: list[State]) -> list[State]:
    """Without those that are the same tensors under another name."""
    kept: dict[frozenset[Any], State] = {}
    for state in states:
        kept.setdefault(frozenset(map(_identity, state.tensors.values())), state)
    return list(kept.values())


def _identity(tensor: Any) -> Any:
    """References to the same numbers are equal; arrays that are in memory are the same or not."""
    return id(tensor) if isinstance(tensor, np.ndarray) else tensor


def _shared_parts(keys: list[str]) -> list[str]:
    """What all keys begin with, cut at the dots; at least one part is left of each key."""
    if not keys:
        return []
    first, last = min(keys).split("."), max(keys).split(".")
    count = 0
    while count < min(len(first), len(last)) - 1 and first[count] == last[count]:
        count += 1
    return first[:count]


def _without(keys: Mapping[str, str], count: int) -> dict[str, str]:
    return {key.split(".", count)[count]: whole for key, whole in keys.items()} if count else dict(keys)


def _listed(states: list[State]) -> str:
    named = [f"'{shown(state.entry)}'" if state.entry else "the top of the file" for state in states]
    sizes = [f"{name} ({len(state.tensors)} tensors)" for name, state in zip(named, states, strict=True)]
    return ", ".join(sizes[:8]) + (f" and {len(sizes) - 8} more" if len(sizes) > 8 else "")


def kind_of(content: Any) -> str:
    """What an object in a file is, in a few words."""
    if isinstance(content, dict):
        names = ", ".join(shown(name) for name in list(content)[:8])
        return f"a dict with {names or 'no names in it'}"
    name = getattr(content, "name", None)
    if isinstance(name, str):
        return f"an object, {shown(name.replace(' ', '.'))}"
    return "a tensor" if hasattr(content, "storage") else f"a {type(content).__name__}"
