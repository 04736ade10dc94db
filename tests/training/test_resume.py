"""Runs that are interrupted: mvnp/training/trainer.py, run_folder.py, run_checkpoint.py, stopping.py.

Whatever happens to a run, what it comes to is what an uninterrupted one comes to, bit for bit.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mvnp.checkpoint import load_checkpoint, save_arrays
from mvnp.errors import CheckpointError, InputError, TrainingError
from mvnp.training import Evaluation, Trainer, TrainingInterrupted, open_run, read_checkpoint, read_log
from mvnp.training import trainer as trainer_module
from support import toy_training
from support.toy_training import ToyModel, assert_same_outcome, toy_config, toy_loaders, toy_run, toy_trainer

STEPS = 15  # three epochs of five


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    toy_run(out)
    return out


@pytest.fixture
def signals():
    """Signals as a terminal delivers them: a test that runs in the background may have inherited them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


class Stop(Exception):
    """A sudden end."""


def stop_at(monkeypatch, step, function="train_step"):
    """Let the run end suddenly when it comes to a step, as if the power went."""
    original, calls = getattr(trainer_module, function), 0

    def counted(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls > step:
            raise Stop
        return original(*arguments, **options)

    monkeypatch.setattr(trainer_module, function, counted)


def child(*arguments):
    return [sys.executable, toy_training.__file__, *map(str, arguments)]


def test_result_and_files(whole, tmp_path):
    result = toy_run(tmp_path)
    log = read_log(result.log)
    epochs = [line for line in log if line["event"] == "epoch"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.safetensors", "checkpoint.safetensors", "log.jsonl"]
    assert (result.steps, result.epochs) == (STEPS, 3)
    assert [line["step"] for line in log if line["event"] == "step"] == list(range(1, STEPS + 1))
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    assert result.accuracy == epochs[-1]["test_accuracy"]
    assert result.best_accuracy == max(line["test_accuracy"] for line in epochs)
    assert epochs[result.best_epoch - 1]["test_accuracy"] == result.best_accuracy
    assert all(line["images_per_second"] > 0 and line["seconds"] > 0 for line in epochs)
    for epoch in epochs:
        losses = [line["loss"] for line in log if line["event"] == "step" and line["epoch"] == epoch["epoch"]]
        assert epoch["train_loss"] == pytest.approx(np.mean(losses))
    assert read_checkpoint(result.best).position.epoch == result.best_epoch
    assert_same_outcome(tmp_path, whole)


def test_of_equals_the_first_is_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "evaluate", lambda *_: Evaluation(accuracy=0.5, loss=1.0, count=18))
    result = toy_run(tmp_path)
    assert result.best_epoch == 1
    assert read_checkpoint(result.best).position.step == 5


def test_a_refused_run_leaves_the_writes_of_another_alone(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    under_way = tmp_path / "run" / ".checkpoint.safetensors.1-ab.mvnp-tmp"
    under_way.write_bytes(b"")
    with pytest.raises(TrainingError, match="already holds a run"):
        toy_run(tmp_path / "run")
    assert under_way.exists()


def test_checkpoint_gives_the_trained_model(whole):
    weights = load_checkpoint(whole / "checkpoint.safetensors")
    model = ToyModel(seed=1)
    model.load_state_dict(weights)
    checkpoint = read_checkpoint(whole / "best.safetensors")
    assert checkpoint.config == toy_config()
    assert checkpoint.position.best_accuracy == checkpoint.position.accuracy


def test_seeds_differ(whole, tmp_path):
    toy_run(tmp_path, config=toy_config(seed=1))
    with pytest.raises(AssertionError, match="differing"):
        assert_same_outcome(tmp_path, whole)


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


@pytest.mark.parametrize("moment", ["half", "synced", "renamed"])
@pytest.mark.parametrize("count", [1, 4, 6])
def test_killed_while_writing_a_checkpoint(whole, tmp_path, moment, count):
    out = tmp_path / "run"
    assert subprocess.run(child(out, "--die", moment, "--count", count), timeout=120).returncode == -signal.SIGKILL
    if count == 1 and moment != "renamed":  # killed before the first checkpoint: there is no run yet
        with pytest.raises(TrainingError, match="no run to resume"):
            toy_run(out, resume=True)
        toy_run(out)
    else:
        toy_run(out, resume=True)
    assert_same_outcome(out, whole)
    assert len(list(out.iterdir())) == 3  # what was left beside the files has been cleared away


def test_killed_at_random_times(tmp_path):
    config = toy_config(epochs=20)
    toy_run(tmp_path / "whole", config=config)
    rng = np.random.default_rng(int(os.environ.get("MVNP_KILL_SEED", "3")))
    kills, out = 0, tmp_path / "killed"
    for _ in range(6):
        resume = ["--resume"] if (out / "checkpoint.safetensors").exists() else []
        process = subprocess.Popen(child(out, "--epochs", 20, *resume))
        # From its first sign of life on, so that the kill falls into the work and not into the imports.
        log, started = out / "log.jsonl", time.monotonic()
        before = log.stat().st_mtime_ns if log.exists() else 0
        while process.poll() is None and (log.stat().st_mtime_ns if log.exists() else 0) == before:
            assert time.monotonic() - started < 60
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.15))
        process.kill()
        if process.wait() == 0:
            break
        kills += 1
    else:
        toy_run(out, resume=True, config=config)
    assert kills >= 1
    assert_same_outcome(out, tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 5, 15])
def test_asked_to_stop(signals, whole, tmp_path, monkeypatch, capfd, number, step):
    before = signal.getsignal(number)
    original, calls = trainer_module.train_step, 0

    def asked(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), number)
        return original(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "train_step", asked)
        with pytest.raises(TrainingInterrupted) as caught:
            toy_trainer(tmp_path, quiet=False).run()
    cause = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    assert str(caught.value) == (
        f"stopped by {cause} after step {step} of 15; everything is saved in {tmp_path}."
        f" To go on: mvnp train --resume --out {tmp_path}"
    )
    assert caught.value.signal == number
    assert "stopping after this step; once more to stop at once" in capfd.readouterr().err
    assert signal.getsignal(number) is before
    assert read_checkpoint(tmp_path / "checkpoint.safetensors").position.step == step  # the step was finished
    toy_run(tmp_path, resume=True)
    assert_same_outcome(tmp_path, whole)


def test_asked_to_stop_in_the_evaluation(signals, whole, tmp_path, monkeypatch):
    original = trainer_module.evaluate

    def asked(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "evaluate", asked)
        with pytest.raises(TrainingInterrupted, match="after step 5 of 15"):
            toy_run(tmp_path)
    position = read_checkpoint(tmp_path / "checkpoint.safetensors").position
    assert (position.epoch, position.batch, position.accuracy) == (0, 5, None)
    toy_run(tmp_path, resume=True)
    assert_same_outcome(tmp_path, whole)


def test_signals_are_given_back(signals, tmp_path):
    toy_run(tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_twice_stops_at_once(signals, tmp_path, monkeypatch):
    def impatient(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    monkeypatch.setattr(trainer_module, "train_step", impatient)
    with pytest.raises(KeyboardInterrupt):
        toy_run(tmp_path)
    assert read_checkpoint(tmp_path / "checkpoint.safetensors").position.step == 0


def test_signals_that_are_ignored_stay_ignored(signals, whole, tmp_path, monkeypatch):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup, or in the background of a script
    original = trainer_module.train_step

    def asked(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **options)

    monkeypatch.setattr(trainer_module, "train_step", asked)
    toy_run(tmp_path)
    assert_same_outcome(tmp_path, whole)


def test_loss_that_is_not_finite(tmp_path, whole, monkeypatch):
    trainer = toy_trainer(tmp_path)
    good = trainer.train_loader.batch

    def bad(epoch, index):
        images, labels = good(epoch, index)
        return (np.full_like(images, np.nan) if (epoch, index) == (1, 3) else images), labels

    monkeypatch.setattr(trainer.train_loader, "batch", bad)
    with pytest.raises(TrainingError) as caught:
        trainer.run()
    assert str(caught.value) == (
        "stopped at step 9 (epoch 2, batch 4 of 5): the loss is nan. The last good checkpoint, after step 8, is"
        f" {tmp_path / 'checkpoint.safetensors'}. The images of this batch hold values that are not finite: look at the data."
    )
    assert read_checkpoint(tmp_path / "checkpoint.safetensors").position.step == 8
    toy_run(tmp_path, resume=True)
    assert_same_outcome(tmp_path, whole)


def test_learning_rate_that_is_too_high(tmp_path):
    config = toy_config(lr=1e30, warmup_lr=1e30, warmup_epochs=0, weight_decay=0.0)
    with pytest.raises(TrainingError, match=r"stopped at step \d+ .*A lower learning rate \(it was 9\.9e\+29\) or a longer"):
        toy_run(tmp_path, config=config)
    read_checkpoint(tmp_path / "checkpoint.safetensors")  # refuses nothing: what is there is whole and finite
    for array in load_checkpoint(tmp_path / "checkpoint.safetensors").values():
        assert np.isfinite(array).all()


def test_bad_weights_never_replace_good_ones(tmp_path, monkeypatch):
    """Weights can go bad in the very step whose loss was still good."""
    trainer = toy_trainer(tmp_path)
    original = trainer_module.train_step

    def spoiling(model, optimizer, *arguments, **options):
        result = original(model, optimizer, *arguments, **options)
        if optimizer.steps == 6:
            model.outer.bias.data[0] = np.inf
        return result

    monkeypatch.setattr(trainer_module, "train_step", spoiling)
    with pytest.raises(
        TrainingError, match=r"after step 6: model.outer.bias holds values that are not finite.*after step 5, is"
    ):
        trainer.run()
    assert read_checkpoint(tmp_path / "checkpoint.safetensors").position.step == 5


def test_test_loss_that_is_not_finite(tmp_path, monkeypatch):
    trainer = toy_trainer(tmp_path)
    good = trainer.test_loader.batch
    monkeypatch.setattr(
        trainer.test_loader, "batch", lambda e, i: (good(e, i)[0] * (np.nan if trainer.position.step else 1), good(e, i)[1])
    )
    with pytest.raises(TrainingError, match=r"the test loss after epoch 1 is nan\. The last good checkpoint, after step 4"):
        trainer.run()


def test_other_settings_are_refused(whole):
    config = toy_config(lr=0.02, epochs=4)
    with pytest.raises(TrainingError, match=r"these differ: epochs is 4 and was 3; lr is 0.02 and was 0.05\. Leave them"):
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
    (tmp_path / "log.jsonl").write_text("{}\n")
    with pytest.raises(TrainingError, match=r"already holds a run \(log.jsonl\)"):
        toy_run(tmp_path)


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(TrainingError, match=r"no run to resume in .*: it has no checkpoint.safetensors"):
            toy_run(folder, resume=True)
    assert not (tmp_path / "missing").exists()


def test_folders_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
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

    monkeypatch.setattr("mvnp.training.run_folder.tempfile.TemporaryFile", refuse)
    with pytest.raises(TrainingError, match=r"cannot be written to \(Permission denied\); choose another folder"):
        toy_run(tmp_path)


def test_images_that_do_not_fit_leave_no_run_behind(tmp_path):
    class Narrow(ToyModel):
        def forward(self, x, tape=None):
            return super().forward(x[..., 1:], tape)

    with pytest.raises(InputError, match=r"Linear.*expected \(\.\.\., 36\)"):
        Trainer(Narrow(), *toy_loaders(toy_config()), open_run(tmp_path, toy_config())).run()
    toy_run(tmp_path)  # the folder is still free


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


def test_a_log_that_was_removed(whole, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(Stop):
            toy_run(tmp_path)
    (tmp_path / "log.jsonl").unlink()
    toy_trainer(tmp_path, resume=True, quiet=False).run()
    assert "log.jsonl has lost" in capsys.readouterr().err
    assert read_log(tmp_path / "log.jsonl")[0]["step"] == 7


def test_what_is_shown(tmp_path, capsys):
    toy_trainer(tmp_path, quiet=False).run()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch 1/3: loss ")
    assert "test accuracy" in lines[0]
    assert lines[0].endswith(" images/s")
