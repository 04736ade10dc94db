"""Answers that are no answers: mvnp/learn/answer.py, child.py, wire.py and source.py."""

import io
import os
import sys
import time
import types

import numpy as np
import pytest

from mvnp.layers import relu_forward
from mvnp.learn import EXERCISES, check_answer, exercise_text, find_exercise
from mvnp.learn.answer import DISTURBED, MARK, _marked
from mvnp.learn.cut import solved_text
from mvnp.learn.examine import examine
from mvnp.learn.source import shortcut
from mvnp.learn.wire import MOST_BYTES, Strange, WireError, packed, receive, send, unpacked
from support.patience import HANGS

RELU = find_exercise("relu")
RIGHT = "\ndef relu_backward(dy, y):\n    {}\n    return dy * (y > 0)\n"
WRONG = "\ndef relu_backward(dy, y):\n    {}\n    return dy\n"


def checked(tmp_path, body, exercise=RELU, **limits):
    file = tmp_path / f"02_{exercise.stem}.py"
    file.write_text(exercise_text(exercise) + body, encoding="utf-8")
    return check_answer(file, exercise, **{"seconds": 30, "grace": 60, **limits})


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "from mvnp.layers.relu import relu_backward\n",
            "it imports mvnp.layers.relu.relu_backward, which the exercise does not",
        ),
        ("import mvnp.layers.relu as r\nrelu_backward = r.relu_backward\n", "it imports mvnp.layers.relu, which"),
        ("from mvnp import layers\n", "it imports mvnp.layers, which"),
        ("from mvnp.kernels.cpu.relu import relu_backward\n", "it imports mvnp.kernels.cpu.relu.relu_backward, which"),
        ("def f():\n    import importlib\n", "it uses importlib, which no backward needs (line "),
        ("from inspect import stack\n", "it uses inspect, which no backward needs"),
        ("import sys\nframe = sys._getframe(1)\n", "it uses _getframe, which no backward needs (line "),
        ("import sys\nrelu = sys.modules['mvnp.layers.relu']\n", "it uses sys.modules, which"),
        ("relu_backward = __import__('mvnp.layers.relu').layers.relu.relu_backward\n", "it uses __import__, which"),
        ("exec('import mvnp')\n", "it uses exec, which no backward needs"),
    ],
)
def test_ways_to_the_solution_are_told_with_their_line(tmp_path, body, told):
    outcome = checked(tmp_path, "\n" + body)
    assert told in outcome.failed
    assert not outcome.right


@pytest.mark.parametrize("stem", [exercise.stem for exercise in EXERCISES])
def test_what_an_exercise_comes_with_is_no_shortcut(stem):
    exercise = find_exercise(stem)
    assert shortcut(exercise_text(exercise), exercise) == ""
    helpful = "\nimport sys, math, time, os, itertools\nprint(1, file=sys.stderr)\n"
    assert shortcut(solved_text(exercise) + helpful, exercise) == ""


# Where the text says nothing of it, the solution is not there.
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "import os; m = vars(os)['sys'].__dict__['modules']; return m['mvnp.layers.relu'].relu_backward(dy, y)",
            "is the solution",
        ),
        ("import mvnp_learn_answer as m; return getattr(m, 'nothing')", "has no attribute 'nothing'"),
        ("open({layers!r} + '/relu.py').read()", "the solution is not to be read"),
    ],
)
def test_the_solution_is_not_there(tmp_path, body, told):
    import mvnp.layers

    body = body.replace("{layers!r}", repr(os.path.dirname(mvnp.layers.__file__)))
    outcome = checked(tmp_path, WRONG.format(body))
    assert not outcome.right
    assert told in outcome.failed + "".join(finding.raised for finding in outcome.findings)


EACH = "import os\n    for n in range(3, 30):\n        try: os.{}\n        except OSError: pass"


@pytest.mark.parametrize(
    "body",
    [
        EACH.format("""write(n, b'{"findings": []}' * 10)"""),
        EACH.format("write(n, (2).to_bytes(8, 'little') + b'[]')"),
        EACH.format("close(n)"),
    ],
)
def test_a_verdict_cannot_be_written(tmp_path, body):
    outcome = checked(tmp_path, WRONG.format(body))
    assert not outcome.right
    assert outcome.failed == DISTURBED or "Python ended" in outcome.failed


def test_an_exit_with_a_result_is_no_verdict(tmp_path):
    outcome = checked(tmp_path, WRONG.format("import os; os._exit(0)"))
    assert not outcome.right
    assert "Python ended with exit status 0" in outcome.failed


def test_gradients_that_are_right_at_the_known_inputs_alone(tmp_path):
    noted = "x = {inputs}\n    if np.array_equal(y > 0, x): return dy * x\n"
    inputs = RELU.parts[0].settings[0].inputs()["x"] > 0
    body = WRONG.format(noted.replace("{inputs}", "np.array(" + repr(inputs.tolist()) + ")"))
    outcome = checked(tmp_path, body)
    assert not outcome.right
    assert [hint.kind for finding in outcome.findings for hint in finding.hints] == ["other inputs"]
    assert "right at the first inputs, and wrong at others" in str(outcome.findings[-1].hints[0])


def test_a_forward_that_changes_with_the_calls_leads_nobody_astray(tmp_path):
    body = "\nforward, calls = relu_forward, []\ndef relu_forward(x):\n    calls.append(1)\n    y, c = forward(x)\n"
    body += "    return (y if len(calls) < 3 else x.copy()), c\n" + WRONG.format("pass")
    assert not checked(tmp_path, body).right


@pytest.mark.parametrize("right", ["n <= ASKED", "n > ASKED", "n % 7"])
def test_an_answer_that_counts_its_calls(tmp_path, right):
    """Right for as many calls as an examination makes, and wrong after them, or the other way round."""
    module = types.ModuleType("answer")
    module.relu_forward, calls = relu_forward, []
    module.relu_backward = lambda dy, y: calls.append(1) or dy * (y > 0)
    assert all(finding.ok for finding in examine(module, RELU))
    assert len(calls) >= 3
    body = f"\nASKED, calls = {len(calls)}, []\ndef relu_backward(dy, y):\n    calls.append(1)\n    n = len(calls)\n"
    assert not checked(tmp_path, body + f"    return dy * (y > 0) if {right} else dy\n").right


def test_memory_is_bounded(tmp_path):
    outcome = checked(tmp_path, RIGHT.format("x = [np.ones(10**8) for _ in range(50)]"))
    assert "MemoryError" in outcome.findings[0].raised
    outcome = checked(tmp_path, RIGHT.format("return np.ones(10**7)"))
    assert outcome.failed == f"more than {MOST_BYTES // 2**20} MB were returned; expected arrays of the shapes of the inputs"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("open({file!r}, 'w')", "writes no files"),
        ("open({file!r}.encode(), 'ab')", "writes no files"),
        ("os.open({file!r}, os.O_RDWR)", "writes no files"),
        ("os.remove({file!r})", "changes no files"),
        ("os.replace({file!r}, {file!r} + 'x')", "changes no files"),
        ("os.symlink({file!r}, {file!r} + 'x')", "changes no files"),
        ("os.truncate({file!r}, 0)", "changes no files"),
    ],
)
def test_no_file_is_changed(tmp_path, change, told):
    """Neither another answer nor the score."""
    file = tmp_path / "score.json"
    file.write_text("mine", encoding="utf-8")
    outcome = checked(tmp_path, RIGHT.format("import os; " + change.replace("{file!r}", repr(str(file)))))
    assert told in outcome.findings[0].raised
    assert (file.read_text(encoding="utf-8"), len(list(tmp_path.iterdir()))) == ("mine", 2)


@pytest.mark.parametrize(
    "way",
    [
        "open({relu!r}.encode())",
        "open({relu!r}.replace('layers', './layers/../layers'))",
        "os.chdir(os.path.dirname({relu!r})); open('relu.py')",
        "os.open('relu.py', 0, dir_fd=os.open(os.path.dirname({relu!r}), 0))",
    ],
)
def test_the_solution_is_not_read_by_another_name(tmp_path, way):
    import mvnp.layers

    relu = os.path.join(os.path.dirname(mvnp.layers.__file__), "relu.py")
    outcome = checked(tmp_path, RIGHT.format("import os; " + way.replace("{relu!r}", repr(relu))))
    assert "the solution is not to be read" in outcome.findings[0].raised


@pytest.mark.parametrize(
    "start",
    [
        *("os.fork()", "os.system('true')", "__import__('subprocess').run(['true'])", "os.popen('true')"),
        *("os.kill(os.getppid(), 9)", "os.killpg(os.getppid(), 9)"),
    ],
)
def test_no_process_is_started(tmp_path, start, monkeypatch):
    monkeypatch.setattr("mvnp.learn.answer.shortcut", lambda text, exercise: "")  # as if the text did not show it
    outcome = checked(tmp_path, RIGHT.format(f"import os; {start}"))
    assert "RuntimeError: a backward starts no processes, and ends none (line " in outcome.findings[0].raised


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux shows the environment of processes")
@pytest.mark.parametrize("after", ["", "os._exit(3)"])
def test_a_process_that_got_away_does_not_survive(tmp_path, monkeypatch, after):
    monkeypatch.setattr("mvnp.learn.answer.shortcut", lambda text, exercise: "")
    run = f"""import os, sys, ctypes, time
    if not hasattr(sys, 'once'):
        sys.once, (told, tell) = True, os.pipe()
        if ctypes.CDLL(None).fork() == 0:
            os.setsid()
            print(os.getpid(), flush=True)
            os.write(tell, b'.')
            time.sleep(600)
        os.read(told, 1)
    {after}"""
    pid, end = int(checked(tmp_path, RIGHT.format(run)).printed), time.monotonic() + HANGS
    while os.path.exists(f"/proc/{pid}") and _state(pid) != "Z" and time.monotonic() < end:
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{pid}") or _state(pid) == "Z"


def _state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux shows the environment of processes")
def test_marked_are_those_with_the_mark_and_no_others():
    assert _marked("no such mark") == []
    assert MARK not in os.environ


def test_escapes_are_shown_as_text(tmp_path):
    outcome = checked(tmp_path, RIGHT.format(r"print('\x1b[2J\x1b]0;title\x07 one\r\ntwo')"))
    assert outcome.right
    assert outcome.printed.splitlines()[:2] == [r"\x1b[2J\x1b]0;title\x07 one\r", "two"]
    outcome = checked(tmp_path, RIGHT.format(r"raise ValueError('\x1b[31mred')"))
    assert r"ValueError: \x1b[31mred" in outcome.findings[0].raised
    assert "\x1b" not in checked(tmp_path, "\nraise ValueError('\x1b[31mred')\n").failed


# The wire.


@pytest.mark.parametrize(
    "result",
    [
        None,
        np.ones((2, 3)),
        (np.ones(2), None),
        [1, True, 2.5],
        (),
        "text",
        ("a", {}),
        np.ones(2, np.float32),
        np.ones(2, complex),
    ],
)
def test_results_come_as_they_were(result):
    form, arrays = packed(result)
    stream = io.BytesIO()
    send(stream, {"form": form}, arrays)
    stream.seek(0)
    header, arrays = receive(stream)
    assert receive(stream) is None
    came = unpacked(header["form"], arrays)
    many = isinstance(result, tuple | list)
    assert type(came) is type(result) or not many
    for one, other in zip(came if many else [came], result if many else [result], strict=True):
        if isinstance(other, str | dict) or np.iscomplexobj(other):
            assert one == Strange(type(other).__name__, str(getattr(other, "dtype", "")))
        elif other is None:
            assert one is None
        else:
            assert one.dtype == np.float64
            np.testing.assert_array_equal(one, np.asarray(other, np.float64))


def test_what_is_no_message_is_refused():
    stream = io.BytesIO()
    send(stream, {"a": 1}, {"x": np.ones(3)})
    good = stream.getvalue()
    for bad in (
        good[:-1],
        good[:5],
        good[:20],
        b"\xff" * 8,
        (2).to_bytes(8, "little") + b"[]",
        _line('{"header": 1, "arrays": {}}'),
    ):
        with pytest.raises(WireError):
            receive(io.BytesIO(bad))
    for entry in (
        '["<f8", [-1]]',
        '["<f8", [99999999999]]',
        '["O", [1]]',
        '["<f8", ["1"]]',
        '["<f8", [2000000, 2000000]]',
        "5",
    ):
        with pytest.raises(WireError):
            receive(io.BytesIO(_line('{"header": {}, "arrays": {"x": ' + entry + "}}")))
    for form in (None, 5, [], ["one", "missing"], ["dict", []], ["tuple", 5], ["one", [1]]):
        with pytest.raises(WireError):
            unpacked(form, {})


def _line(text):
    return len(text).to_bytes(8, "little") + text.encode()
