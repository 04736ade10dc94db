"""A run of a real, tiny MambaVision: mvnp/training/run.py."""

import numpy as np
import pytest

from mvnp.checkpoint import load_checkpoint
from mvnp.data import DataParts, Dataset
from mvnp.errors import DataError, InputError, TrainingError
from mvnp.models.mambavision import MambaVision
from mvnp.training import TrainingConfig, read_checkpoint, run, train
from mvnp.training import trainer as trainer_module
from support.toy_training import assert_same_outcome

MODEL = {
    "dim": 4,
    "in_dim": 4,
    "depths": [1, 1, 2, 2],
    "num_heads": [1, 1, 2, 2],
    "window_size": [4, 4, 2, 1],
    "drop_path_rate": 0.2,
    "drop_rate": 0.1,
}


@pytest.fixture
def data(monkeypatch):
    """Twelve pictures for each part, in place of a data set."""

    def load(spec, **options):
        assert spec == "twelve"
        rng = np.random.default_rng(4)

        def part(name):
            images = rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
            return Dataset("twelve", name, images, np.arange(12) % 2, ("cat", "dog"), (0.5,) * 3, (0.3,) * 3)

        return DataParts(part("train"), test=part("test"))

    monkeypatch.setattr(run, "load_parts", load)


def config(**changes):
    settings = {"epochs": 2, "batch_size": 4, "warmup_epochs": 0.5, "checkpoint_every": 1, **changes}
    return TrainingConfig(**{"model": MODEL, "dataset": "twelve", **settings})


def test_a_frozen_trunk_is_of_a_fine_tuning(data, tmp_path):
    with pytest.raises(TrainingError, match="on features of random weights; use finetune, which begins from trained ones"):
        train(config(frozen=True), tmp_path / "run", quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_resumed_equals_uninterrupted(data, tmp_path, monkeypatch):
    train(config(), tmp_path / "whole", quiet=True)
    original, calls = trainer_module.train_step, 0

    def cut(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "train_step", cut)
        with pytest.raises(KeyboardInterrupt):
            train(config(), tmp_path / "cut", quiet=True)
    train(None, tmp_path / "cut", resume=True, quiet=True)
    assert_same_outcome(tmp_path / "cut", tmp_path / "whole")


def test_the_model_can_be_built_from_its_checkpoint(data, tmp_path):
    result = train(config(), tmp_path, quiet=True)
    about = read_checkpoint(result.best).about
    assert about["classes"] == ["cat", "dog"]
    assert about["model"]["in_chans"] == 3
    assert (about["image_size"], about["mean"], about["std"]) == (32, [0.5] * 3, [0.3] * 3)
    model = MambaVision(**about["model"], allocate=False)
    model.load_state_dict(load_checkpoint(result.checkpoint))
    test_loader = run.make_loaders(config(), *run.load_parts("twelve"))[1]
    images, _ = next(test_loader.epoch(0))
    assert model(images).shape == (4, 2)


def test_initial_weights_come_from_the_seed(data):
    train_set, _ = run.load_parts("twelve")
    weights = [run.make_model(config(seed=seed), train_set).state_dict()["head.weight"] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_a_model_that_does_not_fit_the_data(data, tmp_path):
    for wrong in ({"in_chans": 1}, {"num_classes": 1}):
        with pytest.raises(InputError, match="but twelve has 3 channels and 2 classes; leave both out"):
            train(config(model={**MODEL, **wrong}), tmp_path)


def test_a_model_without_memory(data, tmp_path):
    with pytest.raises(InputError, match="is a placeholder without memory"):
        train(config(model={**MODEL, "allocate": False}), tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_data_set_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="no data set and no folder"):
        train(config(dataset=str(tmp_path / "nowhere")), tmp_path / "run")


def test_grey_pictures_for_as_many_channels_as_are_asked_for(tmp_path):
    options = {"channels": 3, "classes": [0, 1]}
    parts = run.in_channels_asked(run.load_parts("fashion-mnist-small", **options), 3)
    assert {part.channels for part in parts} == {3}
    colour = DataParts(Dataset("x", "train", np.ones((2, 4, 4, 3), np.uint8), np.arange(2), ("a", "b"), (0.5,) * 3, (0.3,) * 3))
    assert run.in_channels_asked(colour, None).train is colour.train
    with pytest.raises(InputError, match="x has 3 channels, and the model takes 1"):
        run.in_channels_asked(colour, 1)
