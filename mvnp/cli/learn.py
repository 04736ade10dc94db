"""`mvnp learn`: write the backward of every layer yourself."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, check_choice
from .arguments import Parser, table, whole

if TYPE_CHECKING:
    from ..learn import Exercise
    from ..learn.folder import Folder, Mark

SUMMARY = "exercises: write the backward of each layer yourself"

USAGE = "mvnp learn [ACTION] [LAYER] [options]"

DESCRIPTION = """\
Write the backward of every layer yourself, from linear to the selective scan.
Each exercise is the layer's own file without its backward. Your answer is
checked against differences of the forward; where it is wrong, hints name the
mistake.

actions:
  list        the exercises in order, and your score (the default)
  open        write an exercise as a file and print where; without LAYER, the
              next that is not solved. What is there is never written over
  check       check your answer; without LAYER, the next that is opened
  solution    show how the layer does it, once you have tried"""

EXAMPLES = """\
examples:
  mvnp learn                    the exercises and your score
  mvnp learn open               writes the next one, such as 01_linear.py
  mvnp learn check              checks it
  mvnp learn check softmax      checks another
  mvnp learn solution softmax   shows the answer, after a try

The exit status is 0 if the answer is right, 1 if it is not yet."""

ACTIONS = ("list", "open", "check", "solution")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("action", nargs="?", default="list", metavar="ACTION", help="list, open, check or solution")
    parser.add_argument("layer", nargs="?", metavar="LAYER", help="such as softmax; its number or its file will do too")
    folder = Path("mvnp-learn")
    parser.add_argument(
        "--folder", type=Path, default=folder, metavar="DIR", help=f"your answers and score (default: {folder})"
    )
    parser.add_argument("--edit", action="store_true", help="with open: start $VISUAL or $EDITOR on the file")
    parser.add_argument("--untried", action="store_true", help="with solution: show it before there was a try")
    parser.add_argument("--seconds", type=whole(1), default=30, metavar="N", help="with check: time limit (default: 30)")


def run(arguments: argparse.Namespace) -> int:
    from ..learn import EXERCISES
    from ..learn.folder import Folder

    if arguments.action in {exercise.stem for exercise in EXERCISES}:
        raise InputError(f"{arguments.action} is no action; did you mean `mvnp learn open {arguments.action}`?")
    check_choice("action", arguments.action, ACTIONS)
    folder = Folder(arguments.folder)
    marks = folder.read_score()
    exercise = _named(arguments.layer)
    if arguments.action == "list":
        if exercise is not None:
            raise InputError(f"list takes no layer; did you mean `mvnp learn open {exercise.stem}`?")
        return _list(folder, marks)
    if arguments.action == "open":
        return _open(folder, marks, exercise, arguments.edit)
    if arguments.action == "check":
        return _check(folder, marks, exercise, arguments.seconds)
    if exercise is None:
        raise InputError("solution needs a layer, such as `mvnp learn solution softmax`")
    return _solution(folder, marks, exercise, arguments.untried)


def _named(text: str | None) -> Exercise | None:
    """The exercise that is meant by `softmax`, `11`, `11_softmax.py` or a path to that."""
    from ..learn import EXERCISES, find_exercise

    if text is None:
        return None
    if text.isdigit():
        if not 1 <= int(text) <= len(EXERCISES):
            raise InputError(f"there is no exercise {text}; they run from 1 to {len(EXERCISES)}")
        return EXERCISES[int(text) - 1]
    return find_exercise(re.sub(r"^\d+_", "", Path(text).name.removesuffix(".py")))


def _list(folder: Folder, marks: dict[str, Mark]) -> int:
    from ..learn.course import CHAPTERS, number
    from ..learn.folder import next_exercise

    following = next_exercise(marks)
    rows = []
    for chapter, exercises in CHAPTERS.items():
        for exercise in exercises:
            arrow = "→" if exercise is following else ""
            title = chapter if exercise is exercises[0] else ""
            rows.append([arrow, str(number(exercise)), exercise.stem, exercise.about, title, _state(folder, marks, exercise)])
    print(table(["", "", "exercise", "about", "chapter", "yours"], rows, right=[1]))
    print(f"\n{_score(marks)}")
    if following is None:
        print("That is the whole course.")
    elif folder.answer(following).exists():
        print(f"Next: {following.stem}, in {folder.answer(following)}; `mvnp learn check` checks it.")
    else:
        print(f"Next: {following.stem}; `mvnp learn open` writes it to {folder.answer(following)}.")
    return 0


def _score(marks: dict[str, Mark]) -> str:
    from ..learn import EXERCISES

    solved = [marks[exercise.stem] for exercise in EXERCISES if exercise.stem in marks and marks[exercise.stem].solved]
    looked = sum(mark.looked for mark in solved)
    at_once = sum(mark.tries_to_solve == 1 and not mark.looked for mark in solved)
    details = [f"{at_once} at the first try"] * bool(at_once) + [f"{looked} after a look at the solution"] * bool(looked)
    return f"{len(solved)} of {len(EXERCISES)} solved{': ' + ', '.join(details) if details else ''}."


def _state(folder: Folder, marks: dict[str, Mark], exercise: Exercise) -> str:
    mark = marks.get(exercise.stem)
    if mark is not None and mark.solved:
        return f"solved, {_tries(mark.tries_to_solve)}" + (", after a look" if mark.looked else "")
    if mark is not None and mark.tries:
        return _tries(mark.tries)
    return "open" if folder.answer(exercise).exists() else ""


def _tries(count: int) -> str:
    return f"{count} {'try' if count == 1 else 'tries'}"


def _open(folder: Folder, marks: dict[str, Mark], exercise: Exercise | None, edit: bool) -> int:
    from ..learn.folder import next_exercise

    exercise = exercise or next_exercise(marks)
    if exercise is None:
        print("All exercises are solved. `mvnp learn open LAYER` opens one again.")
        return 0
    command = _editor() if edit else []
    file, new = folder.open(exercise)
    print(f"{file}{'' if new else ' (was there already, left as it is)'}")
    if command:
        return 0 if subprocess.run([*command, str(file)], check=False).returncode == 0 else 1
    return 0


def _editor() -> list[str]:
    """$VISUAL or $EDITOR, as a command."""
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not named:
        raise InputError("--edit needs the environment variable VISUAL or EDITOR, such as EDITOR=nano")
    command = shlex.split(named)
    if shutil.which(command[0]) is None:
        raise InputError(f"--edit: there is no program {command[0]!r}, which VISUAL or EDITOR names")
    return command


def _check(folder: Folder, marks: dict[str, Mark], exercise: Exercise | None, seconds: int) -> int:
    from ..learn import EXERCISES, check_answer
    from ..learn.folder import Mark, next_exercise
    from ..learn.report import told

    if exercise is None:
        opened = [other for other in EXERCISES if folder.answer(other).exists()]
        exercise = next((other for other in opened if not marks.get(other.stem, Mark()).solved), None)
        if exercise is None:
            what = "all that is opened is solved" if opened else f"no exercise is opened in {folder.path}"
            raise InputError(f"nothing to check: {what}; `mvnp learn open` writes the next one")
    file = folder.answer(exercise)
    outcome = check_answer(file, exercise, seconds)
    print("\n".join([str(file), *told(outcome)]))
    if outcome.unwritten or outcome.so_far:  # no try yet
        return 1
    mark = marks.setdefault(exercise.stem, Mark())
    mark.tries += 1
    if outcome.right and not mark.solved:
        mark.solved, mark.tries_to_solve = True, mark.tries
    folder.write_score(marks)
    if not outcome.right:
        print(f"not right yet, after {_tries(mark.tries)}")
        return 1
    following = next_exercise(marks)
    print(f"right, after {_tries(mark.tries_to_solve)}. {_score(marks)}" + (f" Next: {following.stem}." if following else ""))
    return 0


def _solution(folder: Folder, marks: dict[str, Mark], exercise: Exercise, untried: bool) -> int:
    from ..learn import solution
    from ..learn.folder import Mark

    mark = marks.setdefault(exercise.stem, Mark())
    if not (mark.tries or mark.looked or untried):
        raise InputError(
            f"{exercise.stem} has not been tried yet in {folder.path}; `mvnp learn open {exercise.stem}` writes the exercise,"
            f" `mvnp learn check {exercise.stem}` is a try, and --untried shows the solution all the same"
        )
    if not mark.solved and not mark.looked:
        mark.looked = True
        folder.write_score(marks)
    print(f"{exercise.source}, derived in {exercise.page}\n")
    print(solution(exercise))
    return 0
