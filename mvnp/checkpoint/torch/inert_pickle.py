"""A reader of pickles that cannot run anything.

A pickle is a program for a small stack machine, and Python's own machine lets it import and call what it names. Here a name is
text, and a call of it makes an `Inert`: a note of what was named and with what it was called. A few names stand for functions
of ours, which put together tensors. Nothing is imported on the file's word, because there is nothing here that imports.

So whatever a training script has put beside its weights (options, histories, schedules, objects of its own classes) is passed
over, and does not hinder. Names that no honest file has, since they would run a command where Python opens it, are refused: not
because they could do anything here, but because whoever has the file should know.

The instructions are those of the standard library's `pickletools`. A state dict's keys are text, so entries of dicts under
other keys are passed over: nobody needs them, and numbers can be chosen so that a dict of them takes for ever.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import CheckpointError

# The pickle of the largest model has a fifth of a megabyte and 25,000 instructions. Histories of losses may ride along.
MAX_BYTES = 64 * 2**20
MAX_INSTRUCTIONS = 600_000

_MAX_TEXT = 2**20  # bytes of a string; a longer one is passed over
_MAX_LINE = 1000  # bytes of a name, or a number in digits
_MAX_INTEGER = 255  # bytes
_MOST_MODULES = 20_000  # in a whole model that was pickled

# What acts on the machine where Python's own reader calls it. All of a module, or single names of one.
_ATTACK_MODULES = {
    *(
        "os",
        "posix",
        "nt",
        "subprocess",
        "_posixsubprocess",
        "sys",
        "pty",
        "runpy",
        "ctypes",
        "_ctypes",
        "webbrowser",
        "socket",
    ),
    *("_socket", "code", "codeop", "imp", "importlib", "importlib._bootstrap", "shutil", "pdb", "bdb", "timeit", "cProfile"),
    *("profile", "pip"),
}
_ATTACKS = {
    *(f"{module} {name}" for module in ("builtins", "__builtin__") for name in ("eval", "exec", "execfile", "compile", "open")),
    *("builtins __import__", "__builtin__ __import__"),
    *(f"{module} {name}" for module in ("pickle", "_pickle", "cPickle") for name in ("load", "loads")),
    *("io open", "_io open", "_io FileIO", "signal alarm", "torch load", "torch.serialization load", "torch.hub load"),
    *("torch.jit load", "numpy load", "numpy.testing._private.utils runstring"),
    *("operator attrgetter", "operator methodcaller", "_operator attrgetter", "_operator methodcaller"),
}
_ATTACK_PARTS = {"__globals__", "__subclasses__", "__builtins__", "__code__", "__getattribute__", "__reduce_ex__"}


@dataclass(frozen=True)
class Name:
    """A global that the pickle named: module and name, with a space between, as pickle writes it."""

    text: str


class Inert:
    """What an object in the pickle was made with: nothing of the kind is made.

    name        of what was called, as in `Name`
    arguments   what it was called with
    state       what it was given afterwards, its attributes as a rule
    items       what was put into it under keys of text, as into a dict
    """

    __slots__ = ("arguments", "items", "name", "state")

    def __init__(self, name: str, arguments: tuple[Any, ...] = (), state: Any = None) -> None:
        self.name, self.arguments, self.state = name, arguments, state
        self.items: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Inert({self.name!r})"

    def as_dict(self) -> dict[str, Any] | None:
        """What can hold weights: the items of a dict of the script's own class; the state dict of a whole pickled module."""
        if isinstance(self.state, dict) and isinstance(self.state.get("_modules"), dict):
            return _state_of_module(self)
        return self.items


def _state_of_module(module: Inert) -> dict[str, Any]:
    """The parameters and buffers of a torch module and of those in it, under the keys of its state dict."""
    state: dict[str, Any] = {}
    waiting = [("", module)]
    for _ in range(_MOST_MODULES):
        if not waiting:
            return state
        prefix, inner = waiting.pop()
        attributes = inner.state
        if not isinstance(attributes, dict) or len(prefix) > _MAX_LINE:
            continue
        skipped = _members(attributes.get("_non_persistent_buffers_set"))
        for kind in ("_parameters", "_buffers"):
            held = content if isinstance(content := attributes.get(kind), dict) else {}
            state.update({prefix + name: value for name, value in held.items() if name not in skipped and value is not None})
        below = content if isinstance(content := attributes.get("_modules"), dict) else {}
        waiting += [(f"{prefix}{name}.", value) for name, value in reversed(below.items()) if isinstance(value, Inert)]
    raise CheckpointError(f"has a module of more than {_MOST_MODULES} parts")


def _members(value: Any) -> set[str]:
    """The texts in a set, which protocols write down in two ways."""
    if not isinstance(value, Inert):
        return set()
    called_with = value.arguments[0] if value.arguments and isinstance(value.arguments[0], list) else []
    return {*(value.items or {}), *(member for member in called_with if isinstance(member, str))}


class EndsTooEarly(CheckpointError):
    """The pickle goes on behind the bytes that are there."""


def read_pickle(data: bytes, names: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any]) -> Any:
    """The data that a pickle writes down.

    names        {"module name": function}: which function of ours stands for a global; all others make `Inert`
    persistent   function of ours for a persistent id, a reference to something outside the pickle

    Raises CheckpointError for damage, for what would act on the machine elsewhere, and for more instructions than weights need.
    """
    if len(data) > MAX_BYTES:
        raise CheckpointError(f"a pickle of {len(data)} bytes, expected at most {MAX_BYTES}: no state dict is that long")
    return read_next_pickle(data, 0, names, persistent)[0]


def read_next_pickle(
    data: bytes, at: int, names: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any]
) -> tuple[Any, int]:
    """The data of the pickle that begins at `at`, and where it ends: several may follow each other."""
    machine = _Machine(data, at, names, persistent)
    try:
        return machine.run(), machine.at
    except CheckpointError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, struct.error) as error:
        raise CheckpointError(f"a damaged pickle ({type(error).__name__})") from error


class _Machine:
    def __init__(self, data: bytes, at: int, names: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any]) -> None:
        self.data, self.at = data, at
        self.names, self.persistent = names, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.seen: dict[str, Name] = {}

    def run(self) -> Any:
        data, size, instructions, stop = self.data, len(self.data), _INSTRUCTIONS, b"."[0]
        for _ in range(MAX_INSTRUCTIONS):
            if self.at >= size:
                raise EndsTooEarly("a damaged pickle (it ends too early)")
            code = data[self.at]
            self.at += 1
            if code == stop:
                (value,) = self.stack
                return value
            instruction = instructions.get(code)
            if instruction is None:
                raise CheckpointError(f"the pickle has the instruction {code:#04x}, which a state dict does not need")
            instruction(self)
        raise CheckpointError(f"a pickle of more than {MAX_INSTRUCTIONS} instructions: no state dict has so many")

    # Bytes

    def take(self, count: int) -> memoryview:
        end = self.at + count
        if count < 0 or end > len(self.data):
            raise EndsTooEarly("a damaged pickle (it ends too early)")
        piece = memoryview(self.data)[self.at : end]
        self.at = end
        return piece

    def number(self, count: int) -> int:
        """An unsigned integer of so many bytes."""
        return int.from_bytes(self.take(count), "little")

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + _MAX_LINE)
        if end < 0:
            raise EndsTooEarly("a damaged pickle (a line without an end)")
        text = self.data[self.at : end].decode("utf-8", "surrogateescape")
        self.at = end + 1
        return text

    # Stack

    def pop(self, count: int = 1) -> list[Any]:
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

    def top(self) -> Any:
        if not self.stack:
            raise IndexError
        return self.stack[-1]

    # Instructions that are more than a line

    def text(self, width: int, encoding: str = "utf-8") -> None:
        piece = self.take(self.number(width))
        if len(piece) > _MAX_TEXT:
            self.stack.append(Inert("builtins str", (piece,)))
        else:
            self.stack.append(str(piece, encoding, "surrogatepass"))

    def octets(self, width: int) -> None:
        piece = self.take(self.number(width))
        self.stack.append(piece if len(piece) > 256 else bytes(piece))

    def long(self, width: int) -> None:
        piece = self.take(self.number(width))
        self.stack.append(
            int.from_bytes(piece, "little", signed=True) if len(piece) <= _MAX_INTEGER else Inert("builtins int", (piece,))
        )

    def integer_in_digits(self) -> None:
        text = self.line().removesuffix("L")
        self.stack.append(text == "01" if text in ("00", "01") else int(text))

    def quoted(self) -> None:
        text = self.line()
        if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
            raise ValueError
        self.stack.append(text[1:-1].encode("latin-1").decode("unicode_escape"))

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Inert):
            raise TypeError

    def set_items(self, items: list[Any]) -> None:
        target = self.top()
        if isinstance(target, Inert):
            target.items = {} if target.items is None else target.items
            target = target.items
        if not isinstance(target, dict) or len(items) % 2:
            raise TypeError
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str):
                target[key] = value

    def memorise(self, place: int) -> None:
        if place >= MAX_INSTRUCTIONS:
            raise IndexError
        self.memo[place] = self.top()

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str) or len(module) + len(name) > _MAX_LINE:
            raise TypeError
        text = f"{module} {name}"
        if text in self.seen:
            self.stack.append(self.seen[text])
            return
        attack = module in _ATTACK_MODULES or text in _ATTACKS or not _ATTACK_PARTS.isdisjoint(name.split("."))
        if attack and text not in self.names:
            raise CheckpointError(
                f"the pickle asks for {f'{module}.{name}'[:200]!r}, which no honest file of weights does: where Python or torch"
                " opens it, it may run what it likes; nothing was run here. Do not open it elsewhere"
            )
        self.seen[text] = Name(text)
        self.stack.append(self.seen[text])

    def call(self, function: Any, arguments: Any) -> None:
        if not isinstance(arguments, tuple) or not isinstance(function, Name | Inert):
            raise TypeError
        if isinstance(function, Name) and function.text in self.names:
            self.stack.append(self.names[function.text](*arguments))
        else:  # what an unknown call gave may be called again
            self.stack.append(Inert(function.text if isinstance(function, Name) else function.name, arguments))

    def call_with_options(self) -> None:
        function, arguments, options = self.pop(3)
        if not isinstance(options, dict):
            raise TypeError
        self.call(function, arguments)

    def call_from_mark(self) -> None:
        function, *arguments = self.pop_to_mark()
        self.call(function, tuple(arguments))

    def instance(self) -> None:
        arguments = tuple(self.pop_to_mark())
        self.name(self.line(), self.line())
        self.call(self.pop()[0], arguments)

    def build(self) -> None:
        (state,) = self.pop()
        target = self.top()
        if isinstance(target, Inert):
            target.state = state
        elif isinstance(target, str | bytes | int | float | bool | tuple | type(None)):
            raise TypeError  # of a dict (a module's state dict carries a `_metadata`) or a tensor it is passed over

    def pop_one(self) -> None:
        """Of a mark, that is what stands on top, and no value."""
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    def dict_from_mark(self) -> None:
        items = self.pop_to_mark()
        self.stack.append({})
        self.set_items(items)


def _pushes(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(make(machine))


_INSTRUCTIONS: dict[int, Callable[[_Machine], Any]] = {
    ord(code): instruction
    for code, instruction in {
        "\x80": lambda m: m.take(1),  # PROTO
        "\x95": lambda m: m.take(8),  # FRAME
        "N": _pushes(lambda m: None),
        "\x88": _pushes(lambda m: True),
        "\x89": _pushes(lambda m: False),
        "J": _pushes(lambda m: int.from_bytes(m.take(4), "little", signed=True)),
        "K": _pushes(lambda m: m.number(1)),
        "M": _pushes(lambda m: m.number(2)),
        "\x8a": lambda m: m.long(1),
        "\x8b": lambda m: m.long(4),
        "I": _Machine.integer_in_digits,
        "L": _Machine.integer_in_digits,
        "F": _pushes(lambda m: float(m.line())),
        "G": _pushes(lambda m: struct.unpack(">d", m.take(8))[0]),
        "X": lambda m: m.text(4),
        "\x8c": lambda m: m.text(1),
        "\x8d": lambda m: m.text(8),
        "T": lambda m: m.text(4, "latin-1"),
        "U": lambda m: m.text(1, "latin-1"),
        "S": _Machine.quoted,
        "V": _pushes(lambda m: m.line().encode("latin-1", "replace").decode("raw_unicode_escape")),
        "B": lambda m: m.octets(4),
        "C": lambda m: m.octets(1),
        "\x8e": lambda m: m.octets(8),
        "\x96": lambda m: m.octets(8),
        "}": _pushes(lambda m: {}),
        "]": _pushes(lambda m: []),
        ")": _pushes(lambda m: ()),
        "\x8f": _pushes(lambda m: Inert("builtins set")),
        "(": lambda m: m.marks.append(len(m.stack)),
        "t": _pushes(lambda m: tuple(m.pop_to_mark())),
        "\x85": _pushes(lambda m: tuple(m.pop(1))),
        "\x86": _pushes(lambda m: tuple(m.pop(2))),
        "\x87": _pushes(lambda m: tuple(m.pop(3))),
        "l": _pushes(lambda m: m.pop_to_mark()),
        "d": _Machine.dict_from_mark,
        "\x91": _pushes(lambda m: Inert("builtins frozenset", tuple(m.pop_to_mark()))),
        "a": lambda m: m.extend(m.pop(1)),
        "e": lambda m: m.extend(m.pop_to_mark()),
        "s": lambda m: m.set_items(m.pop(2)),
        "u": lambda m: m.set_items(m.pop_to_mark()),
        "\x90": lambda m: m.set_items([piece for item in m.pop_to_mark() for piece in (item, None)]),  # of a set
        "0": _Machine.pop_one,
        "1": lambda m: m.pop_to_mark(),
        "2": _pushes(_Machine.top),
        "q": lambda m: m.memorise(m.number(1)),
        "r": lambda m: m.memorise(m.number(4)),
        "p": lambda m: m.memorise(int(m.line())),
        "\x94": lambda m: m.memorise(len(m.memo)),
        "h": _pushes(lambda m: m.memo[m.number(1)]),
        "j": _pushes(lambda m: m.memo[m.number(4)]),
        "g": _pushes(lambda m: m.memo[int(m.line())]),
        "c": lambda m: m.name(m.line(), m.line()),
        "\x93": lambda m: m.name(*m.pop(2)),
        "R": lambda m: m.call(*m.pop(2)),
        "\x81": lambda m: m.call(*m.pop(2)),  # NEWOBJ
        "\x92": _Machine.call_with_options,  # NEWOBJ_EX
        "o": _Machine.call_from_mark,
        "i": _Machine.instance,
        "b": _Machine.build,
        "Q": _pushes(lambda m: m.persistent(*m.pop(1))),
    }.items()
}
