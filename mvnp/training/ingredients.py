"""What a run is made of besides model and data, from its settings: optimiser, learning rate, average, teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ..backend import to_numpy
from ..checkpoint import read_pretrained
from ..core import Layer
from ..errors import InputError
from ..models.backbone import Backbone
from .adamw import AdamW
from .config import TrainingConfig
from .ema import EMA
from .lamb import LAMB
from .objective import Teacher
from .optimizer import Optimizer
from .schedule import cosine_rate, learning_rate
from .sgd import SGD

MOST_DECAY, MEMORY = 0.9998, 0.05  # of ema_decay="auto": the release's decay, and 1/(1 − decay) as a share of all steps


def make_optimizer(config: TrainingConfig, model: Layer, lr_scales: Mapping[str, float] | None = None) -> Optimizer:
    """The optimiser of a run, new."""
    common: dict[str, Any] = {"weight_decay": config.weight_decay, "lr_scales": lr_scales}
    parameters = model.named_parameters()
    if config.optimizer == "sgd":
        return SGD(parameters, config.momentum, config.nesterov, **common)
    if config.optimizer == "lamb":
        return LAMB(parameters, config.betas, config.eps, max_grad_norm=config.lamb_clip, **common)
    return AdamW(parameters, config.betas, config.eps, **common)


def make_average(config: TrainingConfig, model: Layer, steps: int) -> EMA | None:
    """The average of the weights in a run of so many steps, beginning at what they are; None: there is none."""
    if not config.ema_decay:
        return None
    decay = config.ema_decay if config.ema_decay != "auto" else min(MOST_DECAY, max(0.0, 1 - 1 / max(1.0, MEMORY * steps)))
    return EMA(model, float(decay), warmup=config.ema_warmup)


def make_teacher(config: TrainingConfig, channels: int, classes: int) -> Teacher | None:
    """Who a run learns from besides its labels, for images of so many channels; None: nobody.

    Raises InputError for a teacher of other channels or classes, and what `mvnp.load_pretrained` raises.
    """
    if config.teacher is None:
        return None
    model = read_pretrained(config.teacher, **config.teacher_options).model
    if isinstance(model, Backbone):
        raise InputError(f"the teacher {config.teacher} is a Backbone, which has no classes; give a classifier's weights")
    for what, own, wanted in (("channels", model.in_chans, channels), ("classes", model.num_classes, classes)):
        if own != wanted:
            raise InputError(
                f"the teacher {config.teacher} has {own} {what}, and the data {wanted}; train one on these data first,"
                " or begin from its weights with mvnp finetune"
            )
    return Teacher(model, config.teacher_weight, config.teacher_temperature, config.teacher_temperature**2)


def digest_of(model: Layer) -> str:
    """What the weights of a teacher are known again by."""
    digest = hashlib.blake2b(digest_size=16)
    for key, param in model.named_state():
        digest.update(key.encode() + to_numpy(param.data).tobytes())
    return digest.hexdigest()


def teacher_of(config: TrainingConfig, average: EMA | None, fixed: Teacher | None, epoch: int) -> Teacher | None:
    """Who teaches in an epoch, counted from 0: the average of the weights once MESA has begun, or a model of its own."""
    if config.mesa and average is not None and epoch / (config.epochs - config.cooldown_epochs) > config.mesa_start:
        return Teacher(average.model, config.mesa)
    return fixed


def rate_of(config: TrainingConfig, step: int, batches: int) -> float:
    """The learning rate of a step, counted from 0, with so many steps in an epoch (schedule.py)."""
    warmup = round(config.warmup_epochs * batches)
    cosine = round((config.epochs - config.cooldown_epochs) * batches)
    if config.cosine_from == "start":  # the release counts updates from 1
        return cosine_rate(step + 1, cosine, config.lr, config.min_lr, warmup=warmup, warmup_lr=config.warmup_lr)
    return learning_rate(step, cosine, warmup, config.lr, config.min_lr, config.warmup_lr)
