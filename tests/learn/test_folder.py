"""The reader's folder: mvnp/learn/folder.py."""

import json

import pytest

from mvnp.errors import DataError, InputError
from mvnp.learn import EXERCISES, exercise_text, find_exercise
from mvnp.learn.folder import Folder, Mark, next_exercise


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "mine" / "answers")


def test_open_writes_the_exercise_once(folder):
    softmax = find_exercise("softmax")
    file, new = folder.open(softmax)
    assert new
    assert file == folder.path / "11_softmax.py"
    assert file.read_text(encoding="utf-8") == exercise_text(softmax)
    file.write_text("# my work", encoding="utf-8")
    assert folder.open(softmax) == (file, False)
    assert file.read_text(encoding="utf-8") == "# my work"


def test_an_answer_is_found_under_an_old_number(folder):
    folder.path.mkdir(parents=True)
    (folder.path / "03_softmax.py").write_text("# my work", encoding="utf-8")
    assert folder.open(find_exercise("softmax")) == (folder.path / "03_softmax.py", False)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "answers").write_text("", encoding="utf-8")
    folder = Folder(tmp_path / "answers")
    with pytest.raises(InputError, match=r"answers is a file, expected a folder for the answers; choose another with --folder"):
        folder.open(EXERCISES[0])
    assert folder.read_score() == {}


def test_score(folder):
    assert folder.read_score() == {}
    marks = {"linear": Mark(tries=2, solved=True, tries_to_solve=2), "relu": Mark(tries=1, looked=True)}
    folder.write_score(marks)
    assert folder.read_score() == marks
    assert [file.name for file in folder.path.iterdir()] == ["score.json"]


def test_next_exercise():
    assert next_exercise({}) is EXERCISES[0]
    assert next_exercise({"linear": Mark(tries=3)}) is EXERCISES[0]
    assert next_exercise({"linear": Mark(solved=True), "layer_scale": Mark(solved=True)}) is EXERCISES[1]
    assert next_exercise({exercise.stem: Mark(solved=True) for exercise in EXERCISES}) is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"format": 1, "exercises": {', "no JSON at line 1, column 29"),
        (b"", "no JSON at line 1, column 1"),
        (b"\xff\xfe\x00", "it is not text"),
        (b"[]", "not a score of mvnp learn"),
        (b'{"format": 2}', "its format is 2, this mvnp reads 1"),
        (b'{"format": 1}', "it has no list of exercises"),
        (b'{"format": 1, "exercises": {"relu": {"tries": 1}}}', "the entry of relu has not the fields tries, solved"),
        (
            b'{"format": 1, "exercises": {"relu": {"tries": -1, "solved": true, "tries_to_solve": 1, "looked": false}}}',
            "tries of relu is -1",
        ),
        (
            b'{"format": 1, "exercises": {"relu": {"tries": 1, "solved": 1, "tries_to_solve": 1, "looked": false}}}',
            "solved of relu is 1",
        ),
    ],
)
def test_a_damaged_score_is_told_and_left_alone(folder, content, why):
    folder.path.mkdir(parents=True)
    folder.score_file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        folder.read_score()
    assert why in str(caught.value)
    assert "It was left as it is, and so were your answers" in str(caught.value)
    assert folder.score_file.read_bytes() == content


def test_a_score_that_cannot_be_written_leaves_the_old_one(folder, monkeypatch):
    folder.write_score({"linear": Mark(tries=1)})
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        folder.write_score({"linear": Mark(tries=2)})
    assert json.loads(folder.score_file.read_text(encoding="utf-8"))["exercises"]["linear"]["tries"] == 1
