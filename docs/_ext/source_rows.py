"""A module cut into rows of prose and code, as the directive `annotated` shows it.

Prose is the module's docstring, the docstrings of functions and classes, and comments that have lines of their own. Everything
else is code. A row begins at such a comment, and at every function or class that has a docstring or stands at the left margin;
its prose belongs to the code from there on. Each line of code keeps the number that it has in the file.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

NUMBER = re.compile(r"(?<![\w.\])])\((\d{1,2})\)")  # (2), an equation of this module
RANGE = re.compile(NUMBER.pattern + r"(?: to \((\d{1,2})\))?")  # or (2) to (5)
ELSEWHERE = re.compile(r"\b(\w+)\.py, eqs?\.? (\d+(?:(?:, | and | to )\d+)*)")  # conv2d.py, eqs 2 and 4

_TOOLS = ("fmt:", "noqa", "type:", "ruff:", "!")  # comments that are not for a reader


@dataclass
class Row:
    """Some paragraphs, and the code that they stand beside: (number, text) of each line."""

    prose: list[str] = field(default_factory=list)
    code: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Mention:
    """A place that refers to an equation: the first line of the code that does what the equation says, and whose it is."""

    equation: int
    line: int
    function: str | None  # named where its docstring refers to the equation


def cut(source: str) -> tuple[str, list[Row]]:
    """The docstring of a module, and its rows."""
    tree = ast.parse(source)
    docstrings = {node.body[0].lineno: node for node in _documented(tree)}
    comments = _comments(source)
    starts = {first_line(node) for node in _documented(tree)}
    starts |= {first_line(node) for node in tree.body if isinstance(node, Definition)}
    module_docstring = ast.get_docstring(tree) or ""
    lines = source.splitlines()

    rows = [Row()]
    number = tree.body[0].end_lineno + 1 if module_docstring else 1  # type: ignore[operator]
    while number <= len(lines):
        if (number in comments or number in starts) and _has_code(rows[-1]):
            rows.append(Row())
        if number in comments:
            rows[-1].prose.append(comments[number].text)
            number = comments[number].end + 1
            starts.discard(number)  # what the comment stands before belongs to it
        elif number in docstrings:
            node = docstrings[number]
            rows[-1].prose += paragraphs(ast.get_docstring(node) or "")
            number = (node.body[0].end_lineno or number) + 1
        else:
            rows[-1].code.append((number, lines[number - 1]))
            number += 1
    for row in rows:
        _trim(row.code)
    return module_docstring, [row for row in rows if row.prose or row.code]


def paragraphs(text: str) -> list[str]:
    """Text cut at empty lines."""
    return [part.strip("\n") for part in re.split(r"\n\s*\n", text) if part.strip()]


def mentions(source: str) -> list[Mention]:
    """Every place below the module's docstring that refers to one of its equations, in the order of the lines."""
    tree = ast.parse(source)
    lines = source.splitlines()
    found = []
    for node in _documented(tree):
        for equation in numbers(ast.get_docstring(node) or ""):
            found.append(Mention(equation, node.lineno, node.name))
    comments = _comments(source)
    for comment in comments.values():
        below = comment.end + 1
        while below < len(lines) and not lines[below - 1].strip():
            below += 1
        found += [Mention(equation, below, None) for equation in numbers(comment.text)]
    for token in _tokens(source):
        if token.type == tokenize.COMMENT and token.line.strip() != token.string:
            found += [Mention(equation, token.start[0], None) for equation in numbers(token.string)]
    return sorted(set(found), key=lambda mention: (mention.line, mention.equation))


def numbers(text: str) -> list[int]:
    """The equations that a text refers to; "(2) to (5)" is four."""
    found: set[int] = set()
    for match in RANGE.finditer(text):
        found |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    return sorted(found)


@dataclass
class _Comment:
    text: str
    end: int


def _comments(source: str) -> dict[int, _Comment]:
    """The blocks of comments that have their lines to themselves, by their first line."""
    blocks: dict[int, _Comment] = {}
    last = None
    for token in _tokens(source):
        text = token.string[1:].removeprefix(" ")
        if token.type != tokenize.COMMENT or token.line.strip() != token.string or text.startswith(_TOOLS):
            continue
        number = token.start[0]
        if last is not None and last.end == number - 1:
            last.text, last.end = f"{last.text}\n{text}", number
        else:
            last = blocks[number] = _Comment(text, number)
    return blocks


def _tokens(source: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(source).readline)


def _documented(tree: ast.Module) -> list[Definition]:
    return [node for node in ast.walk(tree) if isinstance(node, Definition) and ast.get_docstring(node)]


def first_line(node: Definition) -> int:
    """Of a function or class with its decorators."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _has_code(row: Row) -> bool:
    return any(text.strip() for _, text in row.code)


def _trim(code: list[tuple[int, str]]) -> None:
    """Drop empty lines at both ends."""
    while code and not code[-1][1].strip():
        code.pop()
    while code and not code[0][1].strip():
        code.pop(0)
