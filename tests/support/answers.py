"""Answers to the exercises of `mvnp learn`, examined in this process."""

from __future__ import annotations

from types import ModuleType

from mvnp.learn import Finding, Hint, examine, find_exercise
from mvnp.learn.cut import solved_text


def findings_of(stem: str, text: str) -> list[Finding]:
    """What is found in a file with this text."""
    module = ModuleType("an_answer")
    exec(compile(text, "answer.py", "exec"), module.__dict__)
    return examine(module, find_exercise(stem), "answer.py")


def edited(stem: str, right: str, wrong: str, text: str = "") -> str:
    """The layer's own answer, or `text`, with one piece of it replaced. It has to occur once."""
    text = text or solved_text(find_exercise(stem))
    assert text.count(right) == 1, f"{right!r} occurs {text.count(right)} times in the answer to {stem}"
    return text.replace(right, wrong)


def hints_to(stem: str, body: str) -> list[Hint]:
    """The hints to the exercise's file with this function behind it, which takes the place of the stub."""
    from mvnp.learn import exercise_text

    return [hint for finding in findings_of(stem, exercise_text(find_exercise(stem)) + body) for hint in finding.hints]
