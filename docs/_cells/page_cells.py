"""What Python does for the cells of a page, in the reader's browser: worker.js calls these functions.

What is printed goes to standard output, from where the page takes it.
"""

from __future__ import annotations

import ast
import json
import linecache
import sys
import traceback
from typing import Any

names: dict[str, Any] = {"__name__": "a_page"}  # which the cells of a page share


def run(code: str, place: int) -> str:
    """Run a cell: print what it prints, and the value of an expression at its end. The error that ended it, or ""."""
    file = f"cell {place}"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)  # where tracebacks look lines up
    try:
        tree = ast.parse(code, file)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, file, "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), file, "eval"), names)
            if value is not None:
                print(repr(value))
    except BaseException as error:  # an exit too ends a cell, and not Python
        return told(error, file)
    finally:
        sys.stdout.flush()  # a line without an end
    return ""


def told(error: BaseException, file: str) -> str:
    """A traceback that begins in the cell, and not in what runs it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != file:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def begin(stem: str) -> str:
    """The text of an exercise."""
    from mvnp.learn import exercise_text, find_exercise

    return exercise_text(find_exercise(stem))


def check(stem: str, text: str) -> str:
    """What `mvnp learn check` would say of an answer, as JSON: the words, whether it is right, and whether it was a try."""
    from mvnp.learn import check_text, find_exercise
    from mvnp.learn.report import told as words

    outcome = check_text(text, find_exercise(stem))
    tried = not (outcome.unwritten or outcome.so_far)
    return json.dumps({"told": "\n".join(words(outcome)) + "\n", "right": outcome.right, "tried": tried})


def answer(stem: str) -> str:
    """The layer's own backward."""
    from mvnp.learn import find_exercise, solution

    return solution(find_exercise(stem))
