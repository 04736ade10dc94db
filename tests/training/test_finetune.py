"""Trained weights, a new head, other classes: mvnp/training/finetune.py."""

import importlib

import numpy as np
import pytest
from PIL import Image

from mvnp import load_pretrained
from mvnp.checkpoint import read_pretrained, save_arrays, save_pretrained
from mvnp.data import BatchLoader, ImageTransform, load_dataset, write_idx
from mvnp.data.dataset import in_channels
from mvnp.errors import CheckpointError, InputError, TrainingError
from mvnp.training import TrainingConfig, evaluate, finetune, read_checkpoint, read_log, train
from mvnp.training import trainer as trainer_module
from support.tiny import tiny
from support.tolerance import near
from support.toy_training import assert_same_outcome

IMAGES = {"size": 24, "crop_pct": 0.9, "crop_mode": "squash", "mean": [0.3] * 3, "std": [0.25] * 3, "channels": 3}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_pretrained(path, tiny(drop_path_rate=0.2), classes=["one", "two", "three"], images=IMAGES)
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """IDX files: 40 images to train on, 20 to test, 12x12, four classes by the row that is bright."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 20)):
        labels = np.arange(count, dtype=np.uint8) % 4
        images = rng.integers(0, 100, (count, 12, 12))
        images[np.arange(count), 3 * labels + 1] += 120
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images.astype(np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return str(folder)


@pytest.fixture
def config(weights, data):
    def make(**changes):
        settings = {"epochs": 3, "batch_size": 8, "lr": 0.02, "warmup_epochs": 0.5, "checkpoint_every": 2}
        options = {"dataset": data, "dataset_options": {"classes": [3, 1, 0]}, "weights": weights}
        return TrainingConfig(**{"model": {}, **settings, **options, **changes})

    return make


def weights_of(path):
    return load_pretrained(path).state_dict()


def changed(one, other):
    return {key for key in one if key not in other or not np.array_equal(one[key], other[key])}


def test_what_is_written(config, tmp_path, weights):
    result = finetune(config(), tmp_path, quiet=True)
    best = read_pretrained(result.best)
    assert best.classes == ("3", "1", "0")
    assert best.model.num_classes == best.model.config["num_classes"] == 3
    own = {
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": (0.3,) * 3,
        "std": (0.25,) * 3,
        "interpolation": "bilinear",
        "value_range": None,
    }
    assert best.images == {**IMAGES, **own}
    assert ImageTransform(**best.images).shape == (3, 24, 24)
    # The last state, beside it, is read in the same way.
    last = read_pretrained(result.checkpoint)
    assert last.classes == best.classes
    assert (last.images["size"], last.images["mean"]) == (24, (0.3,) * 3)


def test_it_learns(config, tmp_path):
    options = {"image_size": 24, "crop_padding": 0}
    assert finetune(config(epochs=12, loader_options=options), tmp_path / "full", quiet=True).best_accuracy > 0.9
    head = finetune(config(epochs=12, loader_options=options, frozen=True, lr=0.2), tmp_path / "head", quiet=True)
    assert head.best_accuracy > 0.6  # a third by chance


def test_the_best_is_what_was_tested(config, tmp_path, data):
    result = finetune(config(), tmp_path, quiet=True)
    test_set = load_dataset(data, classes=[3, 1, 0])[1]
    loader = BatchLoader(in_channels(test_set, 3), 8, train=False, image_size=24, mean=[0.3] * 3, std=[0.25] * 3)
    assert evaluate(load_pretrained(result.best), loader).accuracy == result.best_accuracy
    assert evaluate(load_pretrained(result.checkpoint), loader).accuracy == result.accuracy


def test_it_begins_from_the_weights_with_a_new_head(config, tmp_path, weights, monkeypatch):
    class Stop(Exception):
        pass

    def stop(*_, **__):
        raise Stop

    monkeypatch.setattr(trainer_module, "train_step", stop)
    with pytest.raises(Stop):
        finetune(config(seed=1), tmp_path / "one", quiet=True)
    with pytest.raises(Stop):
        finetune(config(seed=2), tmp_path / "two", quiet=True)
    first, second = (weights_of(tmp_path / name / "checkpoint.safetensors") for name in ("one", "two"))
    assert changed(first, weights_of(weights)) == {"head.weight", "head.bias"}
    assert changed(first, second) == {"head.weight"}


def test_full_and_frozen(config, tmp_path, weights):
    before = weights_of(weights)
    full = weights_of(finetune(config(epochs=1), tmp_path / "full", quiet=True).checkpoint)
    untouched = {key for key in before if np.array_equal(full[key], before[key])}
    assert not untouched
    frozen = weights_of(finetune(config(epochs=1, frozen=True), tmp_path / "frozen", quiet=True).checkpoint)
    assert changed(frozen, before) == {"head.weight", "head.bias"}
    checkpoint = read_checkpoint(tmp_path / "frozen" / "checkpoint.safetensors")
    assert set(checkpoint.part("optimizer.")) == {"step", "m.head.weight", "m.head.bias", "v.head.weight", "v.head.bias"}


def test_layer_decay(config, tmp_path, weights):
    before = weights_of(weights)

    def moved(decay, name):
        # One step of AdamW moves every weight by about its learning rate.
        settings = {"epochs": 1, "batch_size": 40, "warmup_epochs": 0, "weight_decay": 0.0, "layer_decay": decay}
        after = weights_of(finetune(config(**settings), tmp_path / f"{name}{decay}", quiet=True).checkpoint)
        return {
            key: np.abs(after[key] - before[key]).max() for key in before if key.endswith("weight") and key != "head.weight"
        }

    alike, decayed = moved(1.0, "alike"), moved(0.5, "decayed")
    for key, depth in (("patch_embed.conv_down.0.weight", 0), ("levels.1.blocks.0.conv1.weight", 2), ("norm.weight", 7)):
        assert alike[key] == near(0.02, terms=1, scale=1.0, dtype="float32"), key
        assert decayed[key] == near(0.02 * 0.5 ** (7 - depth), terms=1, scale=1.0, dtype="float32"), key


@pytest.mark.parametrize("options", [{"layer_decay": 0.7}, {"frozen": True}])
def test_resumed_equals_uninterrupted(options, config, tmp_path, weights, monkeypatch):
    finetune(config(**options), tmp_path / "whole", quiet=True)
    original, calls = trainer_module.train_step, 0

    def cut(*arguments, **settings):
        nonlocal calls
        calls += 1
        if calls in (4, 6):
            raise KeyboardInterrupt
        return original(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "train_step", cut)
        with pytest.raises(KeyboardInterrupt):
            finetune(config(**options), tmp_path / "cut", quiet=True)
        with pytest.raises(KeyboardInterrupt):
            finetune(None, tmp_path / "cut", resume=True, quiet=True)
    # The weights that it began from are not needed any more.
    monkeypatch.setattr(importlib.import_module("mvnp.training.finetune"), "read_pretrained", None)
    finetune(None, tmp_path / "cut", resume=True, quiet=True)
    assert_same_finetuning(tmp_path / "cut", tmp_path / "whole")


def assert_same_finetuning(got, want):
    one, other = read_pretrained(got / "best.safetensors"), read_pretrained(want / "best.safetensors")
    assert (one.classes, one.images, one.model.config) == (other.classes, other.images, other.model.config)
    assert not changed(one.model.state_dict(), other.model.state_dict())
    for folder in (got, want):  # the rest is compared as it is of a run from scratch
        (folder / "best.safetensors").write_bytes((folder / "checkpoint.safetensors").read_bytes())
    assert_same_outcome(got, want)


def test_early_stop(config, tmp_path, capsys, monkeypatch):
    accuracies = iter([0.5, 0.6, 0.6, 0.4, 0.7])
    original = trainer_module.evaluate

    def evaluate(*arguments):
        return type(original(*arguments))(accuracy=next(accuracies), loss=1.0, count=15, mean_accuracy=0.5)

    monkeypatch.setattr(trainer_module, "evaluate", evaluate)
    result = finetune(config(epochs=9, patience=2), tmp_path)
    assert (result.epochs, result.best_epoch, result.best_accuracy, result.accuracy) == (4, 2, 0.6, 0.4)
    assert "no better test accuracy for 2 epochs: stopping early" in capsys.readouterr().err
    assert read_log(result.log)[-1]["epoch"] == 4
    again = finetune(None, tmp_path, resume=True)
    assert (again.epochs, again.best_epoch) == (4, 2)
    assert "nothing left to do" in capsys.readouterr().err


def test_pictures_in_folders(config, tmp_path, weights):
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng([label, number]).integers(100 * label, 100 * label + 90, (30, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    result = finetune(config(dataset=str(tmp_path / "photos"), dataset_options={}), tmp_path / "run", quiet=True)
    best = read_pretrained(result.best)
    assert best.classes == ("cat", "dog")
    assert best.images["crop_mode"] == "center"
    assert read_checkpoint(result.checkpoint).config.dataset_options == {"image_size": 24, "channels": 3}


def test_settings_go_before_what_the_weights_say(config, tmp_path):
    own = {"image_size": 20, "mean": [0.5] * 3, "std": [0.5] * 3}
    result = finetune(config(epochs=1, loader_options=own, model={"drop_path_rate": 0.0}), tmp_path, quiet=True)
    best = read_pretrained(result.best)
    assert (best.images["size"], best.images["mean"]) == (20, (0.5,) * 3)
    assert best.model.config["drop_path_rate"] == 0.0


def test_from_a_run_of_train(config, data, tmp_path):
    model = {**tiny(in_chans=1, num_classes=4).config}
    for name in ("in_chans", "num_classes", "seed"):
        del model[name]
    first = train(
        TrainingConfig(model=model, dataset=data, loader_options={"image_size": 20}, epochs=1, batch_size=8),
        tmp_path / "a",
        quiet=True,
    )
    for source in (first.best, first.checkpoint):
        result = finetune(config(epochs=1, weights=str(source)), tmp_path / source.name, quiet=True)
        best = read_pretrained(result.best)
        assert best.images["size"] == 20
        assert best.images["channels"] == 1


def test_weights_that_do_not_tell_the_image_size(config, tmp_path):
    save_pretrained(tmp_path / "bare.safetensors", tiny())
    with pytest.raises(
        InputError, match=r"bare\.safetensors does not say what size of image it was trained on; give image_size"
    ):
        finetune(config(weights=str(tmp_path / "bare.safetensors")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    result = finetune(
        config(weights=str(tmp_path / "bare.safetensors"), loader_options={"image_size": 20}, epochs=1),
        tmp_path / "run",
        quiet=True,
    )
    assert read_pretrained(result.best).images["size"] == 20


def test_refused(config, tmp_path, weights):
    with pytest.raises(InputError, match="name no weights"):
        finetune(config(weights=None), tmp_path / "run")
    with pytest.raises(InputError, match="name no weights"):
        finetune(None, tmp_path / "run")
    with pytest.raises(FileNotFoundError):
        finetune(config(weights=str(tmp_path / "nowhere.safetensors")), tmp_path / "run")
    save_arrays(tmp_path / "other.safetensors", {"a": np.zeros(3)})
    with pytest.raises(CheckpointError, match=r"other\.safetensors"):
        finetune(config(weights=str(tmp_path / "other.safetensors")), tmp_path / "run")
    with pytest.raises(InputError, match=r"has no class 'boat'.*choose from 0 0, 1 1"):
        finetune(config(dataset_options={"classes": ["boat", 1]}), tmp_path / "run")


def test_each_kind_of_run_is_resumed_by_its_own_command(config, data, tmp_path):
    finetune(config(epochs=1), tmp_path / "fine", quiet=True)
    with pytest.raises(TrainingError, match="go on with mvnp finetune --resume"):
        train(None, tmp_path / "fine", resume=True)
    with pytest.raises(TrainingError, match="use finetune"):
        train(config(), tmp_path / "new")
    model = {name: value for name, value in tiny().config.items() if name not in ("in_chans", "num_classes")}
    settings = TrainingConfig(model=model, dataset=data, loader_options={"image_size": 16}, epochs=1, batch_size=8)
    train(settings, tmp_path / "scratch", quiet=True)
    with pytest.raises(TrainingError, match=r"started from scratch; go on with mvnp train --resume --out \S+"):
        finetune(None, tmp_path / "scratch", resume=True)


def test_a_damaged_checkpoint_is_not_told_to_take_the_best(config, tmp_path):
    result = finetune(config(epochs=1), tmp_path, quiet=True)
    result.checkpoint.write_bytes(result.checkpoint.read_bytes()[:-7])
    with pytest.raises(CheckpointError) as caught:
        finetune(None, tmp_path, resume=True)
    assert "may be copied" not in str(caught.value)


def test_numbers_that_are_not_finite_are_not_written(config, tmp_path, monkeypatch):
    original = trainer_module.evaluate

    def spoil(model, *rest):
        found = original(model, *rest)
        model.head.bias.data[0] = np.inf
        return found

    monkeypatch.setattr(trainer_module, "evaluate", spoil)
    with pytest.raises(TrainingError, match=r"head\.bias holds values that are not finite"):
        finetune(config(), tmp_path, quiet=True)
    assert not (tmp_path / "best.safetensors").exists()
