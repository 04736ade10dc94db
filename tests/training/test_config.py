"""The settings of a run: mvnp/training/config.py."""

import json

import pytest

from mvnp.errors import InputError
from mvnp.training import TrainingConfig
from support.toy_training import toy_config


def test_comes_back_from_json():
    config = TrainingConfig(model={"depths": (1, 1, 1, 1), "dim": 8}, loader_options={"mean": (0.5,)}, clip_norm=None)
    again = TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert config.differences(again) == []
    assert config.model["depths"] == [1, 1, 1, 1]


def test_differences():
    one = TrainingConfig(model={"dim": 8, "seed": 1}, lr=0.1)
    other = TrainingConfig(model={"dim": 16, "mlp_ratio": 2}, lr=0.2)
    assert one.differences(other) == [
        ("model.dim", 8, 16),
        ("model.seed", 1, "not given"),
        ("lr", 0.1, 0.2),
        ("model.mlp_ratio", "not given", 2),
    ]


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("epochs", 0, "epochs is 0, expected an integer of at least 1"),
        ("epochs", 1.5, "epochs is 1.5, expected an integer"),
        ("epochs", True, "epochs is True"),
        ("batch_size", -4, "batch_size is -4"),
        ("seed", -1, "seed is -1"),
        ("seed", 2**32, r"expected less than 2\*\*32"),
        ("eval_every", 0, "eval_every is 0"),
        ("checkpoint_every", -1, "checkpoint_every is -1"),
        ("lr", 0.0, "lr is 0.0, expected a number above 0"),
        ("lr", float("nan"), "lr is nan"),
        ("lr", "fast", "lr is 'fast', expected a number"),
        ("min_lr", 1.0, "min_lr is 1.0, expected at most lr, 0.05"),
        ("warmup_lr", 1.0, "warmup_lr is 1.0, expected at most lr"),
        ("warmup_epochs", 9, "warmup_epochs is 9, expected at most epochs, 3"),
        ("weight_decay", -0.1, "weight_decay is -0.1"),
        ("label_smoothing", 1.0, r"label_smoothing is 1.0, expected a number in \[0, 1\)"),
        ("clip_norm", 0, "clip_norm is 0, expected a number above 0, or None"),
        ("patience", -1, "patience is -1, expected an integer of at least 0"),
        ("weights", 3, "weights is 3, expected a file or a name, or None"),
        ("weights_options", "ema", "weights_options is a str, expected a dict"),
        ("frozen", 1, "frozen is 1, expected True or False"),
        ("layer_decay", 0.0, "layer_decay is 0.0, expected a number above 0 and at most 1"),
        ("layer_decay", 1.1, "layer_decay is 1.1, expected a number above 0 and at most 1"),
        ("loader_options", [1], "loader_options is a list, expected a dict"),
        ("dataset_options", {"x": {1}}, "dataset_options is not JSON"),
    ],
)
def test_out_of_range(setting, value, message):
    with pytest.raises(InputError, match=f"training: .*{message}|{message}"):
        toy_config(**{setting: value})


def test_unknown_setting():
    with pytest.raises(InputError, match=r"unknown training setting 'learning_rat'.*choose one of model, family, dataset"):
        TrainingConfig.from_dict({"model": {}, "learning_rat": 1})
    with pytest.raises(InputError, match=r"did you mean 'epochs'"):
        TrainingConfig.from_dict({"model": {}, "epoch": 1})


def test_settings_of_an_earlier_version():
    # A run that began before there was fine-tuning goes on.
    settings = toy_config().to_dict()
    for name in ("patience", "weights", "weights_options", "frozen", "layer_decay"):
        del settings[name]
    assert TrainingConfig.from_dict(settings) == toy_config()


def test_layer_decay_of_a_frozen_trunk():
    with pytest.raises(InputError, match="with frozen=True only the head is trained; leave it out"):
        toy_config(frozen=True, layer_decay=0.5)
