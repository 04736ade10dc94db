"""What a run makes, and what ends it: mvnp/training/trainer.py."""

import re

import numpy as np
import pytest

from mvnp.checkpoint import load_checkpoint
from mvnp.errors import InputError, TrainingError
from mvnp.training import Evaluation, Trainer, open_run, read_checkpoint, read_log
from mvnp.training import trainer as trainer_module
from mvnp.training.epoch_result import EpochResult
from mvnp.training.words import duration
from support.tolerance import near
from support.toy_training import ToyModel, assert_same_outcome, toy_config, toy_loaders, toy_run, toy_trainer

STEPS = 15  # three epochs of five


def test_result_and_files(whole, tmp_path):
    result = toy_run(tmp_path)
    log = read_log(result.log)
    epochs = [line for line in log if line["event"] == "epoch"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("best.safetensors", "checkpoint.safetensors", "config.toml", "log.jsonl")
    ]
    assert (result.steps, result.epochs) == (STEPS, 3)
    assert [line["step"] for line in log if line["event"] == "step"] == list(range(1, STEPS + 1))
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    assert result.accuracy == epochs[-1]["test_accuracy"]
    assert result.best_accuracy == max(line["test_accuracy"] for line in epochs)
    assert epochs[result.best_epoch - 1]["test_accuracy"] == result.best_accuracy
    assert all(line["images_per_second"] > 0 and line["seconds"] > 0 for line in epochs)
    for epoch in epochs:
        losses = [line["loss"] for line in log if line["event"] == "step" and line["epoch"] == epoch["epoch"]]
        assert epoch["train_loss"] == near(np.mean(losses), terms=16)
    assert read_checkpoint(result.best).position.epoch == result.best_epoch
    assert_same_outcome(tmp_path, whole)


def test_of_equals_the_first_is_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "evaluate", lambda *_: Evaluation(accuracy=0.5, loss=1.0, count=18, mean_accuracy=0.5))
    result = toy_run(tmp_path)
    assert result.best_epoch == 1
    assert read_checkpoint(result.best).position.step == 5


def test_the_better_of_both_is_called_the_best():
    tested, averaged = (Evaluation(accuracy=share, loss=1.5, count=8, mean_accuracy=share) for share in (0.5, 0.25))
    both = EpochResult(tested, averaged)
    told = ", test loss 1.500, test accuracy 50.00%{}, of the average 25.00%{}"
    assert both.in_words("test") == told.format("", "")
    assert both.in_words("test", tested) == told.format(" (best so far)", "")
    assert both.in_words("test", averaged) == told.format("", " (best so far)")
    assert EpochResult(tested).in_words("val", tested) == ", val loss 1.500, val accuracy 50.00% (best so far)"
    assert EpochResult(None).in_words("test") == ""


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


def test_what_is_shown(tmp_path, capsys):
    toy_trainer(tmp_path, quiet=False).run()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch 1/3: loss ")
    assert "test accuracy" in lines[0]
    assert re.search(r" images/s, \d+ s left$", lines[0])
    assert lines[2].endswith(" images/s")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (9000, "2.5 h"), (345600, "4.0 days")],
)
def test_time_in_words(seconds, told):
    assert duration(seconds) == told


def test_loss_that_is_not_finite(tmp_path, whole, monkeypatch):
    trainer = toy_trainer(tmp_path)
    good = trainer.train_loader.batch

    def bad(epoch, index, part):
        images, labels = good(epoch, index, part)
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
    config = toy_config(lr=1e6, warmup_lr=1e6, warmup_epochs=0, weight_decay=0.0, optimizer="sgd", clip_norm=None)
    with pytest.raises(TrainingError, match=r"loss.* is nan.*A lower learning rate \(it was (9\.\de\+05|1e\+06)\) or a longer"):
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
    with pytest.raises(
        TrainingError,
        match=r"the test loss after epoch 1 is nan\. The last good checkpoint, after step 4, .* A lower learning rate .* --lr ",
    ):
        trainer.run()


def test_images_that_do_not_fit_leave_no_run_behind(tmp_path):
    class Narrow(ToyModel):
        def forward(self, x, tape=None):
            return super().forward(x[..., 1:], tape)

    with pytest.raises(InputError, match=r"Linear.*expected \(\.\.\., 36\)"):
        Trainer(Narrow(), *toy_loaders(toy_config()), open_run(tmp_path, toy_config())).run()
    toy_run(tmp_path)  # the folder is still free


def scripted(monkeypatch, *accuracies):
    """Evaluations that give these accuracies, one after the other."""
    coming = iter(accuracies)
    monkeypatch.setattr(
        trainer_module, "evaluate", lambda *_: Evaluation(accuracy=next(coming), loss=1.0, count=18, mean_accuracy=0.5)
    )


def test_patience(tmp_path, monkeypatch):
    scripted(monkeypatch, 0.2, 0.5, 0.5, 0.4, 0.9)
    result = toy_run(tmp_path, config=toy_config(epochs=6, patience=2))
    assert (result.epochs, result.best_epoch, result.steps) == (4, 2, 20)


def test_patience_counts_epochs_and_ends_after_a_test(tmp_path, monkeypatch):
    scripted(monkeypatch, 0.5, 0.4, 0.3, 0.9)  # after epochs 2, 4, 6, 8
    result = toy_run(tmp_path, config=toy_config(epochs=8, eval_every=2, patience=3))
    assert (result.epochs, result.best_epoch, result.accuracy) == (6, 2, 0.3)


def test_without_patience_it_never_ends_early(tmp_path, monkeypatch):
    scripted(monkeypatch, *([0.5] * 6))
    assert toy_run(tmp_path, config=toy_config(epochs=6)).epochs == 6


def test_an_early_end_is_an_end(tmp_path, monkeypatch):
    scripted(monkeypatch, 0.5, 0.4, 0.3)
    config = toy_config(epochs=6, patience=1)
    assert toy_run(tmp_path, config=config).epochs == toy_run(tmp_path, resume=True, config=config).epochs == 2
