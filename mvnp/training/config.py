"""What a training run is told: everything that decides its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import InputError, nearest
from .config_checks import check_config

DICTS = ("model", "dataset_options", "loader_options", "augmentation", "weights_options", "teacher_options")


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a run. The same settings, data and machine give the same weights, bit for bit.

    family            of networks: "MambaVision", or another name in mvnp.models.FAMILIES
    model             arguments of its class; in_chans and num_classes follow the data set, the image size of a network that
                      takes one alone the loader, and seed this seed, where absent
    dataset           what `mvnp.data.load_parts` takes: a name, a folder or a file
    dataset_options   its other arguments
    loader_options    arguments of `mvnp.data.BatchLoader`: image_size, mean, std, flip, crop_padding, crop_fill, sampler
    augmentation      settings of `mvnp.data.augment.Augmentation`
    workers           processes that make batches ahead of the steps (data/prefetch.py); None: as it seems best. The batches
                      are the same
    recipe            what the settings were taken from (recipes.py), for information
    precision         "full", that of the model, or "mixed": caches and gradients are stored in float16
                      (execution/half.py) and the loss is scaled (loss_scale.py); sums, products and weights are float32
    epochs            passes over the training images, all together
    batch_size        images in a step
    accumulate        batches whose gradients are added up for one step. Each is normalised by its own statistics: a step of
                      4 times 32 images is not that of 128, and takes no more memory than 32
    micro_batch       images at a time that a step keeps caches of the last levels for, and works them out again in the
                      backward (mvnp/execution/checkpointing.py): less memory, the same result to rounding; 0: all at once
    optimizer         "adamw", "lamb" or "sgd"
    lr, min_lr, warmup_lr, warmup_epochs    see mvnp/training/schedule.py; warmup_epochs may be a fraction
    cooldown_epochs   the last of the epochs, at min_lr
    cosine_from       where the cosine begins: "warmup", at its end; or "start", with the first step, as in the release
    weight_decay      of parameters of two dimensions and more
    betas, eps        of AdamW and LAMB
    lamb_clip         LAMB's own limit of the global norm; None: no limit
    momentum, nesterov    of SGD
    clip_norm         limit of the global norm of the gradients; None: no limit
    layer_decay       factor of the learning rate from one block to the one below it (layer_decay.py); 1: all alike
    loss              "cross-entropy", or "bce": a question for each class by itself
    bce_threshold     of bce: targets above it count as 1, others as 0; None: they stay
    label_smoothing   share of each label that is spread over all classes
    ema_decay         decay of the weights' average (ema.py), which is tested besides; "auto": 1/(1 − decay) is 5 % of the
                      steps, at most 0.9998; 0: there is none
    ema_warmup        the decay grows at first
    mesa, mesa_start  weight of MESA (layers/mesa.py) in the loss, and after which share of the epochs before the cool-down it
                      joins
    teacher           weights of a model to learn from as well (distillation), as `weights`; None: there is none
    teacher_options   its other arguments: variant, ema
    teacher_weight, teacher_temperature    of its term in the loss
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

    Raises InputError that names a setting out of range, or two that exclude each other.
    """

    model: dict[str, Any]
    family: str = "MambaVision"
    dataset: str = "fashion-mnist-small"
    dataset_options: dict[str, Any] = field(default_factory=dict)
    loader_options: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    workers: int | None = None
    recipe: str | None = None
    precision: str = "full"
    epochs: int = 10
    batch_size: int = 64
    accumulate: int = 1
    micro_batch: int = 0
    optimizer: str = "adamw"
    lr: float = 2e-3
    min_lr: float = 1e-5
    warmup_lr: float = 1e-6
    warmup_epochs: float = 1.0
    cooldown_epochs: float = 0.0
    cosine_from: str = "warmup"
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    lamb_clip: float | None = 1.0
    momentum: float = 0.9
    nesterov: bool = False
    clip_norm: float | None = 5.0
    loss: str = "cross-entropy"
    bce_threshold: float | None = None
    label_smoothing: float = 0.1
    ema_decay: float | str = 0.0
    ema_warmup: bool = False
    mesa: float = 0.0
    mesa_start: float = 0.25
    teacher: str | None = None
    teacher_options: dict[str, Any] = field(default_factory=dict)
    teacher_weight: float = 1.0
    teacher_temperature: float = 2.0
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
        for name in DICTS:
            # As they come back from a checkpoint: tuples are lists there.
            object.__setattr__(self, name, _plain(name, getattr(self, name)))
        object.__setattr__(self, "betas", tuple(self.betas) if isinstance(self.betas, list) else self.betas)
        if isinstance(self.class_weights, Mapping):
            object.__setattr__(self, "class_weights", _plain("class_weights", self.class_weights))
        check_config(self)

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
