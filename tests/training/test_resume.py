"""Runs that end suddenly: mvnp/training/trainer.py and run_checkpoint.py.

Whatever happens to a run, what it comes to is what an uninterrupted one comes to, bit for bit.
"""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from mvnp.errors import TrainingError
from mvnp.training import read_checkpoint, read_log
from support import toy_training
from support.patience import HANGS
from support.sudden_end import Stop, stop_at
from support.toy_training import assert_same_outcome, toy_config, toy_run, toy_trainer

STEPS = 15  # three epochs of five


def child(*arguments):
    return [sys.executable, toy_training.__file__, *map(str, arguments)]


# Before the first step; within an epoch at a checkpoint, and after one; at the end of an epoch; at the very last step.
@pytest.mark.parametrize("step", [0, 1, 2, 3, 5, 6, 9, 10, 14])
def test_resumed_after_a_sudden_end(whole, tmp_path, monkeypatch, step):
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Stop):
            toy_run(tmp_path)
    assert read_checkpoint(tmp_path / "checkpoint.safetensors").position.step == (step - step % 2 if step % 5 else step)
    assert toy_run(tmp_path, resume=True).steps == STEPS
    assert_same_outcome(tmp_path, whole)


@pytest.mark.parametrize("evaluations", [0, 1, 2])
def test_resumed_after_an_end_in_the_evaluation(whole, tmp_path, monkeypatch, evaluations):
    with monkeypatch.context() as patch:
        stop_at(patch, evaluations, "evaluate")
        with pytest.raises(Stop):
            toy_run(tmp_path)
    toy_run(tmp_path, resume=True)
    assert_same_outcome(tmp_path, whole)


@pytest.mark.parametrize("write", range(1, 12))
def test_resumed_after_an_end_at_any_write(whole, tmp_path, monkeypatch, write):
    with monkeypatch.context() as patch:
        stop_at(patch, write, "write_checkpoint")
        with pytest.raises(Stop):
            toy_run(tmp_path)
    toy_run(tmp_path, resume=True)
    assert_same_outcome(tmp_path, whole)


def test_resumed_again_and_again(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 1)
        with pytest.raises(Stop):
            toy_run(tmp_path)
    for _ in range(20):
        with monkeypatch.context() as patch:
            stop_at(patch, 2)  # two steps, and so one checkpoint, at a time
            try:
                toy_run(tmp_path, resume=True)
            except Stop:
                continue
            break
    assert_same_outcome(tmp_path, whole)


def test_resuming_what_is_finished(whole, tmp_path, capsys):
    shutil.copytree(whole, tmp_path / "run")
    result = toy_trainer(tmp_path / "run", resume=True, quiet=False).run()
    assert result.steps == STEPS
    assert "after step 15 of 15: nothing left to do" in capsys.readouterr().err
    assert_same_outcome(tmp_path / "run", whole)


def test_without_checkpoints_in_between(tmp_path, monkeypatch):
    config = toy_config(checkpoint_every=0, eval_every=2)
    toy_run(tmp_path / "whole", config=config)
    with monkeypatch.context() as patch:
        stop_at(patch, 8)
        with pytest.raises(Stop):
            toy_run(tmp_path / "cut", config=config)
    assert read_checkpoint(tmp_path / "cut" / "checkpoint.safetensors").position.step == 5
    toy_run(tmp_path / "cut", resume=True, config=config)
    assert_same_outcome(tmp_path / "cut", tmp_path / "whole")
    tested = [line["test_accuracy"] for line in read_log(tmp_path / "cut" / "log.jsonl") if line["event"] == "epoch"]
    assert [accuracy is not None for accuracy in tested] == [False, True, True]


def test_a_log_that_was_removed(whole, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(Stop):
            toy_run(tmp_path)
    (tmp_path / "log.jsonl").unlink()
    toy_trainer(tmp_path, resume=True, quiet=False).run()
    assert "log.jsonl has lost" in capsys.readouterr().err
    assert read_log(tmp_path / "log.jsonl")[0]["step"] == 7


@pytest.mark.parametrize("moment", ["half", "synced", "renamed"])
@pytest.mark.parametrize("count", [1, 4, 6])
def test_killed_while_writing_a_checkpoint(whole, tmp_path, moment, count):
    out = tmp_path / "run"
    assert subprocess.run(child(out, "--die", moment, "--count", count), timeout=HANGS).returncode == -signal.SIGKILL
    if count == 1 and moment != "renamed":  # killed before the first checkpoint: there is no run yet
        with pytest.raises(TrainingError, match="no run to resume"):
            toy_run(out, resume=True)
        toy_run(out)
    else:
        toy_run(out, resume=True)
    assert_same_outcome(out, whole)
    assert len(list(out.iterdir())) == 4  # what was left beside the files has been cleared away


def test_killed_at_random_times(tmp_path):
    """Of the processor's time, which no other program takes from it: the kill falls into the run on a busy machine too."""
    config = toy_config(epochs=20)
    toy_run(tmp_path / "whole", config=config)
    rng = np.random.default_rng(int(os.environ.get("MVNP_KILL_SEED", "3")))
    kills, out = 0, tmp_path / "killed"
    for _ in range(6):
        resume = ["--resume"] if (out / "checkpoint.safetensors").exists() else []
        status = subprocess.run(child(out, "--epochs", 20, "--die-after", rng.uniform(0.001, 0.1), *resume)).returncode
        if status == 0:
            break
        assert status == -signal.SIGPROF
        kills += 1
    else:
        toy_run(out, resume=(out / "checkpoint.safetensors").exists(), config=config)
    assert kills >= 1
    assert_same_outcome(out, tmp_path / "whole")
