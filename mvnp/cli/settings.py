"""The settings of a run on the command line: one table for `mvnp train` and `mvnp finetune`, with the names that a file of
settings has as well (mvnp/training/config_file.py)."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import shown
from .arguments import number, whole
from .data_options import absolute, located

if TYPE_CHECKING:
    from ..training import TrainingConfig


@dataclass(frozen=True)
class Setting:
    """A setting of TrainingConfig, or of its `augmentation`, and how it is given: `--name X`.

    kind     the type of its argument; None: a flag
    what     its help
    count    arguments
    """

    name: str
    kind: Callable[[str], Any] | None
    what: str
    count: int = 1

    @property
    def option(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def metavar(self) -> str:
        return {number: "X", decay: "X", str: "NAME"}.get(self.kind, "N")  # type: ignore[arg-type]


def decay(text: str) -> float | str:
    """The type of --ema-decay: a number, or auto."""
    if text == "auto":
        return text
    try:
        return number(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{shown(text)} is neither a number of at least 0 nor auto") from None


TRAINING = [
    Setting("epochs", whole(1), "passes over the training images"),
    Setting("batch_size", whole(1), "images in a step"),
    Setting("accumulate", whole(1), "batches whose gradients make one step, each with its own statistics"),
    Setting("micro_batch", whole(0), "save memory: so many images at a time; 0: the whole batch"),
    Setting("precision", str, "full, or mixed: caches and gradients in float16"),
    Setting("optimizer", str, "adamw, lamb or sgd"),
    Setting("lr", number, "highest learning rate"),
    Setting("min_lr", number, "learning rate at the end"),
    Setting("warmup_epochs", number, "epochs until the highest learning rate is reached"),
    Setting("cooldown_epochs", number, "the last of the epochs, at the lowest learning rate"),
    Setting("cosine_from", str, "where the cosine begins: warmup, after it, or start, as in the release"),
    Setting("layer_decay", number, "factor of the learning rate from a block to the one below; 1: all alike"),
    Setting("weight_decay", number, "decay of the parameters of two and more dimensions"),
    Setting("momentum", number, "of sgd"),
    Setting("nesterov", None, "of sgd: Nesterov's form"),
    Setting("lamb_clip", number, "LAMB's own limit of the norm of all gradients; 0: none"),
    Setting("clip_norm", number, "limit of the norm of all gradients together; 0: none"),
    Setting("loss", str, "cross-entropy, or bce: each class a question by itself"),
    Setting("bce_threshold", number, "of bce: shares above it count as a whole"),
    Setting("label_smoothing", number, "share of each label that is spread over all classes"),
    Setting("ema_decay", decay, "decay of an average of the weights, tested besides; auto: by the run's length; 0: none"),
    Setting("ema_warmup", None, "let that decay grow at first"),
    Setting("mesa", number, "weight of MESA, which has that average for a teacher; 0: none"),
    Setting("mesa_start", number, "share of the epochs after which MESA joins"),
    Setting("teacher", str, "weights of a model to learn from as well: distillation"),
    Setting("teacher_weight", number, "of the teacher's term in the loss"),
    Setting("teacher_temperature", number, "that soften both predictions in it"),
    Setting("seed", whole(0), "of weights, order, augmentation and drop path"),
    Setting("eval_every", whole(1), "epochs between tests"),
    Setting("patience", whole(0), "epochs without improvement until it ends; 0: never"),
    Setting("checkpoint_every", whole(0), "steps between checkpoints, besides that after each epoch; 0: none"),
    Setting("workers", whole(0, 64), "processes that make batches ahead; the batches are the same"),
]
AUGMENTATION = [
    Setting("crop_scale", number, "least and most of a picture's area to cut out and resize; 0 0: no crops", 2),
    Setting("crop_ratio", number, "least and most ratio of the cut's width to its height", 2),
    Setting("interpolation", str, "bilinear, bicubic or random"),
    Setting("randaugment", str, "policy of RandAugment, such as rand-m9-mstd0.5-inc1; none"),
    Setting("colour_jitter", number, "strength of changes of colour, in place of RandAugment"),
    Setting("mixup", number, "mix pictures, α; 0: never"),
    Setting("cutmix", number, "put a box of one picture into another, α; 0: never"),
    Setting("mix_probability", number, "of a batch to be mixed"),
    Setting("mix_switch", number, "share of cutmix where both may be"),
    Setting("mix_mode", str, "draw for each batch, pair or elem"),
    Setting("mix_epochs", whole(0), "epochs after which nothing is mixed any more; 0: to the end"),
    Setting("erasing", number, "probability of a picture to lose a box"),
    Setting("erasing_mode", str, "what fills the box: pixel, rand or const"),
    Setting("erasing_count", whole(1), "boxes"),
    Setting("repeats", number, "how often a picture comes in a row"),
]
# Settings that may be absent, and how that is said.
_ABSENT = {"clip_norm": 0, "lamb_clip": 0, "randaugment": "none", "crop_scale": [0, 0], "teacher": "none"}


def add_settings(add: Callable[..., None], training: Any, augmentation: Any, defaults: dict[str, Any]) -> None:
    """Options for all of them, in two groups. `defaults`: what to say is taken where they are not given."""
    add_table(add, training, TRAINING, defaults)
    add_table(add, augmentation, AUGMENTATION, defaults)


def add_table(add: Callable[..., None], group: Any, rows: list[Setting], defaults: dict[str, Any]) -> None:
    for row in rows:
        if row.kind is None:
            add(group, row.option, row.what, action="store_true")
        else:
            many = {"nargs": row.count} if row.count > 1 else {}
            add(group, row.option, row.what, defaults.get(row.name), type=row.kind, metavar=row.metavar, **many)


def given_settings(given: dict[str, Any]) -> dict[str, Any]:
    """What of the command line is a setting, as TrainingConfig has it."""
    found = {row.name: _present(row.name, given[row.name]) for row in TRAINING if row.name in given}
    changes = {row.name: _present(row.name, given[row.name]) for row in AUGMENTATION if row.name in given}
    if found.get("teacher") is not None:
        found["teacher"] = located_file(found["teacher"])
    return {**found, "augmentation": changes} if changes else found


def merged(settings: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
    """Settings with those of others in their place; of a dict, entry by entry."""
    for given in more:
        inner = {
            name: {**settings.get(name, {}), **value}
            for name, value in given.items()
            if isinstance(value, dict) and isinstance(settings.get(name, {}), dict)
        }
        settings = {**settings, **given, **inner}
    return settings


def base_settings(preset: dict[str, Any], model: str, given: dict[str, Any], recipe: str | None) -> dict[str, Any]:
    """The settings of a new run: those of the model's preset, then the recipe, then what was given."""
    from ..training.recipes import recipe_settings

    if recipe is not None:
        given = {**given, "recipe": recipe}  # that of the command line, where a file has another
        preset = merged(preset, recipe_settings(recipe, model, given))
    settings = merged(preset, given)
    if settings["augmentation"].get("crop_scale") and "crop_padding" not in given.get("loader_options", {}):
        settings = merged(settings, {"loader_options": {"crop_padding": 0}})  # a crop takes the place of the preset's shifts
    return settings


def read_file(given: dict[str, Any]) -> dict[str, Any]:
    """The settings in the file that --config names, none without one; files and folders in it by their absolute paths."""
    from ..training.config_file import read_config

    settings = read_config(given["config"]) if "config" in given else {}
    for name, locate in (("dataset", located), ("weights", located_file), ("teacher", located_file)):
        if settings.get(name) is not None:
            settings[name] = locate(settings[name])
    if "labels" in (options := settings.get("dataset_options", {})):
        options["labels"] = absolute(options["labels"])
    return settings


def print_config(config: TrainingConfig) -> int:
    from ..training.config_file import to_toml
    from ..version import __version__

    print(to_toml(config, __version__), end="")
    return 0


def located_file(weights: str) -> str:
    """A file or folder of weights by its absolute path, so that the run's settings mean the same from anywhere."""
    path = Path(os.path.expanduser(weights))
    return os.path.abspath(path) if weights and path.exists() else weights


def _present(name: str, value: Any) -> Any:
    return None if name in _ABSENT and value == _ABSENT[name] else value
