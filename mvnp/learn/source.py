"""Looks through the text of an answer for ways to the solution: what is imported from there is no answer.

What the exercise came with may stay. It is no wall (child.py takes the solution out of the process that runs the answer, and
the verdict is made in another one), but it tells a slip or a shortcut for what it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .cut import exercise_text
from .exercise import Exercise

# Modules that lead to others' code and frames, and what leads there without an import.
MODULES = {"builtins", "ctypes", "gc", "importlib", "inspect", "multiprocessing", "pkgutil", "runpy", "subprocess"}
NAMES = {"__import__", "__builtins__", "__loader__", "__spec__", "compile", "eval", "exec"}
ATTRIBUTES = {
    *("_getframe", "_current_frames", "f_back", "f_globals", "f_locals", "tb_frame", "gi_frame", "settrace", "setprofile"),
    *("__globals__", "__closure__", "__subclasses__", "__builtins__", "__wrapped__", "__loader__", "book"),
}


def shortcut(text: str, exercise: Exercise) -> str:
    """Where an answer takes the solution, or reaches for what judges it, in words; "" where it does neither.

    A text that is no Python is passed over: it is told where it is run.
    """
    try:
        found, given = list(_reaches(ast.parse(text))), {what for _, what in _reaches(ast.parse(exercise_text(exercise)))}
    except (SyntaxError, ValueError, RecursionError):
        return ""
    lines = text.splitlines()
    for number, what in found:
        if what not in given:
            line = lines[number - 1].strip()[:80]
            if what.startswith("mvnp"):
                return (
                    f"it imports {what}, which the exercise does not come with (line {number}: {line}); the backward is to be"
                    " written with what the file begins with, NumPy and Python"
                )
            return f"it uses {what}, which no backward needs (line {number}: {line})"
    return ""


def _reaches(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    if alias.name.split(".")[0] in ("mvnp", *MODULES):
                        yield node.lineno, alias.name
            case ast.ImportFrom():
                module = "." * node.level + (node.module or "")
                if node.level or module.split(".")[0] in ("mvnp", *MODULES):
                    for alias in node.names:
                        yield node.lineno, f"{module}.{alias.name}" if module.startswith("mvnp") else module
            case ast.Name() if node.id in NAMES:
                yield node.lineno, node.id
            case ast.Attribute() if node.attr in ATTRIBUTES:
                yield node.lineno, node.attr
            case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
                yield node.lineno, "sys.modules"
