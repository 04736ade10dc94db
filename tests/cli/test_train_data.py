"""The options of `mvnp train` and `mvnp finetune` that say what is learnt from, as a user gives them."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from mvnp.checkpoint import read_pretrained
from mvnp.data.fashion_mnist import SUBSET
from mvnp.data.sources import check_outside
from mvnp.training import read_checkpoint
from support.command_line import assert_refused
from support.photos import two_classes

TINY = ["--dim", 2, "--in-dim", 2, "--depths", 1, 1, 1, 1, "--heads", 1, 1, 1, 1, "--windows", 8, 8, 2, 1, "--epochs", 1]
RNG = np.random.default_rng(5)


@pytest.fixture
def photos(tmp_path):
    """Three parts of two classes; cats are dark."""
    for part in ("train", "val", "test"):
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / "photos" / part / name).mkdir(parents=True)
            for number in range(4):
                pixels = RNG.integers(0, 120, (34, 40, 3), dtype=np.uint8) + np.uint8(120 * label)
                Image.fromarray(pixels).save(tmp_path / "photos" / part / name / f"{number}.png")
    return tmp_path / "photos"


def test_val_test_and_a_rectangle(call, photos, tmp_path):
    run = tmp_path / "run"
    command = ["train", "--data", photos, "--out", run, "--image-size", "32x64", "--batch-size", 4, *TINY]
    status, out, err = call(*command, "--class-weights", "balanced", "--sampler", "balanced", "--best-by", "mean-accuracy")
    assert status == 0
    assert re.fullmatch(
        r"validation accuracy \S+ after epoch 1, trained in \d+ s\nthe best was \S+ after epoch 1: .*\n"
        r"test accuracy of the best \S+, on images that have chosen nothing\n",
        out,
    )
    assert err.startswith(
        "photos: 24 pictures of 2 classes (cat 12, dog 12), 8 to train, 8 to choose the best epoch, 8 to test; 34x40 pixels of"
        " 8 bits, given at 32x64, colour\n"
    )
    config = read_checkpoint(run / "checkpoint.safetensors").config
    assert (config.class_weights, config.best_by, config.loader_options["sampler"]) == ("balanced", "mean-accuracy", "balanced")
    assert read_pretrained(run / "best.safetensors").images["size"] == (32, 64)
    # Longer than it was; and on to other pictures, at the same size.
    status, out, err = call("train", "--resume", "--out", run, "--epochs", 2)
    assert (status, "after epoch 2" in out, "epochs is 2 from here on, and was 1" in err) == (0, True, True)
    assert_refused(call("train", "--resume", "--out", run, "--epochs", 1), "has 2 epochs behind it, and epochs is 1")
    tuned = ["finetune", photos, "--weights", run / "best.safetensors", "--out", tmp_path / "tuned", "--epochs", 1]
    assert call(*tuned, "--batch-size", 4, "--quiet")[0] == 0


def test_labels_in_a_table_and_nothing_held_out(call, photos, tmp_path):
    (tmp_path / "t.csv").write_text(
        "key,race\n" + "".join(f"{name}/{n},{name}\n" for name in ("cat", "dog") for n in range(4)), encoding="utf-8"
    )
    (photos / "train/dog/2.png").write_text("no picture", encoding="utf-8")
    table = ["--labels", tmp_path / "t.csv", "--columns", "image=key", "label=race", "--held-out", 0]
    command = [
        "train",
        "--data",
        photos / "train",
        "--out",
        tmp_path / "run",
        "--image-size",
        32,
        "--batch-size",
        4,
        *TINY,
        *table,
    ]
    refusal = call(*command)
    assert_refused(refusal, "2.png: cannot be read as a picture (not a picture of a known format)", "--skip-damaged")
    status, out, err = call(*command, "--skip-damaged")
    assert status == 0
    assert out.splitlines()[0].startswith("trained on all images for 1 epoch, in ")
    assert "7 to train; " in err
    assert "left out: " in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--range", "5:1"),
            "'5:1' is no range; expected the values of black and white, such as 0:4095, or auto, or percentile",
        ),
        (("--image-size", "32x0"), "'32x0' is no size"),
        (("--picture-limit", "0"), "'0' is no limit; expected a whole number of MB, such as 500"),
        (("--columns", "label"), "--columns label: expected such as label=breed"),
        (("--sampler", "equal"), "unknown sampler 'equal'"),
        (("--class-weights", "no.csv"), "no.csv: there is no such file; expected a table of weights"),
        (("--best-by", "f1"), "best_by is 'f1', expected one of accuracy, mean-accuracy, loss"),
    ],
)
def test_options_that_cannot_be(call, photos, tmp_path, options, message):
    assert_refused(call("train", "--data", photos, "--out", tmp_path / "run", *TINY, *options), message)


def test_bands_from_a_folder_to_a_figure(call, tmp_path):
    for label, name in enumerate(("crop", "water")):
        (tmp_path / "scenes" / name).mkdir(parents=True)
        for number in range(4):
            scene = RNG.integers(0, 2000, (32, 32, 5)) + 1500 * label
            np.save(tmp_path / "scenes" / name / f"{number}.npy", scene.astype(np.int16))
    scenes, run = tmp_path / "scenes", tmp_path / "run"
    command = ["train", "--data", scenes, "--out", run, "--image-size", 32, "--batch-size", 3, *TINY]
    assert_refused(
        call(*command), "expected uint8 or uint16); say which values are black and white, with --range min:max, auto"
    )
    assert call(*command, "--range", "auto", "--quiet")[0] == 0
    best = read_pretrained(run / "best.safetensors")
    assert (best.model.in_chans, best.images["channels"], len(best.images["mean"])) == (5, 5, 5)
    weights = ("--weights", run / "best.safetensors")
    file = scenes / "crop" / "1.npy"
    assert call("classify", file, *weights)[0] == 0
    assert call("features", scenes, *weights, "--out", tmp_path / "f.npz", "--only", "pooled")[0] == 0
    status, out, _ = call("validate", scenes, *weights, "--out", tmp_path / "v.json")
    assert (status, "mean of classes" in out) == (0, True)
    figures = ["visualize", file, *weights, "--out", tmp_path / "page", "--no-figures", "--quiet"]
    assert call(*figures, "--bands", "4,3,2")[0] == 0
    assert_refused(call(*figures, "--bands", "4,3,6"), "bands to be shown are 4, 3, 6, and the image has 5")
    assert_refused(call(*figures, "--bands", "4,3"), "'4,3' are no bands; expected three")
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "photo.png")
    assert_refused(call("classify", tmp_path / "photo.png", *weights), "has 3 bands, and the model takes 5; none is left out")


def test_a_warning_is_one_line(call, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(RNG.integers(0, 4096, (32, 32), dtype=np.uint16)).save(tmp_path / "set" / name / f"{number}.png")
    command = ["train", "--data", tmp_path / "set", "--out", tmp_path / "run", "--image-size", 32, "--batch-size", 2, *TINY]
    status, _, err = call(*command, "--quiet")
    lines = err.splitlines()
    assert (status, len(lines)) == (0, 4)
    assert all(line.startswith("mvnp: warning: ") for line in lines)
    assert lines[-1] == "mvnp: warning: and so it is with more pictures"
    assert call(*command[:3], "--out", tmp_path / "other", *command[5:], "--quiet", "--range", "0:4095")[2] == ""


def test_no_run_among_the_pictures(call, tmp_path, monkeypatch):
    """Its folder would be a class without pictures when the run is resumed."""
    photos = two_classes(tmp_path / "photos", 4, (20, 20))
    digits = tmp_path / "digits"
    monkeypatch.chdir(photos)
    for options in ([], ["--find-lr"], ["--out", photos / "cat" / "run"]):
        assert_refused(call("train", "--data", ".", "--image-size", 32, *TINY, *options), "lies among the pictures of")
    assert sorted(path.name for path in photos.iterdir()) == ["cat", "dog"]
    shutil.copytree(SUBSET, digits)
    check_outside(str(digits), digits / "run")
    check_outside(str(photos), photos / "run", labels="labels.csv")
    check_outside(str(photos), tmp_path / "run")
