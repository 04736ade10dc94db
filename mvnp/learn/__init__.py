"""Exercises: every layer with its backward left out, a check by differences, and hints that name the mistake.

    course.py, formulas/    the exercises, and the formula of each backward as a sum of terms
    cut.py                  cuts the exercise's file out of the layer's source
    answer.py, child.py     run the reader's file in a process of its own, or where there can be none, in this one
    examine.py              the verdict, and the order in which mistakes are looked for
    form.py, neighbours.py, structure.py    the mistakes: of shape, of the formula, of the values
    report.py               the verdict in words
    folder.py               the reader's files and score

`mvnp learn` is the command; docs/learn.md tells how to use it.
"""

from .answer import Outcome, check_answer, check_text
from .course import EXERCISES, find_exercise
from .cut import exercise_text, solution
from .examine import Finding, examine
from .exercise import Exercise
from .hint import Hint

__all__ = [
    "EXERCISES",
    "Exercise",
    "Finding",
    "Hint",
    "Outcome",
    "check_answer",
    "check_text",
    "examine",
    "exercise_text",
    "find_exercise",
    "solution",
]
