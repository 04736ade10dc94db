"""Cuts an exercise out of a layer's own source: the forward and all it needs, the backward without its body.

Made anew from mvnp/layers each time, so an exercise cannot fall behind the layer. Of the file's top-level definitions those
stay that the forward reaches; the backward's own helpers, the layer's class and whatever in the docstring tells the answer
go. Imports of what the backward uses stay: they are the tools at hand.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import refusing
from .course import EXERCISES, number
from .docstring import hidden_equations, without_answer
from .exercise import Exercise, Part
from .hint import listed


@dataclass(frozen=True)
class _Piece:
    """A top-level statement: the names it defines, those it uses, and its lines with the comments above it."""

    names: frozenset[str]
    uses: frozenset[str]
    text: str
    node: ast.stmt


@refusing
def exercise_text(exercise: Exercise) -> str:
    """The file that the reader works in."""
    return _file(exercise, solved=False)


def solved_text(exercise: Exercise) -> str:
    """The same file with the layer's own backward in it."""
    return _file(exercise, solved=True)


@refusing
def solution(exercise: Exercise) -> str:
    """The layer's own answer: what the exercise leaves out, equations and functions."""
    source = _Source(exercise)
    hidden = "\n".join(hidden_equations(source.docstring))
    return "\n\n\n".join([*([hidden] if hidden else []), *(piece.text for piece in source.answer())])


def _file(exercise: Exercise, solved: bool) -> str:
    source = _Source(exercise)
    given = {piece.text for piece in source.given()}
    answer = {piece.text for piece in source.answer()}
    blocks = []
    for piece in source.pieces:
        part = next((part for part in exercise.parts if part.backward in piece.names), None)
        if part is not None and not solved:
            blocks.append(_stub(part, piece))
        elif piece.text in given or (solved and piece.text in answer):
            blocks.append(piece.text)
    docstring = source.docstring if solved else without_answer(source.docstring)
    head = "" if solved else _header(source)
    return head + f'"""{docstring}\n"""\n\n{source.imports()}\n\n' + _joined(blocks) + "\n"


def _joined(blocks: list[str]) -> str:
    """Two empty lines around functions and classes, one between constants."""
    text = ("\n" if re.match(r"def|class|@", blocks[0]) else "") + blocks[0]
    for before, block in itertools.pairwise(blocks):
        both_short = not any(re.search(r"^(def|class|@)", part, re.MULTILINE) for part in (before, block))
        text += ("\n" if both_short else "\n\n\n") + block
    return text


def _header(source: _Source) -> str:
    exercise = source.exercise
    lines = [f"Exercise {number(exercise)} of {len(EXERCISES)} of `mvnp learn`: {exercise.stem}, {exercise.about}.", ""]
    for part in exercise.parts:
        given = source.function(part.backward).args.args
        what = {"dloss": "the loss", "tokens": f"{part.forward}(x, P)"}.get(given[0].arg, "y")
        lines.append(f"Write {part.backward}, below. {given[0].arg} is the gradient of {what}{_shaped(part.output)}; return")
        lines += [f"    d{name:<10} the gradient of {name}{_shape_of(part, name)}" for name in part.returns]
        lines.append("")
    if exercise.steps:
        lines += [
            f"It is best done in {len(exercise.steps)} steps, with a check after each; return None for what is still to come:"
        ]
        for place, step in enumerate(exercise.steps, start=1):
            lines.append(f"    {place}  {listed(f'd{name}' for name in step.gradients):<18} {step.text}")
        lines.append("")
    backwards = [source.function(name).args.args for name in exercise.backwards if name.endswith("_backward")]
    for name in dict.fromkeys(given[1].arg for given in backwards):
        lines += [f"`{name}` is the cache, what the forward returned beside y.", ""]
    lines += [f"{name} is there to be used: {source.told(name)}" for name in exercise.also] + [""] * bool(exercise.also)
    lines += [
        "All else in this file is the layer as it is, and need not be changed.",
        "",
        f"    mvnp learn check {exercise.stem:<20} compares your gradients with differences of the forward",
        f"    mvnp learn solution {exercise.stem:<17} shows how the layer does it, after a try",
        "",
        f"{exercise.page} has the derivation, answer included.",
    ]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _shaped(axes: str) -> str:
    letters = axes.split()
    return f", shape ({', '.join(letters)}{',' if len(letters) == 1 else ''})" if letters else ", a number"


def _shape_of(part: Part, name: str) -> str:
    axes = [setting.axes[name] for setting in part.settings if name in setting.axes]
    optional = len(axes) < len(part.settings)
    return _shaped(axes[0]) + (f"; None where there is no {name}" if optional else "")


def _stub(part: Part, piece: _Piece) -> str:
    node = piece.node
    assert isinstance(node, ast.FunctionDef)
    # The lines of the signature as they stand in the layer, up to the docstring.
    lines_of_body = (node.end_lineno or 0) - node.body[0].lineno + 1
    signature = piece.text.splitlines()[:-lines_of_body]
    gradients = ", ".join(f"d{name}" for name in part.returns)
    lines = [*signature, f'    """{gradients}: to be written."""']
    unpacked = next((statement for statement in node.body if _unpacks_cache(statement)), None)
    if unpacked is not None:
        lines.append(f"    {ast.unparse(unpacked)}")
    return "\n".join([*lines, '    raise NotImplementedError("write this one")'])


def _unpacks_cache(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name) and statement.value.id == "cache"


class _Source:
    """A layer's file, taken apart."""

    def __init__(self, exercise: Exercise) -> None:
        self.exercise = exercise
        text = _plain(inspect.getsource(importlib.import_module(f"mvnp.layers.{exercise.stem}")))
        self.docstring = inspect.cleandoc(ast.get_docstring(ast.parse(text), clean=False) or "")
        self.pieces = list(_pieces(self._without_aliases(text)))

    def _without_aliases(self, text: str) -> str:
        """Drop path is dropout under another name: where a function is only named, that of the other layer is put."""
        tree = ast.parse(text)
        wanted = {name for part in self.exercise.parts for name in (part.forward, part.backward)}
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and _defined(node) & wanted:
                other = node.value.id.rpartition("_")[0]
                theirs = _plain(inspect.getsource(importlib.import_module(f"mvnp.layers.{other}")))
                return theirs.replace(f"{other}_forward", f"{self.exercise.stem}_forward").replace(
                    f"{other}_backward", f"{self.exercise.stem}_backward"
                )
        return text

    def given(self) -> list[_Piece]:
        """What the forward is made of."""
        return self._reached({part.forward for part in self.exercise.parts} | set(self.exercise.also))

    def answer(self) -> list[_Piece]:
        """The backwards, and what they need beyond what is given."""
        given = {piece.text for piece in self.given()}
        wanted = set(self.exercise.backwards)
        return [piece for piece in self._reached(wanted) if piece.text not in given or piece.names & wanted]

    def function(self, name: str) -> ast.FunctionDef:
        """The definition of a function of the layer."""
        return next(piece.node for piece in self.pieces if isinstance(piece.node, ast.FunctionDef) and name in piece.names)

    def told(self, name: str) -> str:
        """The first sentence of a function's docstring."""
        return (ast.get_docstring(self.function(name)) or "").partition(":")[0].rstrip(".") + "."

    def imports(self) -> str:
        """Those of what is given and of the backward, from where the reader's file can import them; and NumPy, for anyone."""
        used = {name for piece in [*self.given(), *self.answer()] for name in piece.uses}
        lines = []
        for piece in self.pieces:
            node = piece.node
            if isinstance(node, ast.Import | ast.ImportFrom):
                wanted = [alias for alias in node.names if (alias.asname or alias.name).split(".")[0] in used]
                if wanted:
                    lines.append(_absolute(node, wanted))
        library = [line for line in lines if " mvnp." not in line and line != "import numpy as np"]
        return "\n".join([*library, *([""] if library else []), "import numpy as np", "", *_of_mvnp(lines)])

    def _reached(self, names: set[str]) -> list[_Piece]:
        """The pieces that define `names`, and all that these use, imports aside, in the order of the file."""
        found: list[_Piece] = []
        open_names = set(names)
        while open_names:
            name = open_names.pop()
            for piece in self.pieces:
                if name in piece.names and piece not in found and not isinstance(piece.node, ast.Import | ast.ImportFrom):
                    found.append(piece)
                    open_names |= piece.uses
        return [piece for piece in self.pieces if piece in found]


def _plain(text: str) -> str:
    """Without its decorators: the reader's own function is to run, and no twin of it."""
    return text.replace("@twin\n", "").replace("@refusing\n", "")


def _pieces(text: str) -> Iterator[_Piece]:
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Expr):
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))]) - 1
        while first > 0 and lines[first - 1].startswith("#"):
            first -= 1
        used = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)}
        yield _Piece(frozenset(_defined(node)), frozenset(used), "\n".join(lines[first : node.end_lineno]), node)


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}


def _absolute(node: ast.Import | ast.ImportFrom, names: list[ast.alias]) -> str:
    listed = ", ".join(f"{alias.name} as {alias.asname}" if alias.asname else alias.name for alias in names)
    if isinstance(node, ast.Import):
        return f"import {listed}"
    package = {0: "", 1: "mvnp.layers.", 2: "mvnp."}[node.level]
    return f"from {package}{node.module} import {listed}"


def _of_mvnp(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("from mvnp.")]
