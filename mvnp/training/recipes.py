"""Recipes by name: settings that were found to go together. What is given besides takes the place of theirs.

A recipe says its learning rate for a number of images in a step, `batch`; for another number it is scaled (schedule.py). Its
epochs belong together: with fewer of them, warm-up and cool-down shrink in proportion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import check_choice, refusing
from .schedule import scaled_rate


@dataclass(frozen=True)
class Recipe:
    """Settings of TrainingConfig.

    about        what it is for
    batch        images in a step that `lr` is meant for
    by_variant   what is otherwise for some models, by name
    """

    about: str
    batch: int
    settings: dict[str, Any]
    augmentation: dict[str, Any]
    by_variant: dict[str, dict[str, Any]] = field(default_factory=dict)


OFFICIAL_AUGMENTATION = {
    "crop_scale": (0.08, 1.0),
    "randaugment": "rand-m9-mstd0.5-inc1",
    "mixup": 0.8,
    "cutmix": 1.0,
    "erasing": 0.25,
}

RECIPES = {
    "official": Recipe(
        "what the released models were trained by, for large data: 320 epochs",
        batch=4096,
        settings={
            "optimizer": "lamb",
            "lr": 5e-3,
            "min_lr": 5e-6,
            "warmup_lr": 1e-6,
            "weight_decay": 0.05,
            "clip_norm": 5.0,
            "epochs": 320,
            "warmup_epochs": 20.0,
            "cooldown_epochs": 10.0,
            "cosine_from": "start",
            "batch_size": 128,
            "label_smoothing": 0.1,
            "ema_decay": "auto",
            "mesa": 0.5,
            "mesa_start": 0.25,
        },
        augmentation=OFFICIAL_AUGMENTATION,
        by_variant={
            "mamba_vision_T2": {"mesa": 0.75},
            "mamba_vision_S": {"mesa": 1.0},
            "mamba_vision_B": {"mesa": 1.0, "mesa_start": 0.3, "weight_decay": 0.075, "warmup_epochs": 35.0},
            "mamba_vision_L": {"mesa": 6.0, "weight_decay": 0.12},
            "mamba_vision_L2": {"mesa": 6.0, "weight_decay": 0.12},
        },
    ),
    "light": Recipe(
        "small data, from scratch: mixing and mild changes, no crops",
        batch=64,
        settings={
            "optimizer": "adamw",
            "lr": 3e-3,
            "min_lr": 1e-5,
            "warmup_lr": 1e-6,
            "weight_decay": 0.05,
            "clip_norm": 5.0,
            "epochs": 100,
            "warmup_epochs": 5.0,
            "cooldown_epochs": 0.0,
            "batch_size": 64,
            "label_smoothing": 0.1,
            "ema_decay": "auto",
        },
        augmentation={"randaugment": "rand-m7-mstd0.5-inc1", "mixup": 0.8, "cutmix": 1.0, "erasing": 0.1},
    ),
    "finetune": Recipe(
        "trained weights on other classes: small steps near the image, crops that keep most of a picture",
        batch=64,
        settings={
            "optimizer": "adamw",
            "lr": 1e-3,
            "min_lr": 1e-6,
            "warmup_lr": 1e-6,
            "weight_decay": 0.05,
            "clip_norm": 5.0,
            "epochs": 30,
            "warmup_epochs": 2.0,
            "cooldown_epochs": 0.0,
            "batch_size": 64,
            "label_smoothing": 0.1,
            "layer_decay": 0.8,
            "ema_decay": "auto",
            "patience": 0,
        },
        augmentation={"crop_scale": (0.35, 1.0), "randaugment": "rand-m7-mstd0.5-inc1", "erasing": 0.1},
    ),
}


@refusing
def recipe_settings(name: str, model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a recipe for a model, by the name of its variant or preset, with what was given besides.

    Raises InputError for an unknown recipe, with the nearest.
    """
    check_choice("recipe", name, RECIPES)
    recipe = RECIPES[name]
    own = {**recipe.settings, **recipe.by_variant.get(model, {})}
    images = given.get("batch_size", own["batch_size"]) * given.get("accumulate", 1)
    rule = "linear" if given.get("optimizer", own["optimizer"]) == "sgd" else "sqrt"
    lr = given.get("lr", scaled_rate(own["lr"], recipe.batch, images, rule))
    epochs = given.get("epochs", own["epochs"])
    shares = {key: own[key] * epochs / own["epochs"] for key in ("warmup_epochs", "cooldown_epochs")}
    rates = {"lr": lr, "min_lr": own["min_lr"] * lr / own["lr"], "warmup_lr": min(own["warmup_lr"], lr)}
    if given.get("frozen"):  # there is one layer, and its steps come to rest by themselves
        own = {**own, "layer_decay": 1.0, "ema_decay": 0.0}
    augmentation = {**recipe.augmentation, **given.get("augmentation", {})}
    return {**own, **shares, **rates, **given, "recipe": name, "augmentation": augmentation}
