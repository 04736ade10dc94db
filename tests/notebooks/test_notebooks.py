"""The notebooks run from a clean kernel; and their questions know right answers from wrong ones."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import jupytext
import nbclient
import pytest

from support.notebook_answers import RIGHT, WRONG
from support.patience import HANGS

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def loaded(name: str) -> ModuleType:
    """A module of the folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, NOTEBOOKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


solutions = loaded("solutions")
questions = loaded("questions")
IN_A_KERNEL = pytest.mark.slow(reason="starts a Jupyter kernel and runs a whole notebook in it")
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("[0-9]_*.py"))


def run(source: str, folder: Path) -> list[str]:
    """Execute a notebook in a kernel of its own, in a copy of its folder; what its cells print and warn of."""
    for path in NOTEBOOKS.glob("*.py"):
        shutil.copy(path, folder)
    notebook = jupytext.reads(source, fmt="py:percent")
    # What a cell prints comes in pieces, however it likes: as one text of it.
    options = {"timeout": HANGS, "coalesce_streams": True, "resources": {"metadata": {"path": str(folder)}}}
    nbclient.NotebookClient(notebook, **options).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    return [line for o in outputs if o.output_type == "stream" for line in o.text.splitlines()]


def answered(name: str, answers: list[str]) -> str:
    """The notebook with its questions answered, in order, just before each is checked."""
    source = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
    pieces = re.split(r"^(?=check(?:_that)?\()", source, flags=re.MULTILINE)
    assert len(pieces) == len(answers) + 1, f"{name} asks {len(pieces) - 1} questions"
    return pieces[0] + "".join(f"answer = {answer}\n{piece}" for answer, piece in zip(answers, pieces[1:], strict=True))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("MVNP_NOTEBOOKS", "quick")


def test_every_notebook_has_answers():
    assert NAMES == sorted(RIGHT) == sorted(WRONG)
    assert len(NAMES) == 6


@pytest.mark.parametrize("name", NAMES)
def test_a_question_does_not_tell_its_answer(name):
    """Neither the answer nor the hint or the reason stands in the notebook: its cells ask by number, one after another."""
    source = (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8")
    asked = [int(number) for number in re.findall(r"^check\((\d+), answer\)$", source, re.MULTILINE)]
    own = {number: question for (notebook, number), question in solutions.QUESTIONS.items() if notebook == int(name[0])}
    assert asked == sorted(own) == list(range(1, len(RIGHT[name]) + 1))
    assert [number for number in asked if f"**Question {number}.**" not in source] == []
    assert "check_that(" not in source
    for question in own.values():
        assert question.hint not in source
        assert (question.truth is None) != (question.test is None)


@IN_A_KERNEL
@pytest.mark.parametrize("name", NAMES)
def test_runs_unanswered(name, tmp_path):
    lines = run((NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8"), tmp_path)
    assert sum(line.startswith("No answer yet") for line in lines) == len(RIGHT[name])


@IN_A_KERNEL
@pytest.mark.parametrize("name", NAMES)
def test_right_answers_are_right(name, tmp_path):
    lines = run(answered(name, RIGHT[name]), tmp_path)
    verdicts = [line for line in lines if line.startswith(("Right.", "Not yet.", "No answer"))]
    assert [line.split(".")[0] for line in verdicts] == ["Right"] * len(RIGHT[name])


@IN_A_KERNEL
@pytest.mark.parametrize("name", NAMES)
def test_wrong_answers_get_a_hint(name, tmp_path):
    lines = run(answered(name, WRONG[name]), tmp_path)
    verdicts = [line for line in lines if line.startswith(("Right.", "Not yet.", "No answer"))]
    assert [line.split(".")[0] for line in verdicts] == ["Not yet"] * len(WRONG[name])
    assert all(len(line) > len("Not yet. ") + 10 for line in verdicts)


@pytest.mark.parametrize(
    ("answer", "truth", "expected"),
    [
        (None, 1.0, "No answer"),
        (1.0004, 1.0, "Right"),
        (1.002, 1.0, "Not yet"),
        (1e-9, 1e-16, "Not yet"),
        ([1, 2], [1, 2], "Right"),
        ([1], [1, 2], "Not yet"),
        ("True", True, "Not yet"),
        (True, True, "Right"),
        (" Both", "both", "Right"),
        ("two", 2, "Not yet"),
    ],
)
def test_check(answer, truth, expected, capsys):
    questions.check(answer, lambda: truth, hint="look again")
    assert capsys.readouterr().out.startswith(expected)


def test_check_that_says_what_an_answer_raised(capsys):
    questions.check_that(lambda x: x[7], lambda f: f([1, 2]), hint="look again")
    assert capsys.readouterr().out == "Not yet. With your answer: IndexError: list index out of range\n"
