"""mvnp validate."""

import csv
import importlib
import io
import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from mvnp.data import ImageTransform
from mvnp.inference import validation_state
from support.command_line import NAMES, assert_refused, logits_of, runner, save_picture, save_small


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


COUNTS = {"cat": 5, "dog": 4, "Cup_of coffee": 3}


@pytest.fixture
def photos(tmp_path):
    """Twelve pictures in the folders of three of the eight classes."""
    seed = 0
    for name, count in COUNTS.items():
        for number in range(count):
            save_picture(tmp_path / "photos" / name / f"{number}.png", seed)
            seed += 1
    return tmp_path / "photos"


def expected(model, photos, names=NAMES):
    """{file: (label, likeliest class, rank of the label)}, by a sort."""
    found = {}
    for folder in sorted(photos.iterdir()):
        label = [name.lower() for name in names].index(folder.name.lower().replace("_", " "))
        for file in folder.iterdir():
            order = np.argsort(-logits_of(model, file)).tolist()
            found[file] = (label, order[0], order.index(label))
    return found


def report(tmp_path):
    return json.loads((tmp_path / "mvnp-validate.json").read_text(encoding="utf-8"))


def test_csv_has_a_row_for_each_picture(call, weights, photos, tmp_path):
    model = save_small(weights)
    broken = photos / "cat" / "9.png"
    broken.write_text("no picture", encoding="utf-8")
    assert call("validate", photos, "--weights", weights, "--csv", "rows.csv")[0] == 1
    header, *rows = csv.reader(io.StringIO((tmp_path / "rows.csv").read_text(encoding="utf-8")))
    assert header == ["file", "folder", "class", "predicted", "predicted_name", "rank", "error"]
    assert len(rows) == 13
    broken.unlink()
    want = {str(file): found for file, found in expected(model, photos).items()}
    for file, folder, label, predicted, name, rank, error in rows:
        if file == str(broken):
            assert (predicted, name, rank) == ("", "", "")
            assert "cannot be read as a picture" in error
        else:
            assert (int(label), int(predicted), int(rank)) == want[file]
            assert (name, error) == (NAMES[int(predicted)], "")
            assert folder == file.split("/")[-2]
    assert_refused(call("validate", photos, "--weights", weights, "--csv", tmp_path / "gone" / "r.csv"), "there is no folder")


@pytest.mark.parametrize(
    "changed",
    [{"done": "7"}, {"done": 13}, {"done": -1}, {"broken": {"99": "x"}}, {"broken": {"0": 3}}, {"broken": ["x"]}, {"of": 3}],
)
def test_a_state_of_another_structure_is_refused(changed, call, weights, photos, tmp_path):
    """Its digest is right: somebody wrote it so."""
    from mvnp.checkpoint import load_arrays, save_arrays
    from mvnp.data import ImageTransform
    from mvnp.inference import find_class_folders
    from mvnp.inference.validation_state import ValidationState, fingerprint
    from support.command_line import IMAGES

    model, state_file = save_small(weights), tmp_path / "mvnp-validate.json.state"
    found = find_class_folders(photos, 8, NAMES)
    ValidationState(12).save(state_file, fingerprint(model, ImageTransform(**IMAGES), found))
    arrays, metadata = load_arrays(state_file)
    save_arrays(state_file, arrays, {**metadata, **changed})
    what = "since then" if "of" in changed else "holds no such state; give --restart to begin anew"
    assert_refused(call("validate", photos, "--weights", weights, "--quiet"), what)
    save_arrays(state_file, {"best": arrays["best"] + 10**6, "rank": arrays["rank"]}, metadata)
    assert_refused(call("validate", photos, "--weights", weights, "--quiet"), "holds no such state")
    save_arrays(state_file, {"best": arrays["best"][:3], "rank": arrays["rank"]}, metadata)
    assert_refused(call("validate", photos, "--weights", weights, "--quiet"), "holds no such state")


def test_counts(call, weights, photos, tmp_path):
    model = save_small(weights)
    status, out, err = call("validate", photos, "--weights", weights, "--batch", 5)
    assert (status, err) == (0, "")
    found = list(expected(model, photos).values())
    top1, top5 = (sum(rank < k for *_, rank in found) for k in (1, 5))
    assert 0 < top1 < top5 < 12, "the case is to tell the figures apart"
    rows = [line.rsplit(maxsplit=3) for line in out.splitlines()[:5]]
    assert rows[0] == ["class", "pictures", "top-1", "top-5"]
    assert rows[-1] == ["all", "12", f"{top1 / 12:.2%}", f"{top5 / 12:.2%}"]
    assert [row[:2] for row in rows[1:4]] == [["cat", "5"], ["Cup_of coffee", "3"], ["dog", "4"]]
    right = sum(rank == 0 for label, _, rank in found if label == 2)
    assert rows[3][2] == f"{right / 4:.2%}"
    assert out.splitlines()[-1] == "mvnp-validate.json has this as JSON"
    content = report(tmp_path)
    assert (content["pictures"], content["top1"], content["top5"]) == (12, top1 / 12, top5 / 12)
    assert [(row["folder"], row["class"], row["pictures"]) for row in content["classes"]] == [
        ("cat", 0, 5),
        ("Cup_of coffee", 1, 3),
        ("dog", 2, 4),
    ]
    assert content["classes"][2]["top1"] == right / 4
    assert content["preparation"]["size"] == 32
    assert content["weights"] == str(weights)
    assert content["left_out"] == {}
    assert not (tmp_path / "mvnp-validate.json.state").exists()


def test_confusion(call, weights, photos, tmp_path):
    model = save_small(weights)
    assert call("validate", photos, "--weights", weights, "--confusion", tmp_path / "c.csv")[0] == 0
    header, *rows = csv.reader(io.StringIO((tmp_path / "c.csv").read_text(encoding="utf-8")))
    assert header == ["", "cat", "Cup_of coffee", "dog", "(no folder)"]
    want = np.zeros((3, 4), int)
    for label, best, _ in expected(model, photos).values():
        want[label, min(best, 3)] += 1  # classes 3 to 7 have no folder
    assert [row[0] for row in rows] == ["cat", "Cup_of coffee", "dog"]
    assert [list(map(int, row[1:])) for row in rows] == want.tolist()
    assert want[:, 3].any()
    assert want[:, :3].any()
    assert call("validate", photos, "--weights", weights, "--confusion", tmp_path / "c.png")[0] == 0
    with Image.open(tmp_path / "c.png") as image:
        assert min(image.size) > 300


def test_few_classes_have_no_top_5(call, weights, tmp_path):
    save_small(weights, num_classes=2, classes=("a", "b"))
    save_picture(tmp_path / "photos" / "a" / "1.png", 0)
    status, out, _ = call("validate", tmp_path / "photos", "--weights", weights)
    assert status == 0
    assert out.splitlines()[0].split() == ["class", "pictures", "top-1"]


def test_broken_pictures_do_not_count(call, weights, photos, tmp_path):
    model = save_small(weights)
    want = list(expected(model, photos).values())
    broken = photos / "cat" / "1b.png"
    broken.write_bytes((photos / "cat" / "1.png").read_bytes()[:100])
    status, out, err = call("validate", photos, "--weights", weights, "--confusion", "c.csv")
    assert status == 1
    assert err.splitlines()[0].startswith(f"mvnp: left out: {broken}: cannot be read")
    assert err.splitlines()[-1] == "mvnp: 1 of 13 pictures could not be read and were left out"
    content = report(tmp_path)
    assert content["pictures"] == 12
    assert content["top1"] == sum(rank == 0 for *_, rank in want) / 12
    assert list(content["left_out"]) == [str(broken)]
    assert (
        sum(int(n) for line in (tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()[1:] for n in line.split(",")[1:])
        == 12
    )
    for file in photos.rglob("*.png"):
        file.write_text("no picture", encoding="utf-8")
    status, out, err = call("validate", photos, "--weights", weights)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1] == f"mvnp: error: none of the 13 pictures below {photos} could be read"


# Interrupted, and gone on with


@pytest.fixture
def interrupted(call, weights, photos, monkeypatch):
    """A validation of twelve pictures, stopped by Ctrl-C in its second batch of five. The value: what has been read."""
    save_small(weights)
    (photos / "cat" / "3.png").write_text("no picture", encoding="utf-8")
    read, pressed = [], []

    def read_one(transform, path, *limit, plain=ImageTransform.read):
        read.append(path)
        if len(read) == 7 and not pressed:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return plain(transform, path, *limit)

    monkeypatch.setattr(ImageTransform, "read", read_one)
    status, out, err = call("validate", photos, "--weights", weights, "--batch", 5)
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == "mvnp: stopped by Ctrl-C after 10 of 12 pictures; the same command goes on from there"
    assert len(read) == 10
    return read


def test_goes_on_with_the_same_result(interrupted, call, weights, photos, tmp_path):
    state = tmp_path / "mvnp-validate.json.state"
    assert state.exists()
    assert not (tmp_path / "mvnp-validate.json").exists()
    interrupted.clear()
    status, out, err = call("validate", photos, "--weights", weights, "--batch", 5)
    assert status == 1  # the broken picture of the first part counts to the end
    assert len(interrupted) == 2
    assert "going on after 10 of 12 pictures" in err
    assert err.splitlines()[-1] == "mvnp: 1 of 12 pictures could not be read and were left out"
    assert not state.exists()
    content = (tmp_path / "mvnp-validate.json").read_bytes()
    again = call("validate", photos, "--weights", weights, "--batch", 5)
    assert again[:2] == (1, out)
    assert (tmp_path / "mvnp-validate.json").read_bytes() == content
    assert len(interrupted) == 14  # a finished one is not gone on with


def test_is_not_gone_on_with_where_something_changed(interrupted, call, weights, photos, tmp_path):
    state = tmp_path / "mvnp-validate.json.state"
    before = state.read_bytes()
    command = ["validate", photos, "--weights", weights]
    assert_refused(call(*command, "--size", 40), state.name, "how pictures are prepared (--size, --range) changed", "--restart")
    (tmp_path / "names.txt").write_text("\n".join(["cat", "dog", "cup of coffee", *NAMES[3:]]), encoding="utf-8")
    assert_refused(call(*command, "--classes", tmp_path / "names.txt"), "since then the classes changed")
    moved = photos / "cat" / "4.png"
    stat = moved.stat()
    os.utime(moved, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    assert_refused(call(*command), "since then the pictures changed")
    os.utime(moved, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    save_small(weights, seed=2)
    assert_refused(call(*command), "since then the weights changed")
    save_picture(photos / "cat" / "5.png", 9)
    assert_refused(call(*command), "since then the weights and the pictures changed")
    assert state.read_bytes() == before
    assert call(*command, "--out", "other.json", "--quiet")[0] == 1
    assert state.read_bytes() == before
    assert call(*command, "--restart", "--quiet")[0] == 1
    assert not state.exists()


@pytest.mark.parametrize("damage", [lambda content: content[:300], lambda content: b"", lambda content: content[:-1] + b"\0"])
def test_damaged_state(damage, interrupted, call, weights, photos, tmp_path):
    state = tmp_path / "mvnp-validate.json.state"
    state.write_bytes(damage(state.read_bytes()))
    assert_refused(call("validate", photos, "--weights", weights), f"{state.name} is damaged", "--restart to begin anew")
    assert call("validate", photos, "--weights", weights, "--restart", "--quiet")[0] == 1


def test_a_state_that_is_something_else(call, weights, photos, tmp_path):
    save_small(weights)
    (tmp_path / "mvnp-validate.json.state").write_bytes(weights.read_bytes())
    assert_refused(call("validate", photos, "--weights", weights), "was not written by mvnp validate")


def test_state_is_saved_now_and_then(call, weights, photos, tmp_path, monkeypatch):
    module = importlib.import_module("mvnp.inference.validate")
    monkeypatch.setattr(module, "SAVE_EVERY", 0.0)
    saved = []

    def save(self, path, of, plain=validation_state.ValidationState.save):
        plain(self, path, of)
        saved.append(self.done)

    monkeypatch.setattr(validation_state.ValidationState, "save", save)
    save_small(weights)
    assert call("validate", photos, "--weights", weights, "--batch", 4)[0] == 0
    assert saved == [4, 8, 12]


# What is refused


def test_refused(call, weights, photos, tmp_path):
    save_small(weights)
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    command = ["validate", photos, "--weights", weights]
    for arguments, parts in (
        (["validate"], ["the following arguments are required: FOLDER"]),
        (["validate", photos], ["--weights W is missing, and", "photos is not the folder of a run"]),
        (["validate", tmp_path / "gone", "--weights", weights], ["gone does not exist, expected a folder that has a folder"]),
        (["validate", tmp_path / "file", "--weights", weights], ["file is a file, expected a folder"]),
        (["validate", tmp_path / "empty", "--weights", weights], ["empty: no class folders"]),
        (["validate", photos / "cat", "--weights", weights], ["cat: 5 pictures but no class folders"]),
        (["validate", photos.parent, "--weights", weights], ["2 of 2 folders are of no class", "'photos'"]),
        ([*command, "--out", tmp_path / "gone" / "f.json"], ["--out is to be a file in a folder that exists"]),
        ([*command, "--out", tmp_path], ["--out", "is a folder"]),
        ([*command, "--confusion", "c.txt"], ["a .csv or a .png file, and c.txt is neither"]),
        ([*command, "--confusion", tmp_path / "gone" / "c.csv"], ["there is no folder"]),
        (["validate", photos, "--weights", "gone.pth"], ["gone.pth: No such file"]),
    ):
        assert_refused(call(*arguments), *parts)
    assert not (tmp_path / "mvnp-validate.json").exists()


def test_without_a_head(call, weights, photos):
    save_small(weights, num_classes=0, classes=None)
    assert_refused(call("validate", photos, "--weights", weights), "has no head")
