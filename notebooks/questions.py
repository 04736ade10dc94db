"""Questions in a notebook, and whether the reader's answer is right.

    check = of_notebook(2, globals())

    answer = None  # replace None
    check(3, answer)

Answers, hints and reasons stand in solutions.py. The right answer is worked out by code, from the names of the notebook, and only
when there is an answer to compare with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from solutions import QUESTIONS

OPEN, RIGHT, WRONG = "No answer yet: replace None and run this cell again.", "Right.", "Not yet."


def of_notebook(notebook: int, names: dict[str, Any]) -> Callable[[int, Any], None]:
    """`check(question, answer)` for a notebook, with its `globals()`."""

    class Names:
        """The names of the notebook, as they are when they are asked for."""

        def __getattr__(self, name: str) -> Any:
            return names[name]

    def check_answer(question: int, answer: Any) -> None:
        asked = QUESTIONS[notebook, question]
        test, truth = asked.test, asked.truth
        if test is not None:
            check_that(answer, lambda given: test(given, Names()), hint=asked.hint, why=asked.why)
        elif truth is not None:
            check(answer, lambda: truth(Names()), hint=asked.hint, why=asked.why, tolerance=asked.tolerance)

    return check_answer


def check(answer: Any, truth: Callable[[], Any], *, hint: str, why: str = "", tolerance: float = 1e-3) -> None:
    """Print whether `answer` is what truth() gives.

    answer       a number, a text, a truth value, a sequence or an array of numbers; None: not answered yet
    truth        gives the right answer; numbers are compared with the relative `tolerance`, texts without regard to case
    hint         said after a wrong answer; `why` after a right one
    """
    if answer is None:
        print(OPEN)
    elif _same(answer, truth(), tolerance):
        print(RIGHT, why)
    else:
        print(WRONG, hint)


def check_that(answer: Any, test: Callable[[Any], bool], *, hint: str, why: str = "") -> None:
    """Print whether test(answer) holds, for an answer of which there are several, or a function. What it raises is said."""
    if answer is None:
        print(OPEN)
        return
    try:
        passed = test(answer)
    except Exception as error:
        print(WRONG, f"With your answer: {type(error).__name__}: {error}")
        return
    print(*((RIGHT, why) if passed else (WRONG, hint)))


def _same(answer: Any, truth: Any, tolerance: float) -> bool:
    if isinstance(truth, str):
        return isinstance(answer, str) and answer.strip().lower() == truth.lower()
    if isinstance(truth, bool):
        return isinstance(answer, bool | np.bool_) and bool(answer) == truth
    try:
        given, right = np.asarray(answer, float), np.asarray(truth, float)
    except (TypeError, ValueError):
        return False
    return given.shape == right.shape and bool(np.allclose(given, right, rtol=tolerance, atol=1e-12))
