"""The reader's functions, and what comes of calling them: in this process, or in one of their own (answer.py)."""

from __future__ import annotations

import contextlib
import io
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from .exercise import Inputs, Part, Setting

MODULE = "mvnp_learn_answer"


@dataclass
class Tried:
    """What a forward and its backward gave.

    pair      whether the forward gave two things, (y, cache)
    y         the first of them
    result    what the backward gave, as it is
    changed   which of the arguments it has changed in place
    """

    pair: bool
    y: Any = None
    result: Any = None
    changed: list[str] = field(default_factory=list)


class Raised(Exception):
    """What the reader's code raised, told apart from an error of ours.

    described    with the reader's own line
    unwritten    it says that it is not written yet
    of_shapes    it may be that shapes do not fit together
    """

    def __init__(self, message: str, described: str, unwritten: bool, of_shapes: bool) -> None:
        super().__init__(message)
        self.described, self.unwritten, self.of_shapes = described, unwritten, of_shapes

    @classmethod
    def of(cls, error: Exception, file: str) -> Raised:
        unwritten, of_shapes = isinstance(error, NotImplementedError), isinstance(error, ValueError | IndexError)
        return cls(_text(error), described(error, file), unwritten, of_shapes)


class Theirs(Protocol):
    """The reader's functions, wherever they run."""

    def missing(self, names: Iterable[str]) -> str | None:
        """The first of these that is no function of the file's."""

    def run(
        self, part: Part, setting: Setting, square: bool, inputs: Inputs, dy: np.ndarray | None, quiet: bool = False
    ) -> Tried:
        """The forward and, with a dy, the backward. Raises Raised.

        square    of the setting with all sizes equal
        quiet     what is printed was shown before
        """


class Local:
    """Those of a module in this process. `file`: whose lines are told."""

    def __init__(self, module: ModuleType, file: str = "") -> None:
        self.module, self.file = module, file

    def missing(self, names: Iterable[str]) -> str | None:
        return next((name for name in names if not callable(getattr(self.module, name, None))), None)

    def run(
        self, part: Part, setting: Setting, square: bool, inputs: Inputs, dy: np.ndarray | None, quiet: bool = False
    ) -> Tried:
        with contextlib.redirect_stdout(io.StringIO()) if quiet else contextlib.nullcontext():
            return self._run(part, setting, square, inputs, dy)

    def _run(self, part: Part, setting: Setting, square: bool, inputs: Inputs, dy: np.ndarray | None) -> Tried:
        options = (setting.square() if square else setting).options(inputs)
        given = {name: x.copy() for name, x in inputs.items()}
        try:
            forward, backward = part.functions(self.module, options)
            both = forward(*given.values())
            if not isinstance(both, tuple) or len(both) != 2:
                return Tried(False)
            if dy is None:
                return Tried(True, both[0])
            given["dy"] = dy.copy()
            result = backward(given["dy"], both[1])
        except Exception as error:
            raise Raised.of(error, self.file) from error
        before = {"dy": dy, **inputs}
        return Tried(True, both[0], result, [name for name, x in before.items() if not np.array_equal(x, given[name])])


def loaded(text: str, file: str) -> ModuleType:
    """The module that a text of the reader's makes. Raises what the text raises, a SystemExit too."""
    module = ModuleType(MODULE)
    module.__file__ = file
    sys.modules[MODULE] = module  # where a dataclass of theirs looks itself up
    exec(compile(text, file, "exec"), module.__dict__)
    return module


def described(error: BaseException, file: str) -> str:
    """`ValueError: … (line 31: dx = dy @ weight.T)`, with the reader's own line where it can be found."""
    name = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"{name}: {error.msg} (line {error.lineno}: {(error.text or '').strip()})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" (line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
    text = _text(error)
    return f"{name}: {text}{where}" if text else f"{name}{where}"


def _text(error: BaseException) -> str:
    try:
        return str(error)[:1000]
    except Exception:  # of a class of theirs
        return ""
