"""The reader's folder: one file for each exercise that was opened, and the score.

An answer is never written over. The score is a JSON file, replaced as a whole or not at all; one that cannot be read is
left as it is, and nothing is counted until somebody has looked at it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..atomic import remove_stale, write_bytes
from ..errors import DataError, InputError
from .course import EXERCISES, number
from .cut import exercise_text
from .exercise import Exercise

FORMAT = 1


@dataclass
class Mark:
    """What the score says of one exercise."""

    tries: int = 0
    solved: bool = False
    tries_to_solve: int = 0
    looked: bool = False  # at the solution, before it was solved


@dataclass(frozen=True)
class Folder:
    """A folder of answers."""

    path: Path

    @property
    def score_file(self) -> Path:
        """Where the score is kept."""
        return self.path / "score.json"

    def answer(self, exercise: Exercise) -> Path:
        """The file of an exercise: the one that is there, whatever number it had when it was opened, or the one to write."""
        found = sorted(self.path.glob(f"[0-9][0-9]_{exercise.stem}.py"))
        return found[0] if found else self.path / f"{number(exercise):02d}_{exercise.stem}.py"

    def open(self, exercise: Exercise) -> tuple[Path, bool]:
        """The file of an exercise, and whether it is new. One that is there stays as it is."""
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file, expected a folder for the answers; choose another with --folder")
        file = self.answer(exercise)
        if file.exists():
            return file, False
        self.path.mkdir(parents=True, exist_ok=True)
        write_bytes(file, exercise_text(exercise).encode("utf-8"))
        return file, True

    def read_score(self) -> dict[str, Mark]:
        """The marks by exercise; without a score file, none. Raises DataError for a file that is damaged."""
        try:
            text = self.score_file.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except UnicodeDecodeError:
            raise self._damaged("it is not text") from None
        try:
            return _marks(json.loads(text))
        except json.JSONDecodeError as error:
            raise self._damaged(f"no JSON at line {error.lineno}, column {error.colno}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def write_score(self, marks: dict[str, Mark]) -> None:
        """Replace the score file."""
        self.path.mkdir(parents=True, exist_ok=True)
        remove_stale(self.score_file)
        data = {"format": FORMAT, "exercises": {stem: asdict(mark) for stem, mark in marks.items()}}
        write_bytes(self.score_file, (json.dumps(data, indent=2) + "\n").encode("utf-8"))

    def _damaged(self, why: str) -> DataError:
        return DataError(
            f"{self.score_file}: the score cannot be read ({why}). It was left as it is, and so were your answers; mend it, or"
            f" rename it to begin a new one and `mvnp learn check` what you have solved"
        )


def _marks(data: Any) -> dict[str, Mark]:
    if not isinstance(data, dict) or "format" not in data:
        raise ValueError("not a score of mvnp learn")
    if data["format"] != FORMAT:
        raise ValueError(f"its format is {data['format']!r}, this mvnp reads {FORMAT}")
    entries = data.get("exercises")
    if not isinstance(entries, dict):
        raise ValueError("it has no list of exercises")
    return {stem: _mark(stem, entry) for stem, entry in entries.items()}


def _mark(stem: str, entry: Any) -> Mark:
    expected = asdict(Mark())
    if not isinstance(entry, dict) or entry.keys() != expected.keys():
        raise ValueError(f"the entry of {stem} has not the fields {', '.join(expected)}")
    for key, value in entry.items():
        if type(value) is not type(expected[key]) or (isinstance(value, int) and value < 0):
            raise ValueError(f"{key} of {stem} is {value!r}")
    return Mark(**entry)


def next_exercise(marks: dict[str, Mark]) -> Exercise | None:
    """The first that is not solved; None where all are."""
    return next((exercise for exercise in EXERCISES if not marks.get(exercise.stem, Mark()).solved), None)
