"""`mvnp learn`: mvnp/cli/learn.py."""

import json
import shlex
import sys

import pytest

from mvnp.cli import main
from mvnp.learn import EXERCISES, Outcome, exercise_text, find_exercise
from mvnp.learn.cut import solved_text
from support.answers import findings_of
from support.command_line import assert_refused

COUNT = len(EXERCISES)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the command runs; answers are examined in this process, which test_answer.py shows to be the same."""

    def check_answer(file, exercise, seconds):
        return Outcome(findings_of(exercise.stem, file.read_text(encoding="utf-8")))

    monkeypatch.setattr("mvnp.learn.check_answer", check_answer)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mvnp-learn"


def solve(folder, stem):
    file = next(folder.glob(f"*_{stem}.py"))
    file.write_text(solved_text(find_exercise(stem)), encoding="utf-8")


def test_list_open_check(call, folder):
    status, out, err = call("learn")
    assert (status, err) == (0, "")
    rows = out.split("\n\n")[0].splitlines()
    assert [row.split()[:3] for row in rows[1:2]] == [["→", "1", "linear"]]
    assert len(rows) == 1 + len(EXERCISES)
    assert out.endswith(f"\n0 of {COUNT} solved.\nNext: linear; `mvnp learn open` writes it to mvnp-learn/01_linear.py.\n")
    assert not folder.exists()

    assert call("learn", "open") == (0, "mvnp-learn/01_linear.py\n", "")
    assert (folder / "01_linear.py").read_text(encoding="utf-8") == exercise_text(find_exercise("linear"))
    assert call("learn", "open")[1] == "mvnp-learn/01_linear.py (was there already, left as it is)\n"
    assert call("learn")[1].endswith("Next: linear, in mvnp-learn/01_linear.py; `mvnp learn check` checks it.\n")

    assert call("learn", "check") == (1, "mvnp-learn/01_linear.py\n  linear_backward: is still to be written\n", "")
    assert not (folder / "score.json").exists()

    wrong = solved_text(find_exercise("linear")).replace("dx = dy @ weight", "dx = -dy @ weight")
    (folder / "01_linear.py").write_text(wrong, encoding="utf-8")
    status, out, err = call("learn", "check")
    assert (status, err) == (1, "")
    assert out == (
        "mvnp-learn/01_linear.py\n  linear_backward: wrong\n    hint: dx: has the wrong sign\nnot right yet, after 1 try\n"
    )

    solve(folder, "linear")
    status, out, err = call("learn", "check", "linear")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[1].startswith("  linear_backward: right, largest error ")
    assert lines[2].startswith("  linear_backward (no bias): right, ")
    assert lines[3] == f"right, after 2 tries. 1 of {COUNT} solved. Next: relu."
    assert "solved, 2 tries" in call("learn")[1]


def test_solved_stays_solved(call, folder):
    call("learn", "open")
    solve(folder, "linear")
    assert f"1 of {COUNT} solved: 1 at the first try." in call("learn", "check")[1]
    (folder / "01_linear.py").write_text(exercise_text(find_exercise("linear")), encoding="utf-8")
    assert call("learn", "check", "linear")[0] == 1
    assert "solved, 1 try" in call("learn")[1]


def test_the_solution_comes_after_a_try(call, folder):
    call("learn", "open", "relu")
    call("learn", "check", "relu")  # nothing is written yet
    assert_refused(call("learn", "solution", "relu"), "relu has not been tried yet")
    file = folder / "02_relu.py"
    file.write_text(file.read_text(encoding="utf-8") + "\ndef relu_backward(dy, y):\n    return dy\n", encoding="utf-8")
    assert "not right yet, after 1 try" in call("learn", "check", "relu")[1]
    assert "return dy * array_module(dy, y).sign(y)" in call("learn", "solution", "relu")[1]


def test_a_step_that_is_right_is_no_try(call, folder):
    call("learn", "open", "selective_scan")
    (file,) = folder.glob("*_selective_scan.py")
    step = "return None, None, None, None, None, (dy * cache.x).sum(axis=(0, 1)), None"
    body = f"\ndef selective_scan_backward(dy, cache):\n    {step}\n"
    file.write_text(file.read_text(encoding="utf-8") + body, encoding="utf-8")
    status, out, _ = call("learn", "check", "selective_scan")
    assert status == 1
    assert "adjoint: is still to be written" in out
    assert "selective_scan_backward: right so far (dD)" in out
    assert "next is step 2 of 5, dB and dC: " in out
    assert "try" not in out
    assert call("learn")[1].count("try") == 0
    assert_refused(call("learn", "solution", "selective_scan"), "has not been tried yet")


def test_a_look_at_the_solution_is_counted_before_it_is_solved(call, folder):
    softmax = find_exercise("softmax")
    assert_refused(
        call("learn", "solution", "softmax"), "softmax has not been tried yet in mvnp-learn; `mvnp learn open softmax`"
    )
    assert not folder.exists()
    status, out, err = call("learn", "solution", "softmax", "--untried")
    assert (status, err) == (0, "")
    assert call("learn", "solution", "softmax")[0] == 0  # who has looked may look again
    assert out.startswith(f"{softmax.source}, derived in {softmax.page}\n\n    backward    dx = y (dy")
    call("learn", "open", "softmax")
    solve(folder, "softmax")
    assert f"1 of {COUNT} solved: 1 after a look at the solution." in call("learn", "check", "softmax")[1]
    assert "solved, 1 try, after a look" in call("learn")[1]
    call("learn", "open", "relu")
    solve(folder, "relu")
    call("learn", "check", "relu")
    call("learn", "solution", "relu")
    assert not json.loads((folder / "score.json").read_text(encoding="utf-8"))["exercises"]["relu"]["looked"]


@pytest.mark.parametrize("name", ["relu", "2", "02_relu.py", "mvnp-learn/02_relu.py"])
def test_names_of_an_exercise(call, folder, name):
    assert call("learn", "open", name)[1] == "mvnp-learn/02_relu.py\n"


def test_the_end_of_the_course(call, folder):
    for exercise in EXERCISES:
        call("learn", "open", exercise.stem)
        solve(folder, exercise.stem)
        status, out, _ = call("learn", "check", exercise.stem)
        assert status == 0, out
    assert out.endswith(f"{COUNT} of {COUNT} solved: {COUNT} at the first try.\n")
    assert call("learn")[1].endswith("That is the whole course.\n")
    assert call("learn", "open")[1] == "All exercises are solved. `mvnp learn open LAYER` opens one again.\n"
    assert_refused(call("learn", "check"), "nothing to check: all that is opened is solved")


def test_what_cannot_be_done(call, folder):
    assert_refused(call("learn", "chekc"), "unknown action 'chekc' (did you mean 'check'?); choose one of list, open")
    assert_refused(call("learn", "softmax"), "softmax is no action; did you mean `mvnp learn open softmax`?")
    assert_refused(call("learn", "open", "sofmax"), "unknown exercise 'sofmax' (did you mean 'softmax'?)")
    assert_refused(call("learn", "open", str(COUNT + 1)), f"there is no exercise {COUNT + 1}; they run from 1 to {COUNT}")
    assert_refused(call("learn", "list", "relu"), "list takes no layer; did you mean `mvnp learn open relu`?")
    assert_refused(call("learn", "solution"), "solution needs a layer")
    assert_refused(call("learn", "check"), "no exercise is opened in mvnp-learn; `mvnp learn open` writes the next one")
    assert_refused(call("learn", "check", "relu", "--seconds", "0"), "'0' is not a whole number of at least 1")
    assert not folder.exists()


def test_a_damaged_score_stops_everything(call, folder):
    call("learn", "open")
    (folder / "score.json").write_text("{", encoding="utf-8")
    for arguments in ([], ["open", "relu"], ["check"], ["solution", "relu"]):
        assert_refused(call("learn", *arguments), "mvnp-learn/score.json: the score cannot be read")
    assert (folder / "score.json").read_text(encoding="utf-8") == "{"
    assert sorted(file.name for file in folder.iterdir()) == ["01_linear.py", "score.json"]


def test_edit(call, folder, monkeypatch):
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    assert_refused(call("learn", "open", "--edit"), "--edit needs the environment variable VISUAL or EDITOR")
    monkeypatch.setenv("EDITOR", "no-such-editor -w")
    assert_refused(call("learn", "open", "--edit"), "there is no program 'no-such-editor'")
    assert not folder.exists()
    code = "import sys; open(sys.argv[1], 'a').write('# edited')"
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, "-c", code]))
    assert call("learn", "open", "--edit")[0] == 0
    assert (folder / "01_linear.py").read_text(encoding="utf-8").endswith("# edited")
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, "-c", "raise SystemExit(3)"]))
    assert call("learn", "open", "--edit")[0] == 1


def test_in_a_process_of_its_own(call, tmp_path):
    folder = tmp_path / "answers"
    main(["learn", "open", "relu", "--folder", str(folder)])
    text = exercise_text(find_exercise("relu")).replace(
        'raise NotImplementedError("write this one")', "print('here')\n    return dx"
    )
    (folder / "02_relu.py").write_text(text, encoding="utf-8")
    line = 1 + text.splitlines().index("    return dx")
    status, out, err = call("learn", "check", "relu", "--folder", folder)
    assert (status, err) == (1, "")
    assert out.splitlines()[2:] == [
        "  | here",
        f"  relu_backward: NameError: name 'dx' is not defined (line {line}: return dx)",
        "not right yet, after 1 try",
    ]
