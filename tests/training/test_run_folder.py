"""Folders that a run may have, and those that it may not: mvnp/training/run_folder.py and run_checkpoint.py."""

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest

from mvnp.checkpoint import save_arrays
from mvnp.errors import CheckpointError, InputError, TrainingError
from mvnp.training import Trainer, open_run
from support.toy_training import ToyModel, assert_same_outcome, toy_config, toy_loaders, toy_run


def test_other_settings_are_refused(whole):
    config = toy_config(weight_decay=0.1, seed=4, lr=0.01)
    with pytest.raises(
        TrainingError, match=r"these differ: weight_decay is 0.1 and was 0.05; seed is 4 and was 0\. Leave them"
    ):
        open_run(whole, config, resume=True)


def test_other_data_is_refused(whole):
    config = toy_config()
    with pytest.raises(TrainingError, match="had 5 batches in an epoch, and now there are 6"):
        Trainer(ToyModel(), *toy_loaders(config, images=36), open_run(whole, config, resume=True))


def test_other_model_is_refused(whole):
    class Wider(ToyModel):
        def __init__(self):
            super().__init__()
            self.outer.bias.data = np.zeros(4, np.float32)

    config = toy_config()
    with pytest.raises(CheckpointError, match=r"misshapen: outer.bias has shape \(3,\), expected \(4,\)"):
        Trainer(Wider(), *toy_loaders(config), open_run(whole, config, resume=True))


def test_settings_of_the_run_are_taken_where_none_are_given(whole):
    assert open_run(whole, resume=True).config == toy_config()
    with pytest.raises(InputError, match="a new run needs a config"):
        open_run(whole)


def test_a_folder_with_a_run_is_refused(whole, tmp_path):
    with pytest.raises(TrainingError, match=r"already holds a run \(checkpoint.safetensors\); resume it, or choose another"):
        toy_run(whole)
    (tmp_path / "log.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"already holds a run \(log.jsonl\)"):
        toy_run(tmp_path)


def test_a_refused_run_leaves_the_writes_of_another_alone(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    under_way = tmp_path / "run" / ".checkpoint.safetensors.1-ab.mvnp-tmp"
    under_way.write_bytes(b"")
    with pytest.raises(TrainingError, match="already holds a run"):
        toy_run(tmp_path / "run")
    assert under_way.exists()


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(TrainingError, match=r"no run to resume in .*: it has no checkpoint.safetensors"):
            toy_run(folder, resume=True)
    assert not (tmp_path / "missing").exists()


def test_folders_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"the output folder .*file is a file; choose another folder"):
        toy_run(tmp_path / "file")
    with pytest.raises(TrainingError, match=r"the output folder .*file/inner cannot be written to \(Not a directory\)"):
        toy_run(tmp_path / "file" / "inner")
    if Path("/proc").is_dir():
        with pytest.raises(TrainingError, match="the output folder /proc/run cannot be written to"):
            toy_run(Path("/proc/run"))


def test_folder_without_permission(tmp_path, monkeypatch):
    def refuse(dir):  # as the system does, except to root
        raise PermissionError(errno.EACCES, "Permission denied", str(dir))

    monkeypatch.setattr("mvnp.atomic.tempfile.TemporaryFile", refuse)
    with pytest.raises(TrainingError, match=r"cannot be written to \(Permission denied\); choose another folder"):
        toy_run(tmp_path)


def test_a_damaged_checkpoint_is_refused(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    good = path.read_bytes()
    for bad in (good[:-1], good[: len(good) // 2], b"", good[:-3] + b"abc", good[:200] + b"!" + good[201:]):
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match=r"checkpoint.safetensors"):
            toy_run(tmp_path / "run", resume=True)
        assert path.read_bytes() == bad
    with pytest.raises(CheckpointError, match=r"best\.safetensors in the same folder may be copied into its place"):
        toy_run(tmp_path / "run", resume=True)
    shutil.copy(tmp_path / "run" / "best.safetensors", path)
    toy_run(tmp_path / "run", resume=True)
    assert_same_outcome(tmp_path / "run", whole)


def test_checkpoints_of_something_else_are_refused(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save_arrays(path, {"a": np.zeros(2)}, {"kind": "weights"})
    with pytest.raises(CheckpointError, match="holds no training run, only arrays"):
        toy_run(tmp_path, resume=True)
    config = {**toy_config().to_dict(), "colour": "red"}
    save_arrays(path, {"a": np.zeros(2)}, {"kind": "training", "config": config, "position": {}, "about": {}})
    with pytest.raises(
        CheckpointError, match="another version of mvnp and cannot be resumed: unknown training setting 'colour'"
    ):
        toy_run(tmp_path, resume=True)
