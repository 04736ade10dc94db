"""What a training run is told: everything that decides its result."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..data import BatchLoader, load_parts
from ..errors import InputError, check_choice, is_number, nearest, shown
from ..models.variants import FAMILIES

PRECISIONS = ("full", "mixed")
BEST_BY = ("accuracy", "mean-accuracy", "loss")


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a run. The same settings, data and machine give the same weights, bit for bit.

    family            of networks: "MambaVision", or another name in mvnp.models.FAMILIES
    model             arguments of its class; in_chans and num_classes follow the data set, the image size of a network that
                      takes one alone the loader, and seed this seed, where absent
    dataset           what `mvnp.data.load_parts` takes: a name, a folder or a file
    dataset_options   its other arguments
    loader_options    arguments of `mvnp.data.BatchLoader`: image_size, mean, std, flip, crop_padding, crop_fill, sampler
    precision         "full", that of the model, or "mixed": caches and gradients are stored in float16
                      (execution/half.py) and the loss is scaled (loss_scale.py); sums, products and weights are float32
    epochs            passes over the training images
    batch_size        images in a step
    micro_batch       images at a time that a step keeps caches of the last levels for, and works them out again in the
                      backward (mvnp/execution/checkpointing.py): less memory, the same result to rounding; 0: all at once
    lr, min_lr, warmup_lr, warmup_epochs    see mvnp/training/schedule.py; warmup_epochs may be a fraction
    weight_decay      of parameters of two dimensions and more
    clip_norm         limit of the global norm of the gradients; None: no limit
    label_smoothing   share of each label that is spread over all classes
    seed              of order, augmentation, dropout, drop path and, unless `model` has its own, initial weights
    eval_every        epochs between evaluations; the last epoch is always evaluated
    checkpoint_every  steps between checkpoints, besides the one after each epoch; 0: none besides
    patience          epochs without a better one after which the run ends early; 0: it never does
    class_weights     what a picture counts in the loss, by its class: "balanced", as much as its class is rarer than others;
                      or {name: weight} of all classes; None: all alike
    best_by           what the best epoch is chosen by: "accuracy", "mean-accuracy" (the mean of the accuracies of the classes)
                      or "loss"

    For fine-tuning (finetune.py), where `model` has only what is to differ from the model of the weights:
    weights           what to begin from: a file or a name, as `mvnp.load_pretrained` takes it; None: from scratch
    weights_options   its other arguments: variant, ema
    frozen            train the head alone
    layer_decay       factor of the learning rate from one block to the one below it (layer_decay.py); 1: all alike

    Raises InputError that names a setting out of range.
    """

    model: dict[str, Any]
    family: str = "MambaVision"
    dataset: str = "fashion-mnist-small"
    dataset_options: dict[str, Any] = field(default_factory=dict)
    loader_options: dict[str, Any] = field(default_factory=dict)
    precision: str = "full"
    epochs: int = 10
    batch_size: int = 64
    micro_batch: int = 0
    lr: float = 2e-3
    min_lr: float = 1e-5
    warmup_lr: float = 1e-6
    warmup_epochs: float = 1.0
    weight_decay: float = 0.05
    clip_norm: float | None = 5.0
    label_smoothing: float = 0.1
    seed: int = 0
    eval_every: int = 1
    checkpoint_every: int = 200
    patience: int = 0
    class_weights: str | dict[str, float] | None = None
    best_by: str = "accuracy"
    weights: str | None = None
    weights_options: dict[str, Any] = field(default_factory=dict)
    frozen: bool = False
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        _require(isinstance(self.dataset, str), "dataset", self.dataset, "a name, a folder or a file")
        _require(isinstance(self.precision, str), "precision", self.precision, f"one of {', '.join(PRECISIONS)}")
        counts = {"epochs": 1, "batch_size": 1, "micro_batch": 0, "seed": 0}
        counts |= {"eval_every": 1, "checkpoint_every": 0, "patience": 0}
        check_choice("family", self.family, FAMILIES)
        for name, least in counts.items():
            value = getattr(self, name)
            _require(type(value) is int and value >= least, name, value, f"an integer of at least {least}")
        _require(
            isinstance(self.precision, str) and self.precision in PRECISIONS,
            "precision",
            self.precision,
            f"one of {', '.join(PRECISIONS)}",
        )
        if self.precision == "mixed" and self.model.get("dtype", "float32") != "float32":
            raise InputError(f"training: precision is mixed, but the model's dtype is {self.model['dtype']}, expected float32")
        _require(self.seed < 2**32, "seed", self.seed, "less than 2**32")
        for name in ("lr", "min_lr", "warmup_lr", "warmup_epochs", "weight_decay", "label_smoothing", "layer_decay"):
            value = getattr(self, name)
            _require(is_number(value) and value >= 0, name, value, "a number of at least 0")
        _require(self.lr > 0, "lr", self.lr, "a number above 0")
        for name in ("min_lr", "warmup_lr"):
            _require(getattr(self, name) <= self.lr, name, getattr(self, name), f"at most lr, {self.lr}")
        _require(self.warmup_epochs <= self.epochs, "warmup_epochs", self.warmup_epochs, f"at most epochs, {self.epochs}")
        _require(self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "a number in [0, 1)")
        if self.clip_norm is not None:
            _require(is_number(self.clip_norm) and self.clip_norm > 0, "clip_norm", self.clip_norm, "a number above 0, or None")
        _require(self.weights is None or isinstance(self.weights, str), "weights", self.weights, "a file or a name, or None")
        _require(isinstance(self.frozen, bool), "frozen", self.frozen, "True or False")
        _require(0 < self.layer_decay <= 1, "layer_decay", self.layer_decay, "a number above 0 and at most 1")
        _require(self.best_by in BEST_BY, "best_by", self.best_by, f"one of {', '.join(BEST_BY)}")
        if isinstance(self.class_weights, Mapping):
            object.__setattr__(self, "class_weights", _plain("class_weights", self.class_weights))
            for name, value in self.class_weights.items():
                real = isinstance(value, int | float) and not isinstance(value, bool)
                _require(real and value >= 0, f"class_weights of {name!r}", value, "a number of at least 0")
        else:
            expected = '"balanced", {class: weight} or None'
            _require(self.class_weights in (None, "balanced"), "class_weights", self.class_weights, expected)
        if self.frozen and self.layer_decay != 1:
            raise InputError(
                f"training: layer_decay is {self.layer_decay}, but with frozen=True only the head is trained; leave it out"
            )
        for name in ("model", "dataset_options", "loader_options", "weights_options"):
            # As they come back from a checkpoint: tuples are lists there.
            object.__setattr__(self, name, _plain(name, getattr(self, name)))
        for name, of in (("dataset_options", load_parts), ("loader_options", BatchLoader)):
            known = [each for each in inspect.signature(of).parameters if each not in _OWN]
            for option in getattr(self, name):
                if option not in known:
                    raise InputError(f"training: unknown option {option!r} in {name}{nearest(option, known)}")

    def to_dict(self) -> dict[str, Any]:
        """The settings, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> TrainingConfig:
        """The settings that `to_dict` gave. Raises InputError for one that does not exist, with the nearest that does."""
        known = [setting.name for setting in fields(cls)]
        for name in settings:
            if name not in known:
                raise InputError(f"unknown training setting {name!r}{nearest(name, known)}; choose one of {', '.join(known)}")
        return cls(**settings)

    def differences(self, other: TrainingConfig) -> list[tuple[str, Any, Any]]:
        """(name, value here, value there) of each setting in which the two differ; of dicts, entry by entry."""
        mine, theirs = _flat(self.to_dict()), _flat(other.to_dict())
        names = [*mine, *(name for name in theirs if name not in mine)]
        pairs = [(name, mine.get(name, "not given"), theirs.get(name, "not given")) for name in names]
        return [(name, here, there) for name, here, there in pairs if here != there]


# Arguments that are settings themselves.
_OWN = ("spec", "dataset", "batch_size", "train")


def _require(fits: bool, name: str, value: Any, expected: str) -> None:
    if not fits:
        raise InputError(f"training: {name} is {shown(value)}, expected {expected}")


def _plain(name: str, options: Any) -> dict[str, Any]:
    if not isinstance(options, Mapping):
        raise InputError(f"training: {name} is a {type(options).__name__}, expected a dict")
    try:
        return json.loads(json.dumps(dict(options), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"training: {name} is not JSON: {error}") from error


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value
    return flat
