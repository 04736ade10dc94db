"""Fine-tuning: trained weights, a new head, other classes.

finetune(config, "runs/flowers")                  # a new run; config.weights says what it begins from
finetune(config, "runs/flowers", resume=True)     # goes on where it was stopped, without the weights that it began from

Images are given to the model as they were when its weights were trained: their size, mean and deviation come with the weights,
unless `loader_options` says otherwise. The best model is written as `mvnp.load_pretrained` reads it, with the names of the
classes and how images are prepared.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..checkpoint import Pretrained, read_pretrained, save_pretrained
from ..core import Layer
from ..data import load_parts
from ..errors import CheckpointError, InputError, TrainingError, refusing
from ..models.backbone import Backbone
from ..models.classifier import Classifier
from ..models.variants import FAMILIES
from .config import TrainingConfig
from .describe import describe
from .distributed import Ranks
from .frozen import FrozenTrunk
from .ingredients import make_teacher
from .layer_decay import learning_rate_scales
from .progress import Progress
from .run import dataset_options, in_channels_asked, loaders_of
from .run_checkpoint import Checkpoint
from .run_folder import RunFolder, TrainingResult, open_run
from .trainer import Trainer


@refusing
def finetune(
    config: TrainingConfig | None,
    out: str | Path,
    *,
    resume: bool = False,
    quiet: bool = False,
    ranks: Ranks | None = None,
) -> TrainingResult:
    """Train weights further on other classes, as `config` says, into the folder `out`.

    config    None, with `resume`: that of the run in `out`. What it leaves open follows the weights (`completed`).
    quiet     nothing on standard error
    ranks     from `join`: the processes that mpiexec has started, which train together; None: this one by itself

    Raises what `train` raises, and CheckpointError or FileNotFoundError for weights that cannot be used.
    """
    ranks = ranks or Ranks()
    with ranks.together():
        return _finetune(config, out, resume, quiet, ranks)


def _finetune(config: TrainingConfig | None, out: str | Path, resume: bool, quiet: bool, ranks: Ranks) -> TrainingResult:
    if resume:
        folder = ranks.from_first(lambda: open_run(out, config, resume=True))
        assert folder.resumed is not None
        config = folder.config
        if config.weights is None:
            raise TrainingError(f"the run in {out} was started from scratch; go on with mvnp train --resume --out {out}")
        model, about = _model_of_run(folder.resumed)
    else:
        if config is None or config.weights is None:
            raise InputError("finetune: the settings name no weights to begin from")
        pretrained = read_pretrained(config.weights, **config.weights_options, **config.model)
        if isinstance(pretrained.model, Backbone):
            raise InputError(
                f"{config.weights} is of a Backbone, which has no classes to train; begin from a classifier's weights"
            )
        for note in pretrained.notes:
            Progress(quiet or not ranks.first).say(note)
        settings = completed(config, pretrained)
        folder = ranks.from_first(lambda: open_run(out, settings))
        model, about = pretrained.model, {"variant": pretrained.variant}
    with folder:
        return _finetune_in(folder, model, about, quiet, ranks)


def _finetune_in(folder: RunFolder, model: Classifier, about: dict[str, Any], quiet: bool, ranks: Ranks) -> TrainingResult:
    config = folder.config
    parts = load_parts(config.dataset, **dataset_options(config))
    parts = in_channels_asked(parts, model.in_chans)
    train_loader, test_loader, final_loader = loaders_of(config, parts)
    if folder.resumed is None:
        model.reset_head(len(parts.train.classes), config.seed)
        about.update(describe(model, train_loader))
    scales = learning_rate_scales(model, config.layer_decay) if config.layer_decay != 1 else None
    return Trainer(
        FrozenTrunk(model) if config.frozen else model,
        train_loader,
        test_loader,
        folder,
        final_loader=final_loader,
        notes=parts.notes,
        quiet=quiet,
        about=about,
        lr_scales=scales,
        teacher=make_teacher(config, model.in_chans, len(parts.train.classes)),
        save_best=partial(_write_best, about=about),
        ranks=ranks,
    ).run()


@refusing
def completed(config: TrainingConfig, pretrained: Pretrained) -> TrainingConfig:
    """The settings with what they leave open as the weights have it: channels, image size, mean, deviation and range.

    Raises InputError where the image size is open and the weights do not tell it.
    """
    images = pretrained.images or {}
    dataset, loader = {**config.dataset_options}, {**config.loader_options}
    if "image_size" not in loader:
        loader["image_size"] = _side(images.get("size"), config.weights)
    for name in ("mean", "std"):
        if len(images.get(name, ())) == pretrained.model.in_chans:
            loader.setdefault(name, list(images[name]))
    dataset.setdefault("image_size", loader["image_size"])
    dataset.setdefault("channels", pretrained.model.in_chans)
    if images.get("value_range") is not None:
        dataset.setdefault("value_range", images["value_range"])
    return replace(config, dataset_options=dataset, loader_options=loader)


def _side(size: Any, weights: str | None) -> int | list[int]:
    if size is None:
        raise InputError(
            f"{weights} does not say what size of image it was trained on; give image_size (--image-size), the side in pixels,"
            " or HxW"
        )
    return [int(side) for side in size] if isinstance(size, tuple | list) else int(size)


def _model_of_run(checkpoint: Checkpoint) -> tuple[Classifier, dict[str, Any]]:
    try:
        model = FAMILIES[checkpoint.about.get("class", "MambaVision")](**checkpoint.about["model"], allocate=False)
        if not isinstance(checkpoint.about["variant"], str | None) or not isinstance(checkpoint.about["classes"], list):
            raise TypeError("variant or classes are not what they should be")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"the run's checkpoint is damaged: what it says of its model cannot be used ({error!r})"
        ) from error
    model.load_state_dict(checkpoint.part("model."))
    return model, checkpoint.about


def _write_best(path: Path, trained: Layer, about: dict[str, Any]) -> None:
    model: Any = getattr(trained, "model", trained)  # of a FrozenTrunk, the model in it
    for key, param in model.named_state():
        if not np.isfinite(to_numpy(param.data)).all():
            raise TrainingError(f"{key} holds values that are not finite")
    save_pretrained(path, model, variant=about["variant"], classes=about["classes"], images=about["images"])
