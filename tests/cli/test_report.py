"""A page about a run: mvnp/cli/report.py, mvnp/visualize/{arrays,pages}/…; and what comes before a run: mvnp/cli/before.py."""

import csv
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from mvnp.cli import main
from mvnp.data import load_dataset
from mvnp.errors import InputError
from mvnp.training import read_log
from mvnp.training.find_lr import BETA, searched, smoothed
from mvnp.training.tensorboard import crc32c, event_file
from mvnp.visualize import Predictions, epoch_table, norms_by_depth
from mvnp.visualize.figures.run_curves import gradient_depths, run_curves
from mvnp.visualize.pages.run import names_of, read_run
from support.tolerance import assert_close, near

SMALL = ["--dim", "4", "--in-dim", "3", "--depths", "1", "1", "1", "1", "--heads", "1", "1", "2", "2"]
SMALL += ["--windows", "8", "8", "2", "2"]
TINY = ["--batch-size", "50", "--image-size", "32", "--classes", "0", "1", "2", *SMALL]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "first"
    options = ["--recipe", "light", "--randaugment", "none", "--epochs", "2", "--warmup-epochs", "0.2", "--quiet"]
    assert main(["train", "--out", str(out), *TINY, *options]) == 0
    return out


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_page(trained, tmp_path, capsys):
    assert main(["report", str(trained), "--out", str(tmp_path / "page")]) == 0
    assert f"open {tmp_path / 'page' / 'index.html'} in a browser" in capsys.readouterr().out
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    for text in (
        "Curves",
        "Gradients by depth",
        "Confusion",
        "The worst mistakes",
        "by the recipe light",
        "What 450 pictures are",
    ):
        assert text in page, text
    log = read_log(trained / "log.jsonl")
    epochs = [line for line in log if line["event"] == "epoch"]
    table = rows(tmp_path / "page" / "epochs.csv")
    assert [float(row["test_accuracy"]) for row in table] == [line["test_accuracy"] for line in epochs]
    assert [float(row["ema_accuracy"]) for row in table] == [line["ema_accuracy"] for line in epochs]
    steps = [line for line in log if line["event"] == "step"]
    assert [float(row["loss"]) for row in rows(tmp_path / "page" / "steps.csv")] == [line["loss"] for line in steps]


def test_two_runs(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "second")
    assert main(["report", str(trained), str(tmp_path / "second"), "--out", str(tmp_path / "both")]) == 0
    text = (tmp_path / "both" / "index.html").read_text(encoding="utf-8")
    assert "<title>first and second" in text
    assert text.count("first: best accuracy") == text.count("second: best accuracy") == 1
    for heading in ("Gradients by depth", "Confusion", "The worst mistakes"):
        assert f"<h2>{heading}, first</h2>" in text
    assert "and steps.csv of first." in text
    assert main(["report", *[str(trained)] * 3]) == 2
    assert "compares two runs, and 3 were given" in capsys.readouterr().err


def test_runs_that_cannot_be_reported(trained, tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "there is no run in" in capsys.readouterr().err
    shutil.copytree(trained, tmp_path / "cut")
    lines = (trained / "log.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut" / "log.jsonl").write_bytes(b"".join(lines[:3]))
    assert main(["report", str(tmp_path / "cut")]) == 2
    assert "has finished no epoch yet" in capsys.readouterr().err


def test_without_its_best_weights_it_says_so(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "best.safetensors").unlink()
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "They cannot be shown: " in (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")


def test_the_table_by_epoch():
    log = [
        {"event": "step", "epoch": 1, "lr": 0.1, "loss": 2.0, "grad_norm": 1.0},
        {"event": "step", "epoch": 1, "lr": 0.2, "loss": 1.0, "grad_norm": None},
        {"event": "step", "epoch": 1, "lr": 0.3, "loss": 1.0, "grad_norm": 3.0, "grad_norm_by_depth": [1.0, 2.0]},
        {"event": "epoch", "epoch": 1, "train_loss": 4 / 3, "test_loss": None, "test_accuracy": None},
    ]
    table = epoch_table(log)
    assert (table["lr"][0], table["grad_norm"][0], table["train_loss"][0]) == (0.3, 2.0, 4 / 3)
    assert np.isnan([table["test_loss"][0], table["apart"][0]]).all()
    epochs, norms = norms_by_depth(log)
    assert (epochs.tolist(), norms.tolist()) == ([1], [[1.0, 2.0]])
    with pytest.raises(InputError, match="no finished epoch"):
        epoch_table(log[:3])


def test_norms_by_depth_add_up_to_the_norm(trained):
    for line in read_log(trained / "log.jsonl"):
        if "grad_norm_by_depth" in line:
            assert np.linalg.norm(line["grad_norm_by_depth"]) == near(line["grad_norm"], terms=2**20)


def test_mistakes():
    said = Predictions(np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]), np.array([1, 1, 1, 0]))
    assert said.confusion().tolist() == [[0, 1], [2, 1]]
    assert said.worst(9).tolist() == [1, 3, 0]
    assert said.worst(1).tolist() == [1]


# TensorBoard


def test_checksums():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert crc32c(b"") == 0


def test_events(trained):
    """Read back by hand: lengths, checksums, and the first value."""
    log = read_log(trained / "log.jsonl")
    data, found = event_file(log), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(data[12 : 12 + length])
        for start, end in ((0, 8), (12, 12 + length)):
            crc = crc32c(data[start:end])
            masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
            assert struct.pack("<I", masked) == data[end : end + 4]
        data = data[16 + length :]
    assert len(found) == 1 + len(log)
    assert found[0].endswith(b"brain.Event:2")
    assert found[1].startswith(b"\x09" + struct.pack("<d", 0.0) + b"\x10\x01")  # wall time, step 1
    assert b"\n\ntrain/loss\x15" + struct.pack("<f", log[0]["loss"]) in found[1]


def test_event_files(trained, tmp_path, capsys):
    assert main(["report", str(trained), "--tensorboard", str(tmp_path / "logs")]) == 0
    assert f"tensorboard --logdir {tmp_path / 'logs'}" in capsys.readouterr().out
    assert (tmp_path / "logs" / "first" / "events.out.tfevents.0.mvnp").read_bytes() == event_file(
        read_log(trained / "log.jsonl")
    )


def test_runs_whose_folders_have_the_same_name(trained, tmp_path, capsys):
    """Their event files do not overwrite each other."""
    for folder in ("a", "b"):
        shutil.copytree(trained, tmp_path / folder / "first")
    runs = [str(tmp_path / "a" / "first"), str(tmp_path / "b" / "first")]
    assert main(["report", *runs, "--tensorboard", str(tmp_path / "logs")]) == 0
    assert sorted(path.parent.name for path in (tmp_path / "logs").rglob("events*")) == ["first", "first"]
    assert names_of([read_run(Path(run)) for run in runs]) == ["a/first", "b/first"]
    assert names_of([read_run(trained)] * 2) == ["first (1)", "first (2)"]


# Before a run


def test_the_smoothed_loss_by_hand():
    assert_close(smoothed([4.0, 1.0]), [4.0, (BETA * 4.0 + 1.0) / (1 + BETA)])


def test_the_steepest_place():
    rates = np.geomspace(1e-5, 1, 51)
    losses = np.where(rates < 0.2, 2.5 - 2 / (1 + (1e-3 / rates) ** 2), 9.0)  # steepest at 1e-3, and the smoothed lags behind
    search = searched(rates, losses)
    assert 1e-3 <= search.suggestion < 2e-2 < search.rates[search.smoothed.argmin()] <= 0.2
    with pytest.raises(InputError, match="the loss falls at no rate"):
        searched(rates, np.linspace(1, 2, 51))


def test_find_lr(tmp_path, capsys):
    assert main(["train", "--find-lr", "--out", str(tmp_path), *TINY]) == 0
    told = capsys.readouterr().out
    assert "the loss falls fastest at a learning rate of" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["find-lr.csv", "find-lr.png"]
    table = rows(tmp_path / "find-lr.csv")
    assert float(table[0]["lr"]) == 1e-6
    assert len(table) <= 100


def test_dry_run(tmp_path, capsys):
    command = ["train", "--recipe", "official", "--dry-run", "--images", "1281167", "--num-classes", "1000", *SMALL]
    options = ["--batch-size", "64", "--accumulate", "64", "--processes", "32", "--image-size", "32", "--model", "demo"]
    assert main([*command, *options, "--out", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    assert "64 x 3 x 32 x 32, 2 a process" in told
    assert "1,281,167 images, 313 steps of 4,096 images" in told  # 20,018 batches of 64; the last step has fewer
    assert "320 epochs, 100,160 steps" in told
    assert "5.00e-03, warm-up 20 epochs, cool-down 10" in told
    assert not (tmp_path / "run").exists()


def test_dry_run_of_data_that_are_there(capsys):
    assert main(["train", "--dry-run", *TINY]) == 0
    count = len(load_dataset("fashion-mnist-small", classes=[0, 1, 2])[0])
    told = capsys.readouterr().out
    assert f"{count:,} images, {count // 50} steps of 50 images" in told
    assert "data                 fashion-mnist-small: 7,500 pictures of 10 classes (T-shirt/top 750," in told
    assert "data                 of these, the classes T-shirt/top, Trouser, Pullover alone" in told


def test_dry_run_of_a_single_step(capsys):
    """What a batch leaves over is not trained on."""
    command = ["train", "--dry-run", *SMALL, "--model", "demo", "--images", "95", "--num-classes", "5", "--image-size", "32"]
    assert main([*command, "--batch-size", "64", "--epochs", "1"]) == 0
    told = capsys.readouterr().out
    assert "95 images, 1 step of 64 images" in told
    assert "1 epoch, 1 step, 64 images" in told
    assert "with 1 such process that waits for nothing" in told


def test_epochs_are_whole_also_where_there_is_one(trained):
    log = read_log(trained / "log.jsonl")
    first = [line for line in log if line.get("epoch") == 1]
    for figure in (run_curves({"first": first}), gradient_depths(first)):
        figure.canvas.draw()
        for panel in figure.axes:
            if panel.get_xlabel() == "epoch":
                ticks = [tick for tick in panel.get_xticks() if panel.get_xlim()[0] <= tick <= panel.get_xlim()[1]]
                assert ticks == [1.0]
