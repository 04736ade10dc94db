"""Class weights, the mean of the classes, what chooses the best epoch, and parts: mvnp/training/{step,evaluate,trainer}.py."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mvnp.data import BatchLoader, DataParts
from mvnp.errors import InputError, TrainingError
from mvnp.layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from mvnp.training import AdamW, Evaluation, Trainer, evaluate, open_run, read_checkpoint, read_log, train_step
from mvnp.training import trainer as trainer_module
from mvnp.training.class_weights import class_weights
from mvnp.training.objective import weighted
from mvnp.training.run import loaders_of
from mvnp.training.step import NonFiniteError
from support.recipe_cases import recipe_case
from support.tolerance import assert_close
from support.toy_training import ToyModel, toy_config, toy_data, toy_loaders, toy_run, toy_trainer

RNG = np.random.default_rng(13)


def unequal():
    data = toy_data(30, "train")
    kept = np.flatnonzero((data.labels != 2) | (np.arange(30) < 6))
    return replace(data, images=data.images[kept], labels=data.labels[kept])  # 10, 10 and 2


# Weights


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_weighted_loss_is_the_weighted_mean_of_the_losses(smoothing):
    logits, labels, weights = RNG.standard_normal((5, 3)), np.array([0, 2, 1, 2, 0]), np.array([0.5, 2.0, 3.0])
    loss, cache = cross_entropy_forward(logits, weighted(labels, weights, smoothing, 3))
    gradient = cross_entropy_backward(1.0, cache)
    one_by_one = [cross_entropy_forward(logits[b : b + 1], labels[b : b + 1], smoothing) for b in range(5)]
    assert_close(loss, sum(weights[label] * each for label, (each, _) in zip(labels, one_by_one, strict=True)) / 5)
    for b, (_, own) in enumerate(one_by_one):
        assert_close(gradient[b], weights[labels[b]] * cross_entropy_backward(1.0, own)[0] / 5)


@pytest.mark.parametrize(
    ("case", "target", "smoothing", "by_weight"),
    [("weighted", "labels", 0.0, True), ("weighted_smoothing", "one-hot", 0.1, True), ("weighted_soft", "soft", 0.0, False)],
)
def test_against_the_reference(case, target, smoothing, by_weight):
    """PyTorch divides by the weights of the labels' classes where it has labels, and else by the images, as we do."""
    settings, arrays = recipe_case("losses")
    logits, labels, weights = arrays["logits"], arrays["labels"], arrays["class_weight"]
    targets = {"labels": labels, "soft": arrays["soft"], "one-hot": 1.0 * (labels[:, None] == np.arange(logits.shape[1]))}
    loss, cache = cross_entropy_forward(logits, weighted(targets[target], weights, smoothing, logits.shape[1]))
    share = len(labels) / weights[labels].sum() if by_weight else 1.0
    assert_close(share * loss, settings["cases"][case]["loss"], terms=64)
    assert_close(cross_entropy_backward(share, cache), arrays[f"{case}.dlogits"], terms=64)


def test_weights_of_one_change_nothing():
    data = toy_data(6, "train")
    images = BatchLoader(data, 6, train=False).batch(0, 0)[0]
    models = [ToyModel(), ToyModel()]
    results = [
        train_step(
            model, AdamW(model.named_parameters()), images, data.labels, lr=0.1, label_smoothing=0.1, class_weights=weights
        )
        for model, weights in zip(models, (None, np.ones(3)), strict=True)
    ]
    assert_close(results[0].loss, results[1].loss, dtype=np.float32)
    for one, other in zip(models[0].state_dict().values(), models[1].state_dict().values(), strict=True):
        assert_close(one, other, dtype=np.float32)


def test_balanced_weights():
    data = unequal()
    weights = class_weights(toy_config(class_weights="balanced"), data)
    assert_close(weights, np.array([22 / 30, 22 / 30, 22 / 6]))
    assert_close(weights[data.labels].mean(), 1.0)
    assert class_weights(toy_config(), data) is None


def test_weights_by_name():
    data = unequal()
    assert class_weights(toy_config(class_weights={"c": 3, "a": 1, "b": 2.5}), data).tolist() == [1, 2.5, 3]
    for weights, match in (
        ({"a": 1, "b": 1}, "class weights are to name every class of toy, which also has 'c': a, b, c"),
        ({"a": 1, "b": 1, "c": 1, "d": 1}, "which has no class 'd'"),
        ({"a": 0, "b": 0, "c": 0}, "class weights are all 0"),
    ):
        with pytest.raises(InputError, match=match):
            class_weights(toy_config(class_weights=weights), data)
    with pytest.raises(InputError, match="class_weights of 'a' is -1, expected a number of at least 0"):
        toy_config(class_weights={"a": -1})
    with pytest.raises(InputError, match="class_weights is 'equal', expected \"balanced\""):
        toy_config(class_weights="equal")
    with pytest.raises(InputError, match="best_by is 'f1', expected one of accuracy, mean-accuracy, loss"):
        toy_config(best_by="f1")


# The mean of the classes


class Fixed(ToyModel):
    """Says class 0 of every image."""

    def forward(self, x, tape=None):
        return np.tile(np.array([2.0, 1.0, 0.0], np.float32), (len(x), 1))


def test_mean_of_the_classes():
    found = evaluate(Fixed(), BatchLoader(unequal(), 4, train=False))
    assert found.count == 22
    assert_close(found.accuracy, 10 / 22)
    assert_close(found.mean_accuracy, 1 / 3)
    two = replace(unequal(), labels=np.minimum(unequal().labels, 1))  # a class without images has no part in the mean
    assert_close(evaluate(Fixed(), BatchLoader(two, 4, train=False)).mean_accuracy, 1 / 2)


@pytest.mark.parametrize(("best_by", "best"), [("accuracy", 2), ("mean-accuracy", 3), ("loss", 1)])
def test_what_chooses_the_best_epoch(tmp_path, monkeypatch, capsys, best_by, best):
    coming = iter([Evaluation(0.5, 0.8, 18, 0.5), Evaluation(0.9, 0.9, 18, 0.4), Evaluation(0.7, 1.0, 18, 0.6)])
    monkeypatch.setattr(trainer_module, "evaluate", lambda *_: next(coming))
    result = toy_trainer(tmp_path, config=toy_config(best_by=best_by), quiet=False).run()
    assert (result.best_epoch, result.best_accuracy) == (best, [0.5, 0.9, 0.7][best - 1])
    assert (result.accuracy, result.mean_accuracy) == (0.7, 0.6)
    assert "test accuracy 90.00% (mean of classes 40.00%)" in capsys.readouterr().err
    assert [line["test_mean_accuracy"] for line in read_log(result.log) if line["event"] == "epoch"] == [0.5, 0.4, 0.6]


# Parts


def parts_of(val=True, test=True):
    return DataParts(
        toy_data(30, "train"), replace(toy_data(18, "val"), part="val") if val else None, toy_data(12, "test") if test else None
    )


def run_parts(out, parts, config=None, resume=False, quiet=True):
    config = config or toy_config(loader_options={"crop_padding": 1})
    train_loader, test_loader, final_loader = loaders_of(config, parts)
    folder = open_run(out, config, resume)
    return Trainer(
        ToyModel(config.seed),
        train_loader,
        test_loader,
        folder,
        final_loader=final_loader,
        notes=("what was found",),
        quiet=quiet,
    ).run()


def test_val_chooses_and_test_has_the_last_word(tmp_path, monkeypatch, capsys):
    asked = []

    def told(model, loader, *_):
        found = evaluate(model, loader)
        asked.append((loader.dataset.part, model.state_dict()["outer.bias"].copy()))
        order = {1: 0.2, 2: 0.9, 3: 0.3}
        return found if loader.dataset.part == "test" else replace(found, accuracy=order[len(asked)])

    monkeypatch.setattr(trainer_module, "evaluate", told)
    result = run_parts(tmp_path, parts_of(), quiet=False)
    assert [part for part, _ in asked] == ["val", "val", "val", "test"]
    np.testing.assert_array_equal(asked[3][1], asked[1][1])  # the weights of the best epoch, the second
    last = read_checkpoint(result.checkpoint).part("model.")
    np.testing.assert_array_equal(last["outer.bias"], asked[2][1])  # and the run itself has those of the last
    assert (result.part, result.best_epoch) == ("val", 2)
    said = capsys.readouterr().err
    assert said.startswith("what was found\nepoch 1/3")
    assert "validation accuracy 90.00%" in said
    assert "of the best epoch, on 12 images that have chosen nothing" in said
    line = read_log(result.log)[-1]
    assert (line["event"], line["epoch"], line["accuracy"]) == ("test", 2, result.final_accuracy)
    # What is finished is not asked again.
    again = run_parts(tmp_path, parts_of(), resume=True)
    assert (again.final_accuracy, len(asked)) == (result.final_accuracy, 4)


def test_nothing_is_held_out(tmp_path, capsys):
    result = run_parts(tmp_path, parts_of(val=False, test=False), quiet=False)
    assert (result.part, result.best_epoch, result.epochs) == (None, 3, 3)
    assert math.isnan(result.accuracy)
    assert "accuracy" not in capsys.readouterr().err
    best, last = (read_checkpoint(path).part("model.") for path in (result.best, result.checkpoint))
    np.testing.assert_array_equal(best["outer.weight"], last["outer.weight"])


# Going on otherwise


def test_a_finished_run_is_prolonged(whole, tmp_path, capsys):
    toy_run(tmp_path / "run")
    longer = toy_config(epochs=5)
    result = toy_trainer(tmp_path / "run", resume=True, config=longer, quiet=False).run()
    assert (result.epochs, result.steps) == (5, 25)
    said = capsys.readouterr().err
    assert "epochs is 5 from here on, and was 3" in said
    assert "epoch 4/5" in said
    assert open_run(tmp_path / "run", resume=True).config == longer
    steps = [line["step"] for line in read_log(result.log) if line["event"] == "step"]
    assert steps == list(range(1, 26))
    with pytest.raises(
        TrainingError, match="has 5 epochs behind it, and epochs is 2; it counts from the beginning: give more, such"
    ):
        open_run(tmp_path / "run", toy_config(epochs=2), resume=True)


def test_a_diverged_run_goes_on_with_a_lower_rate(tmp_path, monkeypatch):
    original = trainer_module.train_step

    def step(*arguments, lr, **options):
        if lr > 0.03:
            raise NonFiniteError("the loss is nan")
        return original(*arguments, lr=lr, **options)

    monkeypatch.setattr(trainer_module, "train_step", step)
    config = toy_config(lr=0.06, warmup_epochs=1.0, checkpoint_every=1)
    with pytest.raises(TrainingError, match=r"To go on from there with one: mvnp train --resume --out .* --lr 0\.02$"):
        toy_run(tmp_path, config=config)
    done = read_checkpoint(tmp_path / "checkpoint.safetensors").position.step
    assert 0 < done < 5
    result = toy_run(tmp_path, resume=True, config=replace(config, lr=0.02))
    assert result.steps == 15
    rates = [line["lr"] for line in read_log(result.log) if line["event"] == "step"]
    assert (len(rates), max(rates[done:])) == (15, 0.02)


def test_a_batch_of_one_is_refused_before_anything_is_written(tmp_path):
    config = toy_config(batch_size=1)
    with pytest.raises(
        InputError, match=r"a batch of one image cannot be trained on: .* Use a --batch-size of at least 2, or larger"
    ):
        Trainer(ToyModel(), *toy_loaders(config), open_run(tmp_path, config), quiet=True).run()
    assert not any(tmp_path.iterdir())


def test_one_image_too_many(tmp_path):
    # A last batch of one is left out in training, unless it is asked for.
    config = toy_config(batch_size=29)
    train_loader, test_loader = toy_loaders(config)
    train_loader.drop_last = False
    with pytest.raises(InputError, match="a batch of one image"):
        Trainer(ToyModel(), train_loader, test_loader, open_run(tmp_path, config), quiet=True).run()
