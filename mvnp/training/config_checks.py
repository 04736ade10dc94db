"""What settings of a run cannot be, and which exclude each other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..data import BatchLoader, load_parts
from ..data.augment import Augmentation
from ..errors import InputError, are_numbers, check_choice, is_number, nearest, shown
from ..models.variants import FAMILIES
from .objective import LOSSES

if TYPE_CHECKING:
    from .config import TrainingConfig

PRECISIONS = ("full", "mixed")
MOST_RATE = 1e6
BEST_BY = ("accuracy", "mean-accuracy", "loss")
OPTIMIZERS = ("adamw", "lamb", "sgd")
COSINES = ("warmup", "start")

COUNTS = {"epochs": 1, "batch_size": 1, "accumulate": 1, "micro_batch": 0, "seed": 0}
COUNTS |= {"eval_every": 1, "checkpoint_every": 0, "patience": 0}
NUMBERS = (
    *("lr", "min_lr", "warmup_lr", "warmup_epochs", "cooldown_epochs", "weight_decay", "label_smoothing", "layer_decay"),
    *("eps", "momentum", "mesa", "mesa_start", "teacher_weight", "teacher_temperature"),
)
TEXTS = ("dataset", "precision", "optimizer", "cosine_from", "loss", "best_by")
FLAGS = ("frozen", "nesterov", "ema_warmup")
FILES = ("weights", "teacher", "recipe")


class Contradiction(InputError):
    """Settings that exclude each other; none of them is wrong by itself."""


# Arguments that are settings themselves.
_OWN = ("spec", "dataset", "batch_size", "train", "augmentation", "whole")


def check_config(config: TrainingConfig) -> None:
    """Raise InputError that names the setting, what it is, and what was expected."""
    _check_kinds(config)
    _check_ranges(config)
    _check_options(config)
    _check_together(config)


def _check_kinds(config: TrainingConfig) -> None:
    check_choice("family", config.family, FAMILIES)
    for name in TEXTS:
        _require(isinstance(getattr(config, name), str), name, getattr(config, name), "a text")
    for name in FLAGS:
        _require(isinstance(getattr(config, name), bool), name, getattr(config, name), "True or False")
    for name in FILES:
        value = getattr(config, name)
        _require(value is None or isinstance(value, str), name, value, "a file or a name, or None")
    for name, least in COUNTS.items():
        value = getattr(config, name)
        _require(type(value) is int and value >= least, name, value, f"an integer of at least {least}")
    for name in NUMBERS:
        value = getattr(config, name)
        _require(is_number(value) and value >= 0, name, value, "a number of at least 0")
    for name, choices in (
        ("precision", PRECISIONS),
        ("optimizer", OPTIMIZERS),
        ("cosine_from", COSINES),
        ("loss", LOSSES),
        ("best_by", BEST_BY),
    ):
        value = getattr(config, name)
        _require(value in choices, name, value, f"one of {', '.join(choices)}{nearest(value, choices)}")


def _check_ranges(config: TrainingConfig) -> None:
    _require(config.seed < 2**32, "seed", config.seed, "less than 2**32")
    _require(0 < config.lr <= MOST_RATE, "lr", config.lr, f"a number above 0, at most {MOST_RATE:g}")
    for name in ("min_lr", "warmup_lr"):
        _require(getattr(config, name) <= config.lr, name, getattr(config, name), f"at most lr, {config.lr}")
    _require(config.warmup_epochs <= config.epochs, "warmup_epochs", config.warmup_epochs, f"at most epochs, {config.epochs}")
    _require(
        config.cooldown_epochs < config.epochs, "cooldown_epochs", config.cooldown_epochs, f"less than epochs, {config.epochs}"
    )
    _require(config.label_smoothing < 1, "label_smoothing", config.label_smoothing, "a number in [0, 1)")
    for name in ("clip_norm", "lamb_clip"):
        value = getattr(config, name)
        _require(value is None or (is_number(value) and value > 0), name, value, "a number above 0, or None")
    betas = config.betas
    _require(are_numbers(betas, 2) and all(0 <= beta < 1 for beta in betas), "betas", betas, "two numbers in [0, 1)")
    _require(config.eps > 0, "eps", config.eps, "a number above 0")
    _require(config.momentum < 1, "momentum", config.momentum, "a number in [0, 1)")
    _require(0 < config.layer_decay <= 1, "layer_decay", config.layer_decay, "a number above 0 and at most 1")
    ema = config.ema_decay
    _require(ema == "auto" or (is_number(ema) and 0 <= ema < 1), "ema_decay", ema, 'a number in [0, 1), or "auto"')  # type: ignore[operator]
    _require(config.mesa_start <= 1, "mesa_start", config.mesa_start, "a share of the epochs, in [0, 1]")
    _require(config.teacher_temperature > 0, "teacher_temperature", config.teacher_temperature, "a number above 0")
    threshold = config.bce_threshold
    _require(
        threshold is None or (is_number(threshold) and 0 <= threshold < 1), "bce_threshold", threshold, "a number in [0, 1)"
    )
    workers = config.workers
    _require(workers is None or (type(workers) is int and 0 <= workers <= 64), "workers", workers, "an integer from 0 to 64")
    if isinstance(config.class_weights, Mapping):
        for name, value in config.class_weights.items():
            real = isinstance(value, int | float) and not isinstance(value, bool)
            _require(real and value >= 0, f"class_weights of {name!r}", value, "a number of at least 0")
    else:
        expected = '"balanced", {class: weight} or None'
        _require(config.class_weights in (None, "balanced"), "class_weights", config.class_weights, expected)


def _check_options(config: TrainingConfig) -> None:
    """Names in the dicts that are arguments of something else."""
    for name in ("dataset_options", "loader_options"):
        known = options_in(name)
        for option in getattr(config, name):
            if option not in known:
                raise InputError(f"training: unknown option {option!r} in {name}{nearest(option, known)}")
    Augmentation.of(config.augmentation)


def options_in(name: str) -> list[str]:
    """What may stand in `dataset_options` or `loader_options`."""
    of: Callable[..., Any] = load_parts if name == "dataset_options" else BatchLoader
    return [each for each in inspect.signature(of).parameters if each not in _OWN]


def _check_together(config: TrainingConfig) -> None:
    """Settings that say the opposite of each other, or have no effect beside each other."""
    excluding = [
        (
            config.precision == "mixed" and config.model.get("dtype", "float32") != "float32",
            f"precision is mixed, but the model's dtype is {config.model.get('dtype')}, expected float32",
        ),
        (
            config.frozen and config.layer_decay != 1,
            f"layer_decay is {config.layer_decay}, but with frozen=True only the head is trained; leave it out",
        ),
        (
            config.frozen and bool(config.ema_decay),
            f"ema_decay is {config.ema_decay}, but with frozen=True only the head is trained; leave one of them out",
        ),
        (
            config.warmup_epochs + config.cooldown_epochs > config.epochs,
            f"warmup_epochs {config.warmup_epochs:g} and cooldown_epochs {config.cooldown_epochs:g} are more than the"
            f" {config.epochs} epochs that there are",
        ),
        (
            bool(config.mesa) and not config.ema_decay,
            f'mesa is {config.mesa:g}, and its teacher is the average of the weights: give ema_decay too, such as "auto"',
        ),
        (
            config.ema_warmup and not config.ema_decay,
            "ema_warmup is True, and there is no average to warm up; give it, or leave this out",
        ),
        (
            bool(config.mesa) and config.teacher is not None,
            "mesa and teacher both name somebody to learn from; give one of them",
        ),
        (
            config.loss == "bce" and config.class_weights is not None,
            "class_weights are for the cross-entropy, and loss is bce; leave one of them out",
        ),
        (
            config.loss != "bce" and config.bce_threshold is not None,
            f"bce_threshold is {config.bce_threshold}, and loss is {config.loss}; give loss bce, or leave it out",
        ),
        (
            config.nesterov and (config.optimizer != "sgd" or config.momentum == 0),
            f"nesterov is a form of SGD with momentum, and the optimizer is {config.optimizer}"
            + (" without" if config.optimizer == "sgd" else ""),
        ),
    ]
    for excluded, why in excluding:
        if excluded:
            raise Contradiction(f"training: {why}")


def _require(fits: bool, name: str, value: Any, expected: str) -> None:
    if not fits:
        raise InputError(f"training: {name} is {shown(value)}, expected {expected}")
