"""Folders that a run may have, and those that it may not: mvnp/training/run_folder.py and run_checkpoint.py."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mvnp.checkpoint import load_arrays, save_arrays
from mvnp.errors import CheckpointError, DataError, InputError, TrainingError
from mvnp.training import Trainer, open_run, read_checkpoint, train
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


def test_a_folder_without_a_checkpoint_is_told_of_alike(whole, tmp_path):
    """Whether a run is begun there or resumed."""
    (tmp_path / "log.jsonl").write_text("{}\n", encoding="utf-8")
    left = "has log.jsonl of an earlier run, but no checkpoint.safetensors, and cannot be resumed: move log.jsonl away"
    for resume in (False, True):
        with pytest.raises(TrainingError, match=left):
            toy_run(tmp_path, resume=resume)
    shutil.copy(whole / "best.safetensors", tmp_path)
    left = "has best.safetensors and log.jsonl of an earlier run, but no checkpoint.safetensors: to go on from its best"
    for resume in (False, True):
        with pytest.raises(TrainingError, match=left):
            toy_run(tmp_path, resume=resume)
    shutil.copy(tmp_path / "best.safetensors", tmp_path / "checkpoint.safetensors")  # as it says
    shutil.copy(whole / "log.jsonl", tmp_path)
    toy_run(tmp_path, resume=True)
    assert_same_outcome(tmp_path, whole)
    (tmp_path / "checkpoint.safetensors").unlink()
    (tmp_path / "best.safetensors").write_bytes(b"of something else")
    for resume in (False, True):
        with pytest.raises(TrainingError, match=r"cannot be resumed: to begin from its weights, give --weights .*best"):
            toy_run(tmp_path, resume=resume)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
@pytest.mark.parametrize("name", ["checkpoint.safetensors", "best.safetensors", "log.jsonl"])
def test_pipes_are_neither_replaced_nor_waited_for(whole, tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(TrainingError, match=f"{name} is no file, and a run would write one there"):
        toy_run(tmp_path)
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    os.mkfifo(tmp_path / "run" / name)
    if name != "best.safetensors":
        with pytest.raises(TrainingError, match=r"no run to resume in|the log .*log\.jsonl is to be a file"):
            toy_run(tmp_path / "run", resume=True)


def test_places_that_no_run_comes_to_are_refused(whole, tmp_path):
    """Of the wrong types, and beyond the end: from there a run would never end."""
    path = tmp_path / "checkpoint.safetensors"
    arrays, metadata = load_arrays(whole / "checkpoint.safetensors")
    wrong = [
        *(("position", "epoch", value, "epoch is") for value in (4, 10**9, -1, "3", 3.0, None, True, [3])),
        *(("position", "step", value, "step is") for value in (16, 14, "15", 1e300)),
        *(("position", "batch", value, "batch is") for value in (6, -1, None)),
        *(("position", "best_epoch", value, "best_epoch is") for value in (0, 4, "1", None)),
        *(("position", "loss_sum", value, "loss_sum is") for value in ("0", None)),
        *(("position", "accuracy", value, "accuracy is") for value in ("good", [1])),
        *(("position", "final", value, "final is") for value in (1.0, [1.0], [1.0, "1"], {"a": 1})),
        ("position", "log_size", -1, "log_size is"),
        ("position", "log_size", 1.5, "log_size is"),
        ("position", "colour", 1, "colour"),
        ("config", "epochs", "3", "epochs is '3'"),
        ("config", "lr", None, "lr is None"),
        ("config", "dataset", 5, "dataset is 5"),
        ("config", "precision", [], "precision is"),
        ("config", "loader_options", {"flap": 1}, r"unknown option 'flap' in loader_options \(did you mean 'flip'"),
        ("config", "dataset_options", {"image_sise": 1}, r"unknown option 'image_sise' in dataset_options"),
    ]
    for where, name, value, message in wrong:
        save_arrays(path, arrays, {**metadata, where: {**metadata[where], name: value}})
        with pytest.raises(CheckpointError, match=rf"checkpoint.safetensors is damaged, or was .*{message}"):
            read_checkpoint(path)
    for where, value in (("about", 5), ("position", None), ("config", [1])):
        save_arrays(path, arrays, {**metadata, where: value})
        with pytest.raises(CheckpointError, match="is damaged, or was written by another version"):
            read_checkpoint(path)
    save_arrays(path, arrays, {name: value for name, value in metadata.items() if name != "position"})
    with pytest.raises(CheckpointError, match="it lacks 'position'"):
        read_checkpoint(path)
    save_arrays(path, arrays, {**metadata, "about": {**metadata["about"], "data": "other"}})
    (tmp_path / "log.jsonl").write_bytes((whole / "log.jsonl").read_bytes())
    with pytest.raises(
        CheckpointError,
        match=r"what it says of the data is 'other', expected sizes .* Bring the file back from a copy, or start anew",
    ):
        toy_run(tmp_path, resume=True)


def test_a_run_that_fails_leaves_no_empty_folder(tmp_path):
    (tmp_path / "there").mkdir()
    for out in (tmp_path / "new" / "run", tmp_path / "there" / "run", tmp_path / "there"):
        with pytest.raises(DataError, match="no data set and no folder"):
            train(toy_config(dataset="missing"), out)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


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
        CheckpointError, match="another version of mvnp, and cannot be resumed: unknown training setting 'colour'"
    ):
        toy_run(tmp_path, resume=True)
