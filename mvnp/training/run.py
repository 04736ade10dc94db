"""A whole run from its settings: data, model, loop.

train(config, "runs/first")                  # a new run
train(config, "runs/first", resume=True)     # goes on where it was stopped, killed or cut off
train(images, labels, out="runs/mine")       # on arrays of one's own, with the demo's model and settings
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from ..data import BatchLoader, DataParts, Dataset, load_parts
from ..data.arrays import NAME as ARRAYS
from ..data.arrays import Arrays, of_arrays
from ..data.dataset import in_channels
from ..errors import DataError, InputError, TrainingError, refusing
from ..models.classifier import Classifier
from ..models.variants import FAMILIES, check_options
from .config import TrainingConfig
from .distributed import Ranks
from .ingredients import make_teacher
from .layer_decay import learning_rate_scales
from .presets import find_preset
from .recipes import recipe_settings
from .run_folder import RunFolder, TrainingResult, open_run
from .trainer import Trainer

DEFAULT_OUT = "mvnp-train"


@overload
def train(
    config: TrainingConfig | None,
    out: str | Path,
    /,
    *,
    resume: bool = False,
    quiet: bool = False,
    ranks: Ranks | None = None,
) -> TrainingResult: ...


@overload
def train(
    images: np.ndarray,
    labels: np.ndarray | Sequence[str],
    /,
    *,
    out: str | Path = "mvnp-train",
    test: Arrays | None = None,
    classes: Sequence[str] | None = None,
    held_out: float = 0.2,
    model: str | Mapping[str, Any] = "demo",
    image_size: int | None = None,
    resume: bool = False,
    quiet: bool = False,
    ranks: Ranks | None = None,
    **settings: Any,
) -> TrainingResult: ...


@refusing
def train(
    first: Any = None,
    second: Any = None,
    /,
    *,
    out: str | Path | None = None,
    test: Arrays | None = None,
    classes: Sequence[str] | None = None,
    held_out: float = 0.2,
    model: str | Mapping[str, Any] = "demo",
    image_size: int | None = None,
    resume: bool = False,
    quiet: bool = False,
    ranks: Ranks | None = None,
    **settings: Any,
) -> TrainingResult:
    """`train(config, out)`: train a model as `config` says, into the folder `out`.

    config    None, with `resume`: that of the run in `out`
    quiet     nothing on standard error
    ranks     from `join`: the processes that mpiexec has started, which train together; None: this one by itself

    `train(images, labels, out=…)`: the same on arrays. `mvnp.load_pretrained(result.best)` is the model.

    images, labels    uint8, or floating from 0 to 1, (n, H, W), (n, H, W, C) or (n, C, H, W); and integers or names (n,)
    test              (images, labels) to test on; None: `held_out` of each class
    classes           names of the integers
    model             a preset or variant ("demo"), or arguments of MambaVision, or with `family` of another
    image_size        side to which pictures are brought; None: the preset's, or their own
    settings          those of TrainingConfig that are to differ: epochs, batch_size, lr, seed, loader_options, …; with `recipe`
                      they take the place of that recipe's

    Raises TrainingInterrupted after Ctrl-C or SIGTERM, once all is saved; TrainingError for a folder that cannot be used and
    for a loss that is not finite; DataError, InputError and CheckpointError for what their names say.
    """
    ranks, data = ranks or Ranks(), None
    if first is None or isinstance(first, TrainingConfig):
        given = [*settings, *(name for name, value in {"test": test, "classes": classes}.items() if value is not None)]
        if given:
            raise InputError(f"train: {given[0]} goes with arrays; the settings of a run from a config are in it")
        config, out = first, second if out is None else out
    else:
        if second is None:
            raise InputError(f"train: one {type(first).__name__} was given, expected a TrainingConfig, or images and labels")
        data = of_arrays(first, second, test=test, classes=classes, held_out=held_out, seed=settings.get("seed", 0))
        config = _config_for(data[0], model, image_size, settings)
        out = DEFAULT_OUT if out is None else out
    if not isinstance(out, str | os.PathLike):
        raise InputError(f"train: out is {out!r}, expected the folder for checkpoints and log")
    with ranks.together():
        return _train(config, Path(out), resume, quiet, ranks, data)


def _config_for(
    data: Dataset, model: str | Mapping[str, Any], image_size: int | None, settings: Mapping[str, Any]
) -> TrainingConfig:
    """The settings of a run on arrays: those of a preset but for what is given."""
    if isinstance(model, str):
        preset = find_preset(model)
        size = image_size or preset.image_size
        own: dict[str, Any] = {"family": preset.family, "model": preset.model, **preset.settings}
        own["loader_options"] = {"image_size": size, "crop_padding": preset.crop_padding}
    else:
        own = {"model": dict(model), "loader_options": {"image_size": image_size or max(data.images.shape[1:3])}}
    if settings.get("recipe"):
        settings = recipe_settings(settings["recipe"], model if isinstance(model, str) else "", settings)
    if settings.get("augmentation", {}).get("crop_scale"):
        own["loader_options"]["crop_padding"] = 0
    loader_options = {**own["loader_options"], **settings.get("loader_options", {})}
    return TrainingConfig.from_dict({**own, **settings, "dataset": ARRAYS, "loader_options": loader_options})


def _train(
    config: TrainingConfig | None,
    out: str | Path,
    resume: bool,
    quiet: bool,
    ranks: Ranks,
    data: tuple[Dataset, Dataset] | None,
) -> TrainingResult:
    folder = ranks.from_first(lambda: open_run(out, config, resume))
    with folder:
        return _train_in(folder, resume, quiet, ranks, data)


def _train_in(
    folder: RunFolder, resume: bool, quiet: bool, ranks: Ranks, data: tuple[Dataset, Dataset] | None
) -> TrainingResult:
    out = folder.path
    config = folder.config
    if config.weights is not None:
        how = f"go on with mvnp finetune --resume --out {out}" if resume else "use finetune, which begins from weights"
        raise TrainingError(f"these settings are those of a fine-tuning from {config.weights}; {how}")
    if config.frozen:
        raise TrainingError(
            "frozen is True: the head alone would be trained, on features of random weights; use finetune, which begins from"
            " trained ones, or leave frozen out"
        )
    if data is None and config.dataset == ARRAYS:
        raise DataError(
            f"the run in {out} was trained on arrays, which it does not keep; go on with them in Python:"
            f" mvnp.training.train(images, labels, out={str(out)!r}, resume=True)"
        )
    if data is not None:
        parts = DataParts(data[0], test=data[1])
    else:
        loaded = load_parts(config.dataset, **dataset_options(config))
        parts = in_channels_asked(loaded, config.dataset_options.get("channels"))
    train_loader, test_loader, final_loader = loaders_of(config, parts)
    model = make_model(config, parts.train)
    scales = learning_rate_scales(model, config.layer_decay) if config.layer_decay != 1 else None
    return Trainer(
        model,
        train_loader,
        test_loader,
        folder,
        lr_scales=scales,
        teacher=make_teacher(config, model.in_chans, model.num_classes),
        final_loader=final_loader,
        notes=parts.notes,
        quiet=quiet,
        ranks=ranks,
    ).run()


def dataset_options(config: TrainingConfig) -> dict[str, Any]:
    """Those of `load_parts`: with whole pictures where parts are cut out of them in training."""
    return {**config.dataset_options, **({"whole": True} if config.augmentation.get("crop_scale") else {})}


def in_channels_asked(parts: DataParts, channels: int | None) -> DataParts:
    """Grey sets repeated in as many channels as are asked for. Raises InputError for others that have not so many."""
    fitting: dict[str, Any] = {part.part: part if channels is None else in_channels(part, channels) for part in parts}
    return replace(parts, **fitting)


def loaders_of(config: TrainingConfig, parts: DataParts) -> tuple[BatchLoader, BatchLoader | None, BatchLoader | None]:
    """Batches to train on, to choose the best epoch by, and for a last word, as far as there are images for these."""
    train_loader, test_loader = make_loaders(config, parts.train, parts.chooser or parts.train)
    _, final_loader = make_loaders(config, parts.train, parts.test or parts.train)
    return (
        train_loader,
        None if parts.chooser is None else test_loader,
        None if parts.val is None or parts.test is None else final_loader,
    )


@refusing
def make_loaders(config: TrainingConfig, train_set: Dataset, test_set: Dataset) -> tuple[BatchLoader, BatchLoader]:
    """The training and the test batches of a run."""

    def loader(part: Dataset, train: bool) -> BatchLoader:
        options: dict[str, Any] = {**config.loader_options, "augmentation": config.augmentation if train else None}
        return BatchLoader(part, config.batch_size, train=train, seed=config.seed, **options)

    return loader(train_set, True), loader(test_set, False)


@refusing
def make_model(config: TrainingConfig, data: Dataset) -> Classifier:
    """The model of a run, with its initial weights. Raises InputError where it does not fit the data."""
    family = FAMILIES[config.family]
    image_size = config.loader_options.get("image_size", 0)
    fitting = family.fitting(image_size, data.channels, len(data.classes), config.seed)
    check_options(config.family, config.model)
    try:
        model = family(**{**fitting, **config.model})
    except (TypeError, OverflowError) as error:  # an argument that there is not, or one too few: as a checkpoint may have it
        raise InputError(f"the model's settings cannot be used: {error}") from error
    if model.in_chans != data.channels or model.num_classes < len(data.classes):
        raise InputError(
            f"the model has in_chans={model.in_chans} and num_classes={model.num_classes}, but {data.name} has"
            f" {data.channels} channels and {len(data.classes)} classes; leave both out and they follow the data"
        )
    return model
