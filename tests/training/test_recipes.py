"""Recipes by name: mvnp/training/recipes.py."""

import tomllib

import numpy as np
import pytest

from mvnp.data.augment import Augmentation
from mvnp.errors import InputError
from mvnp.training import TrainingConfig, read_checkpoint, train
from mvnp.training.recipes import RECIPES, recipe_settings
from support.tolerance import near

WRITTEN_OUT = tomllib.loads("""
[official]
epochs = 320
batch_size = 4096
optimizer = "lamb"
lr = 5e-3
min_lr = 5e-6
warmup_lr = 1e-6
warmup_epochs = 20
cooldown_epochs = 10
cosine_from = "start"
weight_decay = 0.05
clip_norm = 5
label_smoothing = 0.1
ema_decay = "auto"
mesa = 0.5
mesa_start = 0.25
[official.augmentation]
crop_scale = [0.08, 1.0]
randaugment = "rand-m9-mstd0.5-inc1"
mixup = 0.8
cutmix = 1
erasing = 0.25

[light]
epochs = 100
batch_size = 64
optimizer = "adamw"
lr = 3e-3
min_lr = 1e-5
warmup_lr = 1e-6
warmup_epochs = 5
cooldown_epochs = 0
weight_decay = 0.05
clip_norm = 5
label_smoothing = 0.1
ema_decay = "auto"
[light.augmentation]
randaugment = "rand-m7-mstd0.5-inc1"
mixup = 0.8
cutmix = 1
erasing = 0.1

[finetune]
epochs = 30
batch_size = 64
optimizer = "adamw"
lr = 1e-3
min_lr = 1e-6
warmup_lr = 1e-6
warmup_epochs = 2
cooldown_epochs = 0
weight_decay = 0.05
layer_decay = 0.8
clip_norm = 5
label_smoothing = 0.1
ema_decay = "auto"
patience = 0
[finetune.augmentation]
crop_scale = [0.35, 1.0]
randaugment = "rand-m7-mstd0.5-inc1"
erasing = 0.1
""")


def config(name, model="", **given):
    return TrainingConfig(**{"model": {}, **recipe_settings(name, model, given)})


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_a_config(name):
    made = config(name)
    assert made.recipe == name
    Augmentation.of(made.augmentation)


def test_the_release():
    made = config("official", "mamba_vision_B", batch_size=128, accumulate=32)
    assert (made.lr, made.min_lr, made.warmup_lr) == (5e-3, 5e-6, 1e-6)  # 5e-3 belongs to 4,096 images
    assert (made.epochs, made.warmup_epochs, made.cooldown_epochs, made.cosine_from) == (320, 35, 10, "start")
    assert (made.weight_decay, made.mesa, made.mesa_start, made.ema_decay) == (0.075, 1.0, 0.3, "auto")
    assert made.augmentation["crop_scale"] == [0.08, 1.0]
    weights = {"T": (0.05, 0.5), "T2": (0.05, 0.75), "S": (0.05, 1.0), "L": (0.12, 6.0), "L2": (0.12, 6.0)}
    for variant, want in weights.items():
        made = config("official", f"mamba_vision_{variant}")
        assert (made.weight_decay, made.mesa) == want


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting(name):
    """With as many images in a step as the recipe was made for. Who asks for it again is to get the same."""
    want = WRITTEN_OUT[name]
    made = recipe_settings(name, "", {"batch_size": want["batch_size"]})
    made["augmentation"] = {key: list(v) if isinstance(v, tuple) else v for key, v in made["augmentation"].items()}
    assert made == {**want, "recipe": name}
    assert recipe_settings(name, "", {})["batch_size"] == (128 if name == "official" else 64)


def test_the_rate_follows_the_batch():
    assert config("official", batch_size=1024).lr == near(2.5e-3)
    assert config("official", batch_size=256, accumulate=4).lr == near(2.5e-3)
    assert config("official", batch_size=1024, optimizer="sgd").lr == near(1.25e-3)
    assert config("official", lr=1e-4).min_lr == near(1e-7)


def test_epochs_belong_together():
    made = config("official", "mamba_vision_B", epochs=32)
    assert (made.warmup_epochs, made.cooldown_epochs) == (3.5, 1.0)
    assert config("official", epochs=32, warmup_epochs=5).warmup_epochs == 5


def test_single_settings_take_their_place():
    made = config("light", augmentation={"mixup": 0.0}, label_smoothing=0.0)
    assert (made.augmentation["mixup"], made.augmentation["cutmix"], made.label_smoothing) == (0.0, 1.0, 0.0)


def test_a_frozen_trunk_has_no_use_for_some():
    made = config("finetune", frozen=True)
    assert (made.layer_decay, made.ema_decay) == (1.0, 0.0)


def test_unknown():
    with pytest.raises(InputError, match=r"unknown recipe 'oficial'.*official"):
        recipe_settings("oficial", "", {})


def test_on_arrays(tmp_path):
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (24, 32, 32), dtype=np.uint8), np.arange(24) % 2
    model = {"dim": 4, "in_dim": 4, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": [4, 4, 2, 1]}
    settings = {"epochs": 1, "batch_size": 6, "quiet": True}
    result = train(images, labels, out=tmp_path, model=model, recipe="official", **settings)
    made = read_checkpoint(result.checkpoint).config
    assert (made.recipe, made.optimizer, made.loader_options["crop_padding"]) == ("official", "lamb", 0)
