"""Examining an answer: mvnp/learn/examine.py, and the formulas that hints are found with."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import mvnp.layers
from mvnp.learn import EXERCISES, exercise_text, find_exercise
from mvnp.learn.cut import solved_text
from mvnp.learn.examine import Finding
from mvnp.learn.hint import Probe
from mvnp.learn.neighbours import evaluate
from mvnp.learn.theirs import Local
from support.answers import edited, findings_of, hints_to
from support.tolerance import DEEP, assert_close
from support.wrong_answers import SIMPLE_SCAN, WRONG_ANSWERS, WRONG_SIMPLE_SCANS

STEMS = [exercise.stem for exercise in EXERCISES]
SCAN = exercise_text(find_exercise("selective_scan")) + SIMPLE_SCAN


def test_every_layer_is_an_exercise():
    layers = {path.stem for path in Path(mvnp.layers.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(STEMS) == layers
    assert len(STEMS) == len(layers)
    assert (STEMS[0], STEMS[-1]) == ("linear", "checkpointed_scan")


@pytest.mark.parametrize("stem", STEMS)
def test_a_right_answer_passes(stem):
    findings = findings_of(stem, solved_text(find_exercise(stem)))
    assert len(findings) == sum(len(part.settings) for part in find_exercise(stem).parts)
    for finding in findings:
        assert finding.ok, finding
        assert max(finding.errors.values()) < 1e-7


def test_another_right_answer_passes():
    assert all(finding.ok and finding.errors for finding in findings_of("selective_scan", SCAN))


@pytest.mark.parametrize("stem", STEMS)
def test_what_is_not_written_is_told(stem):
    findings = findings_of(stem, exercise_text(find_exercise(stem)))
    assert all(finding.unwritten and not finding.ok and not finding.hints for finding in findings)
    assert [finding.backward for finding in findings] == list(find_exercise(stem).backwards)


@pytest.mark.parametrize("stem", STEMS)
def test_there_are_ten_wrong_answers(stem):
    assert len({(right, wrong) for right, wrong, _, _ in WRONG_ANSWERS[stem]}) >= 10


WRONG = [
    *((stem, "", row) for stem, rows in WRONG_ANSWERS.items() for row in rows),
    *(("selective_scan", SCAN, row) for row in WRONG_SIMPLE_SCANS),
]


@pytest.mark.parametrize(("stem", "text", "row"), WRONG, ids=[f"{stem}: {row[1].strip()}" for stem, _, row in WRONG])
def test_a_wrong_answer_gets_a_hint_that_names_the_mistake(stem, text, row):
    right, wrong, kind, told = row
    findings = findings_of(stem, edited(stem, right, wrong, text))
    assert not all(finding.ok for finding in findings)
    hints = [hint for finding in findings for hint in finding.hints]
    assert any(hint.kind == kind and told in hint.text for hint in hints), [f"{hint.kind}: {hint}" for hint in hints]


# The formulas, from which hints are made, are those of the layers.


@pytest.mark.parametrize("stem", STEMS)
def test_terms_add_up_to_the_gradient(stem):
    real = import_module(f"mvnp.layers.{stem}")
    for part in find_exercise(stem).parts:
        for setting in part.settings:
            probe = Probe(part, setting, Local(real), real)
            assert probe.present() == [name for name in setting.axes if name in part.returns]
            for trial in probe.trials:
                for name in probe.present():
                    total = sum(evaluate(term, trial.have) for term in part.terms[name].values())
                    assert_close(total, trial.right[name], terms=DEEP)


@pytest.mark.parametrize("stem", STEMS)
def test_no_mistake_of_the_table_is_right(stem):
    # A "mistake" that leads to the right gradient would name itself at some other mistake.
    real = import_module(f"mvnp.layers.{stem}")
    for part in find_exercise(stem).parts:
        told = {}
        for setting in part.settings:
            trial = Probe(part, setting, Local(real), real).trials[0]
            for mistake in part.mistakes(trial.have):
                told.setdefault(mistake.text, []).append(_changes_nothing(part, trial, mistake))
        assert all(not all(nothing) for nothing in told.values()), [text for text, nothing in told.items() if all(nothing)]


def _changes_nothing(part, trial, mistake):
    have = {**trial.have, **mistake.instead}
    gradients = dict(mistake.gradients)
    try:
        for name, terms in part.terms.items():
            if name in trial.right and name not in gradients:
                gradients[name] = sum(evaluate(term, have) for term in terms.values())
    except (ValueError, IndexError):
        return False
    return all(np.allclose(trial.right[name], value) for name, value in gradients.items())


# What else can be wrong.


def test_an_error_is_told_with_the_line():
    (finding,) = findings_of("softmax", edited("softmax", "y * (dy - (dy * y)", "y * (dy - (dy * z)"))
    assert finding.raised.startswith("NameError: name 'z' is not defined (line ")
    assert not finding.ok


def test_the_wrong_number_of_parameters():
    (finding,) = findings_of(
        "softmax", edited("softmax", "def softmax_backward(dy: Array, y: Array)", "def softmax_backward(dy)")
    )
    assert finding.raised == "TypeError: softmax_backward() takes 1 positional argument but 2 were given"


def test_a_function_under_another_name():
    text = solved_text(find_exercise("softmax")).replace("softmax_backward", "softmax_back")
    (finding,) = findings_of("softmax", text)
    assert finding.raised == "the file has no function softmax_backward; it is to be called so, at the top level"


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("    return y, y\n", "    return 2.0 * y, y\n", "no longer gives the y of the layer"),
        ("    return y, y\n", "    return y\n", "no longer returns the pair (y, cache)"),
    ],
)
def test_a_forward_that_was_changed(right, wrong, told):
    text = edited("softmax", right, wrong)
    assert told in findings_of("softmax", text)[0].raised


def test_another_cache_is_the_readers_choice():
    text = edited("softmax", "    return y, y\n", "    return y, (y,)\n")
    text = edited("softmax", '    check_array("Softmax", "dy"', '    (y,) = y\n    check_array("Softmax", "dy"', text)
    assert all(finding.ok for finding in findings_of("softmax", text))


def test_of_two_backwards_one_can_be_right():
    first, second = findings_of("gelu", edited("gelu", "dy / 2 * (1 + tanh", "dy * (1 + tanh"))
    assert first.ok
    assert [hint.kind for hint in second.hints] == ["missing factor"]


def test_one_mistake_in_several_gradients_is_told_once():
    hints = hints_to("attention", _ATTENTION.replace("* (1.0 / math.sqrt(q.shape[-1]))", ""))
    assert [(hint.where, hint.text) for hint in hints] == [("dq, dk", "the factor 1/√d of the scores is missing")]


def test_what_cannot_be_named_shows_the_worst_entry():
    (hint,) = hints_to("relu", "\ndef relu_backward(dy, y):\n    return np.tanh(3.0 * dy + dy * y)\n")
    assert hint.kind == "not linear"
    body = "\ndef relu_backward(dy, y):\n    return dy * np.arange(20.0).reshape(4, 5) + dy[::-1] * 0.3\n"
    (hint,) = hints_to("relu", body)
    assert hint.kind == "unknown"
    assert "no single mistake explains it" in hint.text


def test_a_gradient_that_depends_on_the_call():
    # Right when hints are sought, wrong afterwards: gradcheck has the last word.
    returned = "dy * (y > 0) * (1.0 if len(calls) < 3 else 1.5)"
    body = f"\ncalls = []\ndef relu_backward(dy, y):\n    calls.append(1)\n    return {returned}\n"
    (hint,) = hints_to("relu", body)
    assert (hint.kind, hint.where) == ("unknown", "dx")
    assert "differences give" in hint.text


def test_findings_survive_json():
    (finding,) = findings_of("softmax", edited("softmax", "y * (dy - (dy * y)", "(dy - (dy * y)"))
    assert Finding.from_dict(finding.to_dict()) == finding


_ATTENTION = """
def attention_backward(do, cache):
    q, k, v, a, m = cache
    used = a if m is None else a * m
    da = do @ v.swapaxes(-1, -2) * (1.0 if m is None else m)
    ds = softmax_backward(da, a) * (1.0 / math.sqrt(q.shape[-1]))
    return ds @ k, ds.swapaxes(-1, -2) @ q, used.swapaxes(-1, -2) @ do
"""


# An exercise in steps.

STEPS = """
def adjoint(dy, C, decay):
    g = C[..., None] * dy[:, :, None, :]
    for t in reversed(range(g.shape[1] - 1)):
        g[:, t] += decay[:, t + 1] * g[:, t + 1]
    return g


def selective_scan_backward(dy, cache):
    x, delta, A, B, C, D, softplus, has_bias, _ = cache
    g = adjoint(dy, C, decays(delta, A))
    dB = np.einsum("blnd,bld->bln", g, delta * x)
    dC = np.einsum("bld,blnd->bln", dy, selective_scan_states(cache))
    dx = delta * np.einsum("blnd,bln->bld", g, B) + D * dy
    return dx, None, None, dB, dC, (dy * x).sum(axis=(0, 1)), None
"""


def of_steps(right="", wrong=""):
    assert not right or STEPS.count(right) == 1
    return findings_of("selective_scan", exercise_text(find_exercise("selective_scan")) + STEPS.replace(right, wrong))


def test_steps_are_checked_as_they_are_written():
    first, scan = of_steps()
    assert first.ok
    assert first.backward == "adjoint"
    assert not scan.ok
    assert scan.so_far
    assert scan.left == ["dt", "A", "dt_bias"]
    assert set(scan.errors) == {"x", "B", "C", "D"}
    assert scan.note.startswith("next is step 4 of 5, ddt and ddt_bias: ")
    assert Finding.from_dict(scan.to_dict()) == scan


def test_steps_without_the_later_ones():
    _, scan = of_steps("return dx, None, None, dB, dC, (dy * x).sum(axis=(0, 1)), None", "return (None,) * 7")
    assert scan.unwritten
    assert not scan.hints
    assert scan.note.startswith("next is step 2 of 5, dB and dC: ")


def test_a_wrong_step_is_named_and_the_later_ones_are_no_mistake():
    first, scan = of_steps("decay[:, t + 1] * g", "decay[:, t] * g")
    assert [hint.where for hint in first.hints] == ["dh"]
    assert "g_t takes the decay of its own step" in first.hints[0].text
    assert [hint.where for hint in scan.hints] == ["dx, dB"]
    assert "g_t takes the decay of its own step" in scan.hints[0].text
    assert not scan.so_far


def test_none_is_a_mistake_where_there_are_no_steps():
    (hint,) = hints_to("attention", _ATTENTION.replace("return ds @ k, ", "return None, "))
    assert (hint.kind, hint.where) == ("kind", "dq")


def test_every_step_has_its_gradients():
    for exercise in EXERCISES:
        named = [name for step in exercise.steps for name in step.gradients]
        asked = [name for part in exercise.parts for name in part.returns]
        numbers = [number for part in exercise.parts for number, _ in exercise.steps_of(part)]
        assert not named or sorted(named) == sorted(asked)
        assert numbers == list(range(1, len(exercise.steps) + 1))


def test_the_adjoint_need_not_be_a_function():
    """Who writes the backward in one piece has left nothing out; who writes a wrong adjoint beside it is told."""
    assert [finding.backward for finding in findings_of("selective_scan", SCAN)] == ["selective_scan_backward"] * 3
    without = SCAN.replace("def adjoint(", "def an_own_name(")
    assert all(finding.ok for finding in findings_of("selective_scan", without))
    wrong = SCAN + "\ndef adjoint(dy, C, decay):\n    return C[..., None] * dy[:, :, None, :]\n"
    first, *_ = findings_of("selective_scan", wrong)
    assert [str(hint) for hint in first.hints] == ["dh: the term exp(Δ_(t+1) A) g_(t+1) is missing"]
