"""A reader of pickles that cannot run anything.

A pickle is a program for a small stack machine, and Python's own machine lets it import and call what it names. This
one knows the instructions that write down plain data (dicts, lists, tuples, strings, numbers) and nothing else. A name
that the pickle brings up is looked up in a table of ours: it stands for a function of ours, or it is refused. Nothing is
imported on the file's word, because there is nothing here that imports.

The instructions are those of `pickletools`, which also splits the bytes into instructions.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ...errors import CheckpointError

# The pickle of the largest model has a fifth of a megabyte and 25,000 instructions; with the state of an optimiser, four times
# as much.
MAX_BYTES = 4 * 2**20
MAX_INSTRUCTIONS = 1_000_000

# What a key may be. Not a tuple: nested ones can make a single hash take for ever.
_SCALARS = (str, bytes, int, float, bool, type(None))


@dataclass(frozen=True)
class Name:
    """A global that the pickle named and that the table admits. Only the table gives it a meaning."""

    text: str  # module and name, with a space between, as pickle writes it


@dataclass
class Inert:
    """An object that is let in as data: what class it says it is, and its attributes. Nobody is asked whether it is so."""

    name: str
    state: Any = field(default=None, repr=False)


def read_pickle(data: bytes | BinaryIO, names: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any]) -> Any:
    """The data that a pickle writes down.

    data         the pickle, or a file that stands at its begin, and then at its end
    names        {"module name": function}: what a global may be, and which function of ours stands for it
    persistent   function of ours for a persistent id, a reference to something outside the pickle

    Raises CheckpointError for a global that is not in `names`, an instruction that plain data does not need, and damage.
    """
    if isinstance(data, bytes) and len(data) > MAX_BYTES:
        raise CheckpointError(f"a pickle of {len(data)} bytes, expected at most {MAX_BYTES}: no state dict is that long")
    machine = _Machine(names, persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count == MAX_INSTRUCTIONS:
                raise CheckpointError(f"a pickle of more than {MAX_INSTRUCTIONS} instructions: no state dict has so many")
            machine.step(opcode.name, argument)
        return machine.result()
    except CheckpointError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"a damaged pickle ({type(error).__name__})") from error


class _Machine:
    def __init__(self, names: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any]) -> None:
        self.names = names
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """One instruction."""
        push = self.stack.append
        match opcode:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                push({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "BINFLOAT":
                push(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8" | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8":
                push(argument)
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                push({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[opcode]())
            case "MARK":
                self.marks.append(len(self.stack))
            case "TUPLE":
                push(tuple(self.pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple(self.pop(int(opcode[-1]))))
            case "APPEND" | "APPENDS":
                items = self.pop(1) if opcode == "APPEND" else self.pop_to_mark()
                self.top(list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self.pop(2) if opcode == "SETITEM" else self.pop_to_mark()
                target = self.top(dict)
                for key, value in zip(items[::2], items[1::2], strict=True):
                    target[_scalar(key)] = value
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.top(object)
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.top(object)
            case "BINGET" | "LONG_BINGET":
                push(self.memo[argument])
            case "GLOBAL":
                push(self.admitted(argument))
            case "STACK_GLOBAL":
                module, name = self.pop(2)
                push(self.admitted(f"{module:s} {name:s}"))
            case "REDUCE" | "NEWOBJ":
                function, arguments = self.pop(2)
                if not isinstance(function, Name) or not isinstance(arguments, tuple):
                    raise TypeError
                push(self.names[function.text](*arguments))
            case "BUILD":
                (state,) = self.pop(1)
                target = self.top(object)
                if isinstance(target, Inert):
                    target.state = state
                elif not isinstance(target, dict):  # a module's state dict carries a `_metadata`, which we pass over
                    raise TypeError
            case "BINPERSID":
                push(self.persistent(*self.pop(1)))
            case _:
                raise CheckpointError(f"the pickle has the instruction {opcode}, which a state dict does not need")

    def admitted(self, text: str) -> Name:
        if text not in self.names:
            raise CheckpointError(
                f"the pickle asks for {text.replace(' ', '.')[:200]!r}, which a state dict does not need; nothing was run."
                " If you trust the file, open it with torch and save the state_dict() alone"
            )
        return Name(text)

    def pop(self, count: int) -> list[Any]:
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < count:
            raise IndexError
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def pop_to_mark(self) -> list[Any]:
        mark = self.marks.pop()
        taken = self.stack[mark:]
        del self.stack[mark:]
        return taken

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise TypeError
        return self.stack[-1]

    def result(self) -> Any:
        (value,) = self.stack
        return value


def _scalar(key: Any) -> Any:
    if not isinstance(key, _SCALARS):
        raise TypeError
    return key
