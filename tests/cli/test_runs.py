"""The folder of a run on the command line: other data, `mvnp validate RUN`, files that are spared: mvnp/cli/outputs.py."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from mvnp import training
from mvnp.checkpoint import load_arrays, save_arrays
from mvnp.cli import main
from mvnp.cli.outputs import KINDS, check_apart, check_output
from mvnp.errors import InputError
from mvnp.training import read_checkpoint

FOURS = {"depths": (1, 1, 2, 2), "num_heads": (1, 1, 2, 2), "window_size": (4, 4, 2, 2)}
SMALL_MODEL = ["--dim", "4", "--in-dim", "3", "--depths", *"1122", "--heads", *"1122", "--windows", *"4422"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of pictures, and of a run of one epoch on them."""
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(5)
    for name, colour in (("cat", (200, 60, 60)), ("dog", (60, 60, 200))):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.clip(rng.normal(colour, 40, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.png")
    small = ["--dim", "8", "--in-dim", "8", "--depths", "1", "1", "2", "2", "--heads", "1", "1", "2", "4"]
    options = ["--epochs", "1", "--warmup-epochs", "0", "--batch-size", "7", "--image-size", "32", "--quiet", *small]
    assert main(["train", "--data", str(folder / "photos"), "--out", str(folder / "run"), *options]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path):
    shutil.copytree(trained / "run", tmp_path / "run")
    return tmp_path / "run"


def test_a_run_is_validated_on_what_it_held_out(trained, tmp_path, capsys):
    assert main(["validate", str(trained / "run"), "--out", str(tmp_path / "v.json"), "--quiet"]) == 0
    assert "the 4 test pictures that the run in" in capsys.readouterr().err
    report = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    assert report["pictures"] == 4
    assert report["top1"] == read_checkpoint(trained / "run" / "best.safetensors").position.best_accuracy
    assert [row["folder"] for row in report["classes"]] == ["cat", "dog"]


def test_runs_without_such_pictures_say_so(trained, run, tmp_path, capsys):
    def told():
        assert main(["validate", str(run), "--out", str(tmp_path / "v.json"), "--quiet"]) == 2
        return capsys.readouterr().err

    table = run / "held-out.csv"
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("photos", "gone"), encoding="utf-8")
    assert "4 of the 4 pictures that" in told()
    table.write_text(text.replace(",cat,", ",cow,"), encoding="utf-8")
    assert "the model has no class 'cow'" in told()
    table.unlink()
    shutil.copy(trained / "photos" / "dog" / "3.png", tmp_path / "3.png")
    (run / "checkpoint.safetensors").unlink()
    assert "--weights W is missing, and" in told()
    assert main(["validate", str(trained / "photos")]) == 2
    assert "--weights W is missing, and" in capsys.readouterr().err


@pytest.fixture
def arrays(tmp_path, capsys):
    """A run on an .npz file of grey pictures, in 3 channels, whose test part has chosen nothing."""
    rng = np.random.default_rng(3)
    content = {}
    for part, count in (("train", 24), ("val", 6), ("test", 9)):
        labels = np.arange(count) % 3
        content[f"{part}_images"] = rng.integers(0, 120, (count, 20, 20), dtype=np.uint8) + 60 * labels[:, None, None].astype(
            "u1"
        )
        content[f"{part}_labels"] = labels[:, None].astype(np.uint8)
    np.savez(tmp_path / "set.npz", **content)
    options = ["--epochs", "2", "--batch-size", "12", "--channels", "3", "--image-size", "32", *SMALL_MODEL, "--quiet"]
    assert main(["train", "--data", str(tmp_path / "set.npz"), "--out", str(tmp_path / "run"), *options]) == 0
    capsys.readouterr()
    return tmp_path


def test_a_run_on_arrays_is_validated_on_what_it_held_out(arrays, capsys):
    out = arrays / "v.json"
    command = ["validate", str(arrays / "run"), "--out", str(out), "--csv", str(arrays / "v.csv"), "--batch", "4", "--quiet"]
    assert main(command) == 0
    assert "the 9 test pictures that the run in" in capsys.readouterr().err
    report = json.loads(out.read_text(encoding="utf-8"))
    final = read_checkpoint(arrays / "run" / "checkpoint.safetensors").position.final
    assert [report["top1"], report["mean_of_classes"]] == pytest.approx(final)
    assert [row["folder"] for row in report["classes"]] == ["0", "1", "2"]
    rows = (arrays / "v.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [f"set/test/{n}" for n in (0, 3, 6, 1, 4, 7, 2, 5, 8)]
    assert main([*command, "--range", "0:1"]) == 2
    assert "--range is for pictures in files" in capsys.readouterr().err


def test_a_run_on_other_arrays_by_now_says_so(arrays, capsys):
    command = ["validate", str(arrays / "run"), "--out", str(arrays / "v.json"), "--quiet"]
    content = dict(np.load(arrays / "set.npz"))
    np.savez(arrays / "set.npz", **{**content, "test_labels": content["test_labels"][::-1]})
    assert main(command) == 2
    assert "the test labels are others. Bring them back" in capsys.readouterr().err
    (arrays / "set.npz").unlink()
    assert main(command) == 2
    assert "no data set and no folder" in capsys.readouterr().err


def test_runs_that_keep_nothing_to_validate_say_so(arrays, capsys):
    data = dict(np.load(arrays / "set.npz"))
    images, labels = data["train_images"], data["train_labels"][:, 0].astype(np.int64)
    settings = {"epochs": 1, "batch_size": 12, "model": {"dim": 4, "in_dim": 3, **FOURS}, "image_size": 32}
    training.train(images, labels, out=arrays / "mine", quiet=True, **settings)
    assert main(["validate", str(arrays / "mine"), "--out", str(arrays / "v.json"), "--quiet"]) == 2
    assert "was trained on arrays of a program, which it does not keep. In Python" in capsys.readouterr().err


def test_a_run_does_not_go_on_with_other_data(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "moved")
    photos, run = trained / "photos", tmp_path / "moved" / "run"
    kept = (photos / "cat" / "3.png").read_bytes()
    try:
        shutil.copy(photos / "dog" / "3.png", photos / "cat" / "3.png")
        assert main(["train", "--resume", "--out", str(run), "--epochs", "2", "--quiet"]) == 2
        assert "was trained on other data: " in capsys.readouterr().err
    finally:
        (photos / "cat" / "3.png").write_bytes(kept)
    assert main(["train", "--resume", "--out", str(run), "--epochs", "2"]) == 0
    assert (
        "an epoch is 2 steps of 7 of the 16 images; the other 2 do not fill a batch and are left out" in capsys.readouterr().err
    )


@pytest.mark.parametrize("what", ["weights", "picture", "log", "config", "table"])
def test_what_is_read_is_not_written_over(trained, run, tmp_path, capsys, what):
    photos = tmp_path / "photos"
    shutil.copytree(trained / "photos", photos)
    (tmp_path / "config.json").write_text('{"model": 1}', encoding="utf-8")
    target = {
        "weights": run / "best.safetensors",
        "picture": photos / "cat" / "1.png",
        "log": run / "log.jsonl",
        "config": tmp_path / "config.json",
        "table": run / "held-out.csv",
    }[what]
    before = target.read_bytes()
    command = ["validate", str(photos), "--weights", str(run / "best.safetensors"), "--quiet"]
    assert main([*command, "--out", str(target)]) == 2
    assert f"--out {target} is " in capsys.readouterr().err
    if what == "picture":
        assert main([*command, "--out", str(tmp_path / "v.json"), "--confusion", str(target)]) == 2
        assert "is what the command reads" in capsys.readouterr().err
    assert target.read_bytes() == before


def test_what_may_be_written_over(tmp_path):
    out = tmp_path / "v.json"
    check_output("--out", out, [], "report")
    for content in (b"", b'{\n "mvnp": "1"}'):
        out.write_bytes(content)
        check_output("--out", out, ["a name on the hub", None, "\0"], "report")
    (tmp_path / "link.json").symlink_to(out)
    with pytest.raises(InputError, match="is what the command reads"):
        check_output("--out", tmp_path / "link.json", [out], "report")
    with pytest.raises(InputError, match="is a folder"):
        check_output("--out", tmp_path, [], "weights")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match="is no plain file"):
            check_output("--out", tmp_path / "pipe", [], "report")
    with pytest.raises(InputError, match=r"^--out and --csv are both .*link.json; give each a file of its own"):
        check_apart({"--out": out, "--confusion": None, "--csv": tmp_path / "link.json"})


@pytest.fixture(scope="module")
def outputs(trained, tmp_path_factory):
    """{kind: a file that a command has written}."""
    folder, run = tmp_path_factory.mktemp("outputs"), str(trained / "run")
    photo = str(trained / "photos" / "cat" / "1.png")
    tables = ["--csv", str(folder / "p.csv"), "--confusion", str(folder / "c.csv")]
    commands = [
        ["validate", run, "--out", str(folder / "v.json"), *tables, "--quiet"],
        ["features", photo, "--weights", run, "--out", str(folder / "f.npz"), "--only", "pooled", "--quiet"],
        ["convert", f"{run}/best.safetensors", str(folder / "w.npz")],
        ["convert", f"{run}/best.safetensors", str(folder / "w.pth")],
        ["convert", f"{run}/best.safetensors", str(folder / "w.safetensors")],
        ["export", "--weights", run, "--out", str(folder / "m.onnx")],
        ["visualize", photo, "--weights", run, "--out", str(folder), "--no-figures", "--quiet"],
        ["visualize", photo, "--weights", run, "--out", str(folder / "g.png"), "--only", "grad_cam", "--quiet"],
        ["visualize", photo, "--weights", run, "--out", str(folder / "s.gif"), "--only", "state_animation", "--quiet"],
    ]
    for command in [*commands, *commands[:3], *commands[5:8]]:  # each again, over what it has written
        assert main(command) == 0, command
    names = {"report": "v.json", "pictures": "p.csv", "confusion": "c.csv", "features": "f.npz", "weights": "w.npz"}
    names |= {"model": "m.onnx", "page": "visualize.html", ".png": "g.png", ".gif": "s.gif"}
    return {kind: folder / name for kind, name in names.items()}


def test_each_kind_of_output_is_known_by_its_content(outputs, trained):
    folder = outputs["report"].parent
    assert outputs.keys() == KINDS.keys()
    others = {"pth": folder / "w.pth", "safetensors": folder / "w.safetensors", "table": trained / "run" / "held-out.csv"}
    for kind in KINDS:
        for other, file in {**outputs, **others}.items():
            fits = other == kind or (kind == "weights" and other in ("pth", "safetensors"))
            if fits:
                check_output("--out", file, [], kind)
            else:
                with pytest.raises(InputError, match="is there already, and is not "):
                    check_output("--out", file, [], kind)


@pytest.mark.parametrize(
    ("command", "target"),
    [
        ("validate {run} --csv t", "t"),
        ("validate {run} --confusion t.csv", "t.csv"),
        ("features {photo} --weights {run} --out t.npz", "t.npz"),
        ("convert {run}/best.safetensors t.npz", "t.npz"),
        ("convert {run}/best.safetensors t.pth", "t.pth"),
        ("export --weights {run} --out t.onnx", "t.onnx"),
        ("visualize {photo} --weights {run} --out .", "visualize.html"),
        ("visualize {photo} --weights {run} --only grad_cam --out t.png", "t.png"),
        ("demo --quick --out .", "index.html"),
        ("train --data {photos} --out .", "held-out.csv"),
    ],
)
def test_no_command_takes_the_place_of_a_file_of_another_kind(trained, tmp_path, capsys, monkeypatch, command, target):
    monkeypatch.chdir(tmp_path)
    (tmp_path / target).write_text("image,label\na.png,cat\n", encoding="utf-8")
    photos = trained / "photos"
    words = {"run": trained / "run", "photos": photos, "photo": photos / "cat" / "1.png"}
    assert main([word.format(**words) for word in command.split()]) == 2
    said = capsys.readouterr().err
    assert target in said
    assert "is there already, and is not" in said or "of an earlier run, but no checkpoint.safetensors" in said
    assert (tmp_path / target).read_text(encoding="utf-8").startswith("image,label")
    assert [entry.name for entry in tmp_path.iterdir()] == [target]


def test_a_demo_draws_its_pictures_into_no_folder_of_others(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    assert main(["demo", "--quick", "--out", str(tmp_path)]) == 2
    assert "pictures is there already, and of no demo" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "visualize"])
def test_a_command_that_fails_leaves_no_empty_folder(tmp_path, capsys, command):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    out = ["--out", str(tmp_path / "new" / "out")]
    rest = (
        ["--data", str(tmp_path / "missing")] if command == "train" else [str(tmp_path / "a.png"), "--weights", "missing.npz"]
    )
    assert main([command, *rest, *out]) == 2
    assert "mvnp: error: " in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"depths": [1, 1, 10**6, 2]}, "depths of the model is"),
        ({"dim": 10**6}, "dim of the model is"),
        ({"a": 1}, "unknown option 'a'"),
    ],
)
def test_models_that_were_not_trained_are_not_made(run, capsys, model, told):
    arrays, metadata = load_arrays(run / "checkpoint.safetensors")
    settings = {**metadata["config"], "model": {**metadata["config"]["model"], **model}}
    save_arrays(run / "checkpoint.safetensors", arrays, {**metadata, "config": settings})
    assert main(["train", "--resume", "--out", str(run), "--quiet"]) == 2
    assert told in capsys.readouterr().err
