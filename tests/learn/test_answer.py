"""Running the reader's file in a process of its own: mvnp/learn/answer.py and child.py."""

import pytest

from mvnp.errors import InputError
from mvnp.learn import check_answer, check_text, exercise_text, find_exercise
from mvnp.learn.answer import PRINTED, _keep_beginning
from mvnp.learn.cut import solved_text
from support.patience import HANGS

RELU = find_exercise("relu")


def answer(tmp_path, body="", head=""):
    """The file of the ReLU exercise with this behind it (or before)."""
    file = tmp_path / "02_relu.py"
    file.write_text(head + exercise_text(RELU) + body, encoding="utf-8")
    return file


def test_right_and_printing(tmp_path):
    body = "\ndef relu_backward(dy, y):\n    print('shapes', dy.shape)\n    return dy * (y > 0)\n"
    outcome = check_answer(answer(tmp_path, body), RELU)
    assert outcome.right
    assert not outcome.failed
    assert set(outcome.printed.splitlines()) == {"shapes (4, 5)"}


def test_wrong(tmp_path):
    outcome = check_answer(answer(tmp_path, "\ndef relu_backward(dy, y):\n    return dy\n"), RELU)
    assert not outcome.right
    assert [str(hint) for finding in outcome.findings for hint in finding.hints] == ["dx: the factor [x > 0] is missing"]


def test_unwritten(tmp_path):
    outcome = check_answer(answer(tmp_path), RELU)
    assert outcome.unwritten
    assert not outcome.right


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"02_relu\.py is not there; `mvnp learn open relu` writes it"):
        check_answer(tmp_path / "02_relu.py", RELU)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("\ndef relu_backward(dy, y)\n    return dy\n", "SyntaxError: expected ':' (line "),
        ("\nimport no_such_thing\n", "ModuleNotFoundError: No module named 'no_such_thing' (line "),
        ("\nraise SystemExit(3)\n", "SystemExit: 3 (line "),
        ("\ndef relu_backward(dy, y):\n    exit()\n", "a backward returns, it does not exit"),
        ("\nimport os\nos._exit(5)\n", "Python ended with exit status 5 before the check was done"),
        ("\nimport os\nos.kill(os.getpid(), 9)\n", "Python itself was ended by SIGKILL"),
    ],
)
def test_a_file_that_cannot_be_run(tmp_path, body, told):
    outcome = check_answer(answer(tmp_path, body), RELU)
    assert told in outcome.failed
    assert not outcome.right
    assert outcome.findings == []


def test_an_endless_loop_is_told_with_its_line(tmp_path):
    loop = "    while True:\n        try:\n            dy = dy + 0\n        except Exception:\n            pass\n"
    body = f"\ndef relu_backward(dy, y):\n{loop}\nrelu_backward(1.0, None)\n"  # at once: nothing else takes up the time
    outcome = check_answer(answer(tmp_path, body), RELU, seconds=1, grace=HANGS)
    assert outcome.failed.startswith("it did not end within 1 s (line ")


def test_what_no_clock_interrupts_is_ended_from_outside(tmp_path):
    body = "\nimport signal, time\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n    time.sleep(9)\n"
    outcome = check_answer(answer(tmp_path, body), RELU, seconds=0.2, grace=3.0)
    assert outcome.failed == "it did not end within 0.2 s, and was stopped"


def test_endless_printing_is_cut(tmp_path):
    outcome = check_answer(answer(tmp_path, "\nwhile True:\n    print('x' * 1000)\n"), RELU, seconds=0.5, grace=HANGS)
    assert outcome.failed.startswith("it did not end within 0.5 s (line ")
    assert outcome.printed.startswith("xxxx")
    assert outcome.printed.endswith("\n… and more")
    assert len(outcome.printed) <= PRINTED + 20


def test_of_what_is_printed_only_the_beginning_is_in_memory(tmp_path):
    (tmp_path / "printed").write_bytes(b"ab" * 200_000)
    kept = bytearray()
    with open(tmp_path / "printed", "rb") as stream:
        _keep_beginning(stream, kept)
        assert stream.read() == b""  # it was all taken, so that whoever prints is not held up
    assert kept == b"ab" * (PRINTED // 2) + b"a"


def test_not_utf_8(tmp_path):
    file = tmp_path / "02_relu.py"
    file.write_bytes("# naïve".encode("latin-1"))
    assert check_answer(file, RELU).failed == "it is not text in UTF-8; save it as UTF-8"


def test_modules_in_the_folder_of_the_caller_do_not_get_in_the_way(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise RuntimeError('not this one')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    body = "\ndef relu_backward(dy, y):\n    return dy * (y > 0)\n"
    assert check_answer(answer(tmp_path, body), RELU).right


# Without a process of its own.


@pytest.mark.parametrize("stem", ["relu", "layernorm", "selective_scan"])
def test_a_text_is_judged_as_a_file_is(stem):
    exercise = find_exercise(stem)
    begun = exercise_text(exercise)
    assert check_text(begun, exercise).unwritten
    assert check_text(solved_text(exercise), exercise).right


def test_a_text_that_is_wrong(capsys):
    outcome = check_text(exercise_text(RELU) + "\ndef relu_backward(dy, y):\n    print('here')\n    return dy\n", RELU)
    assert [str(hint) for finding in outcome.findings for hint in finding.hints] == ["dx: the factor [x > 0] is missing"]
    assert "here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("\ndef relu_backward(dy, y)\n    return dy\n", "SyntaxError: expected ':' (line "),
        ("\nraise SystemExit(3)\n", "SystemExit: 3 (line "),
        ("\ndef relu_backward(dy, y):\n    exit()\n", "SystemExit"),
        ("\nfrom mvnp.layers.relu import relu_backward\n", "it imports mvnp.layers.relu.relu_backward"),
    ],
)
def test_a_text_that_cannot_be_run(body, told):
    outcome = check_text(exercise_text(RELU) + body, RELU)
    assert told in outcome.failed
    assert not outcome.right


def test_a_text_that_raises_is_told_with_its_line():
    outcome = check_text(exercise_text(RELU) + "\ndef relu_backward(dy, y):\n    return dy[7, 7]\n", RELU)
    assert "IndexError" in outcome.findings[0].raised
    assert "return dy[7, 7])" in outcome.findings[0].raised
