"""The demo: mvnp/visualize/pages/demo.py, and what its page says: mvnp/visualize/pages/demo_page.py."""

import os
import re
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from mvnp.errors import TrainingError
from mvnp.training import TrainingInterrupted, read_checkpoint, read_log
from mvnp.training.trainer import Trainer
from mvnp.visualize.arrays.geometry import WindowGeometry
from mvnp.visualize.pages import demo as demo_module
from mvnp.visualize.pages import demo_page
from mvnp.visualize.pages.demo import demo_config, run_demo
from mvnp.visualize.pages.report import Picture
from support.toy_training import toy_run
from support.web import assert_sound

PICTURES = [
    "attention-levels-2-blocks-1",
    "attention-levels-3-blocks-1",
    "predictions",
    "scan-levels-2-blocks-0",
    "scan-levels-3-blocks-0",
    "training",
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "new" / "folder"
    assert run_demo(out, quick=True, quiet=True) == out / "index.html"
    return out


def test_all_files_are_there(demo):
    files = {path.name for path in demo.iterdir()}
    assert files == {"best.safetensors", "checkpoint.safetensors", "config.toml", "index.html", "log.jsonl", "pictures"}
    names = {path.name for path in (demo / "pictures").iterdir()}
    assert names == {f"{name}{kind}.png" for name in PICTURES for kind in ("", "-narrow")}


def test_the_page_is_sound_and_true(demo):
    page = assert_sound(demo)
    words = " ".join(" ".join(page.words).split())
    last = [line for line in read_log(demo / "log.jsonl") if line["event"] == "epoch"][-1]
    assert f"{last['test_accuracy']:.1%}" in words
    assert "of 32 test images" in words
    state = read_checkpoint(demo / "checkpoint.safetensors").part("model.")
    parameters = sum(array.size for key, array in state.items() if not re.search("running|num_batches", key))
    assert f"parameters {parameters:,}" in words
    assert [text for _, text in page.headings[1:]] == [
        "Training",
        "Sample predictions",
        "The state along the scan",
        "Attention inside its windows",
        "Going on",
    ]


def test_a_finished_run_is_drawn_again_but_not_trained_again(demo, monkeypatch, capsys):
    before = {name: (demo / name).read_bytes() for name in ("checkpoint.safetensors", "log.jsonl")}
    pages = {path: path.read_bytes() for path in [demo / "index.html", *(demo / "pictures").iterdir()]}
    for path in pages:
        path.unlink()
    monkeypatch.setattr(Trainer, "_step", lambda *_: pytest.fail("trained"))
    run_demo(demo, quick=True)
    assert before == {name: (demo / name).read_bytes() for name in before}
    assert pages == {path: path.read_bytes() for path in pages}
    captured = capsys.readouterr()
    assert "nothing left to do" in captured.err
    assert re.search(r"test accuracy \d+\.\d% on 32 images", captured.err)
    assert captured.out == ""


@pytest.fixture
def without_pictures(monkeypatch):
    """For what is not about them: empty figures in their place."""
    monkeypatch.setattr(demo_page, "_both", lambda name, *_, **__: Picture(name, Figure((1, 1)), Figure((1, 1)), "alt", "text"))


def test_an_interrupted_run_goes_on(demo, tmp_path, monkeypatch, without_pictures):
    out = tmp_path / "with space"
    step = Trainer._step

    def interrupted_step(self, *arguments):
        result = step(self, *arguments)
        if self.position.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupted_step)
        with pytest.raises(TrainingInterrupted, match=r"To go on: mvnp demo --out '.*with space' --quick$") as stopped:
            run_demo(out, quick=True, quiet=True)
    assert stopped.value.signal == signal.SIGINT
    assert not (out / "index.html").exists()
    run_demo(out, quick=True, quiet=True)
    assert_sound(out)
    whole, resumed = (read_checkpoint(folder / "checkpoint.safetensors").arrays for folder in (demo, out))
    for key, array in whole.items():
        np.testing.assert_array_equal(resumed[key], array)


def test_a_lost_log_is_said(demo, tmp_path, without_pictures):
    (tmp_path / "checkpoint.safetensors").write_bytes((demo / "checkpoint.safetensors").read_bytes())
    run_demo(tmp_path, quick=True, quiet=True)
    assert "The log of the run, log.jsonl, is lost" in "".join(assert_sound(tmp_path).words)


def test_other_options_in_the_same_folder(demo):
    for options in ({"quick": True, "seed": 1}, {"quick": False}):
        with pytest.raises(TrainingError, match=r"other options; .*: mvnp demo --out \S*/folder --quick\. For a new one"):
            run_demo(demo, **options, quiet=True)


def test_a_demo_of_another_version_goes_on_with_its_own_settings(demo, tmp_path, monkeypatch, without_pictures):
    monkeypatch.setitem(demo_module.QUICK_SETTINGS, "epochs", 7)
    monkeypatch.setattr(Trainer, "_step", lambda *_: pytest.fail("trained"))
    run_demo(shutil.copytree(demo, tmp_path / "copy"), quick=True, quiet=True)  # others look at the pictures in `demo`


def test_a_folder_of_another_training(tmp_path):
    toy_run(tmp_path)
    with pytest.raises(TrainingError, match="holds a training that is no demo; choose another folder"):
        run_demo(tmp_path, quiet=True)


def test_a_folder_that_cannot_be_written_shows_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "__init__", lambda *_, **__: pytest.fail("began"))
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"the output folder .*file is a file; choose another folder"):
        run_demo(tmp_path / "file", quick=True, quiet=True)
    with pytest.raises(TrainingError, match=r"the output folder .* cannot be written to"):
        run_demo(tmp_path / "file" / "below", quick=True, quiet=True)


def test_settings_of_the_real_demo():
    config = demo_config(quick=False, seed=3)
    assert (config.seed, config.dataset) == (3, "fashion-mnist-small")
    assert config.batch_size * config.epochs * (6_000 // config.batch_size) == 48_000
    assert config.differences(demo_config(quick=True, seed=3))


def test_maps_too_small_to_show_anything_are_left_out():
    records = {
        f"levels.{level}.blocks.{block}.mixer": SimpleNamespace(windows=WindowGeometry(side, side, 2, 16), name=(level, block))
        for level, side in ((2, 4), (3, 2))
        for block in (0, 1)
    }
    assert [record.name for record in demo_page._one_of_each_level(records)] == [(2, 0)]
    only_small = {path: record for path, record in records.items() if path.startswith("levels.3")}
    assert [record.name for record in demo_page._one_of_each_level(only_small)] == [(3, 0)]
