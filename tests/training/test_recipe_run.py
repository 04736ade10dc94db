"""Runs with the whole recipe on: mvnp/training/{trainer,ingredients,objective}.py."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mvnp.checkpoint import load_checkpoint, load_pretrained, save_pretrained
from mvnp.errors import CheckpointError, InputError, TrainingError
from mvnp.training import EMA, LAMB, SGD, Trainer, TrainingConfig, open_run, read_checkpoint, read_log
from mvnp.training import trainer as trainer_module
from mvnp.training.ingredients import make_average, make_optimizer, rate_of, teacher_of
from mvnp.training.objective import Teacher
from mvnp.training.run_checkpoint import write_checkpoint
from support import toy_training
from support.patience import HANGS
from support.sudden_end import Stop, stop_at
from support.tiny import tiny
from support.tolerance import assert_close, near
from support.toy_training import (
    RECIPE,
    ToyModel,
    assert_same_outcome,
    toy_config,
    toy_loaders,
    toy_run,
    toy_trainer,
)


def recipe(**changes):
    return toy_config(**{**RECIPE, "epochs": 4, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("recipe") / "run"
    toy_run(out, config=recipe())
    return out


# Resuming


@pytest.mark.parametrize("step", [0, 1, 2, 3, 5, 7, 11])
def test_resumed_after_a_sudden_end(whole, tmp_path, monkeypatch, step):
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Stop):
            toy_run(tmp_path, config=recipe())
    toy_run(tmp_path, resume=True, config=recipe())
    assert_same_outcome(tmp_path, whole)


@pytest.mark.parametrize("evaluations", [1, 2, 5])  # of the weights, of the average, of both later on
def test_resumed_after_an_end_in_an_evaluation(whole, tmp_path, monkeypatch, evaluations):
    with monkeypatch.context() as patch:
        stop_at(patch, evaluations, "evaluate")
        with pytest.raises(Stop):
            toy_run(tmp_path, config=recipe())
    toy_run(tmp_path, resume=True, config=recipe())
    assert_same_outcome(tmp_path, whole)


def test_workers_change_nothing(whole, tmp_path, monkeypatch):
    """Batches come from other processes, before and after a sudden end."""
    with monkeypatch.context() as patch:
        stop_at(patch, 4)
        with pytest.raises(Stop):
            toy_run(tmp_path, config=recipe(workers=2))
    toy_run(tmp_path, resume=True, config=recipe(workers=1))
    one, other = (read_checkpoint(out / "checkpoint.safetensors") for out in (tmp_path, whole))
    for key, array in other.arrays.items():
        np.testing.assert_array_equal(one.arrays[key], array, err_msg=key)


def test_a_worker_that_dies_ends_the_run_with_a_word(tmp_path, monkeypatch):
    original, calls = trainer_module.train_step, 0
    trainer = toy_trainer(tmp_path, config=recipe(workers=1))

    def killing(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == 3:
            for _, worker in trainer._made._coming:
                worker.kill()
        return original(*arguments, **options)

    monkeypatch.setattr(trainer_module, "train_step", killing)
    with pytest.raises(
        TrainingError, match=r"stopped at step 4: a process that makes batches was killed.*To go on: mvnp train"
    ):
        trainer.run()
    assert read_checkpoint(tmp_path / "checkpoint.safetensors").position.step == 3


def killed_and_resumed(tmp_path, kills, seed, epochs=20):
    """A run in a process that is killed so often at random moments, against one that is not."""
    config = recipe(epochs=epochs, workers=1)
    toy_run(tmp_path / "whole", config=config)
    rng, out, count = np.random.default_rng(seed), tmp_path / "killed", 0
    for _ in range(kills):
        resume = ["--resume"] if (out / "checkpoint.safetensors").exists() else []
        command = [sys.executable, toy_training.__file__, str(out), "--recipe", "--epochs", str(epochs), "--workers", "1"]
        moment = rng.uniform(0.001, 0.12)
        status = subprocess.run([*command, "--die-after", str(moment), *resume], timeout=HANGS).returncode
        if status == 0:
            break
        count += 1
    else:
        toy_run(out, resume=(out / "checkpoint.safetensors").exists(), config=config)
    assert count >= 1
    assert_same_outcome(out, tmp_path / "whole")


def test_killed_at_random_moments(tmp_path):
    killed_and_resumed(tmp_path, 4, int(os.environ.get("MVNP_KILL_SEED", "5")))


@pytest.mark.slow(reason="starts a process for each of forty kills")
def test_killed_at_forty_random_moments(tmp_path):
    killed_and_resumed(tmp_path, 40, 6, epochs=60)


def test_no_average_to_go_on_with(whole, tmp_path):
    checkpoint = read_checkpoint(whole / "checkpoint.safetensors")
    checkpoint.arrays = {key: array for key, array in checkpoint.arrays.items() if not key.startswith("ema.")}
    write_checkpoint(tmp_path / "checkpoint.safetensors", checkpoint)
    (tmp_path / "log.jsonl").write_bytes((whole / "log.jsonl").read_bytes())
    with pytest.raises(CheckpointError, match=r"averages its weights \(ema_decay 0.8\), and .* has no average of them"):
        toy_run(tmp_path, resume=True, config=recipe())


# The parts of a run


def test_the_average_follows_every_step_and_is_tested(whole):
    log = read_log(whole / "log.jsonl")
    epochs = [line for line in log if line["event"] == "epoch"]
    assert all(0 <= line["ema_accuracy"] <= 1 and line["ema_loss"] > 0 for line in epochs)
    assert any(line["ema_loss"] != line["test_loss"] for line in epochs)
    checkpoint = read_checkpoint(whole / "checkpoint.safetensors")
    assert set(checkpoint.part("ema.")) == set(checkpoint.part("model."))
    assert checkpoint.position.ema_accuracy == epochs[-1]["ema_accuracy"]


def test_the_average_by_hand(tmp_path, monkeypatch):
    """After each update, with the statistics of its step; its decay warms up to that of the settings."""
    trainer, states = toy_trainer(tmp_path, config=recipe(epochs=2)), []
    original = trainer_module.train_step

    def noting(*arguments, **options):
        result = original(*arguments, **options)
        states.append(trainer.model.state_dict())
        return result

    monkeypatch.setattr(trainer_module, "train_step", noting)
    want = EMA(ToyModel(), 0.8, warmup=True)
    trainer.run()
    for state in states:
        model = ToyModel()
        model.load_state_dict(state)
        want.update(model)
    for key, array in want.model.state_dict().items():
        np.testing.assert_array_equal(trainer.average.model.state_dict()[key], array)


def test_the_better_of_both_is_the_best(tmp_path, monkeypatch):
    """Of the weights and of their average, epoch by epoch; who loads the best file is given those weights."""
    accuracies = iter([0.2, 0.1, 0.3, 0.6, 0.5, 0.5, 0.4, 0.4, 0.5])
    evaluation = trainer_module.evaluate

    def scripted(*arguments):
        return replace(evaluation(*arguments), accuracy=next(accuracies))

    monkeypatch.setattr(trainer_module, "evaluate", scripted)
    result = toy_run(tmp_path, config=recipe())
    assert (result.best_epoch, result.best_accuracy, result.best_of) == (2, 0.6, "average")
    assert (result.accuracy, result.ema_accuracy) == (0.4, 0.4)
    best = read_checkpoint(result.best)
    loaded = load_checkpoint(result.best)
    for key, array in loaded.items():
        np.testing.assert_array_equal(array, best.part("ema.")[key])
    assert any((loaded[key] != best.part("model.")[key]).any() for key in loaded)
    last = read_checkpoint(result.checkpoint)
    np.testing.assert_array_equal(load_checkpoint(result.checkpoint)["outer.bias"], last.part("model.")["outer.bias"])
    np.testing.assert_array_equal(load_checkpoint(result.checkpoint, ema=True)["outer.bias"], last.part("ema.")["outer.bias"])
    plain = toy_run(tmp_path / "plain", config=toy_config(epochs=1))
    with pytest.raises(CheckpointError, match="no moving average"):
        load_checkpoint(plain.checkpoint, ema=True)


def test_mesa_begins_when_it_is_told_to(whole):
    """From the first epoch e, counted from 0, with e/(epochs − cool-down) above 0.2: the second of four."""
    steps = [line for line in read_log(whole / "log.jsonl") if line["event"] == "step"]
    assert [line["epoch"] for line in steps if "apart" in line] == [2, 2, 2, 3, 3, 3, 4, 4, 4]
    config, average = recipe(), EMA(ToyModel(), 0.9)
    assert teacher_of(config, average, None, 0) is None
    assert teacher_of(config, average, None, 1) == Teacher(average.model, 0.5, 3.0, 50.0)
    assert teacher_of(replace(config, mesa_start=1 / 3), average, None, 1) is None


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"optimizer": "lamb", "lamb_clip": None}, LAMB), ({"optimizer": "sgd", "nesterov": True, "momentum": 0.5}, SGD)],
)
def test_optimisers(tmp_path, changes, kind):
    optimizer = make_optimizer(toy_config(**changes), ToyModel(), {"outer.bias": 0.5})
    assert isinstance(optimizer, kind)
    assert optimizer.lr_scales == {"outer.bias": 0.5}
    assert optimizer.weight_decay == 0.05
    if kind is LAMB:
        assert (optimizer.betas, optimizer.eps, optimizer.max_grad_norm) == ((0.9, 0.999), 1e-8, None)
    else:
        assert (optimizer.momentum, optimizer.nesterov) == (0.5, True)
    toy_run(tmp_path, config=toy_config(epochs=1, **changes))


def test_the_decay_follows_the_length_of_the_run():
    config = recipe(ema_decay="auto")
    assert make_average(config, ToyModel(), 2000).decay == near(0.99)
    assert make_average(config, ToyModel(), 10**7).decay == 0.9998
    assert make_average(config, ToyModel(), 3).decay == 0.0
    assert make_average(replace(config, ema_decay=0.5, ema_warmup=False, mesa=0.0), ToyModel(), 3).after is None
    assert make_average(replace(config, ema_decay=0.0, ema_warmup=False, mesa=0.0), ToyModel(), 3) is None


def test_the_rate_with_its_cosine_from_the_start():
    """The release's numbers: T at updates 6239 and 6240, and the cool-down."""
    config = TrainingConfig(
        model={}, epochs=320, cooldown_epochs=10, warmup_epochs=20, lr=5e-3, min_lr=5e-6, cosine_from="start"
    )
    assert [round(rate_of(config, step, 312), 7) for step in (6238, 6239)] == [0.0049992, 0.0049489]
    assert rate_of(config, 310 * 312, 312) == rate_of(config, 320 * 312 - 1, 312) == 5e-6
    assert rate_of(config, 0, 312) > 1e-6  # set before the update, so none is made at the floor


def test_the_rate_with_its_cosine_after_the_warm_up():
    config = TrainingConfig(model={}, epochs=4, cooldown_epochs=1, warmup_epochs=1, lr=1e-2, min_lr=1e-4, warmup_lr=0.0)
    rates = [rate_of(config, step, 10) for step in range(40)]
    assert rates[0] == 0.0
    assert rates[10] == 1e-2
    assert rates[20] == near((1e-2 + 1e-4) / 2)
    assert set(rates[30:]) == {1e-4}


def test_gradients_of_several_batches(tmp_path):
    """With the whole data in one step, five batches of six: their mean, by hand."""
    config = toy_config(epochs=1, accumulate=5, optimizer="sgd", momentum=0.0, weight_decay=0.0, clip_norm=None, lr=0.1)
    config = replace(config, warmup_epochs=0, warmup_lr=0.1, min_lr=0.1)
    trainer = toy_trainer(tmp_path, config=config)
    trainer.model.dropout.rate = 0.0
    assert (trainer.batches, trainer.total_steps) == (1, 1)
    model, sums = ToyModel(), {}
    model.dropout.rate = 0.0
    losses = []
    for number in range(5):
        images, labels = trainer.train_loader.batch(0, number)
        gradients, loss = gradient_of(model, images, labels, config.label_smoothing)
        losses.append(loss)
        sums = {key: sums.get(key, 0) + gradient / 5 for key, gradient in gradients.items()}
    trainer.run()
    got = trainer.model.state_dict()
    for key, array in ToyModel().state_dict().items():
        if key == "inner.bias":  # the norm behind it takes it away again: its gradient is rounding
            assert np.abs(got[key]).max() < 1e-6
        elif key in sums:
            assert_close(got[key], array - 0.1 * sums[key], dtype=np.float32, terms=256, message=key)
        else:
            assert_close(
                got[key], model.state_dict()[key], dtype=np.float32, terms=64, message=key
            )  # five updates of statistics
    assert read_log(tmp_path / "log.jsonl")[0]["loss"] == near(np.mean(losses), terms=256, dtype=np.float32)


def gradient_of(model, images, labels, smoothing):
    from mvnp.core import Tape
    from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward

    tape = Tape(training=True)
    loss, cache = cross_entropy_forward(model(images, tape), labels, smoothing)
    model.backward(cross_entropy_backward(1.0, cache), tape)
    tape.commit()
    return model.gradients(tape), float(loss)


@pytest.mark.parametrize("changes", [{"loss": "bce"}, {"loss": "bce", "bce_threshold": 0.2}, {"class_weights": "balanced"}])
def test_losses_with_mixed_targets(tmp_path, changes):
    result = toy_run(tmp_path, config=recipe(**changes))
    assert result.steps == 12


def test_distillation(tmp_path):
    """Learning from a trained model's logits alone, and a teacher that has changed since."""
    config = toy_config(epochs=2)

    def made(out, resume=False, teacher=3, weight=5.0):
        folder = open_run(out, config, resume)
        taught = Teacher(ToyModel(teacher), weight, 2.0, 4.0)
        return Trainer(ToyModel(), *toy_loaders(config), folder, quiet=True, teacher=taught)

    def apart(out):
        steps = [line for line in read_log(out / "log.jsonl") if line["event"] == "step"]
        return [line["apart"] for line in steps]

    made(tmp_path / "run").run()
    made(tmp_path / "unheard", weight=1e-9).run()
    assert np.mean(apart(tmp_path / "run")[-5:]) < np.mean(apart(tmp_path / "unheard")[-5:])
    assert made(tmp_path / "run", resume=True).run().epochs == 2
    with pytest.raises(TrainingError, match="learnt from another teacher"):
        made(tmp_path / "run", resume=True, teacher=4)


def test_a_teacher_from_a_file(tmp_path):
    from mvnp.training.ingredients import make_teacher

    model = tiny()
    images = {"size": [32, 32], "mean": [0.5] * 3, "std": [0.2] * 3}
    save_pretrained(tmp_path / "t.safetensors", model, variant=None, classes=None, images=images)
    config = toy_config(teacher=str(tmp_path / "t.safetensors"), teacher_weight=2.0, teacher_temperature=3.0)
    made = make_teacher(config, model.in_chans, model.num_classes)
    assert (made.weight, made.temperature, made.factor) == (2.0, 3.0, 9.0)
    np.testing.assert_array_equal(made.model.state_dict()["norm.weight"], model.state_dict()["norm.weight"])
    assert type(load_pretrained(tmp_path / "t.safetensors")) is type(made.model)
    with pytest.raises(InputError, match=r"the teacher .* has 3 channels, and the data 1"):
        make_teacher(config, 1, model.num_classes)
    with pytest.raises(InputError, match=r"the teacher .* classes, and the data 2"):
        make_teacher(config, 3, 2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mesa": 0.5}, "mesa is 0.5, and its teacher is the average of the weights: give ema_decay too"),
        ({"ema_warmup": True}, "ema_warmup is True, and there is no average"),
        ({"mesa": 1, "ema_decay": 0.9, "teacher": "a.npz"}, "mesa and teacher both name somebody to learn from"),
        ({"loss": "bce", "class_weights": "balanced"}, "class_weights are for the cross-entropy, and loss is bce"),
        ({"bce_threshold": 0.2}, "bce_threshold is 0.2, and loss is cross-entropy"),
        ({"nesterov": True}, "nesterov is a form of SGD with momentum, and the optimizer is adamw"),
        ({"frozen": True, "ema_decay": 0.9}, "ema_decay is 0.9, but with frozen=True"),
        (
            {"epochs": 4, "warmup_epochs": 2, "cooldown_epochs": 3},
            "warmup_epochs 2 and cooldown_epochs 3 are more than the 4 epochs",
        ),
        ({"epochs": 4, "cooldown_epochs": 4}, "cooldown_epochs is 4, expected less than epochs, 4"),
        ({"optimizer": "lam"}, "optimizer is 'lam', expected one of adamw, lamb, sgd (did you mean 'lamb'?)"),
        ({"ema_decay": 1}, "ema_decay is 1, expected a number in [0, 1)"),
        ({"ema_decay": "atuo"}, "ema_decay is 'atuo', expected a number in [0, 1), or \"auto\""),
        ({"augmentation": {"mixup": -1}}, "augmentation: mixup is -1"),
        ({"workers": -1}, "workers is -1, expected an integer from 0 to 64"),
        ({"betas": [0.9]}, "betas is (0.9,), expected two numbers"),
        ({"accumulate": 0}, "accumulate is 0, expected an integer of at least 1"),
        ({"teacher": 3}, "teacher is 3, expected a file or a name"),
    ],
)
def test_settings_that_exclude_each_other(changes, told):
    with pytest.raises(InputError) as caught:
        toy_config(**changes)
    assert told in str(caught.value)
