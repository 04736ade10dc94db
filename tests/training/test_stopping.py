"""Ctrl-C, SIGTERM and SIGHUP: mvnp/execution/stopping.py."""

import os
import signal

import pytest

from mvnp.execution.stopping import SIGNALS
from mvnp.training import TrainingInterrupted, read_checkpoint
from mvnp.training import trainer as trainer_module
from support.toy_training import assert_same_outcome, toy_run, toy_trainer


@pytest.fixture
def signals():
    """Signals as a terminal delivers them: a test that runs in the background may have inherited them ignored."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
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
    cause = "Ctrl-C" if number == signal.SIGINT else number.name
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


def test_twice_stops_at_once(signals, tmp_path, monkeypatch):
    def impatient(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    monkeypatch.setattr(trainer_module, "train_step", impatient)
    with pytest.raises(KeyboardInterrupt):
        toy_run(tmp_path)
    assert read_checkpoint(tmp_path / "checkpoint.safetensors").position.step == 0


def test_signals_are_given_back(signals, tmp_path):
    toy_run(tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_signals_that_are_ignored_stay_ignored(signals, whole, tmp_path, monkeypatch):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup, or in the background of a script
    original = trainer_module.train_step

    def asked(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **options)

    monkeypatch.setattr(trainer_module, "train_step", asked)
    toy_run(tmp_path)
    assert_same_outcome(tmp_path, whole)
